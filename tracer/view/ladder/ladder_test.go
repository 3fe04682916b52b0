package ladder

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"appliance/tracer"
	"appliance/tracer/tracertest"
	"appliance/tracer/view"
	"appliance/tracer/view/words"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads a trace that a scenario wrote.
func load(t testing.TB, name string) *view.Trace {
	t.Helper()
	h, events := tracertest.Read(t, filepath.Join("../testdata", name+".jsonl"))
	return view.New(h, events)
}

// ladders are all that a trace has to draw.
func ladders(t *view.Trace, o Options) []*Ladder {
	var ls []*Ladder
	for _, p := range All(t) {
		ls = append(ls, New(t, p, o))
	}
	return ls
}

// TestGolden draws the traces of scenarios, in each form.
func TestGolden(t *testing.T) {
	for name, o := range map[string]Options{
		"handshake":                 {},
		"handshake-script":          {Raw: true},
		"echo-tcp":                  {},
		"echo-udp":                  {},
		"data-lost-rack":            {},
		"data-lost-sack-linux":      {Numbers: &Numbers{Client: 1000, Server: 8000}},
		"simultaneous-open":         {},
		"refused":                   {},
		"reordered":                 {},
		"server-closes-first-linux": {Lang: words.Chinese},
		"four-tuple":                {},
	} {
		t.Run(name, func(t *testing.T) {
			ls := ladders(load(t, name), o)
			var a txtar.Archive
			add := func(form string, write func(io.Writer) error) {
				var b bytes.Buffer
				if err := write(&b); err != nil {
					t.Fatal(err)
				}
				a.Files = append(a.Files, txtar.File{Name: form, Data: b.Bytes()})
			}
			add("text", func(w io.Writer) error { return Text(w, ls, TextOptions{}) })
			add("narrow", func(w io.Writer) error { return Text(w, ls, TextOptions{Width: 60, ASCII: o.Lang == ""}) })
			add("mermaid", func(w io.Writer) error { return Mermaid(w, ls) })
			for _, l := range ls {
				add("svg", func(w io.Writer) error { _, err := l.Canvas().WriteInline(w); return err })
			}
			golden(t, filepath.Join("testdata", name+".txtar"), txtar.Format(&a))
		})
	}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("not as in %s (go test -update writes it anew):\n%s", path, diff)
	}
}

// TestColour: colours change nothing but colours.
func TestColour(t *testing.T) {
	ls := ladders(load(t, "data-lost-rack"), Options{})
	var plain, coloured bytes.Buffer
	if err := Text(&plain, ls, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Text(&coloured, ls, TextOptions{Color: true}); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	rest := coloured.String()
	sequences := 0
	for {
		before, after, found := strings.Cut(rest, "\x1b[")
		b.WriteString(before)
		if !found {
			break
		}
		sequences++
		if _, rest, found = strings.Cut(after, "m"); !found {
			t.Fatal("a sequence does not end")
		}
	}
	if diff := cmp.Diff(plain.String(), b.String()); diff != "" || sequences < 50 {
		t.Errorf("%d sequences; without them:\n%s", sequences, diff)
	}
}

// TestMissing: events that the writer had to drop are a row of their own, in their place.
func TestMissing(t *testing.T) {
	base := load(t, "echo-tcp")
	events := append([]tracer.Event{}, base.Events...)
	at := base.Index(27)
	lost := tracer.Event{N: 27, T: events[at].T, Body: &tracer.Lost{Missed: 3, Of: tracer.TypeSegment}}
	events = append(append(events[:at:at], lost), events[at+3:]...)
	tr := view.New(base.Header, events)
	l := New(tr, tr.Pairs()[0], Options{})
	var before, after bool
	for i, r := range l.Rows {
		if r.Kind == Missing {
			if !strings.Contains(r.Text, "3 events") || r.N != 27 {
				t.Errorf("row %d: %+v", i, r)
			}
			before = i > 0 && l.Rows[i-1].N < 27
			after = i+1 < len(l.Rows) && l.Rows[i+1].N > 27
		}
	}
	if !before || !after {
		t.Errorf("the missing events are not told between the ones around them: %v, %v", before, after)
	}
}

// TestWindow draws only what is asked for, with the states that the ends were in.
func TestWindow(t *testing.T) {
	tr := load(t, "echo-tcp")
	l := New(tr, tr.Pairs()[0], Options{First: 45, Last: 54})
	for _, r := range l.Rows {
		if r.N < 45 || r.N > 54 {
			t.Errorf("a row of #%d", r.N)
		}
	}
	if want := (Phase{tracer.Established, true}); l.Lanes[0].First != want || l.Lanes[1].First != want {
		t.Errorf("the states before: %+v, %+v", l.Lanes[0].First, l.Lanes[1].First)
	}
	if last := l.Rows[len(l.Rows)-1].Phases; last[0].State != tracer.FinWait2 || last[1].State != tracer.CloseWait {
		t.Errorf("the states behind: %+v", last)
	}
}

// TestUnmarkedLoss: of a segment and its repeat, of which one arrives, it is the repeat.
func TestUnmarkedLoss(t *testing.T) {
	base := load(t, "handshake")
	var events []tracer.Event
	for _, e := range base.Events {
		if g, ok := e.Body.(*tracer.Segment); ok && g.Dir == tracer.Out && g.Flags == tracer.SYN {
			first := *g
			first.Opts.HasTS = false
			second := first
			second.Notes = []string{"retransmission"}
			e.Body = &first
			events = append(events, e)
			e.N, e.T, e.Body = e.N*1000, e.T+time.Second, &second
			events = append(events, e)
			continue
		}
		if g, ok := e.Body.(*tracer.Segment); ok && g.Flags == tracer.SYN {
			c := *g
			c.Opts.HasTS = false
			e.Body = &c
		}
		if len(events) > 0 && events[len(events)-1].N >= 1000 || len(events) > 0 && e.N > events[0].N && events[len(events)-1].N > e.N {
			e.N += events[len(events)-1].N
		}
		e.T += time.Second
		events = append(events, e)
	}
	tr := view.New(base.Header, events)
	l := New(tr, tr.Pairs()[0], Options{})
	first, second := l.Arrows[0], l.Arrows[1]
	if first.Fate != Unseen || first.Received != nil || second.Fate != Arrived || second.Received == nil || !second.Repeat {
		t.Errorf("first %+v, second %+v", first, second)
	}
}

// segmentsOf is how many segments a connection has of its own.
func segmentsOf(t *view.Trace, id uint32) int {
	n := 0
	for _, i := range t.Conn(id).Events {
		if t.Events[i].Body.Type() == tracer.TypeSegment {
			n++
		}
	}
	return n
}

// TestUnderWay: what was sent when the trace ended is not lost.
func TestUnderWay(t *testing.T) {
	base := load(t, "echo-tcp")
	tr := view.New(base.Header, base.Events[:base.Index(21)+1])
	l := New(tr, tr.Pairs()[0], Options{})
	last := l.Arrows[len(l.Arrows)-1]
	if last.N() != 21 || last.Fate != UnderWay {
		t.Errorf("%+v", last)
	}
}

// TestLikePackets: of two like datagrams the first that was sent is the first that arrives;
// a copy of one has no sender.
func TestLikePackets(t *testing.T) {
	base := load(t, "echo-udp")
	var out, in tracer.Event
	for _, e := range base.Events {
		if d, ok := e.Body.(*tracer.Datagram); ok && out.N == 0 && d.Dir == tracer.Out {
			out = e
		} else if ok && in.N == 0 && d.Dir == tracer.In {
			in = e
		}
	}
	var events []tracer.Event
	for i, e := range []tracer.Event{out, out, in, in, in} {
		e.N = uint64(i + 1)
		events = append(events, e)
	}
	tr := view.New(base.Header, events)
	l := New(tr, tr.Flows()[0], Options{})
	want := []struct {
		sent, received uint64
		fate           Fate
	}{{1, 3, Arrived}, {2, 4, Arrived}, {0, 5, Strayed}}
	if len(l.Arrows) != len(want) {
		t.Fatalf("%d arrows", len(l.Arrows))
	}
	for i, w := range want {
		a := l.Arrows[i]
		if a.Sent != nil && a.Sent.N != w.sent || a.Sent == nil && w.sent != 0 || a.Received.N != w.received || a.Fate != w.fate {
			t.Errorf("arrow %d: %+v, want %+v", i, a, w)
		}
	}
}

func TestOf(t *testing.T) {
	tr := load(t, "syn-flood")
	flood := ladders(tr, Options{})
	if n := len(flood); n != 3 {
		t.Errorf("%d ladders, want one for each of two connections, and the listener's", n)
	}
	for id, want := range map[uint32]struct {
		ok     bool
		arrows int
	}{1: {true, segmentsOf(tr, 1)}, 3: {true, 5}, 4: {true, 5}, 99: {false, 0}} {
		p, ok := Of(tr, id)
		if ok != want.ok {
			t.Fatalf("connection %d: %v", id, ok)
		}
		if ok {
			if n := len(New(tr, p, Options{}).Arrows); n != want.arrows {
				t.Errorf("connection %d has %d arrows, want %d", id, n, want.arrows)
			}
		}
	}
}
