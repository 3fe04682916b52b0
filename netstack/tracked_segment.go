package netstack

import (
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// maxInbox bounds what an endpoint that processes nothing is remembered to have got.
const maxInbox = 8192

// arrived records an inbound segment, in the moment when it was queued. mu is held.
func (c *tracked) arrived(s segment, v verdict) {
	if c.ended {
		c.o.recordStray(s, v)
		return
	}
	a := arrival{id: s.id, flags: s.flags, seq: s.seq, ack: s.ack, len: s.len, win: s.win, hasWS: s.opts.HasWS, ws: s.opts.WS, ts: s.opts.HasTS}
	a.n = c.emitSegment(&s, v, "")
	if s.dropped != "" {
		return
	}
	if s.flags.Has(tracer.SYN) && !s.flags.Has(tracer.ACK) {
		c.o.mu.Lock()
		c.o.syns.add(a)
		c.o.mu.Unlock()
	}
	if c.state == tracer.TimeWait && !s.flags.Has(tracer.SYN) {
		return
	}
	a.full = c.isListener && c.acceptQueueFull()
	if p := c.parent; p != nil && c.state == tracer.SynReceived {
		p.mu.Lock()
		a.full = p.acceptQueueFull()
		p.mu.Unlock()
	}
	if len(c.inbox) >= maxInbox {
		c.inbox = c.inbox[1:]
	}
	c.inbox = append(c.inbox, a)
}

// acceptQueueFull tells whether as many children wait to be accepted as gVisor lets.
func (c *tracked) acceptQueueFull() bool {
	waiting := len(c.children) - len(c.halfOpen) + len(c.dead) // the dead keep their place until they are accepted
	return waiting > c.backlog
}

// emitSegment records a segment of this connection's, at a level that has segments,
// and learns from it at any.
func (c *tracked) emitSegment(s *segment, v verdict, why string) uint64 {
	body := s.event()
	if c.isListener {
		c.relateStray(s, body)
	} else {
		c.flow.tell(s, body, why)
	}
	v.annotate(body)
	e := tracer.Event{Stack: c.o.name, Conn: c.conn, Local: localOf(s.id), Remote: remoteOf(s.id), Body: body}
	if c.parent != nil {
		e.Parent = c.parent.conn
	}
	return c.o.rec.Record(e)
}

// relateStray gives a listener's segment, which has no connection, the relative
// numbers that it shows by itself: a SYN's is 0, and its answer acknowledges 1.
func (c *tracked) relateStray(s *segment, body *tracer.Segment) {
	if !s.flags.Has(tracer.SYN) {
		return
	}
	body.HasRel = true
	if s.flags.Has(tracer.ACK) && s.dir == tracer.Out {
		body.HasRelAck, body.RelAck = true, 1
		body.Notes = append(body.Notes, noteCookie)
	}
}

// sent records an outbound segment, before the link has it. mu is held.
func (c *tracked) sent(s segment, v verdict, why string) {
	if c.isListener {
		c.answered(&s)
	}
	c.sentRST = c.sentRST || s.flags.Has(tracer.RST)
	c.emitSegment(&s, v, why)
}

// answered drops from a listener's inbox what a segment that it sent shows to be
// processed: all up to the one that was answered.
func (c *tracked) answered(s *segment) {
	for i, a := range c.inbox {
		if answers(s, a) {
			c.inbox = c.inbox[i+1:]
			c.overflowed() // the ACKs that it dropped were among them
			return
		}
	}
}

// answers tells whether a listener's SYN+ACK or RST is the answer to a segment. A RST
// for what a dead child had left is sent under the listener's name too.
func answers(s *segment, a arrival) bool {
	switch {
	case a.id != s.id:
		return false
	case s.flags.Has(tracer.SYN | tracer.ACK), a.flags&(tracer.SYN|tracer.ACK) == tracer.SYN:
		return a.flags&(tracer.SYN|tracer.ACK) == tracer.SYN && s.ack == a.seq+1
	default: // RFC 9293, 3.5.2: a reset takes its sequence number from the ACK field
		return a.flags.Has(tracer.ACK) && s.seq == a.ack
	}
}

// processed takes note of the probe: the endpoint has finished with the oldest
// segment of its inbox. mu is held.
func (c *tracked) processed(s *tcp.TCPEndpointState) {
	if !c.synchronized() { // the change to ESTABLISHED has not been seen: see it first
		c.look(viaProbe)
	}
	c.doom, c.rcvNxt = false, uint32(s.Receiver.RcvNxt)
	switch again := c.again; {
	case again != nil && (uint32(s.Receiver.RcvNxt) != again.seq || len(c.inbox) == 0):
		c.current, c.again = *again, nil // its bytes have been taken: it was its turn
	case len(c.inbox) == 0:
		c.current = arrival{}
		return
	default:
		i := c.turn(c.rcvNxt)
		c.current = c.inbox[i]
		copy(c.inbox[1:i+1], c.inbox[:i])
		c.inbox = c.inbox[1:]
	}
	// RFC 5961, 3.2: only a RST at RCV.NXT itself resets.
	c.doom = c.current.flags.Has(tracer.RST) && c.current.seq == uint32(s.Receiver.RcvNxt)
}

// turn is the place in the inbox of the segment that was just processed: the oldest,
// unless that is one that its listener has yet to pass on, whose bytes have not been
// taken, and another has come to the endpoint itself.
func (c *tracked) turn(rcvNxt uint32) int {
	if h := c.inbox[0]; !h.moved || h.len == 0 && !h.flags.Has(tracer.FIN) || h.seq != rcvNxt {
		return 0
	}
	for i, a := range c.inbox {
		if !a.moved {
			return i
		}
	}
	return 0
}

// establishedBy drops from the inbox what was processed in the handshake: all up to
// the segment that completed it. One that bears more than an ACK goes to the end of
// the endpoint's queue and is processed again.
func (c *tracked) establishedBy(done arrival) {
	for i, a := range c.inbox {
		if a == done {
			c.inbox = append([]arrival(nil), c.inbox[i+1:]...)
			break
		}
	}
	c.current = arrival{}
	if done.flags.Has(tracer.SYN) || done.len == 0 && !done.flags.Has(tracer.FIN) {
		return
	}
	if c.cookie || done.seq == c.opening.seq+1 {
		c.again = &done // what has been queued meanwhile may stand before it or after it
		return
	}
	c.inbox = append(c.inbox, done)
}

// handOver gives a child those segments of its listener's inbox that are its own:
// its SYN, which is processed, or the ACK of a SYN cookie, and what came after it.
// The mu of both is held.
func (c *tracked) handOver(child *tracked) {
	var rest, mine []arrival
	born := false
	lost := c.overflowed()
	own := 0
	for _, a := range c.inbox {
		if a.id == child.id && bareACK(a) {
			own++
		}
	}
	for _, a := range c.inbox {
		if lost > 0 && len(mine) == 0 && own > 1 && a.id == child.id && bareACK(a) && a.full {
			own--
			lost-- // it met a full accept queue: a later one made the child
			continue
		}
		switch {
		case a.id != child.id, born && a.flags.Has(tracer.SYN) && a.seq != child.opening.seq:
			rest = append(rest, a) // also another SYN than the one that it was born of: still the listener's
		case a.flags&(tracer.SYN|tracer.ACK) == tracer.SYN:
			if born {
				break // a duplicate: the listener finds the port in use
			}
			if st := child.ep.EndpointState(); st == tcp.StateConnecting || st == tcp.StateSynRecv {
				rest = rest[:0] // the listener has processed all that came before
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
	if p == nil || len(c.inbox) == 0 || from == tracer.SynReceived && cause.Kind != tracer.CauseSegment {
		return
	}
	rest := c.inbox
	for i, a := range rest {
		if cause.N != 0 && a.n == cause.N || cause.N == 0 && c.kills(a, from) {
			rest = rest[i+1:]
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
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
			ids = append(ids, a.id)
		}
	}
	return ids
}

// segmentCause puts a segment's part in a change into words.
func (c *tracked) segmentCause(a arrival, from, to tracer.State) tracer.Cause {
	return tracer.Cause{Kind: tracer.CauseSegment, N: a.n, What: segmentWords(a, from, to)}
}

func segmentWords(a arrival, from, to tracer.State) string {
	fin := a.flags.Has(tracer.FIN)
	switch {
	case a.flags.Has(tracer.RST):
		return "RST"
	case to == tracer.SynReceived:
		return "SYN"
	case to == tracer.Established && from == tracer.SynSent:
		return "SYN ACK"
	case to == tracer.Established && from == tracer.Listen:
		return "ACK of our SYN cookie"
	case to == tracer.Established:
		return "ACK of our SYN"
	case to == tracer.FinWait2, from == tracer.Closing, from == tracer.LastAck:
		return "ACK of our FIN"
	case to == tracer.TimeWait && from == tracer.FinWait1 && fin:
		return "FIN with the ACK of our FIN"
	case to == tracer.CloseWait, to == tracer.Closing, to == tracer.TimeWait:
		if fin {
			return "FIN"
		}
		return "data that completes the stream up to the FIN"
	case to == tracer.Closed && from == tracer.TimeWait:
		return "SYN of a new connection"
	case to == tracer.Closed && a.flags.Has(tracer.SYN):
		return "SYN outside the window"
	case to == tracer.Closed && a.len > 0:
		return "data after close"
	case to == tracer.Closed && !fin && from != tracer.LastAck && from != tracer.Closing:
		return "ACK beyond what was received, after close"
	default:
		return strings.TrimSpace(a.flags.String())
	}
}

// howEnded names the way a connection ended.
func howEnded(from tracer.State, cause tracer.Cause) tracer.How {
	if from == tracer.TimeWait {
		return tracer.HowFIN // both FINs were acknowledged, whatever cut the wait short
	}
	switch cause.Kind {
	case tracer.CauseTimer:
		return tracer.HowTimeout
	case tracer.CauseICMP:
		return tracer.HowUnreachable
	case tracer.CauseCall:
		return tracer.HowAborted
	case tracer.CauseStack:
		if strings.Contains(cause.What, "resolution") {
			return tracer.HowUnreachable
		}
		return tracer.HowAborted
	case tracer.CauseSegment:
		return howSegment(from, cause)
	default:
		return tracer.HowAborted
	}
}

func howSegment(from tracer.State, cause tracer.Cause) tracer.How {
	switch {
	case cause.What == "RST" && from == tracer.SynSent:
		return tracer.HowRefused
	case cause.What == "RST":
		return tracer.HowReset
	case from == tracer.LastAck, from == tracer.Closing:
		return tracer.HowFIN
	default:
		return tracer.HowAborted
	}
}

// errorOf is the error that a death leaves the program with, in Linux's words; ""
// for an end in order.
func errorOf(from tracer.State, cause tracer.Cause) string {
	switch howEnded(from, cause) {
	case tracer.HowReset:
		if from == tracer.CloseWait { // the program has read to the end; it learns on sending
			return "broken pipe"
		}
		return "connection reset by peer"
	case tracer.HowRefused:
		return "connection refused"
	case tracer.HowTimeout:
		if from == tracer.FinWait2 {
			return ""
		}
		return "connection timed out"
	case tracer.HowUnreachable:
		return unreachable(cause)
	default:
		return ""
	}
}

// unreachable is Linux's error for what an ICMP message, or its own search for the
// neighbour, says of a destination.
func unreachable(cause tracer.Cause) string {
	switch {
	case strings.HasSuffix(cause.What, "unreachable: port"):
		return "connection refused"
	case strings.HasSuffix(cause.What, "unreachable: net"), strings.HasSuffix(cause.What, "unreachable: no route"):
		return "network is unreachable"
	default:
		return "no route to host"
	}
}
