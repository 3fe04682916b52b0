package scenario

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"appliance/internal/scenario/kernel"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// look is how often Linux is asked what it has got: it tells nobody when a segment comes.
const look = time.Millisecond

// arrived waits until Linux has taken what the appliance had sent it when the segment that
// w waits for was seen. The appliance records a segment when it sends it; a program of
// Linux's that goes on at once may act before the kernel has it.
func (p *program) arrived(ctx context.Context, w *segmentWait) error {
	row, ok := w.row.Body.(sequence.SegmentRow)
	if !ok || p.took == nil || p.players[p.end] != sequence.Linux || row.From.End == p.end || row.Way == sequence.Sent || row.Lost {
		return nil
	}
	events, _ := p.journal.so()
	at, sent := w.sentWith(events)
	if sent == 0 {
		return nil
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		got, there, err := p.took(at.Remote, at.Local)
		if err != nil || !there || got >= sent {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sentWith is the segment that w waits for, and how many of its connection's segments the
// sender's peer has got once it has that one: those that are lost on the way do not count,
// and of the SYNs only one, as a listener's child knows of no other.
func (w *segmentWait) sentWith(events []tracer.Event) (*tracer.Event, uint32) {
	last, seen := -1, 0
	for i := range events {
		if w.matches(&events[i]) {
			if last, seen = i, seen+1; seen > w.after {
				break
			}
		}
	}
	if last < 0 || events[last].Body.(*tracer.Segment).Dir != tracer.Out {
		return nil, 0
	}
	at := &events[last]
	var sent, syn uint32
	for i := range events[:last+1] {
		e := &events[i]
		s, ok := e.Body.(*tracer.Segment)
		switch {
		case !ok || s.Dir != tracer.Out || e.Stack != at.Stack || e.Local != at.Local || e.Remote != at.Remote:
		case s.Dropped != "" || slices.Contains(s.Notes, "corrupted"):
		case s.Flags.Has(tracer.SYN):
			syn = 1
		default:
			sent++
		}
	}
	return at, sent + syn
}

// segmentsIn asks Linux how many segments a connection of its has got; there is false when
// it has no such connection (any more).
func (s *linuxSide) segmentsIn(local, remote netip.AddrPort) (n uint32, there bool, err error) {
	return kernel.SegmentsIn(s.lab, local, remote)
}
