package timeline

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

// shown returns the numbers of the events that a Selector shows.
func shown(f Filter, events []tracer.Event) []uint64 {
	s := New(f)
	var ns []uint64
	for i := range events {
		s.Select(&events[i], func(e *tracer.Event) { ns = append(ns, e.N) })
	}
	return ns
}

// stateAt returns the state that the connection of events[i] is in when that happens.
func stateAt(events []tracer.Event, i int) tracer.State {
	for k := i - 1; k >= 0; k-- {
		if events[k].Conn != events[i].Conn {
			continue
		}
		switch b := events[k].Body.(type) {
		case *tracer.StateChange:
			return b.To
		case *tracer.End:
			return tracer.Closed
		default:
		}
	}
	return tracer.Closed
}

// naive is what a Filter means, said of one event of a trace.
func naive(f Filter, events []tracer.Event, i int) (passes, wanted bool) {
	e := events[i]
	oneOf := func(n int, one func(int) bool) bool {
		for k := range n {
			if one(k) {
				return true
			}
		}
		return n == 0
	}
	var notes []string
	change, _ := e.Body.(*tracer.StateChange)
	switch b := e.Body.(type) {
	case *tracer.Segment:
		notes = b.Notes
		if b.Dropped != "" {
			notes = append([]string{"dropped"}, notes...)
		}
	case *tracer.Datagram:
		notes = b.Notes
		if b.Dropped != "" {
			notes = append([]string{"dropped"}, notes...)
		}
	default:
	}
	in := (f.Since == 0 || e.T >= f.Since) && (!f.HasUntil || e.T <= f.Until)
	typed := oneOf(len(f.Types), func(k int) bool { return f.Types[k] == e.Body.Type() })
	if e.Body.Type() == tracer.TypeLost {
		return in && typed, true
	}
	passes = in && typed &&
		oneOf(len(f.Stacks), func(k int) bool { return f.Stacks[k] == e.Stack }) &&
		oneOf(len(f.States), func(k int) bool {
			if change != nil {
				return e.Conn != 0 && (change.From == f.States[k] || change.To == f.States[k])
			}
			return e.Conn != 0 && stateAt(events, i) == f.States[k]
		}) &&
		oneOf(len(f.Addrs), func(k int) bool {
			return e.Local.IsValid() && f.Addrs[k].Contains(e.Local.Addr().WithZone("")) || e.Remote.IsValid() && f.Addrs[k].Contains(e.Remote.Addr().WithZone(""))
		}) &&
		oneOf(len(f.Ports), func(k int) bool {
			return e.Local.IsValid() && e.Local.Port() == f.Ports[k] || e.Remote.IsValid() && e.Remote.Port() == f.Ports[k]
		}) &&
		oneOf(len(f.Notes), func(k int) bool {
			return slices.ContainsFunc(notes, func(n string) bool { return strings.Fields(n)[0] == f.Notes[k] })
		})
	call, _ := e.Body.(*tracer.Call)
	wanted = oneOf(len(f.Conns), func(k int) bool {
		return e.Conn == f.Conns[k] || call != nil && call.Conn == f.Conns[k]
	})
	return passes, wanted
}

// naiveShown is what a Filter means.
func naiveShown(f Filter, events []tracer.Event) []uint64 {
	var ns []uint64
	for i := range events {
		passes, wanted := naive(f, events, i)
		if !passes || !wanted {
			continue
		}
		// A child shown at its birth is preceded by the segment that began it.
		b, ok := events[i].Body.(*tracer.StateChange)
		for k := range i {
			g, segment := events[k].Body.(*tracer.Segment)
			if !ok || b.From != tracer.Listen || events[i].Parent == 0 || events[k].N != b.Cause.N || !segment {
				continue
			}
			later := len(ns) > 0 && ns[len(ns)-1] >= events[k].N
			if p, _ := naive(f, events, k); p && !later && g.Dir == tracer.In && events[k].Conn != 0 && events[k].Parent == 0 {
				ns = append(ns, events[k].N)
			}
		}
		ns = append(ns, events[i].N)
	}
	return ns
}

func drawFilter(t *rapid.T) Filter {
	var f Filter
	some := func(label string) bool { return rapid.IntRange(0, 3).Draw(t, label) == 0 }
	if some("conns") {
		f.Conns = rapid.SliceOfN(rapid.Uint32Range(1, 5), 1, 3).Draw(t, "conns")
	}
	if some("stacks") {
		f.Stacks = []string{"server"}
	}
	if some("types") {
		f.Types = rapid.SliceOfN(rapid.SampledFrom([]tracer.Type{tracer.TypeState, tracer.TypeSegment, tracer.TypeCall, tracer.TypeLost}), 1, 2).Draw(t, "types")
	}
	if some("states") {
		f.States = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tracer.State {
			return tracer.State(rapid.IntRange(0, int(tracer.TimeWait)).Draw(t, "state"))
		}), 1, 4).Draw(t, "states")
	}
	if some("addrs") {
		f.Addrs = []netip.Prefix{netip.MustParsePrefix(rapid.SampledFrom([]string{"192.0.2.1/32", "fe80::/10"}).Draw(t, "addr"))}
	}
	if some("ports") {
		f.Ports = []uint16{80}
	}
	if some("notes") {
		f.Notes = rapid.SliceOfN(rapid.SampledFrom([]string{"dropped", "delayed", "dup-ack"}), 1, 2).Draw(t, "notes")
	}
	if some("since") {
		f.Since = time.Duration(rapid.IntRange(0, 30).Draw(t, "since")) * time.Millisecond
	}
	if some("until") {
		f.HasUntil = true
		f.Until = time.Duration(rapid.IntRange(0, 30).Draw(t, "until")) * time.Millisecond
	}
	return f
}

// TestSelectIsTheNaiveFilter holds the Selector, which sees each event once, to what its
// Filter means.
func TestSelectIsTheNaiveFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events, f := tracertest.DrawTrace(t), drawFilter(t)
		if diff := cmp.Diff(naiveShown(f, events), shown(f, events)); diff != "" {
			t.Fatalf("%+v (-want +got):\n%s", f, diff)
		}
	})
}

// TestBeforeTheStart: without a bound nothing is left out, not even what a damaged clock has
// put before the trace's start.
func TestBeforeTheStart(t *testing.T) {
	early := []tracer.Event{{N: 1, T: -time.Millisecond, Conn: 1, Stack: "server", Body: &tracer.Segment{}}}
	if got := shown(Filter{}, early); len(got) != 1 {
		t.Errorf("shown: %v", got)
	}
}

// TestShowsTheSYN: a connection's story begins with the segment that began it, and has the
// accept that returned it.
func TestShowsTheSYN(t *testing.T) {
	events := []tracer.Event{
		{N: 1, Conn: 1, Body: &tracer.Call{Name: "accept", Phase: tracer.PhaseEnter}},
		{N: 2, Conn: 1, Body: &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN}},
		{N: 3, Conn: 1, Body: &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN}},
		{N: 4, Conn: 3, Parent: 1, Body: &tracer.StateChange{From: tracer.Listen, To: tracer.SynReceived, Cause: tracer.Cause{N: 3}}},
		{N: 5, Conn: 2, Parent: 1, Body: &tracer.StateChange{From: tracer.Listen, To: tracer.SynReceived, Cause: tracer.Cause{N: 2}}},
		{N: 6, Conn: 1, Body: &tracer.Call{Name: "accept", Phase: tracer.PhaseReturn, Of: 1, Conn: 2}},
	}
	for _, c := range []struct {
		conns []uint32
		want  []uint64
	}{
		{[]uint32{2}, []uint64{2, 5, 6}},
		{[]uint32{3}, []uint64{3, 4}},
		{[]uint32{2, 3}, []uint64{3, 4, 5, 6}}, // never back in time
		{[]uint32{1}, []uint64{1, 2, 3, 6}},
		{nil, []uint64{1, 2, 3, 4, 5, 6}},
	} {
		if diff := cmp.Diff(c.want, shown(Filter{Conns: c.conns}, events)); diff != "" {
			t.Errorf("%d (-want +got):\n%s", c.conns, diff)
		}
	}
}

// TestKeepsLittle: what a Selector keeps does not grow with what is over.
func TestKeepsLittle(t *testing.T) {
	s := New(Filter{Conns: []uint32{1 << 31}, States: []tracer.State{tracer.Listen}})
	for n := uint64(1); n < 100_000; n++ {
		conn := uint32(n)
		for _, b := range []tracer.Body{
			&tracer.StateChange{From: tracer.Closed, To: tracer.Listen},
			&tracer.Segment{Dir: tracer.In},
			&tracer.End{},
		} {
			s.Select(&tracer.Event{N: n, Conn: conn, Body: b}, func(*tracer.Event) {})
		}
	}
	if len(s.syns) != keptSYNs || len(s.states) != 0 {
		t.Errorf("kept %d segments, %d states", len(s.syns), len(s.states))
	}
}
