package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// arrivedToListen records an inbound segment that is about to be queued to a listener,
// although the stack may have a child of the same ends by now: the listener passes it on.
func (c *tracked) arrivedToListen(s *segment, v *verdict) {
	child := c.o.byTuple.get(s.id)
	if child == c || child != nil && child.parent != c {
		child = nil
	}
	if child != nil {
		child.mu.Lock()
		defer child.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived(s, v, child)
}

// isPassedOn tells whether a child gets a segment that was queued to its listener.
func (c *tracked) isPassedOn(a arrival) bool {
	return bareACK(a) && c.synchronized() && c.state != tracer.TimeWait && !isDead(c.ep.EndpointState())
}

// acceptQueueFull tells whether as many children wait to be accepted as gVisor lets.
func (c *tracked) acceptQueueFull() bool {
	waiting := len(c.children) - len(c.halfOpen) + len(c.dead) // the dead keep their place until they are accepted
	return waiting > c.backlog
}

// handOver gives a child those segments of its listener's inbox that are its own:
// its SYN, which is processed, or the ACK of a SYN cookie, and what came after it.
// The mu of both is held.
func (c *tracked) handOver(child *tracked) {
	var rest, mine []arrival
	born := false
	c.dropOverflowed(child)
	c.dropLate(child)
	for _, a := range c.inbox {
		switch {
		case !a.isOf(child.id), born && a.flags.Has(tracer.SYN) && a.seq != child.opening.seq:
			rest = append(rest, a) // also another SYN than the one that it was born of: still the listener's
		case a.flags&(tracer.SYN|tracer.ACK) == tracer.SYN:
			if born {
				break // a duplicate: the listener finds the port in use
			}
			if st := child.ep.EndpointState(); st == tcp.StateConnecting || st == tcp.StateSynRecv {
				rest, mine = rest[:0], mine[:0] // the listener has processed all that came before
				child.adoptSYN(a)
				born = true
			}
		case bareACK(a): // a listener gives nothing else on
			a.moved = len(mine) > 0 // the first it has processed: that made the child
			mine = append(mine, a)
		}
	}
	c.inbox = rest
	if len(mine) > 0 {
		child.inbox = append(mine, child.inbox...) // some may have come to it before its record was whole
		child.adoptCookie(mine[0])
	}
}

// dropOverflowed takes those ACKs off a listener's inbox that it has dropped for want of
// room in its accept queue: it counts them, and as it processes what it gets in order, and
// the others leave a trace (a child, a RST), they are the oldest. But one stays that made
// newborn, the child that is being born, nil for none. mu is held.
func (c *tracked) dropOverflowed(newborn *tracked) {
	lost := c.overflowed()
	if lost == 0 {
		return
	}
	own := 0
	for i := range c.inbox {
		if newborn != nil && c.inbox[i].isOf(newborn.id) && bareACK(c.inbox[i]) && !c.inbox[i].late {
			own++
		}
	}
	rest := c.inbox[:0]
	for _, a := range c.inbox {
		mine := newborn != nil && a.isOf(newborn.id)
		if lost > 0 && bareACK(a) && !a.late && (!mine || own > 1) {
			lost--
			if mine {
				own--
			}
			continue
		}
		rest = append(rest, a)
	}
	c.inbox = rest
}

// dropLate takes those off a listener's inbox that an earlier connection of the child's
// ends may have left in TIME-WAIT, but for the newest where nothing else can have made
// the child. mu is held.
func (c *tracked) dropLate(child *tracked) {
	last, sure := -1, child.state != tracer.Closed
	if st := child.ep.EndpointState(); st == tcp.StateConnecting || st == tcp.StateSynRecv {
		sure = true // a SYN made it
	}
	for i := range c.inbox {
		if a := &c.inbox[i]; a.isOf(child.id) && bareACK(*a) {
			sure = sure || !a.late
			last = i
		}
	}
	if sure {
		last = -1
	}
	rest := c.inbox[:0]
	for i, a := range c.inbox {
		if !a.late || !a.isOf(child.id) || i == last {
			rest = append(rest, a)
		}
	}
	c.inbox = rest
}

// bareACK tells whether a segment is one that a listener takes for the ACK of a cookie.
func bareACK(a arrival) bool {
	return a.flags&(tracer.SYN|tracer.RST|tracer.ACK) == tracer.ACK
}

// overflowed is how many ACKs a listener has dropped for want of room in its accept
// queue since it was asked last.
func (c *tracked) overflowed() uint64 {
	st, ok := c.ep.Stats().(*tcp.Stats)
	if !ok {
		return 0
	}
	before := c.overflows
	c.overflows = st.ReceiveErrors.ListenOverflowAckDrop.Value()
	return c.overflows - before
}

// redeliver gives a dead child's listener what the child had not processed: gVisor
// queues it there, and an ACK of a SYN cookie may be among it.
func (c *tracked) redeliver(from tracer.State, cause tracer.Cause) {
	p := c.parent
	if p == nil || from == tracer.SynReceived && cause.Kind != tracer.CauseSegment {
		return
	}
	rest := c.inbox
	for i, a := range rest {
		if cause.N != 0 && a.n == cause.N || cause.N == 0 && c.kills(a, from) {
			rest = rest[i+1:]
			break
		}
	}
	again := c.again
	if again != nil && cause.Kind == tracer.CauseSegment && cause.N != 0 && again.n == cause.N {
		again = nil
	}
	if len(rest) == 0 && again == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if again != nil { // it was overtaken, and is as good for a second child
		p.inbox = append(p.inbox, *again)
	}
	p.inbox = append(p.inbox, rest...)
}

// adoptSYN learns from the SYN that a child was born of, which its listener got.
func (c *tracked) adoptSYN(a arrival) {
	c.opening = a
	c.flow.in = half{hasISN: true, isn: a.seq, next: a.seq + 1, hasWS: a.hasWS, ws: a.ws, win: uint32(a.win), segs: 1}
}

// adoptCookie learns both ISNs from the ACK of a SYN cookie.
func (c *tracked) adoptCookie(a arrival) {
	c.cookie = true
	c.flow.out = half{hasISN: true, isn: a.ack - 1, next: a.ack}
	c.flow.in = half{hasISN: true, isn: a.seq - 1, next: a.seq, hasAck: true, ack: a.ack, win: uint32(a.win)}
}

// cookieCandidates are the connections whose ACK a listener may just have taken for
// that of a SYN cookie. mu is held.
func (c *tracked) cookieCandidates() []tuple {
	var ids []tuple
	for _, a := range c.inbox {
		if a.flags&(tracer.SYN|tracer.RST|tracer.ACK) == tracer.ACK {
			ids = append(ids, *a.id)
		}
	}
	return ids
}
