package sequence

import (
	"fmt"
	"slices"
	"time"

	"appliance/tracer"
)

// pairs returns, for each segment that went out, where it came in: these are one segment, and
// what is done to both of them no comparison of the two ends shows.
func (x *exemptions) pairs() [][2]int {
	var pairs [][2]int
	taken := map[int]bool{}
	for in := range x.j.in.Events {
		g, ok := x.j.in.Events[in].Body.(*tracer.Segment)
		if !ok || g.Dir != tracer.In {
			continue
		}
		for out := range in {
			o, ok := x.j.in.Events[out].Body.(*tracer.Segment)
			if ok && o.Dir == tracer.Out && o.Dropped == "" && !taken[out] && x.j.seen[out].slot == x.j.seen[in].slot && x.j.seen[out].end != x.j.seen[in].end &&
				x.j.sameOnWire(out, in) {
				taken[out] = true
				pairs = append(pairs, [2]int{out, in})
				break
			}
		}
	}
	return pairs
}

// pairMutants makes mutants in which one segment is wrong at both ends alike: the rows alone
// can tell.
func (x *exemptions) pairMutants(yield func(mutant)) {
	good := x.j.in.Events
	for _, p := range x.pairs() {
		out, in := p[0], p[1]
		gone := slices.Delete(slices.Clone(good), in, in+1)
		yield(mutant{"both: drop", "", out, renumbered(slices.Delete(gone, out, out+1))})
		twin, other := good[out], good[in]
		twin.N, other.N = 0, 0
		more := slices.Insert(slices.Clone(good), in+1, other)
		yield(mutant{"both: twice", "", out, renumbered(slices.Insert(more, out+1, twin))})
		both := func(kind, what string, change func(*tracer.Segment)) {
			events := slices.Clone(good)
			for _, i := range p {
				events[i].Body = with(events[i].Body.(*tracer.Segment), change)
			}
			yield(mutant{"both: " + kind, what, out, events})
		}
		for f := tracer.FIN; f != 0; f <<= 1 {
			both("flag", f.String(), func(g *tracer.Segment) {
				g.Flags ^= f
				if !g.Flags.Has(tracer.ACK) {
					g.HasRelAck, g.Ack, g.RelAck = false, 0, 0
				}
			})
		}
		for _, d := range []uint32{1, ^uint32(0), 100} {
			both("seq", fmt.Sprint(int32(d)), func(g *tracer.Segment) { g.Seq += d; g.RelSeq += d })           //nolint:gosec // modulo 2^32 is meant
			both("len", fmt.Sprint(int32(d)), func(g *tracer.Segment) { g.Len = max(g.Len+int(int32(d)), 0) }) //nolint:gosec // modulo 2^32 is meant
			both("ack", fmt.Sprint(int32(d)), func(g *tracer.Segment) { g.Ack += d; g.RelAck += d })           //nolint:gosec // modulo 2^32 is meant
		}
		both("option", "none", func(g *tracer.Segment) { g.Opts = tracer.Options{} })
	}
}

// exemptPair is for what is done to a segment at both its ends.
func (x *exemptions) exemptPair(m *mutant, g *tracer.Segment) string {
	l := x.leaf[m.at]
	var row SegmentRow
	if l != nil {
		row = l.row.Body.(SegmentRow)
	}
	allowed := x.allowedAt(m.at)
	isGone := m.kind == "both: drop" || m.kind == "both: twice"
	switch {
	case m.kind == "both: flag" && m.what == "PSH" && !row.Flags.Has(tracer.PSH):
		return "PSH counts only where a row writes it"
	case m.kind == "both: option" && l != nil && row.Opts == nil, m.kind == "both: option" && l == nil:
		return "a row that does not name the options leaves them open"
	case m.kind == "both: len" && g.Len == 0 && m.what == "-1", m.kind == "both: ack" && !g.Flags.Has(tracer.ACK):
		return "nothing was changed"
	case allowed && (l == nil || isGone):
		return "allowed besides, in any number, whatever it acknowledges"
	case m.kind == "both: drop" && l != nil && x.free[l.row]:
		return "the row is optional"
	case isGone && l != nil && l.min != l.max:
		return "the row takes one more or fewer"
	case m.kind == "both: seq" && open(row.Seq), m.kind == "both: ack" && open(row.Ack), m.kind == "both: len" && open(row.Len):
		return "the row leaves the number open"
	}
	return ""
}

// timeMutants makes mutants in which everything from an event on happens later, so that the trace
// holds together and only what rows say of times is wrong.
func (x *exemptions) timeMutants(yield func(mutant)) {
	good := x.j.in.Events
	for at := range good {
		l := x.leaf[at]
		if l == nil || !x.j.in.Virtual {
			continue
		}
		switch row := l.row.Body.(type) {
		case TimerRow:
			if row.After == 0 && row.MSLs == 0 {
				continue
			}
		case StateRow:
			if row.After == 0 && row.MSLs == 0 {
				continue
			}
		default:
			continue
		}
		for _, d := range []time.Duration{time.Millisecond, -time.Millisecond, time.Minute} {
			yield(mutant{"time", d.String(), at, later(good, at, d)})
		}
	}
}

// later returns a trace whose events from one on happen later, with the times of states that span
// the moment.
func later(good []tracer.Event, at int, d time.Duration) []tracer.Event {
	events := slices.Clone(good)
	entered := map[socketID]int{}
	for i := range events {
		e := &events[i]
		if i >= at {
			e.T += d
		}
		id := socketID{e.Stack, e.Conn}
		b, ok := e.Body.(*tracer.StateChange)
		if !ok {
			continue
		}
		if before, known := entered[id]; known && before < at && i >= at {
			e.Body = with(b, func(c *tracer.StateChange) { c.Dwell += d })
		}
		entered[id] = i
	}
	return events
}
