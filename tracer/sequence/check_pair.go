package sequence

import (
	"strings"

	"appliance/tracer"
)

// sent is a segment that went out and has not come in yet.
type sent struct {
	i      int
	copies int // how many times it may come in
	late   bool
}

// sensePairs holds, where both ends are in the trace, that each segment that comes in at one end
// went out at the other, as it was, and no more often; and that none is overtaken or lost on the
// way but by the link, which then says so.
func sensePairs(j *judge) *Mismatch {
	if !j.ends[endC].segments || !j.ends[endS].segments {
		return nil
	}
	queues := map[ofEnd][]*sent{} // by who sends
	for i := range j.in.Events {
		s := &j.seen[i]
		if s.end == noEnd || s.slot < 0 {
			continue
		}
		var m *Mismatch
		switch b := j.in.Events[i].Body.(type) {
		case *tracer.Segment:
			m = j.pair(queues, i, b.Dir, b.Dropped, b.Notes)
		case *tracer.Datagram:
			m = j.pair(queues, i, b.Dir, b.Dropped, b.Notes)
		default:
		}
		if m != nil {
			return m
		}
	}
	for _, q := range queues {
		for _, p := range q {
			if p.late {
				return j.amiss(p.i, "what goes out comes in, unless the link drops it and says so", "it never came in, and what went out after it did")
			}
		}
	}
	return nil
}

// pair takes one event into the account.
func (j *judge) pair(queues map[ofEnd][]*sent, i int, dir tracer.Direction, dropped string, notes []string) *Mismatch {
	s := &j.seen[i]
	if dir == tracer.Out {
		if dropped == "" {
			key := ofEnd{s.end, s.slot}
			queues[key] = append(queues[key], &sent{i: i, copies: (1 + copiesOf(notes)) * j.wireSegments(i)})
		}
		return nil
	}
	key := ofEnd{1 - s.end, s.slot}
	q := queues[key]
	if hasNote(notes, "duplicate") || j.slots[s.slot].flood { // a copy that the link made on its way in
		return nil
	}
	for k, p := range q {
		if !j.sameOnWire(p.i, i) {
			continue
		}
		if p.copies--; p.copies == 0 {
			queues[key] = append(q[:k:k], q[k+1:]...)
		}
		for _, before := range q[:k] {
			before.late = before.late || !moved(j.notesOf(before.i)) && !moved(notes) && copiesOf(j.notesOf(before.i)) == 0
		}
		return j.overtaken(q[:k], i)
	}
	return j.amiss(i, "a segment that the other end sent", "the other end has not sent it, or not as often, or not so")
}

// overtaken holds that what goes out on one connection comes in in this order, unless the link
// says that it changes it: of those that came in later, the first says so.
func (j *judge) overtaken(before []*sent, i int) *Mismatch {
	for _, p := range before {
		if p.late && !j.stray(p.i) && !j.stray(i) {
			return j.amiss(i, "segments in the order in which they were sent", "it overtook "+j.plainWords(p.i)+" #"+number(j.in.Events[p.i].N)+", and the link says nothing")
		}
	}
	return nil
}

// stray tells whether an event is of no connection that its stack has: such answers do not queue
// behind a connection's own segments.
func (j *judge) stray(i int) bool { return j.in.Events[i].Conn == 0 }

// moved tells whether the link says that it changed a packet's place.
func moved(notes []string) bool {
	for _, n := range notes {
		if n == "reordered" || strings.HasPrefix(n, "delayed") {
			return true
		}
	}
	return false
}

// copiesOf is how many copies the link says that it makes.
func copiesOf(notes []string) int {
	for _, n := range notes {
		if n == "duplicated" {
			return 1
		}
		if rest, ok := strings.CutPrefix(n, "duplicated "); ok {
			digits, _, _ := strings.Cut(rest, " ")
			copies := 0
			for _, d := range digits {
				copies = copies*10 + int(d-'0')
			}
			return copies
		}
	}
	return 0
}

// wireSegments is how many segments on the wire an event stands for.
func (j *judge) wireSegments(i int) int {
	if g, ok := j.in.Events[i].Body.(*tracer.Segment); ok {
		return max(g.WireSegments, 1)
	}
	return 1
}

func (j *judge) notesOf(i int) []string {
	switch b := j.in.Events[i].Body.(type) {
	case *tracer.Segment:
		return b.Notes
	case *tracer.Datagram:
		return b.Notes
	default:
		return nil
	}
}

// sameOnWire tells whether two events show the same packet.
func (j *judge) sameOnWire(out, in int) bool {
	if d, ok := j.in.Events[out].Body.(*tracer.Datagram); ok {
		other, ok := j.in.Events[in].Body.(*tracer.Datagram)
		return ok && d.Len == other.Len
	}
	a, ok := j.in.Events[out].Body.(*tracer.Segment)
	b, other := j.in.Events[in].Body.(*tracer.Segment)
	if !ok || !other {
		return false
	}
	if hasNote(a.Notes, "corrupted") && b.Dropped != "" {
		return true // a bit of it is another
	}
	if a.Seq != b.Seq || a.Flags != b.Flags || a.Flags.Has(tracer.ACK) && a.Ack != b.Ack {
		return a.WireSegments > 1 && b.Len > 0 && b.Seq-a.Seq < uint32(a.Len) && b.Len < a.Len //nolint:gosec // a payload is below 64 KiB
	}
	return (a.Len == b.Len || a.WireSegments > 1 && b.Len < a.Len) && sameOpts(&a.Opts, &b.Opts)
}

func sameOpts(a, b *tracer.Options) bool {
	if len(a.SACK) != len(b.SACK) {
		return false
	}
	for i := range a.SACK {
		if a.SACK[i] != b.SACK[i] {
			return false
		}
	}
	return a.MSS == b.MSS && a.HasWS == b.HasWS && a.WS == b.WS && a.SACKOK == b.SACKOK &&
		a.HasTS == b.HasTS && a.TSVal == b.TSVal && a.TSEcr == b.TSEcr
}
