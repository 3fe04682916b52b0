package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what comes out into testdata")

func kernelCase(direction, offload string) Case {
	return Case{Metric: Throughput, Who: Kernel, Link: Veth, Offload: offload, Direction: direction, Streams: 1}
}

func ours(c Case, link, level string) Case {
	c.Who, c.Link, c.Level = Appliance, link, level
	return c
}

// sampleReport is a report with every kind of case, and the odd round missing.
func sampleReport() *Report {
	in, off := kernelCase(In, On), kernelCase(In, Off)
	rtt := Case{Metric: RoundTrip, Who: Kernel, Link: Veth, Offload: Off}
	conns := Case{Metric: Connections, Who: Kernel, Link: Veth, Offload: Off}
	idle := Case{Metric: Idle, Who: Kernel, Link: Veth, Offload: Off}
	iperf, fdbased := in, off
	iperf.Who = Iperf3
	fdbased.Who, fdbased.Link = FDBased, TAP
	cases := []Case{
		in, iperf, ours(in, Veth, Off), ours(in, TAP, Segments), off, ours(off, Veth, Off), ours(off, Veth, Segments), fdbased,
		rtt, ours(rtt, Veth, Segments), conns, ours(conns, TAP, Segments), idle, ours(idle, Veth, Segments),
	}
	bulk := func(rate, cpu float64) []Reading {
		return []Reading{{Rate, BitsPerSecond, rate * 1e9}, {CPUPerGB, SecondsPerGB, cpu}}
	}
	traced := func(rate, cpu, events, lost float64) []Reading {
		return append(bulk(rate, cpu), Reading{Events, PerSecond, events}, Reading{LostShare, Share, lost})
	}
	trip := func(p50, p99, p999 float64) []Reading {
		return []Reading{{P50, Seconds, p50 / 1e6}, {P99, Seconds, p99 / 1e6}, {P999, Seconds, p999 / 1e6}}
	}
	var samples []Sample
	add := func(c Case, rounds ...[]Reading) {
		for i, r := range rounds {
			if r != nil {
				samples = append(samples, Sample{Case: c, Round: i + 1, Readings: r})
			}
		}
	}
	add(in, bulk(50, 0.1), bulk(40, 0.11), bulk(55, 0.1))
	add(iperf, []Reading{{Rate, BitsPerSecond, 49e9}}, []Reading{{Rate, BitsPerSecond, 39e9}}, []Reading{{Rate, BitsPerSecond, 53e9}})
	add(ours(in, Veth, Off), bulk(45, 0.3), bulk(38, 0.31), bulk(46, 0.3))
	add(ours(in, TAP, Segments), traced(46, 0.35, 91000, 0), nil, traced(51.7, 0.36, 95000, 0.012))
	add(off, bulk(7, 0.9), bulk(7.2, 0.9), bulk(6.8, 0.9))
	add(ours(off, Veth, Off), bulk(3, 2), bulk(3.1, 2), bulk(2.9, 2))
	add(ours(off, Veth, Segments), traced(2.9, 2.2, 300000, 0), traced(3.1, 2.2, 310000, 0), traced(2.8, 2.3, 290000, 0))
	add(fdbased, bulk(2.8, 3), bulk(2.7, 3), bulk(2.9, 3))
	add(rtt, trip(18, 40, 90), trip(19, 41, 95), trip(18, 39, 99))
	add(ours(rtt, Veth, Segments), trip(72, 150, 400), trip(73, 160, 410), trip(71, 155, 390))
	add(conns, []Reading{{Rate, PerSecond, 19000}}, []Reading{{Rate, PerSecond, 18500}}, []Reading{{Rate, PerSecond, 19100}})
	add(ours(conns, TAP, Segments), []Reading{{Rate, PerSecond, 14500}}, []Reading{{Rate, PerSecond, 14300}}, []Reading{{Rate, PerSecond, 14600}})
	add(idle, []Reading{{Memory, Bytes, 4000}}, []Reading{{Memory, Bytes, 4100}}, []Reading{{Memory, Bytes, 4050}})
	add(ours(idle, Veth, Segments), []Reading{{Memory, Bytes, 10600}}, []Reading{{Memory, Bytes, 10700}}, []Reading{{Memory, Bytes, 10650}})
	r := &Report{
		Schema: Schema, Started: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Took: 95 * time.Second,
		Host: Host{
			Appliance: "v1.2.3", GVisor: "v0.0.1", Go: "go1.26.3", Kernel: "6.18.0", Arch: "amd64",
			CPUs: 2, CPU: "A <fast> & good one", LoadBefore: 0.1, LoadAfter: 1.5, Awake: true,
		},
		Settings: Settings{Rounds: 3, Time: time.Second, WarmUp: 300 * time.Millisecond, Sink: "jsonl", Congestion: "cubic", MTU: 1500, Idle: 10000},
		Skipped:  []Note{{Name: "iperf3/veth", Why: "iperf3 is not installed"}},
		Failed:   []Note{{Name: ours(in, TAP, Segments).Name(), Round: 2, Why: "a stream ended too early"}},
	}
	r.Results = Results(cases, samples)
	r.Targets = Judge(r.Results)
	return r
}

// TestForms holds each form of a report against testdata/report.txtar.
func TestForms(t *testing.T) {
	const path = "testdata/report.txtar"
	busy := sampleReport()
	busy.Host.LoadBefore, busy.Interrupted = 3, true
	busy.Settings.Rounds, busy.InterruptedIn, busy.Settings.Sink = 9, 4, "discard"
	busy.Results, busy.Targets = busy.Results[:1], Judge(busy.Results[:1])
	forms := []struct {
		name  string
		write func(io.Writer) error
	}{
		{"text", func(w io.Writer) error { return sampleReport().WriteText(w, false) }},
		{"text in colour, interrupted on a busy host", func(w io.Writer) error { return busy.WriteText(w, true) }},
		{"json", busy.WriteJSON},
		{"plot.svg", sampleReport().WritePlot},
	}
	if *update {
		a := &txtar.Archive{Comment: []byte("The forms of the reports in report_test.go: go test -update writes this.\n")}
		for _, f := range forms {
			var b bytes.Buffer
			if err := f.write(&b); err != nil {
				t.Fatal(err)
			}
			a.Files = append(a.Files, txtar.File{Name: f.name, Data: b.Bytes()})
		}
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil { //nolint:gosec // as in any repository
			t.Fatal(err)
		}
	}
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files) != len(forms) {
		t.Fatalf("%s has %d files, want %d", path, len(a.Files), len(forms))
	}
	for i, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := f.write(&b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(a.Files[i].Data), b.String()); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", f.name, diff)
			}
		})
	}
}

// TestHead: the first line tells how many rounds were measured, whole, and how the run ended.
func TestHead(t *testing.T) {
	for _, tt := range []struct {
		name         string
		rounds       int
		interrupted  bool
		in           int
		took         time.Duration
		want, ofPlot string
	}{
		{"through", 3, false, 0, 2600 * time.Millisecond, "3 rounds of 1s each after 300ms of warm-up, in 3s; ", "3 rounds of 1s; "},
		{"one round, at once", 1, false, 0, 350400 * time.Microsecond, "1 round of 1s each after 300ms of warm-up, in 350ms; ", "1 round of 1s; "},
		{
			"interrupted", 9, true, 4, 2 * time.Second,
			"3 of 9 rounds of 1s each after 300ms of warm-up, interrupted in round 4 after 2s; ", "3 of 9 rounds of 1s, interrupted in round 4; ",
		},
		{
			"interrupted in the first", 9, true, 1, 20 * time.Millisecond,
			"0 of 9 rounds of 1s each after 300ms of warm-up, interrupted in round 1 after 20ms; ", "0 of 9 rounds of 1s, interrupted in round 1; ",
		},
		{
			"an older report", 9, true, 0, time.Second,
			"not all of 9 rounds of 1s each after 300ms of warm-up, interrupted after 1s; ", "not all of 9 rounds of 1s, interrupted; ",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sampleReport()
			r.Settings.Rounds, r.Interrupted, r.InterruptedIn, r.Took = tt.rounds, tt.interrupted, tt.in, tt.took
			var text, plot bytes.Buffer
			if err := errors.Join(r.WriteText(&text, false), r.WritePlot(&plot)); err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(text.String(), "\n"); !strings.HasPrefix(first, tt.want) {
				t.Errorf("first line %q, want %q", first, tt.want)
			}
			if want := "medians and spread of " + tt.ofPlot; !strings.Contains(plot.String(), want) {
				t.Errorf("the plot has no %q:\n%s", want, &plot)
			}
		})
	}
}

// TestNotes: a reason is written once, with all that it holds for.
func TestNotes(t *testing.T) {
	r := &Report{
		Skipped: []Note{{Name: "fdbased/tap", Why: "closed"}, {Name: "iperf3/veth", Why: "not installed"}, {Name: "appliance/tap", Why: "closed"}},
		Failed:  []Note{{Name: "a", Round: 1, Why: "stalled"}, {Name: "b", Round: 1, Why: "broke"}, {Name: "a", Round: 3, Why: "stalled"}},
	}
	var b bytes.Buffer
	if err := r.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	want := "\nNot measured here\n  fdbased/tap, appliance/tap: closed\n  iperf3/veth: not installed\n" +
		"\nFailed\n  a in round 1, a in round 3: stalled\n  b in round 1: broke\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("notes\n%s\nwant at the end\n%s", &b, want)
	}
}

// TestSelect: what a pattern selects of a report comes with what it is compared with, and
// with its own targets and failures only.
func TestSelect(t *testing.T) {
	r := sampleReport()
	r.Keep(Select(r.Cases(), regexp.MustCompile("in/1/offload-on/appliance/tap|round-trip")))
	var got []string
	for _, c := range r.Cases() {
		got = append(got, c.Name())
	}
	want := []string{
		"throughput/in/1/offload-on/kernel/veth", "throughput/in/1/offload-on/appliance/tap/segments",
		"round-trip/offload-off/kernel/veth", "round-trip/offload-off/appliance/veth/segments",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cases: (-want +got)\n%s", diff)
	}
	for _, target := range r.Targets {
		if !slices.Contains(want, target.Name) {
			t.Errorf("target %d of %s stayed", target.Number, target.Name)
		}
	}
	if len(r.Targets) != 3 || len(r.Failed) != 1 || len(r.Skipped) != 1 {
		t.Errorf("targets %+v, failed %+v, skipped %+v", r.Targets, r.Failed, r.Skipped)
	}
	r.Keep(Select(r.Cases(), regexp.MustCompile("round-trip")))
	if len(r.Failed) > 0 {
		t.Errorf("another case's failure stayed: %+v", r.Failed)
	}
	if none := Select(r.Cases(), regexp.MustCompile("throughput")); len(none) > 0 {
		t.Errorf("found %v", none)
	}
}

// TestRatio: a ratio pairs figures of the same round, and only those.
func TestRatio(t *testing.T) {
	v := func(rounds []int, samples ...float64) *Value { return &Value{Rounds: rounds, Samples: samples} }
	for _, tt := range []struct {
		name    string
		v, base *Value
		want    *Summary
	}{
		{"nothing to compare with", v([]int{1}, 1), nil, nil},
		{"no round in common", v([]int{1}, 1), v([]int{2}, 1), nil},
		{"paired", v([]int{1, 2, 3}, 1, 20, 300), v([]int{1, 2, 3}, 2, 40, 600), &Summary{3, 0.5, 0.5, 0.5, 0.5, 0.5}},
		{"a round is missing", v([]int{1, 3}, 1, 9), v([]int{2, 3}, 100, 3), &Summary{1, 3, 3, 3, 3, 3}},
		{"nothing came", v([]int{1}, 1), v([]int{1}, 0), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, ratio(tt.v, tt.base)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestJudge: a target is met at its limit, missed beyond it, and says so when there was
// nothing to judge.
func TestJudge(t *testing.T) {
	base := kernelCase(In, On)
	traced := ours(base, Veth, Segments)
	idle := Case{Metric: Idle, Who: Appliance, Link: Veth, Offload: Off, Level: Segments}
	rtt := Case{Metric: RoundTrip, Who: Kernel, Link: Veth, Offload: Off}
	polling := ours(rtt, Veth, Segments)
	polling.Busy = true
	trace, atRate := Case{Metric: Trace, Who: JSONL}, Case{Metric: Trace, Who: JSONL, EventRate: 200_000}
	for _, tt := range []struct {
		name string
		c    Case
		own  Reading
		base Reading
		want Verdict
	}{
		{"at least, at the limit", traced, Reading{Rate, BitsPerSecond, 90}, Reading{Rate, BitsPerSecond, 100}, Met},
		{"at least, below", traced, Reading{Rate, BitsPerSecond, 89}, Reading{Rate, BitsPerSecond, 100}, Missed},
		{"at most, at the limit", ours(rtt, Veth, Segments), Reading{P50, Seconds, 35}, Reading{P50, Seconds, 10}, Met},
		{"at most, above", ours(rtt, Veth, Segments), Reading{P50, Seconds, 36}, Reading{P50, Seconds, 10}, Missed},
		{"by itself, at the limit", idle, Reading{Memory, Bytes, 12288}, Reading{Memory, Bytes, 1}, Met},
		{"by itself, above", idle, Reading{Memory, Bytes, 12289}, Reading{Memory, Bytes, 1}, Missed},
		{"polling, at the limit", polling, Reading{P50, Seconds, 25}, Reading{P50, Seconds, 10}, Met},
		{"polling, above", polling, Reading{P50, Seconds, 26}, Reading{P50, Seconds, 10}, Missed},
		{"events, at the limit", trace, Reading{Rate, PerSecond, 500_000}, Reading{}, Met},
		{"events, too few", trace, Reading{Rate, PerSecond, 499_999}, Reading{}, Missed},
		{"none lost", atRate, Reading{LostShare, Share, 0}, Reading{}, Met},
		{"some lost", atRate, Reading{LostShare, Share, 0.001}, Reading{}, Missed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			samples := []Sample{{tt.c, 1, []Reading{tt.own}}}
			if tt.c.Baseline() != tt.c {
				samples = append(samples, Sample{tt.c.Baseline(), 1, []Reading{tt.base}})
			}
			verdicts := map[string]Verdict{}
			for _, target := range Judge(Results([]Case{tt.c, tt.c.Baseline()}, samples)) {
				if target.Name == tt.c.Name() && (target.To == "" || target.To == tt.c.Baseline().Name()) {
					verdicts[target.Name] = target.Verdict
				} else if target.Verdict != NotMeasured || target.Got != nil {
					t.Errorf("%s: %s, want %s", target.Name, target.Verdict, NotMeasured)
				}
			}
			if want := map[string]Verdict{tt.c.Name(): tt.want}; !cmp.Equal(want, verdicts) {
				t.Errorf("verdicts %v, want %v", verdicts, want)
			}
		})
	}
}

// TestPlotIsXML: whatever names are in it.
func TestPlotIsXML(t *testing.T) {
	r := sampleReport()
	r.Host.Kernel = `6<&">`
	var b bytes.Buffer
	if err := r.WritePlot(&b); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&b)
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestJSONReadBack: a program that reads the JSON gets the report.
func TestJSONReadBack(t *testing.T) {
	want := sampleReport()
	var b bytes.Buffer
	if err := want.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Read(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var got Report
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestReadRefuses: what is no report is said to be none.
func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "it is no report of appliance bench",
		"[1]":                            "it is no report of appliance bench",
		"{}":                             `its schema is ""`,
		`{"schema":"appliance-trace/1"}`: `its schema is "appliance-trace/1", not appliance-bench/1`,
	} {
		if r, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", text, r, err, want)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("no space left on device")

// TestWriteErrors: what cannot be written is said.
func TestWriteErrors(t *testing.T) {
	r := sampleReport()
	for name, write := range map[string]func(io.Writer) error{
		"text": func(w io.Writer) error { return r.WriteText(w, false) }, "json": r.WriteJSON, "plot": r.WritePlot,
	} {
		if err := write(fullDisk{}); !errors.Is(err, errFull) {
			t.Errorf("%s: error %v, want %v", name, err, errFull)
		}
	}
}
