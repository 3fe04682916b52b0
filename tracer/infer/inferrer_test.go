package infer_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
	"appliance/tracer/infer"
	"appliance/tracer/tcpstate"
)

// TestFeedTellsAtOnce: who waits for a state gets it with the segment that shows it.
func TestFeedTellsAtOnce(t *testing.T) {
	lines := append(append([]string(nil), handshake...),
		"A FIN,ACK seq=101 ack=301", "B ACK seq=301 ack=102", "B FIN,ACK seq=301 ack=102", "A ACK seq=102 ack=302")
	for stack, want := range map[string][]string{
		"A": {
			"1: CLOSED → SYN-SENT", "5: SYN-SENT → ESTABLISHED", "7: ESTABLISHED → FIN-WAIT-1", "10: FIN-WAIT-1 → FIN-WAIT-2",
			"13: FIN-WAIT-2 → TIME-WAIT",
		},
		"B": {
			"3: CLOSED → LISTEN", "3: LISTEN → SYN-RECEIVED", "6: SYN-RECEIVED → ESTABLISHED", "9: ESTABLISHED → CLOSE-WAIT",
			"11: CLOSE-WAIT → LAST-ACK", "14: LAST-ACK → CLOSED",
		},
	} {
		i := infer.New(infer.Options{Stack: stack})
		var got []string
		for _, e := range onWire(t, lines...) {
			for _, told := range i.Feed(e) {
				c := told.Body.(*tracer.StateChange)
				got = append(got, fmt.Sprintf("%d: %s → %s", e.N, c.From, c.To))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", stack, d)
		}
	}
}

// TestVantage has what an event of an inferred end must bear.
func TestVantage(t *testing.T) {
	var events []tracer.Event
	for _, e := range onWire(t, append(slices.Clone(handshake), "B FIN,ACK seq=301 ack=101", "A ACK seq=101 ack=302")...) {
		if e.Stack == "B" {
			events = append(events, e)
		}
	}
	conns := uint32(70)
	got := infer.Infer(events, infer.Options{Vantage: "B", Stack: "peer", NewConn: func() uint32 { conns++; return conns }})
	change := func(n uint64, body tracer.StateChange) tracer.Event {
		body.Via = infer.Via
		return tracer.Event{T: time.Duration(n), Stack: "peer", Conn: 71, Local: endA, Remote: endB, Body: &body}
	}
	segment := func(n uint64, what string) tracer.Cause {
		return tracer.Cause{Kind: tracer.CauseSegment, N: n, What: what}
	}
	want := []tracer.Event{
		change(2, tracer.StateChange{
			From: tracer.Closed, To: tracer.SynSent, Cause: tracer.Cause{Kind: tracer.CauseCall, What: "connect"}, RFC: "3.10.1",
		}),
		change(3, tracer.StateChange{
			From: tracer.SynSent, To: tracer.Established, Cause: segment(3, "SYN ACK"), Dwell: 1, RFC: "3.10.7.3",
		}),
		change(7, tracer.StateChange{
			From: tracer.Established, To: tracer.CloseWait, Cause: segment(7, "FIN"), Dwell: 4, RFC: "3.10.7.4",
		}),
	}
	addresses := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if d := cmp.Diff(want, got, addresses); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestLosses: what is dropped on its way to the end is not received, what is
// dropped on its way from it was sent; what is corrupted counts for nothing.
func TestLosses(t *testing.T) {
	events := onWire(t, append(slices.Clone(handshake), "A FIN,ACK seq=101 ack=301", "B ACK seq=301 ack=102")...)
	for _, tt := range []struct {
		name   string
		change func(n uint64, s *tracer.Segment)
		want   []string
	}{
		{"to the end", func(n uint64, s *tracer.Segment) {
			if n == 8 { // A's FIN at B
				s.Dropped = "impairment: loss"
			}
		}, []string{"SYN-RECEIVED", "ESTABLISHED"}},
		{"from the end", func(n uint64, s *tracer.Segment) {
			if n == 9 { // B's ACK of it
				s.Dropped = "impairment: loss"
			}
		}, []string{"SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT"}},
		{"corrupted", func(n uint64, s *tracer.Segment) {
			if n == 9 {
				s.Notes = []string{"corrupted"}
			}
		}, []string{"SYN-RECEIVED", "ESTABLISHED"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := infer.New(infer.Options{Stack: "B"})
			var got []string
			for _, e := range events {
				s := *e.Body.(*tracer.Segment)
				tt.change(e.N, &s)
				e.Body = &s
				for _, told := range i.Feed(e) {
					if c := told.Body.(*tracer.StateChange); told.Conn == 3 {
						got = append(got, c.To.String())
					}
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// TestMerge: the merged trace is numbered through, and every number in it names the
// event that it named.
func TestMerge(t *testing.T) {
	all := readTrace(t, "testdata/close-client.jsonl")
	events := seenFrom(all, "client", true)
	merged := infer.Merge(events, infer.Options{Vantage: "client", Stack: "server"})
	if len(merged) <= len(events) {
		t.Fatalf("%d events of %d", len(merged), len(events))
	}
	var kept []tracer.Event
	at := map[string]tracer.State{}
	for i, e := range merged {
		if e.N != uint64(i+1) || i > 0 && e.T < merged[i-1].T {
			t.Errorf("event %d: n %d at %v", i, e.N, e.T)
		}
		switch b := e.Body.(type) {
		case *tracer.StateChange:
			if b.Cause.N >= e.N || b.Cause.N == 0 {
				t.Errorf("n %d: %+v", e.N, b)
			}
			if at[byConn(e)] != b.From && b.From != tracer.Listen {
				t.Errorf("n %d: %s → %s from %s", e.N, b.From, b.To, at[byConn(e)])
			}
			at[byConn(e)] = b.To
			if cause := merged[b.Cause.N-1]; b.Cause.Kind == tracer.CauseCall && cause.Body.(*tracer.Call).Phase != tracer.PhaseEnter {
				t.Errorf("n %d: caused by %+v", e.N, cause.Body)
			}
			if b.Via == infer.Via {
				continue
			}
		case *tracer.Call:
			if b.Phase == tracer.PhaseReturn && merged[b.Of-1].Body.(*tracer.Call).Name != b.Name {
				t.Errorf("n %d: returns of n %d", e.N, b.Of)
			}
		default:
		}
		kept = append(kept, e)
	}
	if len(kept) != len(events) {
		t.Fatalf("%d events, want %d", len(kept), len(events))
	}
	for i := range kept {
		if kept[i].Stack != events[i].Stack || kept[i].T != events[i].T || kept[i].Body.Type() != events[i].Body.Type() {
			t.Errorf("%+v has become %+v", events[i], kept[i])
		}
	}
}

// TestMergeKeepsGaps: a Lost stands for as many numbers as it did.
func TestMergeKeepsGaps(t *testing.T) {
	merged := infer.Merge([]tracer.Event{
		{N: 1, Stack: "A", Body: &tracer.Segment{Dir: tracer.Out, Flags: tracer.SYN}, Local: endA, Remote: endB},
		{N: 2, Body: &tracer.Lost{Missed: 5}},
		{N: 7, Stack: "A", Body: &tracer.TCB{After: 1}},
	}, infer.Options{})
	var got []uint64
	for _, e := range merged {
		got = append(got, e.N)
	}
	if !slices.Equal(got, []uint64{1, 2, 3, 8}) || merged[3].Body.(*tracer.TCB).After != 2 {
		t.Errorf("%v, after %d", got, merged[3].Body.(*tracer.TCB).After)
	}
}

// FuzzInferrer: whatever the events, nothing breaks, and every change is one that
// RFC 9293 has, from the state where the connection was.
func FuzzInferrer(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"), true)
	for _, line := range []string{"SYN", "SYN,ACK", "FIN,ACK", "RST"} {
		s := parseSegment(f, line)
		f.Add([]byte{byte(s.Flags), 0, 0, 0, 0, 0, byte(tracer.SYN | tracer.ACK), 1, 0, 1, 0, 0, byte(tracer.ACK), 0, 1, 1, 0, 0}, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, vantage bool) {
		o := infer.Options{}
		if vantage {
			o = infer.Options{Vantage: "A", Stack: "B"}
		}
		i := infer.New(o)
		at := map[string]tracer.State{}
		last := map[string]time.Duration{}
		for n := uint64(1); len(b) >= 6; n, b = n+1, b[6:] {
			for _, e := range i.Feed(fuzzEvent(n, b)) {
				c := e.Body.(*tracer.StateChange)
				legal := tcpstate.Legal(c.From, c.To) || c.Cause.What == infer.WasOpen
				if !legal || c.Dwell < 0 || e.T < last[byConn(e)] || e.T > time.Duration(n) {
					t.Errorf("%+v %+v", e, c)
				}
				again := c.From == tracer.Closed || c.From == tracer.Listen // another connection
				if from, known := at[byConn(e)]; known && from != c.From && !again {
					t.Errorf("%s → %s from %s", c.From, c.To, from)
				}
				at[byConn(e)], last[byConn(e)] = c.To, e.T
			}
		}
	})
}

// fuzzEvent makes an event of six bytes, with numbers close to each other.
func fuzzEvent(n uint64, b []byte) tracer.Event {
	e := tracer.Event{N: n, T: time.Duration(n), Stack: "A", Local: endA, Remote: endB, Conn: 1}
	if b[5]&1 != 0 {
		e.Stack, e.Local, e.Remote, e.Conn = "B", endB, endA, 2
	}
	if b[5]&0xf0 == 0x10 {
		name := []string{"connect", "close", "shutdown", "listen", "accept"}[b[1]%5]
		phase := []tracer.Phase{tracer.PhaseEnter, tracer.PhaseReturn, tracer.PhaseDone}[b[2]%3]
		e.Body = &tracer.Call{Name: name, Phase: phase, Of: n - min(n, uint64(b[3])), Result: endA.String(), Conn: uint32(b[4])}
		return e
	}
	s := &tracer.Segment{
		Dir: tracer.Out, Flags: tracer.Flags(b[0]), Seq: 4294967290 + uint32(b[1]%16), Ack: 4294967290 + uint32(b[2]%16),
		Len: int(b[3] % 4), Win: uint32(binary.BigEndian.Uint16(b[3:])),
	}
	if b[5]&2 != 0 {
		s.Dir = tracer.In
	}
	if b[5]&0xf0 == 0x20 {
		s.Dropped = "impairment: loss"
	}
	e.Body = s
	return e
}
