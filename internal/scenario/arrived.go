package scenario

import (
	"context"
	"errors"
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
	return p.taken(ctx, at, sent)
}

// taken waits until Linux has got so many segments of the connection that one of the
// appliance's segments belongs to, or has that connection no longer.
func (s *stage) taken(ctx context.Context, of *tracer.Event, sent uint32) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		got, there, err := s.took(of.Remote, of.Local)
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

// allTaken waits until Linux has taken all that the appliance sent: a run that is over by
// what the appliance did may not be by what that does to the other end.
func (s *stage) allTaken(ctx context.Context) error {
	if s.took == nil {
		return nil
	}
	events, _ := s.journal.so()
	last := map[netip.AddrPort]int{} // by Linux's end: of two connections the newer
	for i := range events {
		if sends(&events[i]) {
			last[events[i].Remote] = i
		}
	}
	return patiently(ctx, lastWait, func(ctx context.Context) error {
		for _, i := range last {
			if err := s.takenLast(ctx, events[:i+1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// takenLast waits until Linux has taken the last of events, where that is a segment that
// the appliance sent.
func (s *stage) takenLast(ctx context.Context, events []tracer.Event) error {
	if len(events) == 0 || !sends(&events[len(events)-1]) {
		return nil
	}
	sent, more := sentBy(events)
	if !more {
		return nil // a half-open connection, of which Linux keeps no count
	}
	return s.taken(ctx, &events[len(events)-1], sent)
}

// sends tells whether an event is a connection's outbound segment.
func sends(e *tracer.Event) bool {
	b, ok := e.Body.(*tracer.Segment)
	return ok && b.Dir == tracer.Out && e.Conn != 0
}

// How long to wait for Linux to take what was sent to it last, at a run's end and in its
// course. What it then still lacks it need not get: a full queue may have dropped it, or it
// waits for data before it takes a connection (TCP_DEFER_ACCEPT).
const (
	lastWait  = time.Second
	stateWait = 10 * time.Second
)

var errLastWait = errors.New("not all that was sent has come")

// patiently lets wait go on until the time is over.
func patiently(ctx context.Context, long time.Duration, wait func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, long, errLastWait)
	defer cancel()
	if err := wait(ctx); !errors.Is(err, errLastWait) {
		return err
	}
	return nil
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
	sent, _ := sentBy(events[:last+1])
	return &events[last], sent
}

// sentBy counts the segments that the connection of the last event, an outbound segment,
// has sent by then and that were not lost; more tells whether they are more than SYNs.
func sentBy(events []tracer.Event) (sent uint32, more bool) {
	at := &events[len(events)-1]
	var syn uint32
	for i := range events {
		e := &events[i]
		s, ok := e.Body.(*tracer.Segment)
		switch {
		case !ok || s.Dir != tracer.Out || e.Stack != at.Stack || e.Local != at.Local || e.Remote != at.Remote:
		case s.Dropped != "" || slices.Contains(s.Notes, "corrupted"):
		case s.Flags.Has(tracer.SYN):
			syn = 1
			sent = 0 // the addresses' connection before, if there was one
		default:
			sent++
		}
	}
	return sent + syn, sent > 0
}

// segmentsIn asks Linux how many segments a connection of its has got; there is false when
// it has no such connection (any more).
func (s *linuxSide) segmentsIn(local, remote netip.AddrPort) (n uint32, there bool, err error) {
	return kernel.SegmentsIn(s.lab, local, remote)
}
