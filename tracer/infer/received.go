package infer

import "appliance/tracer"

// maxAhead is how far ahead of RCV.NXT a segment may begin where the window that
// the end offers was not seen: the largest window there is (RFC 7323, 2.3).
const maxAhead = 1 << 30

// Received tells that the end received a segment; n is its event. It returns the
// changes that the segment makes, in order: RFC 9293, 3.10.7.
func (m *Machine) Received(n uint64, s *tracer.Segment) []Change {
	switch {
	case m.state == tracer.Listen:
		m.inListen(n, s)
	case m.state == tracer.SynSent:
		m.inSynSent(n, s)
	case m.state == tracer.Closed && m.started && m.guess == nil:
		// It is over, or was never there.
	case m.state == tracer.Closed:
		m.begin(s)
		if m.guess != nil && m.observe(s, false) {
			m.arrives(n, s)
		}
	default:
		m.arrives(n, s)
	}
	return m.took()
}

// begin looks at the first segment of an end in CLOSED.
func (m *Machine) begin(s *tracer.Segment) {
	if m.started {
		return
	}
	m.started = !s.Flags.Has(tracer.SYN) && !s.Flags.Has(tracer.RST)
	if m.started {
		m.guess = &guess{}
	}
}

// inListen is 3.10.7.2.
func (m *Machine) inListen(n uint64, s *tracer.Segment) {
	if s.Flags&(tracer.RST|tracer.ACK|tracer.SYN) != tracer.SYN {
		return
	}
	m.started = true
	m.synFrom(s)
	m.change(tracer.SynReceived, by(n, "SYN"))
	m.rcv.add(s.Seq+1, s.Len, s.Flags.Has(tracer.FIN), n)
}

// synFrom learns the other end's initial sequence number.
func (m *Machine) synFrom(s *tracer.Segment) {
	m.hasRcv, m.sawSYN, m.irs = true, true, s.Seq
	m.rcv = stream{next: s.Seq + 1}
	m.low, m.hasLow = s.Seq+1, true
}

// inSynSent is 3.10.7.3.
func (m *Machine) inSynSent(n uint64, s *tracer.Segment) {
	ack := s.Flags.Has(tracer.ACK)
	if ack && (!before(m.una, s.Ack) || before(m.nxt, s.Ack)) {
		return // it acknowledges what was not sent: a RST goes out, if it is none itself
	}
	if s.Flags.Has(tracer.RST) {
		if ack {
			m.change(tracer.Closed, by(n, "RST"))
		}
		return
	}
	if !s.Flags.Has(tracer.SYN) {
		return
	}
	m.synFrom(s)
	if !ack {
		m.change(tracer.SynReceived, by(n, "SYN"))
		m.rcv.add(s.Seq+1, s.Len, s.Flags.Has(tracer.FIN), n)
		return
	}
	m.una = s.Ack
	m.change(tracer.Established, by(n, "SYN ACK"))
	m.take(n, s, s.Seq+1)
}

// arrives is 3.10.7.4.
func (m *Machine) arrives(n uint64, s *tracer.Segment) {
	if m.state == tracer.TimeWait {
		return // its end is not visible
	}
	m.answer = tracer.Cause{}
	if s.Len > 0 {
		m.answer = by(n, "data after close")
	}
	if s.Flags.Has(tracer.RST) {
		// RFC 9293 wants RCV.NXT itself. Which of the numbers since the last
		// acknowledgment that is, the end alone knows.
		if !before(s.Seq, m.lowest()) && !before(m.rcv.next, s.Seq) {
			m.change(tracer.Closed, by(n, "RST"))
		}
		return
	}
	opens := m.crossedSYN(s)
	if !opens && (s.Flags.Has(tracer.SYN) || !m.acceptable(s)) {
		return // it is answered with an ACK
	}
	if !s.Flags.Has(tracer.ACK) || before(m.nxt, s.Ack) {
		return
	}
	if m.state == tracer.SynReceived {
		if !before(m.una, s.Ack) {
			return
		}
		m.change(tracer.Established, by(n, "ACK of our SYN"))
	}
	m.una = latest(m.una, s.Ack)
	seq := s.Seq
	if s.Flags.Has(tracer.SYN) {
		seq++
	}
	m.take(n, s, seq)
}

// crossedSYN tells whether a segment is the SYN+ACK of a simultaneous open, which
// repeats the SYN that the end has, and acknowledges its own (RFC 9293, figure 7).
func (m *Machine) crossedSYN(s *tracer.Segment) bool {
	return m.state == tracer.SynReceived && !m.passive && !m.opts.OpensOnACK &&
		s.Flags.Has(tracer.SYN|tracer.ACK) && s.Seq == m.irs
}

// lowest is the least that RCV.NXT can be.
func (m *Machine) lowest() uint32 {
	if m.hasLow && before(m.low, m.rcv.next) {
		return m.low
	}
	return m.rcv.next
}

// acceptable is the test of 3.10.7.4, first, for every RCV.NXT that the end can have.
func (m *Machine) acceptable(s *tracer.Segment) bool {
	right := m.rcv.next + maxAhead
	if m.hasEdge {
		right = latest(m.edge, m.rcv.next)
	}
	if before(right, s.Seq) {
		return false
	}
	if n := size(s); n > 0 {
		return before(m.lowest(), s.Seq+n)
	}
	return !before(s.Seq, m.lowest())
}

// take makes of an acceptable segment what its ACK, its bytes, which begin at seq,
// and its FIN make of it: 3.10.7.4, fifth, seventh and eighth.
func (m *Machine) take(n uint64, s *tracer.Segment, seq uint32) {
	m.rcv.add(seq, s.Len, s.Flags.Has(tracer.FIN), n)
	m.proceed(n, s.Flags.Has(tracer.FIN))
}

// finAcked tells whether the end's own FIN is acknowledged.
func (m *Machine) finAcked() bool { return m.finSent && before(m.finSeq, m.una) }

// proceed makes the changes that the two FINs allow; n is the segment that did it,
// fin says that it bears one.
func (m *Machine) proceed(n uint64, fin bool) {
	what := "data that completes the stream up to the FIN"
	if fin {
		what = "FIN"
	}
	closed := m.rcv.taken
	switch m.state {
	case tracer.Established:
		if closed {
			m.change(tracer.CloseWait, by(n, what))
		}
	case tracer.FinWait1:
		switch {
		case closed && m.finAcked():
			if fin {
				what = "FIN with the ACK of our FIN"
			}
			m.change(tracer.TimeWait, by(n, what))
		case m.finAcked():
			m.change(tracer.FinWait2, by(n, "ACK of our FIN"))
		case closed:
			m.change(tracer.Closing, by(n, what))
		}
	case tracer.FinWait2:
		if closed {
			m.change(tracer.TimeWait, by(n, what))
		}
	case tracer.Closing:
		if m.finAcked() {
			m.change(tracer.TimeWait, by(n, "ACK of our FIN"))
		}
	case tracer.LastAck:
		if m.finAcked() {
			m.change(tracer.Closed, by(n, "ACK of our FIN"))
		}
	case tracer.Closed, tracer.Listen, tracer.SynSent, tracer.SynReceived, tracer.CloseWait, tracer.TimeWait:
	}
}
