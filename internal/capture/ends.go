package capture

import (
	"slices"
	"time"

	"appliance/tracer"
)

// ends counts what passes of each end of a connection, and tells its totals when its state
// is CLOSED again.
type ends struct {
	conns map[uint32]*counts
	out   []tracer.Event
}

// counts are a connection's so far.
type counts struct {
	opened time.Duration
	role   tracer.Role
	in     direction
	out    direction
	closed bool // it is told
}

// direction is what was seen of one.
type direction struct {
	segments, retransmits uint64
	known                 bool
	base                  uint32 // the number of the first byte, or of the first that was seen
	top                   uint64 // how many bytes there are from there
}

func newEnds() *ends { return &ends{conns: map[uint32]*counts{}} }

// after is [infer.MergerOptions]'s.
func (s *ends) after(group []tracer.Event) []tracer.Event {
	s.out = s.out[:0]
	for i := range group {
		if b, ok := group[i].Body.(*tracer.Segment); ok && group[i].Conn != 0 {
			s.segment(&group[i], b)
		}
	}
	for i := range group {
		if b, ok := group[i].Body.(*tracer.StateChange); ok && group[i].Remote.IsValid() {
			s.state(&group[i], b, group[len(group)-1].T)
		}
	}
	return s.out
}

func (s *ends) of(e *tracer.Event) *counts {
	c := s.conns[e.Conn]
	if c == nil {
		c = &counts{opened: e.T}
		s.conns[e.Conn] = c
	}
	return c
}

func (s *ends) segment(e *tracer.Event, b *tracer.Segment) {
	c := s.of(e)
	if b.Dropped != "" && b.Dir == tracer.In || c.closed {
		return
	}
	d := &c.out
	if b.Dir == tracer.In {
		d = &c.in
	}
	d.segments++
	if b.Dir == tracer.Out && slices.Contains(b.Notes, "retransmission") {
		d.retransmits++
	}
	seq := b.Seq
	if b.Flags.Has(tracer.SYN) {
		seq++
	}
	switch {
	case d.known:
	case b.HasRel:
		d.known, d.base = true, b.Seq-b.RelSeq+1
	default:
		d.known, d.base = true, seq
	}
	if b.Len > 0 {
		end := seq + uint32(b.Len) - d.base                                //nolint:gosec // modulo 2^32 is meant
		if more := int32(end - uint32(d.top)); more > 0 && b.Len < 1<<30 { //nolint:gosec // modulo 2^32 is meant
			d.top += uint64(more)
		}
	}
}

// state tells the end of a connection whose state is CLOSED again. A listener's are none.
func (s *ends) state(e *tracer.Event, b *tracer.StateChange, now time.Duration) {
	c := s.of(e)
	switch {
	case b.From == tracer.Closed && b.To == tracer.SynSent:
		c.role = tracer.Active
	case b.From == tracer.Listen:
		c.role = tracer.Passive
		c.in.segments++ // the SYN, which its event gives to the listener
	}
	if b.To != tracer.Closed || c.closed {
		return
	}
	*c = counts{opened: c.opened, role: c.role, in: c.in, out: c.out, closed: true}
	end := *e
	end.T = now
	end.Body = &tracer.End{
		Role: c.role, How: howOf(b), Opened: c.opened, Duration: now - c.opened,
		BytesIn: c.in.top, BytesOut: c.out.top, SegmentsIn: c.in.segments, SegmentsOut: c.out.segments,
		Retransmits: c.out.retransmits,
	}
	s.out = append(s.out, end)
}

// howOf is how a change to CLOSED ends a connection.
func howOf(b *tracer.StateChange) tracer.How {
	switch {
	case b.Cause.Kind == tracer.CauseTimer:
		return tracer.HowTimeout
	case b.Cause.Kind != tracer.CauseSegment:
		return tracer.HowAborted
	case b.Cause.What != "RST" && b.From == tracer.LastAck:
		return tracer.HowFIN
	case b.Cause.What != "RST": // data that came after its program had closed
		return tracer.HowAborted
	case b.From == tracer.SynSent:
		return tracer.HowRefused
	default:
		return tracer.HowReset
	}
}
