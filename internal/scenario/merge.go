package scenario

import (
	"slices"
	"time"

	"appliance/tracer"
)

// merge puts late events into a trace by their times, and numbers the whole anew.
//
// late are events that were learned of after the trace was recorded: T is on the trace's
// timeline, and N, where it is not 0, is a number of their own, above every number of the
// trace's, by which other late events may refer to them. References (a state change's cause,
// a call's enter, what a tcb was read after) are to numbers of either.
//
// Where times are equal, or a clock's grain puts an effect before its cause, a late event
// stands behind what it refers to; behind it, times never go back. Neither slice is changed.
func merge(events, late []tracer.Event) []tracer.Event {
	times := make(map[uint64]time.Duration, len(events)+len(late))
	for i := range events {
		times[events[i].N] = events[i].T
	}
	all := slices.Clone(events)
	for _, e := range late {
		if n := reference(e.Body); n != 0 {
			e.T = max(e.T, times[n])
		}
		if e.N != 0 {
			times[e.N] = e.T
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b tracer.Event) int { return int(a.T - b.T) })
	renumber(all)
	return all
}

// reference is the number that a body refers to; 0 for none.
func reference(b tracer.Body) uint64 {
	switch b := b.(type) {
	case *tracer.StateChange:
		return b.Cause.N
	case *tracer.Call:
		return b.Of
	case *tracer.TCB:
		return b.After
	default:
		return 0
	}
}

// renumber gives events the numbers 1, 2, 3, … in their order, and the references along.
func renumber(events []tracer.Event) {
	now := make(map[uint64]uint64, len(events))
	next := uint64(1)
	for i := range events {
		if old := events[i].N; old != 0 {
			now[old] = next
		}
		events[i].N = next
		next++
		if lost, ok := events[i].Body.(*tracer.Lost); ok && lost.Missed > 0 {
			next += lost.Missed - 1
		}
	}
	for i := range events {
		n := reference(events[i].Body)
		if n == 0 || now[n] == n {
			continue
		}
		switch b := events[i].Body.(type) { // a copy: the body may be another trace's too
		case *tracer.StateChange:
			c := *b
			c.Cause.N = now[n]
			events[i].Body = &c
		case *tracer.Call:
			c := *b
			c.Of = now[n]
			events[i].Body = &c
		case *tracer.TCB:
			c := *b
			c.After = now[n]
			events[i].Body = &c
		default: // refers to nothing
		}
	}
}

// finished returns a trace without the calls that are still in progress at its end.
func finished(events []tracer.Event) []tracer.Event {
	returned := map[uint64]bool{}
	for i := range events {
		if c, ok := events[i].Body.(*tracer.Call); ok && c.Phase == tracer.PhaseReturn {
			returned[c.Of] = true
		}
	}
	var kept []tracer.Event
	for i := range events {
		if c, ok := events[i].Body.(*tracer.Call); ok && c.Phase == tracer.PhaseEnter && !returned[events[i].N] {
			continue
		}
		kept = append(kept, events[i])
	}
	if len(kept) < len(events) {
		renumber(kept)
	}
	return kept
}
