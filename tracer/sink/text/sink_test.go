package text

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"appliance/tracer"
	"appliance/tracer/view/words"
)

var update = flag.Bool("update", false, "write what the sink writes into testdata")

// read returns a trace's header and events.
func read(t *testing.T, trace []byte) (tracer.Header, []tracer.Event) {
	t.Helper()
	r, err := tracer.NewReader(bytes.NewReader(trace))
	if err != nil {
		t.Fatal(err)
	}
	var events []tracer.Event
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Header(), events
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

// parseOptions reads the options in the name of a wanted output: "want ascii time=abs".
func parseOptions(t *testing.T, name string) Options {
	t.Helper()
	o := Options{Location: time.UTC}
	for _, word := range strings.Fields(name)[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "ascii":
			o.ASCII = true
		case "color":
			o.Color = true
		case "clauses":
			o.Clauses = true
		case "preamble":
			o.Preamble = true
		case "width":
			o.Width = 200
		case "numbers":
			o.Numbers = &Numbers{Client: 1000, Server: 8000}
		case "zh":
			o.Lang = words.Chinese
		case "time":
			var err error
			if o.Time, err = ParseTime(value); err != nil {
				t.Fatal(err)
			}
		case "conns":
			o.Conns = map[string]Conns{"always": ConnsAlways, "never": ConnsNever}[value]
		default:
			t.Fatalf("unknown option %q", word)
		}
	}
	return o
}

func render(t *testing.T, h tracer.Header, events []tracer.Event, o Options) string {
	t.Helper()
	var b bytes.Buffer
	s := New(&b, o)
	if err := errors.Join(s.Start(h), s.Write(events), s.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// visible shows escapes, so that a golden file is text.
func visible(s string) string { return strings.ReplaceAll(s, "\x1b", "␛") }

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h, events := read(t, ar.Files[0].Data)
			for i, f := range ar.Files[1:] {
				got := visible(render(t, h, events, parseOptions(t, f.Name)))
				if diff := cmp.Diff(string(f.Data), got); diff != "" && !*update {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
				ar.Files[i+1].Data = []byte(got)
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// goldenTrace returns the trace of one golden file.
func goldenTrace(t *testing.T, name string) (tracer.Header, []tracer.Event) {
	t.Helper()
	ar, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, ar.Files[0].Data)
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestColorChangesNoText(t *testing.T) {
	for _, name := range []string{"server", "client", "refused", "retransmission", "many"} {
		h, events := goldenTrace(t, name)
		want := render(t, h, events, Options{})
		got := render(t, h, events, Options{Color: true})
		if got == want {
			t.Errorf("%s: no colour", name)
		}
		if diff := cmp.Diff(want, sgr.ReplaceAllString(got, "")); diff != "" {
			t.Errorf("%s (-plain +coloured without its colours):\n%s", name, diff)
		}
	}
}

// TestUsualLinesFit holds the lines of an ordinary life to 100 columns.
func TestUsualLinesFit(t *testing.T) {
	for _, name := range []string{"server", "client", "retransmission"} {
		h, events := goldenTrace(t, name)
		for _, ascii := range []bool{false, true} {
			for l := range strings.Lines(render(t, h, events, Options{ASCII: ascii, Preamble: true})) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(l, "\n")); n > 100 {
					t.Errorf("%s: %d columns: %s", name, n, l)
				}
			}
		}
	}
}

// hostile is a trace whose every string tries to get at the terminal.
func hostile() []tracer.Event {
	const evil = "\x1b]0;x\a\x1b[2J\n\r\u202e\u009b31m\xff漢é"
	a := netip.MustParseAddrPort("[fe80::1%\x1b[31m]:80")
	bodies := []tracer.Body{
		&tracer.Call{Name: evil, Phase: evil, Args: []tracer.Arg{{Name: evil, Value: evil}, {Name: "data", Value: evil}, {Name: evil, Value: true}}, Of: 1, Bytes: 3, Result: evil, Error: evil},
		&tracer.Call{Name: "accept", Phase: tracer.PhaseReturn, Of: 1, Bytes: -1, Result: evil, Conn: 2},
		&tracer.Segment{Dir: evil, Notes: []string{evil}, Dropped: evil, Flags: 0xff},
		&tracer.Datagram{Dir: evil, Notes: []string{evil}, Dropped: evil},
		&tracer.ICMP{Dir: evil, Name: evil},
		&tracer.StateChange{From: 200, To: 200, Cause: tracer.Cause{Kind: evil, N: 1, What: evil}, Via: evil, RFC: evil, StackState: evil, Error: evil},
		&tracer.Timer{Name: evil, What: evil, RTO: -1},
		&tracer.TCB{After: 99, Vars: []tracer.TCBVar{{Name: evil, Text: evil}, {Name: "x_ns", Value: -1}}},
		&tracer.End{Role: evil, How: evil, Duration: -1},
		&tracer.Lost{Missed: 1, Of: evil},
		nil,
	}
	events := make([]tracer.Event, 0, len(bodies))
	for i, b := range bodies {
		events = append(events, tracer.Event{N: uint64(i), T: -1, Stack: evil, Conn: uint32(i), Local: a, Remote: a, Body: b})
	}
	return events
}

func TestHostileStringsStayOnTheirLine(t *testing.T) {
	events := hostile()
	for _, ascii := range []bool{false, true} {
		h := tracer.Header{Appliance: "\x1b[2J\n", Link: tracer.LinkInfo{Name: "\a"}}
		got := render(t, h, events, Options{ASCII: ascii, Preamble: true, Clauses: true, Conns: ConnsAlways})
		for _, r := range got {
			if r != '\n' && !unicode.IsPrint(r) || ascii && r > unicode.MaxASCII {
				t.Fatalf("ascii %v: character %q in:\n%s", ascii, r, got)
			}
		}
		lines := strings.Count(got, "\n")
		intros := strings.Count(got, " connection ")
		if want := 2 + len(events) + intros; lines != want || intros != len(events)-1 {
			t.Errorf("ascii %v: %d lines, want %d; %d introductions:\n%s", ascii, lines, want, intros, got)
		}
	}
}

// TestASCIIHasNoOther also guards the glyph table: a mark that it lacks shows here.
func TestASCIIHasNoOther(t *testing.T) {
	for _, name := range []string{"server", "client", "refused", "retransmission", "many"} {
		h, events := goldenTrace(t, name)
		for _, o := range []Options{{ASCII: true, Preamble: true}, {ASCII: true, Time: TimeDelta, Clauses: true}} {
			for i, r := range render(t, h, events, o) {
				if r > unicode.MaxASCII {
					t.Fatalf("%s: %q at %d", name, r, i)
				}
			}
		}
	}
}

// writes counts calls and fails from the one that limit allows.
type writes struct {
	n, limit int
}

func (w *writes) Write(p []byte) (int, error) {
	if w.n++; w.n > w.limit {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestOneWriteForARun(t *testing.T) {
	h, events := goldenTrace(t, "server")
	w := &writes{limit: 1}
	s := New(w, Options{})
	if err := errors.Join(s.Start(h), s.Write(events)); err != nil || w.n != 1 {
		t.Errorf("%d writes, %v; want 1", w.n, err)
	}
	if err := s.Write(events); !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(err.Error(), "write the trace as text") {
		t.Errorf("failed write: %v", err)
	}
}

// TestForgetsEndedConnections: a long run must not grow by what is over.
func TestForgetsEndedConnections(t *testing.T) {
	s := New(io.Discard, Options{})
	a, b := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:4000")
	for c := uint32(1); c <= 6400; c++ {
		e := tracer.Event{N: uint64(c), Stack: "server", Conn: c, Local: a, Remote: b, Body: &tracer.TCB{Vars: []tracer.TCBVar{{Name: "cwnd", Value: 1}}}}
		end := e
		end.Body = &tracer.End{How: tracer.HowFIN}
		if err := s.Write([]tracer.Event{e, end, e}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.conns.live) != 0 || len(s.conns.going) != 0 || len(s.conns.introduced) > 101 {
		t.Errorf("kept %d live, %d going, %d introduced", len(s.conns.live), len(s.conns.going), len(s.conns.introduced))
	}
}

// TestDataIsCutBetweenEscapes: at no width may half an escape be left.
func TestDataIsCutBetweenEscapes(t *testing.T) {
	const data = `a\x00\n\u2028\U0001f600é\"` + `b\x01\x02…`
	whole := regexp.MustCompile(`^([^\\]|\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|["n]))*$`)
	e := []tracer.Event{{N: 1, Stack: "s", Body: &tracer.Call{Name: "send", Phase: tracer.PhaseEnter, Bytes: -1, Args: []tracer.Arg{{Name: "bytes", Value: int64(999)}, {Name: "data", Value: data}}}}}
	shown := map[string]bool{}
	for width := 40; width < 100; width++ {
		_, line, _ := strings.Cut(render(t, tracer.Header{}, e, Options{Width: width}), "send(999) ")
		got, ok := strings.CutSuffix(strings.TrimPrefix(line, `"`), "\"…\n")
		if !ok || !whole.MatchString(got) || !strings.HasPrefix(data, got) {
			t.Errorf("width %d: %s", width, line)
		}
		shown[got] = true
	}
	if len(shown) < 6 || !shown[strings.TrimSuffix(data, "…")] {
		t.Errorf("shown: %v", shown)
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		d                            time.Duration
		millis, span, setting, brief string
	}{
		{0, "0.000", "0.000 ms", "0 ms", "0.000 ms"},
		{499, "0.000", "0.000 ms", "0 ms", "0.000 ms"},
		{51 * time.Microsecond, "0.051", "0.051 ms", "0.051 ms", "0.051 ms"},
		{-1500 * time.Microsecond, "-1.500", "-1.500 ms", "-1.5 ms", "-1.500 ms"},
		{12402 * time.Microsecond, "12.402", "12.402 ms", "12.402 ms", "12.4 ms"},
		{200 * time.Millisecond, "200.000", "200.000 ms", "200 ms", "200 ms"},
		{1500 * time.Millisecond, "1500.000", "1.500 s", "1.5 s", "1.50 s"},
		{time.Minute, "60000.000", "60.000 s", "60 s", "60.0 s"},
		{time.Hour, "3600000.000", "1h0m0s", "1h0m0s", "3600 s"},
	} {
		got := []string{millis(c.d), span(c.d), setting(c.d), brief(c.d)}
		if diff := cmp.Diff([]string{c.millis, c.span, c.setting, c.brief}, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.d, diff)
		}
	}
	for _, name := range []string{"rel", "delta", "abs"} {
		if got, err := ParseTime(name); err != nil || got.String() != name {
			t.Errorf("ParseTime(%q) = %v, %v", name, got, err)
		}
	}
	if _, err := ParseTime("utc"); err == nil {
		t.Error("ParseTime took utc")
	}
}

func BenchmarkWrite(b *testing.B) {
	s := New(io.Discard, Options{Color: true})
	e := []tracer.Event{{N: 1, Stack: "server", Body: &tracer.Segment{Dir: tracer.In, Flags: tracer.ACK, HasRel: true, HasRelAck: true, Len: 1448}}}
	b.ReportAllocs()
	for b.Loop() {
		e[0].N++
		if err := s.Write(e); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPassTells: what is passed over still says which connection is a listener, and whose
// number is whose.
func TestPassTells(t *testing.T) {
	server, client := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:4000")
	segment := func(conn uint32, g *tracer.Segment) *tracer.Event {
		g.HasRel, g.HasRelAck = true, g.Flags.Has(tracer.ACK)
		return &tracer.Event{Conn: conn, Stack: "server", Local: server, Remote: client, Body: g}
	}
	listening := &tracer.Event{Conn: 1, Stack: "server", Local: server, Body: &tracer.StateChange{To: tracer.Listen}}
	syn := segment(1, &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN})
	data := segment(2, &tracer.Segment{Dir: tracer.Out, Flags: tracer.ACK, RelSeq: 1, RelAck: 1, Len: 5})
	for _, c := range []struct {
		passed *tracer.Event
		shown  *tracer.Event
		want   string
	}{
		{listening, syn, "── listener 1: 192.0.2.1:80"},
		{data, syn, "── connection 1: 192.0.2.2:4000 → 192.0.2.1:80"}, // who asks is who opens
		{syn, data, "8001(5) ack 1001"},
		{listening, data, "seq 1 "},
	} {
		var b bytes.Buffer
		s := New(&b, Options{Numbers: &Numbers{Client: 1000, Server: 8000}})
		s.Pass(c.passed)
		if err := s.Write([]tracer.Event{*c.shown}); err != nil || !strings.Contains(b.String(), c.want) {
			t.Errorf("%v, want …%s…:\n%s", err, c.want, b.String())
		}
	}
}
