package graph

import (
	"io"
	"math"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
	"appliance/tracer/view"
	"appliance/tracer/view/words"
)

// transfer draws a client that sends, loses and repeats, and what a server answers.
func transfer(t *rapid.T) *view.Trace {
	m := &maker{}
	now := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "start"))
	sent, acked := 1, 1
	both := rapid.Bool().Draw(t, "both ends")
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		now += time.Duration(rapid.SampledFrom([]int64{0, 1, 1000, 1e6, 3e7, 1e9}).Draw(t, "later"))
		length := rapid.IntRange(1, 65_000).Draw(t, "len")
		switch rapid.IntRange(0, 4).Draw(t, "what") {
		case 0, 1:
			m.seg(now, 1, tracer.Out, sent, 1, length)
			if both {
				b := m.seg(now+ms, 2, tracer.In, sent, 1, length)
				if rapid.Bool().Draw(t, "lost") {
					b.Dropped = "impairment: <loss>"
				}
			}
			sent += length
		case 2:
			from := rapid.IntRange(1, sent).Draw(t, "from")
			m.seg(now, 1, tracer.Out, from, 1, min(length, max(sent-from, 1)), "retransmission")
		case 3:
			acked = rapid.IntRange(acked, sent).Draw(t, "ack")
			b := m.seg(now, 1, tracer.In, 1, acked, 0)
			b.Win = rapid.Uint32().Draw(t, "win")
			if rapid.Bool().Draw(t, "sack") {
				b.Opts.SACK = []tracer.SACKBlock{{Left: b.Ack + 100, Right: b.Ack + uint32(length)}}
				b.Notes = []string{"dup-ack"}
			}
		case 4:
			m.events = append(m.events, tracer.Event{
				N: uint64(len(m.events) + 1), T: now, Stack: "client", Conn: 1, Local: clientAddr, Remote: serverAddr,
				Body: rapid.SampledFrom([]tracer.Body{
					&tracer.TCB{Vars: []tracer.TCBVar{{Name: "cwnd", Value: int64(length)}, {Name: "rto_ns", Value: int64(length) * 1000}, {Name: "srtt_ns", Value: 5e6}, {Name: "rttvar_ns", Value: 9e6}}},
					&tracer.TCB{Vars: []tracer.TCBVar{{Name: "recovery", Text: "fast"}, {Name: "ssthresh", Value: math.MaxInt64}}},
					&tracer.TCB{Vars: []tracer.TCBVar{{Name: "recovery", Text: "none"}}},
					&tracer.Timer{Name: "retransmit", What: "fired"},
				}).Draw(t, "body"),
			})
		}
	}
	return m.trace()
}

// TestAnyTransfer: whatever happens to a transfer, the picture is whole and shows each of
// its segments.
func TestAnyTransfer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trace := transfer(t)
		o := Options{
			Lang: rapid.SampledFrom([]words.Lang{words.English, words.Chinese}).Draw(t, "lang"),
			Dir:  rapid.SampledFrom([]tracer.Direction{"", tracer.Out, tracer.In}).Draw(t, "dir"),
		}
		for _, c := range trace.Conns {
			f := choose(trace, c, o.Dir)
			if len(f.segs)+len(f.acks)+len(f.back) == 0 {
				continue
			}
			p, _ := svgOf(t, trace, c, o)
			for _, problem := range p.Problems(nil) {
				t.Error(problem)
			}
			checkData(t, c.Name(), trace, c, o.Dir, p)
		}
	})
}

// TestAnyTrace: events that make no sense draw something all the same, within the picture.
func TestAnyTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []tracer.Event
		for n := range rapid.IntRange(1, 12).Draw(t, "events") {
			e := tracertest.DrawEvent(t)
			e.N, e.Conn, e.Stack = uint64(n+1), uint32(rapid.IntRange(1, 2).Draw(t, "conn")), "a"
			e.Parent = 0
			events = append(events, e)
		}
		trace := view.New(tracer.Header{}, events)
		for _, c := range trace.Conns {
			f := choose(trace, c, "")
			if c.Listener || c.UDP || len(f.segs)+len(f.acks)+len(f.back) == 0 {
				continue
			}
			p, _ := svgOf(t, trace, c, Options{})
			for _, s := range p.Shapes {
				if s.Tag != "text" && !(s.X1 >= -1 && s.Y1 >= -1 && s.X2 <= p.W+1 && s.Y2 <= p.H+1) {
					t.Errorf("%+v is out of the picture", s)
				}
			}
		}
	})
}

// TestAnySubset: of whatever is left of a trace, each kind of graph is drawn both ways, or an
// error says why not.
func TestAnySubset(t *testing.T) {
	files, err := filepath.Glob(traces + "/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	all := map[string][]tracer.Event{}
	for _, path := range files {
		all[path] = load(t, path).Events
	}
	rapid.Check(t, func(t *rapid.T) {
		trace := view.New(tracer.Header{}, subset(t, all[rapid.SampledFrom(files).Draw(t, "file")]))
		for _, c := range trace.Conns {
			if c.Listener || c.UDP {
				continue
			}
			for _, dir := range []tracer.Direction{"", tracer.Out, tracer.In} {
				for _, kinds := range [][]Kind{nil, {Sequence}, {Window}, {RTT}, {Throughput}} {
					checkDrawn(t, trace, c, Options{Dir: dir, Kinds: kinds})
				}
			}
		}
	})
}

// checkDrawn holds that there is a picture that is whole, or an error where there is nothing.
func checkDrawn(t *rapid.T, trace *view.Trace, c *view.Conn, o Options) {
	f := choose(trace, c, o.Dir)
	if len(f.segs)+len(f.acks)+len(f.back) == 0 {
		if err := SVG(io.Discard, trace, c, o); err == nil {
			t.Errorf("%s, %+v: a picture of nothing", c.Name(), o)
		}
		return
	}
	p, _ := svgOf(t, trace, c, o)
	for _, problem := range p.Problems(nil) {
		t.Errorf("%s, %+v: %s", c.Name(), o, problem)
	}
}

// subset draws what a filter, an end of the trace or mere chance leaves of its events.
func subset(t *rapid.T, events []tracer.Event) []tracer.Event {
	flagged := func(flags tracer.Flags) func(*tracer.Segment) bool {
		return func(b *tracer.Segment) bool { return b.Flags == flags }
	}
	going := func(dir tracer.Direction) func(*tracer.Segment) bool {
		return func(b *tracer.Segment) bool { return b.Dir == dir }
	}
	passes := map[string]func(*tracer.Segment) bool{
		"all":      func(*tracer.Segment) bool { return true },
		"out":      going(tracer.Out),
		"in":       going(tracer.In),
		"SYNs":     flagged(tracer.SYN),
		"SYN-ACKs": flagged(tracer.SYN | tracer.ACK),
	}
	pass := passes[rapid.SampledFrom([]string{"all", "out", "in", "SYNs", "SYN-ACKs"}).Draw(t, "segments")]
	onlySegments := rapid.Bool().Draw(t, "only segments")
	oneIn := rapid.SampledFrom([]int{0, 2, 4, 16}).Draw(t, "lost of")
	var left []tracer.Event
	for _, e := range events[:rapid.IntRange(1, len(events)).Draw(t, "cut off after")] {
		b, ok := e.Body.(*tracer.Segment)
		if ok && !pass(b) || !ok && onlySegments || oneIn > 0 && rapid.IntRange(1, oneIn).Draw(t, "lost") == 1 {
			continue
		}
		left = append(left, e)
	}
	return left
}
