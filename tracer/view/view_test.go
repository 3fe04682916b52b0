package view

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

// load reads a trace of testdata, which scenarios wrote.
func load(t *testing.T, name string) *Trace {
	t.Helper()
	h, events := tracertest.Read(t, filepath.Join("testdata", name+".jsonl"))
	return New(h, events)
}

// ids are a pair's connections; 0 stands for an end that is not traced.
func ids(p Pair) [2]uint32 {
	var out [2]uint32
	for i, c := range []*Conn{p.A, p.B} {
		if c != nil {
			out[i] = c.ID
		}
	}
	return out
}

func TestPairsAndFlows(t *testing.T) {
	for name, want := range map[string]struct{ pairs, flows [][2]uint32 }{
		"echo-tcp":                  {pairs: [][2]uint32{{2, 3}}},
		"four-tuple":                {pairs: [][2]uint32{{2, 3}, {4, 5}}},
		"simultaneous-open":         {pairs: [][2]uint32{{1, 2}}},
		"refused":                   {pairs: [][2]uint32{{1, 0}}},
		"echo-udp":                  {flows: [][2]uint32{{2, 1}}},
		"handshake-script":          {pairs: [][2]uint32{{2, 0}}},
		"server-closes-first-linux": {pairs: [][2]uint32{{2, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := load(t, name)
			var pairs, flows [][2]uint32
			for _, p := range tr.Pairs() {
				pairs = append(pairs, ids(p))
			}
			for _, p := range tr.Flows() {
				flows = append(flows, ids(p))
			}
			if !slices.Equal(pairs, want.pairs) || !slices.Equal(flows, want.flows) {
				t.Errorf("pairs %v, want %v; flows %v, want %v", pairs, want.pairs, flows, want.flows)
			}
		})
	}
}

func TestSpans(t *testing.T) {
	tr := load(t, "echo-tcp")
	want := map[uint32][]tracer.State{
		1: {tracer.Listen},
		2: {tracer.SynSent, tracer.Established, tracer.FinWait1, tracer.FinWait2, tracer.TimeWait, tracer.Closed},
		3: {tracer.SynReceived, tracer.Established, tracer.CloseWait, tracer.LastAck, tracer.Closed},
	}
	for id, states := range want {
		var got []tracer.State
		for _, s := range tr.Conn(id).Spans {
			got = append(got, s.State)
		}
		if !slices.Equal(got, states) {
			t.Errorf("connection %d: %v, want %v", id, got, states)
		}
	}
	wait := tr.Conn(2).Spans[4]
	if wait.To-wait.From != 4*time.Minute || wait.Open || wait.N != 63 {
		t.Errorf("TIME-WAIT: %+v", wait)
	}
	if l := tr.Conn(1); !l.Listener || !l.Spans[0].Open || l.Spans[0].To != tr.End() || l.Remote.IsValid() {
		t.Errorf("the listener: %+v", l)
	}
	if c := tr.Conn(2); c.Role() != tracer.Active || c.Name() != "client.2" || c.End == nil || c.End.How != tracer.HowFIN {
		t.Errorf("the client: %+v", c)
	}
	if c := tr.Conn(3); c.Role() != tracer.Passive || c.Parent != 1 {
		t.Errorf("the server: %+v", c)
	}
	if s, ok := tr.Conn(2).StateAt(time.Minute); s != tracer.TimeWait || !ok {
		t.Errorf("after a minute: %v, %v", s, ok)
	}
	if got := tr.Effects(11); !slices.Equal(got, []uint64{12}) {
		t.Errorf("the SYN caused %v", got)
	}
	if got := tr.Effects(20); !slices.Equal(got, []uint64{22}) {
		t.Errorf("the send's enter has %v", got)
	}
}

// TestStory: the SYN that the listener took, and the accept, belong to the connection; of
// two connections of a listener each has its own.
func TestStory(t *testing.T) {
	tr := load(t, "four-tuple")
	has := func(items []Item, n uint64, end int) bool {
		return slices.Contains(items, Item{tr.Index(n), end})
	}
	first, second := tr.Story(tr.Pairs()[0]), tr.Story(tr.Pairs()[1])
	for _, n := range []uint64{11, 6, 32} { // SYN, accept and its return
		if !has(first, n, 1) || has(second, n, 1) {
			t.Errorf("#%d is not the first connection's alone", n)
		}
	}
	for _, n := range []uint64{24, 33, 34} {
		if has(first, n, 1) || !has(second, n, 1) {
			t.Errorf("#%d is not the second connection's alone", n)
		}
	}
	if has(first, 3, 1) {
		t.Error("listen is of both connections, and so of neither's story")
	}
	if one := load(t, "echo-tcp"); !slices.Contains(one.Story(one.Pairs()[0]), Item{one.Index(3), 1}) {
		t.Error("listen is not in the story of the only connection")
	}
	if r := load(t, "refused"); len(r.Story(r.Pairs()[0])) <= len(r.Conn(1).Events) {
		t.Error("the RST that nobody's connection sent is not in the story")
	}
}

// TestPortAgain: connections that have the same addresses one after the other are told
// apart by their numbers, and each SYN is of the connection that it began.
func TestPortAgain(t *testing.T) {
	base := load(t, "echo-tcp")
	var events []tracer.Event
	for round := range 2 {
		for _, e := range base.Events {
			if round > 0 && e.Conn == 1 && e.Body.Type() != tracer.TypeSegment {
				continue // it still listens
			}
			e.N += uint64(round) * 100
			e.T += time.Duration(round) * time.Hour
			if e.Conn > 1 {
				e.Conn += uint32(round) * 10
			}
			switch b := e.Body.(type) {
			case *tracer.Segment:
				c := *b
				c.Seq, c.Ack = c.Seq+uint32(round)*5e6, c.Ack+uint32(round)*5e6
				e.Body = &c
			case *tracer.StateChange:
				c := *b
				c.Cause.N += uint64(round) * 100
				e.Body = &c
			default:
			}
			events = append(events, e)
		}
	}
	tr := New(base.Header, events)
	if len(tr.Pairs()) != 2 || ids(tr.Pairs()[0]) != [2]uint32{2, 3} || ids(tr.Pairs()[1]) != [2]uint32{12, 13} {
		t.Fatalf("pairs: %v", tr.Pairs())
	}
	for i, syn := range []uint64{11, 111} {
		for k, p := range tr.Pairs() {
			if got := slices.Contains(tr.Story(p), Item{tr.Index(syn), 1}); got != (i == k) {
				t.Errorf("SYN #%d in the story of %v: %v", syn, ids(p), got)
			}
		}
	}
}

// TestAnyTrace: of any trace, every connection is an end of one pair, every packet is in
// one story or flow, and what is indexed is where the index says.
func TestAnyTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := tracertest.DrawTrace(t)
		tr := New(tracer.Header{}, events)
		ends := map[*Conn]int{}
		told := map[int]int{}
		for _, p := range tr.Pairs() {
			for _, c := range []*Conn{p.A, p.B} {
				if c != nil {
					ends[c]++
				}
			}
			story := tr.Story(p)
			for k, it := range story {
				if k > 0 && story[k-1].Index >= it.Index {
					t.Fatalf("a story out of order: %v", story)
				}
				told[it.Index]++
			}
		}
		for _, p := range tr.Flows() {
			for _, c := range []*Conn{p.A, p.B} {
				if c != nil {
					for _, i := range c.Events {
						told[i]++
					}
				}
			}
		}
		for _, c := range tr.Conns {
			if want := 1; (c.Listener || c.UDP) == (ends[c] == want) {
				t.Fatalf("connection %+v is an end of %d pairs", c, ends[c])
			}
			for k, s := range c.Spans {
				if s.From > s.To || k > 0 && c.Spans[k-1].To != s.From || tr.ByN(s.N) == nil {
					t.Fatalf("spans: %+v", c.Spans)
				}
			}
		}
		for i := range tr.Events {
			e := &tr.Events[i]
			if tr.ByN(e.N) == nil || tr.Index(e.N) < 0 {
				t.Fatalf("#%d is not found", e.N)
			}
			_, _, packet := packet(e.Body)
			owner := tr.Conn(e.Conn)
			loose := owner == nil || owner.Listener || owner.UDP
			if packet && loose && e.Local.IsValid() && e.Remote.IsValid() && told[i] != 1 {
				t.Fatalf("#%d is told %d times: %+v; pairs %v, flows %v", e.N, told[i], e, tr.Pairs(), tr.Flows())
			}
			for _, n := range tr.Effects(e.N) {
				if tr.ByN(n) == nil {
					t.Fatalf("#%d, an effect of #%d, is not there", n, e.N)
				}
			}
		}
	})
}

// TestSegments: of a Linux peer the trace has states and calls, and no segments.
func TestSegments(t *testing.T) {
	for name, want := range map[string][2]bool{
		"server-closes-first-linux": {false, true},
		"data-lost-sack-linux":      {true, false},
		"echo-tcp":                  {true, true},
	} {
		p := load(t, name).Pairs()[0]
		if got := [2]bool{p.A.Segments, p.B.Segments}; got != want {
			t.Errorf("%s: segments of %s and %s: %v, want %v", name, p.A.Name(), p.B.Name(), got, want)
		}
		if p.Other(p.A) != p.B || p.Other(p.B) != p.A {
			t.Errorf("%s: the other end of each is not the other's", name)
		}
	}
}
