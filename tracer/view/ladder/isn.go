package ladder

import (
	"appliance/tracer"
	"appliance/tracer/view"
)

// isn is an end's initial sequence number, where it is known.
type isn struct {
	n     uint32
	known bool
}

// learnISNs brings both lanes to the first initial sequence number that the items tell of
// them. A listener's clients have each their own, and share a lane: there nothing is learned.
func (b *builder) learnISNs(items []view.Item) {
	for k := len(items) - 1; k >= 0; k-- {
		m, ok := b.trace.Events[items[k].Index].Body.(*tracer.Segment)
		if !ok {
			continue
		}
		from := items[k].End
		if m.Dir == tracer.In {
			from = 1 - from
		}
		b.learnISN(from, m)
	}
}

// learnISN takes from a segment that a lane sent the initial numbers that it tells: of a
// port that is used again they change.
func (b *builder) learnISN(from int, m *tracer.Segment) {
	if b.crowd {
		return
	}
	if m.HasRel {
		b.isns[from] = isn{m.Seq - m.RelSeq, true}
	}
	if m.HasRelAck {
		b.isns[1-from] = isn{m.Ack - m.RelAck, true}
	}
}

// related returns a segment with the relative numbers that the trace lacks of it: a stack
// that has forgotten the connection tells none, as of the RST after an abort, and the
// connection's other segments do.
func (b *builder) related(from int, m *tracer.Segment) *tracer.Segment {
	r := *m
	if own := b.isns[from]; !m.HasRel && own.known && !unnumbered(m) {
		r.HasRel, r.RelSeq = true, m.Seq-own.n
	}
	if other := b.isns[1-from]; !m.HasRelAck && other.known && m.Flags.Has(tracer.ACK) {
		r.HasRelAck, r.RelAck = true, m.Ack-other.n
	}
	return &r
}

// unnumbered tells whether a segment's number is none of its sender's: an RST in answer to a
// segment without ACK has 0 (RFC 9293, 3.10.7.1).
func unnumbered(m *tracer.Segment) bool { return m.Flags.Has(tracer.RST) && m.Seq == 0 }
