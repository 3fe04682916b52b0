package netstack

import (
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// arrived records an inbound segment, in the moment when it was queued. child is, where a
// listener got it, the child of the same ends. The mu of both is held.
func (c *tracked) arrived(s *segment, v *verdict, child *tracked) {
	if c.ended {
		c.o.recordStray(s, v)
		return
	}
	a := arrival{
		id: &c.id, flags: s.flags, seq: s.seq, ack: s.ack, len: uint32(s.len), //nolint:gosec // a payload is below 64 KiB
		win: s.win, hasWS: s.opts.HasWS, ws: s.opts.WS, ts: s.opts.HasTS,
	}
	if s.id != c.id {
		id := s.id
		a.id = &id
	}
	c.arrivals++
	a.mark = uint64(c.conn)<<32 | uint64(c.arrivals)
	a.n = c.emitSegment(s, v, "")
	if s.dropped != "" {
		return
	}
	if s.flags.Has(tracer.SYN) && !s.flags.Has(tracer.ACK) {
		c.o.mu.Lock()
		c.o.syns.add(a)
		c.o.mu.Unlock()
	}
	if c.state == tracer.TimeWait {
		c.expectLate(a)
		return
	}
	if c.isListener {
		c.dropOverflowed(nil)
		a.full = c.acceptQueueFull()
		if child != nil && child.isPassedOn(a) {
			a.moved = true
			child.expect(a)
			return
		}
	}
	if p := c.parent; p != nil && c.state == tracer.SynReceived {
		p.mu.Lock()
		a.full = p.acceptQueueFull()
		p.mu.Unlock()
	}
	c.expect(a)
}

// emitSegment records a segment of this connection's, at a level that has segments,
// and learns from it at any.
func (c *tracked) emitSegment(s *segment, v *verdict, why string) uint64 {
	if c.o.level < tracer.LevelSegments {
		if !c.isListener {
			var body tracer.Segment
			body.Win, body.Dropped = uint32(s.win), s.dropped
			c.flow.tell(s, &body, why)
		}
		return 0
	}
	body := &c.body
	*body = tracer.Segment{}
	s.describe(body)
	if c.isListener {
		c.relateStray(s, body)
	} else {
		c.flow.tell(s, body, why)
	}
	v.annotate(body)
	e := tracer.Event{Stack: c.o.name, Conn: c.conn, Local: c.local, Remote: c.remote, Body: body}
	if s.id != c.id {
		e.Local, e.Remote = localOf(s.id), remoteOf(s.id)
	}
	if c.parent != nil {
		e.Parent = c.parent.conn
	}
	return c.o.all.Record(e)
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
func (c *tracked) sent(s *segment, v *verdict, why string) {
	if c.isListener {
		c.answered(s)
	}
	if c.state == tracer.TimeWait {
		c.answeredLate()
	}
	c.sentRST = c.sentRST || s.flags.Has(tracer.RST)
	c.emitSegment(s, v, why)
}

// answered drops from a listener's inbox what a segment that it sent shows to be
// processed: all up to the one that was answered.
func (c *tracked) answered(s *segment) {
	for i, a := range c.inbox {
		if answers(s, a) {
			c.inbox = c.inbox[i+1:]
			c.overflowed() // the ACKs that it dropped were among those before
			return
		}
	}
}

// answers tells whether a listener's SYN+ACK or RST is the answer to a segment. A RST
// for what a dead child had left is sent under the listener's name too.
func answers(s *segment, a arrival) bool {
	switch {
	case !a.isOf(s.id):
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
	was := progress{c.rcvNxt, c.sndUna}
	c.doom, c.rcvNxt, c.sndUna = false, uint32(s.Receiver.RcvNxt), uint32(s.Sender.SndUna)
	switch again := c.again; {
	case again != nil && (uint32(s.Receiver.RcvNxt) != again.seq || len(c.inbox) == 0):
		c.current, c.again = *again, nil // its bytes have been taken: it was its turn
	case len(c.inbox) == 0:
		c.current = arrival{}
		return
	default:
		c.dropStale(was)
		i := c.turn(was)
		c.current = c.inbox[i]
		copy(c.inbox[1:i+1], c.inbox[:i])
		c.dropFirst()
	}
	// RFC 5961, 3.2: only a RST at RCV.NXT itself resets.
	c.doom = c.current.flags.Has(tracer.RST) && c.current.seq == uint32(s.Receiver.RcvNxt)
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
