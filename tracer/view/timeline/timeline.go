// Package timeline chooses which events of a trace to show.
package timeline

import (
	"net/netip"
	"slices"
	"time"

	"appliance/tracer"
)

// Filter says which events to show; the zero value is all of them. An event must pass
// every field that is set, and of a field's values one.
type Filter struct {
	// Conns are connections, by id. A connection that a listener took has the SYN that
	// began it and the accept that returned it shown too, though they are the listener's.
	Conns []uint32
	// Stacks are names of stacks.
	Stacks []string
	// Types are types of events.
	Types []tracer.Type
	// States are states: what happened while the connection was in one of them, with the
	// changes into it and out of it.
	States []tracer.State
	// Addrs are addresses or networks, of either end.
	Addrs []netip.Prefix
	// Ports are ports, of either end.
	Ports []uint16
	// Notes are notes of segments and datagrams ("retransmission"). [Dropped] is one that
	// was discarded, and a note that goes on in words ("delayed 40ms") is named by its
	// first.
	Notes []string
	// Since and Until bound the time since the trace started, both included; Until holds
	// where HasUntil says so, Since where it is above 0.
	Since, Until time.Duration
	HasUntil     bool
}

// Dropped is what [Filter.Notes] calls a packet that was discarded.
const Dropped = "dropped"

// Selector applies a [Filter] to a trace's events, one after the other. What it keeps grows
// with the connections that are open at a time, no further.
type Selector struct {
	f      Filter
	states map[uint32]tracer.State // of those that are not CLOSED
	syns   []tracer.Event          // of listeners, that their children may turn out to want; a ring
	oldest int                     // of syns
	last   uint64                  // the number of the event that was shown last
}

// keptSYNs is how many segments of listeners are kept for a child that may name one as its
// cause; a listener's own queue is shorter.
const keptSYNs = 4096

// New returns a Selector that applies f.
func New(f Filter) *Selector {
	return &Selector{f: f, states: map[uint32]tracer.State{}}
}

// Select takes the next event and calls show with what is to be shown because of it: the
// event, and before it perhaps one that was passed over at first.
func (s *Selector) Select(e *tracer.Event, show func(*tracer.Event)) {
	if s.passes(e) {
		switch {
		case s.wanted(e):
			s.cause(e, show)
			s.last = e.N
			show(e)
		case isSYN(e):
			s.keep(e)
		}
	}
	if len(s.f.States) > 0 {
		s.track(e)
	}
}

// Past tells whether no event from e on can be shown: the time range is over.
func (s *Selector) Past(e *tracer.Event) bool { return s.f.HasUntil && e.T > s.f.Until }

// wanted tells whether e is an event of the connections that are asked for.
func (s *Selector) wanted(e *tracer.Event) bool {
	if len(s.f.Conns) == 0 || slices.Contains(s.f.Conns, e.Conn) {
		return true
	}
	switch b := e.Body.(type) {
	case *tracer.Lost:
		return true // what is missing may have been the connection's
	case *tracer.Call:
		return b.Conn != 0 && slices.Contains(s.f.Conns, b.Conn)
	default:
		return false
	}
}

// isSYN tells whether e is a segment that a child may begin with.
func isSYN(e *tracer.Event) bool {
	g, ok := e.Body.(*tracer.Segment)
	return ok && g.Dir == tracer.In && e.Conn != 0 && e.Parent == 0
}

// keep puts a listener's segment aside.
func (s *Selector) keep(e *tracer.Event) {
	if len(s.syns) < keptSYNs {
		s.syns = append(s.syns, *e)
		return
	}
	s.syns[s.oldest] = *e
	s.oldest = (s.oldest + 1) % keptSYNs
}

// cause shows the segment that began the connection whose first change e is, unless an
// event that came after that one was shown already.
func (s *Selector) cause(e *tracer.Event, show func(*tracer.Event)) {
	change, ok := e.Body.(*tracer.StateChange)
	if !ok || e.Parent == 0 || change.From != tracer.Listen || change.Cause.N <= s.last {
		return
	}
	for i := range s.syns {
		if s.syns[i].N == change.Cause.N {
			show(&s.syns[i])
			return
		}
	}
}

// track keeps the connections' states.
func (s *Selector) track(e *tracer.Event) {
	switch b := e.Body.(type) {
	case *tracer.StateChange:
		if b.To == tracer.Closed {
			delete(s.states, e.Conn)
		} else {
			s.states[e.Conn] = b.To
		}
	case *tracer.End:
		delete(s.states, e.Conn)
	default:
	}
}

// passes tells whether e passes every field but Conns.
func (s *Selector) passes(e *tracer.Event) bool {
	f := &s.f
	if f.Since > 0 && e.T < f.Since || s.Past(e) {
		return false
	}
	if _, lost := e.Body.(*tracer.Lost); lost {
		// It may hide any of what is asked for.
		return len(f.Types) == 0 || slices.Contains(f.Types, tracer.TypeLost)
	}
	return (len(f.Stacks) == 0 || slices.Contains(f.Stacks, e.Stack)) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, e.Body.Type())) &&
		(len(f.States) == 0 || s.inState(e)) &&
		(len(f.Addrs) == 0 || slices.ContainsFunc(f.Addrs, func(p netip.Prefix) bool { return has(p, e.Local) || has(p, e.Remote) })) &&
		(len(f.Ports) == 0 || slices.ContainsFunc(f.Ports, func(p uint16) bool { return at(p, e.Local) || at(p, e.Remote) })) &&
		(len(f.Notes) == 0 || slices.ContainsFunc(f.Notes, func(n string) bool { return noted(e.Body, n) }))
}

func has(p netip.Prefix, a netip.AddrPort) bool {
	return a.IsValid() && p.Contains(a.Addr().Unmap().WithZone(""))
}

func at(port uint16, a netip.AddrPort) bool { return a.IsValid() && a.Port() == port }

// inState tells whether e is a change into or out of a wanted state, or happened in one.
func (s *Selector) inState(e *tracer.Event) bool {
	if e.Conn == 0 {
		return false
	}
	if c, ok := e.Body.(*tracer.StateChange); ok {
		return slices.Contains(s.f.States, c.From) || slices.Contains(s.f.States, c.To)
	}
	return slices.Contains(s.f.States, s.states[e.Conn])
}

// noted tells whether a body bears a note.
func noted(b tracer.Body, note string) bool {
	var notes []string
	dropped := ""
	switch b := b.(type) {
	case *tracer.Segment:
		notes, dropped = b.Notes, b.Dropped
	case *tracer.Datagram:
		notes, dropped = b.Notes, b.Dropped
	default:
		return false
	}
	return note == Dropped && dropped != "" || slices.ContainsFunc(notes, func(n string) bool {
		return n == note || len(n) > len(note) && n[:len(note)] == note && n[len(note)] == ' '
	})
}
