package scenario

import (
	"fmt"
	"slices"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// flight counts the packets that are on their way from one stack of the appliance's to the
// other: sent, by the trace, and not arrived. On a virtual clock there are none when it
// moves; a real one does not wait for them.
type flight map[sequence.End]int // by sender

// newFlight returns nil, which counts nothing, where that does not matter or cannot be told.
func newFlight(s *stage) flight {
	_, virtual := s.clock.(*virtualTime)
	third := len(s.run.Extra) > 0 // an extra script sends and gets some of them
	if virtual || third || !s.traced(sequence.Client) || !s.traced(sequence.Server) {
		return nil
	}
	return flight{}
}

// take counts an event, if it is a packet's.
func (f flight) take(e *tracer.Event) {
	switch b := e.Body.(type) {
	case *tracer.Segment:
		f.count(e.Stack, b.Dir, b.Dropped, b.Notes)
	case *tracer.Datagram:
		f.count(e.Stack, b.Dir, b.Dropped, b.Notes)
	default:
	}
}

func (f flight) count(stack string, dir tracer.Direction, dropped string, notes []string) {
	end := sequence.Client
	if stack == serverStack {
		end = sequence.Server
	}
	switch {
	case f == nil:
	case dir == tracer.In && slices.Contains(notes, "duplicate"): // doubled here: one was sent
	case dir == tracer.In: // dropped there or not: it has arrived
		f[end.Other()]--
	case dropped != "":
	case slices.Contains(notes, "duplicated"):
		f[end] += 2
	default:
		f[end]++
	}
}

// landed tells whether nothing is on its way.
func (f flight) landed() bool { return len(f.left()) == 0 }

// left says what is on its way.
func (f flight) left() []string {
	var all []string
	for end, n := range f {
		if n > 0 {
			all = append(all, fmt.Sprintf("%d packets from %s have not arrived", n, end))
		}
	}
	return all
}
