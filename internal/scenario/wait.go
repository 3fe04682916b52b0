package scenario

import (
	"context"
	"fmt"
	"slices"

	"appliance/tracer"
	"appliance/tracer/infer"
	"appliance/tracer/sequence"
)

// The names of stacks in a trace.
const (
	clientStack = "client"
	serverStack = "server"
	peerStack   = "peer"
)

// stackOf is the name under which an end is in the trace; "" for a scripted one.
func (s *stage) stackOf(e sequence.End) string {
	switch {
	case s.players[e] == sequence.Linux && !neitherOurs(s.players):
		return peerStack
	case s.players[e] == sequence.Script:
		return ""
	case e == sequence.Client:
		return clientStack
	default:
		return serverStack
	}
}

// traced tells whether an end's segments and states are in the trace as they happen.
func (s *stage) traced(e sequence.End) bool { return s.players[e] == sequence.Stack }

// wait waits for a state, a segment, or rest.
func (p *program) wait(ctx context.Context, s *sequence.Step) error {
	switch {
	case s.Label != "":
		w, err := p.waitFor(s.Label)
		if err != nil {
			return err
		}
		if err := p.journal.await(ctx, w.seen); err != nil {
			return err
		}
		return p.arrived(ctx, w)
	case s.End == "":
		return p.clock.rest(ctx)
	case p.traced(s.End):
		return p.journal.await(ctx, func(events []tracer.Event) bool { return p.change(events, s, p.stackOf(s.End)) >= 0 })
	default:
		return p.waitInferred(ctx, s)
	}
}

// waitInferred waits for a state of an end that is not traced, and until Linux has taken the
// segment that put it there, or need not get it: the appliance had only sent it.
func (p *program) waitInferred(ctx context.Context, s *sequence.Step) error {
	w := &inferredWait{infer: infer.New(p.inferring(s.End))}
	var until []tracer.Event
	err := p.journal.await(ctx, func(events []tracer.Event) bool {
		changes := w.changes(events)
		i := p.change(changes, s, "")
		if i < 0 {
			return false
		}
		by := changes[i].Body.(*tracer.StateChange).Cause.N
		until = events[:1+slices.IndexFunc(events, func(e tracer.Event) bool { return e.N == by })]
		return true
	})
	if err != nil || p.took == nil || p.players[s.End] != sequence.Linux {
		return err
	}
	return patiently(ctx, stateWait, func(ctx context.Context) error { return p.takenLast(ctx, until) })
}

// inferring are the options to infer the states of an end that is not traced.
func (s *stage) inferring(e sequence.End) infer.Options {
	name := s.stackOf(e)
	if name == "" {
		name = peerStack
	}
	return infer.Options{Vantage: s.stackOf(e.Other()), Stack: name}
}

// inferredWait waits for a state of an end that is not traced.
type inferredWait struct {
	infer *infer.Inferrer
	fed   int
	found []tracer.Event
}

// changes are the state changes that events show. They are the same as the last time, and
// perhaps more.
func (w *inferredWait) changes(events []tracer.Event) []tracer.Event {
	for _, e := range events[w.fed:] {
		w.found = append(w.found, w.infer.Feed(e)...)
	}
	w.fed = len(events)
	return w.found
}

// change finds the end's change to the state that the step waits for; -1 where there is none.
// stack is "" where all events are the end's.
func (p *program) change(events []tracer.Event, s *sequence.Step, stack string) int {
	return slices.IndexFunc(events, func(e tracer.Event) bool {
		c, ok := e.Body.(*tracer.StateChange)
		return ok && c.To == s.State && (stack == "" || e.Stack == stack) && p.names.has(s.Conn, s.End, &e)
	})
}

// segmentWait waits for the segment of a row.
type segmentWait struct {
	*stage
	row   sequence.Row
	after int // how many like it come before
}

// waitFor finds the row with a label.
func (s *stage) waitFor(label string) (*segmentWait, error) {
	rows := segmentRows(s.run.Rows(s.players))
	for i, r := range rows {
		if labelOf(r) != label {
			continue
		}
		w := &segmentWait{stage: s, row: r}
		for _, before := range rows[:i] {
			if s.same(before, r) {
				w.after += times(before)
			}
		}
		return w, nil
	}
	return nil, fmt.Errorf("no row of expect has the label %q", label)
}

// segmentRows are the rows of segments and datagrams, in the order of the file.
func segmentRows(rows []sequence.Row) []sequence.Row {
	var all []sequence.Row
	for _, r := range rows {
		switch b := r.Body.(type) {
		case sequence.SegmentRow, sequence.DatagramRow:
			all = append(all, r)
		case sequence.Group:
			for _, list := range b.Lists {
				all = append(all, segmentRows(list)...)
			}
		default:
		}
	}
	return all
}

func labelOf(r sequence.Row) string {
	switch b := r.Body.(type) {
	case sequence.SegmentRow:
		return b.Label
	case sequence.DatagramRow:
		return b.Label
	default:
		return ""
	}
}

// same tells whether two rows say the same of a segment, as far as the end where it is
// waited for can tell.
func (s *stage) same(a, b sequence.Row) bool {
	switch a := a.Body.(type) {
	case sequence.SegmentRow:
		b, ok := b.Body.(sequence.SegmentRow)
		return ok && a.From == b.From && a.Way == b.Way && a.Flags == b.Flags && a.Seq == b.Seq && a.Ack == b.Ack &&
			a.Len == b.Len && a.Lost == b.Lost && slices.Equal(s.toldNotes(&a), s.toldNotes(&b))
	case sequence.DatagramRow:
		b, ok := b.Body.(sequence.DatagramRow)
		return ok && a.From == b.From && a.Way == b.Way && a.Len == b.Len && a.Lost == b.Lost
	default:
		return false
	}
}

// oneSided are the notes that only the sender can tell: its peer does not know what became of
// the segment's first copy.
var oneSided = []string{"retransmission", "fast-retransmit", "syn-cookie"}

// toldNotes are the notes of a row that the end where its segment is waited for can tell.
func (s *stage) toldNotes(row *sequence.SegmentRow) []string {
	if !s.traced(row.From.End.Other()) || s.traced(row.From.End) && (row.Way == sequence.Sent || row.Lost) {
		return row.Notes
	}
	return slices.DeleteFunc(slices.Clone(row.Notes), func(n string) bool { return slices.Contains(oneSided, n) })
}

// times is how many segments a row stands for, at least.
func times(r sequence.Row) int {
	if b, ok := r.Body.(sequence.SegmentRow); ok {
		return max(b.Min, 1)
	}
	return 1
}

// seen tells whether the segment is among the events.
func (w *segmentWait) seen(events []tracer.Event) bool {
	n := 0
	for i := range events {
		if w.matches(&events[i]) {
			n++
		}
	}
	return n > w.after
}

func (w *segmentWait) matches(e *tracer.Event) bool {
	switch row := w.row.Body.(type) {
	case sequence.SegmentRow:
		seg, ok := e.Body.(*tracer.Segment)
		return ok && w.here(e, row.From, row.Way, row.Lost, seg.Dir, seg.Dropped) && w.segmentIs(seg, &row)
	case sequence.DatagramRow:
		d, ok := e.Body.(*tracer.Datagram)
		return ok && w.here(e, row.From, row.Way, row.Lost, d.Dir, d.Dropped) && row.Len.Holds(uint32(d.Len)) //nolint:gosec // not negative
	default:
		return false
	}
}

// here tells whether an event is at the end that a row means, the sender's (▶) or the
// receiver's, or, where that one is not traced, at the other.
func (w *segmentWait) here(e *tracer.Event, from sequence.At, way sequence.Ways, lost bool, dir tracer.Direction, dropped string) bool {
	if lost != (dropped != "") {
		return false
	}
	at := from.End
	if dir == tracer.In {
		at = at.Other()
	}
	if e.Stack == "" || e.Stack != w.stackOf(at) || !w.names.has(from.Conn, at, e) {
		return false
	}
	if lost {
		return true // where it was dropped
	}
	sent := way == sequence.Sent || !w.traced(from.End.Other())
	if sent && w.traced(from.End) {
		return dir == tracer.Out
	}
	return dir == tracer.In
}

// segmentIs tells whether a segment is what a row says.
func (w *segmentWait) segmentIs(s *tracer.Segment, row *sequence.SegmentRow) bool {
	flags := s.Flags
	if !row.Flags.Has(tracer.PSH) {
		flags &^= tracer.PSH
	}
	if flags != row.Flags || !row.Seq.Holds(s.RelSeq) || !row.Win.Holds(s.Win) {
		return false
	}
	if s.Flags.Has(tracer.ACK) && !row.Ack.Holds(s.RelAck) {
		return false
	}
	if row.Len.Op == sequence.Unset && s.Len != 0 || !row.Len.Holds(uint32(s.Len)) { //nolint:gosec // not negative
		return false
	}
	for _, note := range w.toldNotes(row) {
		if !slices.Contains(s.Notes, note) {
			return false
		}
	}
	return !slices.ContainsFunc(s.Notes, func(n string) bool {
		return slices.Contains(sequence.SignificantNotes, n) && !slices.Contains(row.Notes, n)
	})
}
