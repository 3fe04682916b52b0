package bench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"appliance/internal/bench/report"
	"appliance/tracer"
)

var bothLinks = []string{report.Veth, report.TAP}

// TestCases: names are unique, each case has its baseline, those that are compared stand
// together, and every target is of cases that are measured.
func TestCases(t *testing.T) {
	names := map[string]bool{}
	var groups []string
	for _, c := range Cases(bothLinks) {
		if names[c.Name()] {
			t.Errorf("%s: twice", c.Name())
		}
		names[c.Name()] = true
		if len(groups) == 0 || groups[len(groups)-1] != c.Group() {
			if slices.Contains(groups, c.Group()) {
				t.Errorf("%s: its group stands in two places", c.Name())
			}
			groups = append(groups, c.Group())
		}
	}
	for _, c := range Cases(bothLinks) {
		if !names[c.Baseline().Name()] {
			t.Errorf("%s: no %s", c.Name(), c.Baseline().Name())
		}
	}
	for _, target := range report.Judge(nil) {
		if !names[target.Name] || target.To != "" && !names[target.To] {
			t.Errorf("target %d: %s or %s is not measured", target.Number, target.Name, target.To)
		}
	}
}

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		only  string
		links []string
		want  string
	}{
		{"^idle/.*segments", bothLinks, "idle/offload-off/kernel/veth idle/offload-off/appliance/veth/segments"},
		{"^idle/.*segments", []string{"tap"}, "idle/offload-off/kernel/veth idle/offload-off/appliance/tap/segments"},
		{"round-trip/offload-on/.*/off$", bothLinks, "round-trip/offload-on/kernel/veth round-trip/offload-on/appliance/veth/off round-trip/offload-on/appliance/tap/off"},
		{"in/4.*fdbased", bothLinks, "throughput/in/4/offload-off/kernel/veth throughput/in/4/offload-off/fdbased/tap"},
		{"connections/offload-off/kernel", bothLinks, "connections/offload-off/kernel/veth"},
		{"fdbased", []string{"veth"}, ""},
		{"round-trip/offload-off/.*busy", bothLinks, "round-trip/offload-off/kernel/veth round-trip/offload-off/appliance/veth/segments/busy round-trip/offload-off/appliance/tap/segments/busy"},
		{"^trace", bothLinks, "trace/jsonl trace/jsonl/200000"},
		{"nothing is called so", bothLinks, ""},
	} {
		cases, err := Plan(Options{Only: regexp.MustCompile(tt.only), Links: tt.links})
		var got []string
		for _, c := range cases {
			got = append(got, c.Name())
		}
		if strings.Join(got, " ") != tt.want || (tt.want == "") != errors.Is(err, ErrOptions) {
			t.Errorf("%q on %v: %q, %v, want %q", tt.only, tt.links, got, err, tt.want)
		}
	}
}

// TestBrief: a first look has less of the same, and with Only it has what that asks for.
func TestBrief(t *testing.T) {
	all := Cases(bothLinks)
	brief, err := Plan(Options{Brief: true})
	if err != nil || len(brief) == 0 || len(brief) > 2*len(all)/3 {
		t.Errorf("%d cases of %d, %v", len(brief), len(all), err)
	}
	for _, c := range brief {
		if !slices.Contains(brief, c.Baseline()) {
			t.Errorf("%s: no %s", c.Name(), c.Baseline().Name())
		}
	}
	o := Options{Only: regexp.MustCompile("in/4/offload-on/appliance/tap/full")}
	want, err := Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Brief = true
	if got, err := Plan(o); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// TestSteps: each round has each case once, groups in order, and every other round turns
// the order within a group round.
func TestSteps(t *testing.T) {
	cases, err := Plan(Options{Only: regexp.MustCompile("round-trip/offload-off/appliance/veth|idle")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps(cases, 2) {
		got = append(got, string(rune('0'+s.round))+" "+strings.TrimPrefix(s.c.Name(), s.c.Group()))
	}
	want := []string{
		"1 /kernel/veth", "1 /appliance/veth/off", "1 /appliance/veth/segments", "1 /appliance/veth/segments/busy",
		"1 /kernel/veth", "1 /appliance/veth/off", "1 /appliance/veth/segments",
		"2 /appliance/veth/segments/busy", "2 /appliance/veth/segments", "2 /appliance/veth/off", "2 /kernel/veth",
		"2 /appliance/veth/segments", "2 /appliance/veth/off", "2 /kernel/veth",
	}
	if !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"rounds", Options{Rounds: -1}, "-1 rounds"},
		{"time", Options{Time: time.Microsecond}, "a time of 1µs"},
		{"long time", Options{Time: 2 * time.Hour}, "a time of 2h0m0s"},
		{"warm-up", Options{WarmUp: -time.Second}, "a warm-up of -1s"},
		{"idle", Options{Idle: -1}, "-1 idle connections"},
		{"sink", Options{Sink: "tape"}, `sink "tape": want jsonl or discard`},
		{"link", Options{Links: []string{"pipe"}}, `link "pipe": want veth or tap`},
	} {
		_, err := Run(t.Context(), tt.o)
		if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestEstimate: more to do takes longer.
func TestEstimate(t *testing.T) {
	last := time.Duration(0)
	for _, o := range []Options{
		{Rounds: 1, Time: 200 * time.Millisecond, Idle: 100},
		{Rounds: 3, Time: 200 * time.Millisecond, Idle: 100},
		{Rounds: 3, Time: 200 * time.Millisecond, Idle: 10000},
		{},
		{Time: 10 * time.Second},
	} {
		n, rounds, d, err := Estimate(o)
		if err != nil || n != len(Cases(bothLinks)) || rounds != o.withDefaults().Rounds || d <= last {
			t.Errorf("%+v: %d cases, %d rounds, %v, %v", o, n, rounds, d, err)
		}
		last = d
	}
}

// TestTraceFile: a trace's file has no name while it is written, and is a real one all the
// same, whose errors say where.
func TestTraceFile(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s, err := newSink(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Start(tracer.Header{}), s.Write(bulkEvents()), s.Close()); err != nil {
		t.Fatal(err)
	}
	wantNoName(t, o.Dir, s.file.File)
	if err := s.free(); err != nil {
		t.Error(err)
	}
	if _, err := s.file.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "in "+o.Dir+" (TMPDIR says where)") {
		t.Errorf("error %v, want the directory in it", err)
	}
}

// TestOpenUnlinked is the same, on a file system that must give a file a name.
func TestOpenUnlinked(t *testing.T) {
	dir := t.TempDir()
	f, err := openUnlinked(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Error(err)
	}
	wantNoName(t, dir, f)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// wantNoName checks that a file that was written is a regular one, and not in dir.
func wantNoName(t *testing.T, dir string, f *os.File) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("named in %s: %v, %v", dir, left, err)
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		t.Errorf("the file: %+v, %v", st, err)
	}
}

// TestNoTraceFile: a directory that is no good is said before anything is measured.
func TestNoTraceFile(t *testing.T) {
	r, err := Run(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "none")})
	if r != nil || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "set TMPDIR") {
		t.Errorf("report %v, error %v", r, err)
	}
}

func TestHostTexts(t *testing.T) {
	cpuinfo := "processor\t: 0\nmodel name\t: A  fast   one @ 3GHz\nprocessor\t: 1\nmodel name\t: another\n"
	if got := cpuModel(cpuinfo); got != "A fast one @ 3GHz" {
		t.Errorf("model %q", got)
	}
	if got := cpuModel("no such line\n"); got != "" {
		t.Errorf("model %q, want none", got)
	}
	kb, err := meminfoOf("MemTotal:  10 kB\nSlab:     1234 kB\nHugePages_Total: 3\n", "Slab")
	if err != nil || kb != 1234 {
		t.Errorf("Slab %v, %v", kb, err)
	}
	if _, err := meminfoOf("Slab: 3\n", "Slab"); err == nil {
		t.Error("a figure without a unit was taken")
	}
}
