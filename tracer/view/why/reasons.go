package why

import (
	"slices"

	"appliance/tracer"
)

// reason returns the event for which a segment went out, 0 where it is not known.
func (l *linker) reason(a *lane, g *tracer.Segment) uint64 {
	switch {
	case g.Flags.Has(tracer.RST):
		return l.resets(a, g)
	case noted(g, "tail-loss-probe"):
		return a.firedBy("tail-loss-probe")
	case noted(g, "keepalive"):
		return a.firedBy("keepalive")
	case noted(g, "fast-retransmit"):
		return a.came()
	case noted(g, "retransmission", "window-probe"):
		return a.again()
	case g.Flags.Has(tracer.SYN | tracer.ACK):
		return l.opens(a, g)
	case g.Flags.Has(tracer.SYN):
		return a.connect
	case g.Len > 0:
		return a.sender(g)
	case !a.whole && g.Flags.Has(tracer.FIN):
		return 0
	case g.Flags.Has(tracer.FIN):
		return a.closing
	case noted(g, "window-update"):
		return a.widens()
	default:
		return a.acknowledges(g)
	}
}

// noted tells whether a segment has one of these notes.
func noted(g *tracer.Segment, names ...string) bool {
	return slices.ContainsFunc(g.Notes, func(n string) bool { return slices.Contains(names, n) })
}

// firedBy returns the timer of that name, where it fired last.
func (a *lane) firedBy(name string) uint64 {
	if a.timer != name {
		return 0
	}
	return a.fired
}

// came returns the segment that came, where it is the only one that the end can have sent one
// for.
func (a *lane) came() uint64 {
	if !a.open || len(a.unread) != 1 {
		return 0
	}
	return a.unread[0]
}

// again returns why a segment went out again: the timer, or the segment that came, where
// nothing else can have been it.
func (a *lane) again() uint64 {
	switch {
	case a.wrote:
		return 0
	case len(a.unread) == 0:
		return a.fired
	case a.fired == 0:
		return a.came()
	default:
		return 0
	}
}

// resets returns why a RST went out: what made the connection's state CLOSED, or the segment
// that it answers by RFC 9293, 3.10.7.1.
func (l *linker) resets(a *lane, g *tracer.Segment) uint64 {
	if a.closed != 0 {
		return a.closed
	}
	var answered []uint64
	for _, n := range a.unread {
		in, ok := l.t.ByN(n).Body.(*tracer.Segment)
		if !ok {
			continue // another event has its number: two traces in one file
		}
		if in.Flags.Has(tracer.ACK) {
			// Of an end that is only seen on the wire it may as well be the program's doing.
			if a.open && !g.Flags.Has(tracer.ACK) && g.Seq == in.Ack {
				answered = append(answered, n)
			}
		} else if g.Flags.Has(tracer.ACK) && g.Seq == 0 && g.Ack == behind(in) {
			answered = append(answered, n)
		}
	}
	if len(answered) != 1 {
		return 0
	}
	return answered[0]
}

// opens returns the SYN that a SYN ACK answers.
func (l *linker) opens(a *lane, g *tracer.Segment) uint64 {
	for _, n := range []uint64{a.syn, a.born} {
		if e := l.t.ByN(n); e != nil {
			if s, ok := e.Body.(*tracer.Segment); ok && s.Flags.Has(tracer.SYN) && s.Seq+1 == g.Ack {
				return n
			}
		}
	}
	return 0
}

// sender returns the call whose bytes a segment begins with.
func (a *lane) sender(g *tracer.Segment) uint64 {
	if !a.whole || !g.HasRel || g.RelSeq == 0 {
		return 0
	}
	at := uint64(g.RelSeq - 1)
	// A long stream's numbers wrap: the place is the last one before what has been sent.
	if a.stream > at {
		at += (a.stream - 1 - at) >> 32 << 32
	}
	i, _ := slices.BinarySearchFunc(a.sends, at, func(s send, at uint64) int {
		if s.to <= at {
			return -1
		}
		return 1
	})
	if i == len(a.sends) {
		return 0
	}
	return a.sends[i].n
}

// widens returns why an ACK told another window: the recv that made room, or the segment that
// calls for an ACK anyhow, where only one of both is there.
func (a *lane) widens() uint64 {
	switch {
	case len(a.in.asks) == 0:
		return a.recv
	case a.open && a.recv == 0:
		return a.in.answer()
	default:
		return 0
	}
}

// acknowledges returns the segment that an ACK is for: the one that made whole what it
// acknowledges, or, where it says nothing new, the only one that calls for that. One whose own
// number is not the next is a probe, of a timer.
func (a *lane) acknowledges(g *tracer.Segment) uint64 {
	switch {
	case !a.in.hasAcked || g.Ack != a.in.acked:
		return a.in.reached[g.Ack]
	case g.Seq != a.next:
		return 0
	default:
		return a.in.answer()
	}
}
