package netstack

import (
	"math/bits"
	"sync"

	"appliance/tracer"
)

// maxInbox bounds what an endpoint that processes nothing is remembered to have got.
const maxInbox = 8192

// expect puts a segment into the inbox. mu is held.
func (c *tracked) expect(a arrival) {
	if len(c.inbox) >= maxInbox {
		c.inbox = c.inbox[1:]
	}
	c.makeRoom()
	c.inbox = append(c.inbox, a)
}

// ownRoom is the room for segments that each connection may keep. While more is under way
// to it than fits there it borrows a larger one: one that is idle has none.
const ownRoom = 8

// rooms are the larger ones that nobody uses, by the logarithm of their size.
var rooms [32]sync.Pool

// borrow returns a room of at least n.
func borrow(n int) []arrival {
	class := bits.Len(uint(n - 1)) //nolint:gosec // positive
	if room, ok := rooms[class].Get().(*[]arrival); ok {
		return *room
	}
	return make([]arrival, 1<<class)
}

// giveBack ends the use of a room that was borrowed.
func giveBack(room []arrival) {
	if cap(room) > ownRoom {
		rooms[bits.Len(uint(cap(room)-1))].Put(&room)
	}
}

// makeRoom sees to it that an append to the inbox allocates nothing as long as the inbox
// does not grow: what has been taken off its front is used again. mu is held.
func (c *tracked) makeRoom() {
	if len(c.inbox) < cap(c.inbox) {
		return
	}
	n, old := len(c.inbox), c.room
	switch {
	case n < cap(old)/2:
	case n < ownRoom/2:
		c.room = make([]arrival, ownRoom)
	default:
		c.room = borrow(4 * n)
	}
	copy(c.room, c.inbox)
	c.inbox = c.room[:n]
	if n >= cap(old)/2 {
		giveBack(old)
	}
}

// empty empties the inbox. mu is held.
func (c *tracked) empty() {
	if cap(c.room) > ownRoom {
		giveBack(c.room)
		c.room = nil
	}
	c.inbox = c.room[:0]
}

// dropFirst takes the oldest off the inbox. mu is held.
func (c *tracked) dropFirst() {
	if len(c.inbox) > 1 {
		c.inbox = c.inbox[1:]
		return
	}
	c.empty()
}

// maxLate bounds what of that which came in TIME-WAIT is remembered.
const maxLate = 8

// expectLate puts a segment that came in TIME-WAIT into the inbox, if it may outlive the
// connection there: gVisor queues what it has not processed by then to the listener, to
// which a SYN is one, and anything with an ACK may complete the handshake by SYN cookie.
// No hook tells when it has been processed. mu is held.
func (c *tracked) expectLate(a arrival) {
	isSYN := a.flags.Has(tracer.SYN)
	if !isSYN && (c.parent == nil || !bareACK(a)) {
		return
	}
	if a.late = !isSYN; a.late && len(c.inbox) >= maxLate {
		c.inbox = c.inbox[1:]
	}
	c.inbox = append(c.inbox, a)
}

// keepLate keeps of the inbox, on entering TIME-WAIT, what may outlive the connection.
func (c *tracked) keepLate() {
	left := c.inbox
	c.inbox, c.room = nil, nil
	for _, a := range left {
		c.expectLate(a)
	}
}

// answeredLate tells that the endpoint has sent something in TIME-WAIT: a FIN that came
// again has been processed, and what came before it. mu is held.
func (c *tracked) answeredLate() {
	for i, a := range c.inbox {
		if a.late && a.flags.Has(tracer.FIN) {
			c.inbox = c.inbox[i+1:]
			return
		}
	}
}

// progress is how far a connection was before a segment was processed; zero for one
// that has processed none since its handshake.
type progress struct{ rcvNxt, sndUna uint32 }

// turn is the place in the inbox of the segment that was just processed: the oldest,
// unless that is one that its listener has yet to pass on, or never will, because it met
// a full accept queue: then it is the first that came to the endpoint itself, if what was
// processed did something that the oldest cannot do.
func (c *tracked) turn(was progress) int {
	if was.rcvNxt == 0 {
		was.rcvNxt = c.flow.in.isn + 1
	}
	if was.sndUna == 0 {
		was.sndUna = c.flow.out.isn + 1
	}
	if h := &c.inbox[0]; !h.moved || c.canHave(h, was) {
		return 0
	}
	first := 0
	for i := range c.inbox {
		a := &c.inbox[i]
		if a.moved {
			continue
		}
		if c.canHave(a, was) {
			return i
		}
		if first == 0 {
			first = i
		}
	}
	return first
}

// dropStale takes off the inbox what stands before the segment that was just processed
// and certainly was not: the stack has dropped it where no hook shows it.
func (c *tracked) dropStale(was progress) {
	if was.rcvNxt == 0 || was.sndUna == 0 || c.inbox[0].moved {
		return
	}
	for i := range c.inbox {
		if c.moves(&c.inbox[i], was) {
			c.inbox = c.inbox[i:]
			return
		}
	}
}

// moves tells whether a segment can have moved RCV.NXT and SND.UNA as they were moved: only
// one with data or a FIN moves the one, and only its own acknowledgment the other.
func (c *tracked) moves(a *arrival, was progress) bool {
	return (c.rcvNxt == was.rcvNxt || a.takes()) && (c.sndUna == was.sndUna || a.ack == c.sndUna)
}

// takes tells whether a segment takes sequence numbers once there is a connection.
func (a *arrival) takes() bool { return a.len > 0 || a.flags.Has(tracer.FIN) }

// canHave tells whether a segment can have done what was done: taken bytes, acknowledged
// bytes, or acknowledged our FIN.
func (c *tracked) canHave(a *arrival, was progress) bool {
	if !c.moves(a, was) || a.takes() && a.seq == c.rcvNxt {
		return false
	}
	switch to := rfcState(c.ep.EndpointState()); {
	case to == c.state:
		return true
	case to == tracer.FinWait2, c.state == tracer.Closing, c.state == tracer.LastAck && to == tracer.Closed:
		return a.flags.Has(tracer.RST) || a.flags.Has(tracer.ACK) && a.ack == c.flow.out.next
	default:
		return true
	}
}
