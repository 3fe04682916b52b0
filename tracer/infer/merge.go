package infer

import (
	"slices"

	"appliance/tracer"
)

// Aliases returns, for connections whose id the Inferrer gave before a call named
// them (a child that was then accepted), the id that the calls use.
func (i *Inferrer) Aliases() map[uint32]uint32 { return i.aliases }

// Infer returns the changes that a whole trace shows, as [Inferrer.Feed] gives them,
// in the order of their places in the trace, and each connection under one id: that
// of its calls, if there are any.
func Infer(events []tracer.Event, o Options) []tracer.Event {
	var out []tracer.Event
	for _, d := range infer(events, o) {
		out = append(out, d.Event)
	}
	return out
}

func infer(events []tracer.Event, o Options) []derived {
	i := New(o)
	var all []derived
	for _, e := range events {
		all = append(all, i.feed(e)...)
	}
	for at := range all {
		d := &all[at]
		if c, ok := i.aliases[d.Conn]; ok {
			d.Conn = c
		}
		if c, ok := i.aliases[d.Parent]; ok {
			d.Parent = c
		}
	}
	slices.SortStableFunc(all, func(a, b derived) int {
		pa, pb := place{n: a.anchor, ahead: a.ahead}, place{n: b.anchor, ahead: b.ahead}
		switch {
		case pa.before(pb):
			return -1
		case pb.before(pa):
			return 1
		default:
			return a.seq - b.seq
		}
	})
	return all
}

// Merge returns the trace with what it shows of the inferred ends, every change in
// its place, numbered anew: N rises by one (by Missed after a Lost), and what names
// another event's number (Cause.N, Call.Of, TCB.After) is changed with it. The
// events' bodies are not the trace's own where they differ.
func Merge(events []tracer.Event, o Options) []tracer.Event {
	found := infer(events, o)
	out := make([]tracer.Event, 0, len(events)+len(found))
	for _, e := range events {
		for len(found) > 0 && found[0].anchor == e.N && found[0].ahead {
			out = append(out, placed(found[0], e))
			found = found[1:]
		}
		out = append(out, e)
		for len(found) > 0 && found[0].anchor == e.N {
			out = append(out, placed(found[0], e))
			found = found[1:]
		}
	}
	return renumber(out)
}

func placed(d derived, at tracer.Event) tracer.Event {
	d.T = at.T
	return d.Event
}

// renumber numbers events, those without a number included.
func renumber(events []tracer.Event) []tracer.Event {
	numbers := make(map[uint64]uint64, len(events))
	next := uint64(1)
	for at := range events {
		e := &events[at]
		if e.N != 0 {
			numbers[e.N] = next
		}
		e.N = next
		next++
		if l, ok := e.Body.(*tracer.Lost); ok && l.Missed > 1 {
			next += l.Missed - 1
		}
	}
	for at := range events {
		events[at].Body = renamed(events[at].Body, func(n uint64) uint64 { return numbers[n] })
	}
	return events
}

// renamed returns a body with the numbers that it names changed.
func renamed(b tracer.Body, number func(uint64) uint64) tracer.Body {
	switch b := b.(type) {
	case *tracer.StateChange:
		c := *b
		c.Cause.N = number(b.Cause.N)
		return &c
	case *tracer.Call:
		c := *b
		c.Of = number(b.Of)
		return &c
	case *tracer.TCB:
		c := *b
		c.After = number(b.After)
		return &c
	default:
		return b
	}
}
