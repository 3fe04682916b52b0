package infer

import "appliance/tracer"

// Sent tells that the end sent a segment. It returns the changes that it shows, in
// order: those of the end's own making, and those whose segment the record lacks
// (their cause has N 0).
func (m *Machine) Sent(s *tracer.Segment) []Change {
	switch {
	case s.Flags.Has(tracer.RST):
		m.sentRST(s)
		return m.took()
	case s.Flags.Has(tracer.SYN):
		m.sentSYN(s)
		return m.took()
	case m.state == tracer.Closed && m.started && m.guess == nil, m.state == tracer.Listen:
		return nil
	case m.state == tracer.Closed:
		m.begin(s)
		if m.guess == nil || !m.observe(s, true) {
			return m.took()
		}
	case m.state == tracer.SynSent:
		if s.Flags.Has(tracer.ACK) { // the SYN+ACK is missing from the record
			m.missedSYN(s)
			m.una = m.nxt
			m.change(tracer.Established, by(0, "SYN ACK"))
		}
	}
	m.sentMore(s)
	return m.took()
}

// missedSYN learns from an acknowledgment what the SYN that the record lacks said.
func (m *Machine) missedSYN(s *tracer.Segment) {
	m.hasRcv, m.irs = true, s.Ack-1
	m.rcv = stream{next: s.Ack}
}

// sentSYN is a SYN, or a SYN with an ACK.
func (m *Machine) sentSYN(s *tracer.Segment) {
	if m.guess != nil || m.hasISS && m.iss != s.Seq || m.state == tracer.Closed && m.started {
		return // of another connection
	}
	m.started = true
	first := !m.hasISS
	if first {
		m.hasISS, m.iss, m.una, m.nxt = true, s.Seq, s.Seq, s.Seq
	}
	m.nxt = latest(m.nxt, s.Seq+size(s))
	ack := s.Flags.Has(tracer.ACK)
	switch {
	case m.state == tracer.Closed && !ack:
		m.change(tracer.SynSent, m.callCause("connect", "connect"))
	case m.state == tracer.Listen && !ack: // RFC 9293, 3.10.2: SEND makes it active
		m.passive = false
		m.change(tracer.SynSent, m.callCause("send", "connect", "send"))
	case m.state == tracer.SynSent && ack, m.state == tracer.Listen && ack:
		m.missedSYN(s)
		m.change(tracer.SynReceived, by(0, "SYN"))
	case m.state == tracer.Closed:
		m.state, m.passive = tracer.Listen, true
		m.missedSYN(s)
		m.change(tracer.SynReceived, by(0, "SYN"))
	}
	if ack {
		m.acknowledges(s)
	}
}

// acknowledges learns from the acknowledgment and the window that the end sent.
func (m *Machine) acknowledges(s *tracer.Segment) {
	m.low, m.hasLow = latest(s.Ack, m.lowest()), true
	if !m.hasISS || !m.sawSYN {
		return // the window's scale is not known
	}
	if edge := s.Ack + s.Win; !m.hasEdge || before(m.edge, edge) {
		m.edge, m.hasEdge = edge, true
	}
}

// sentMore is a segment of a connection that has left SYN-SENT.
func (m *Machine) sentMore(s *tracer.Segment) {
	m.answer = tracer.Cause{}
	m.nxt = latest(m.nxt, s.Seq+size(s))
	if s.Flags.Has(tracer.ACK) {
		if m.hasRcv && before(m.rcv.next, s.Ack) { // it has received what the record lacks
			had := m.rcv.taken
			m.rcv.advance(s.Ack)
			if m.rcv.taken && !had {
				m.proceed(m.rcv.finN, true)
			}
		}
		m.acknowledges(s)
	}
	if !s.Flags.Has(tracer.FIN) || m.finSent {
		return
	}
	switch m.state {
	case tracer.SynReceived, tracer.Established:
		m.sentFIN(s, tracer.FinWait1)
	case tracer.CloseWait:
		m.sentFIN(s, tracer.LastAck)
	case tracer.Closed, tracer.Listen, tracer.SynSent, tracer.FinWait1, tracer.FinWait2, tracer.Closing, tracer.LastAck,
		tracer.TimeWait:
	}
}

func (m *Machine) sentFIN(s *tracer.Segment, to tracer.State) {
	m.finSent, m.finSeq = true, s.Seq+size(s)-1
	m.change(to, m.callCause("close or shutdown", "shutdown", "close"))
}

// sentRST is a RST: one that ends the end's own connection takes a sequence number
// that the other end has not passed (RFC 9293, 3.5.2); others answer a stray.
func (m *Machine) sentRST(s *tracer.Segment) {
	switch m.state {
	case tracer.Closed, tracer.Listen, tracer.SynSent, tracer.TimeWait:
		return // an answer: it stays what it is
	case tracer.SynReceived, tracer.Established, tracer.FinWait1, tracer.FinWait2, tracer.CloseWait, tracer.Closing,
		tracer.LastAck:
	}
	if before(s.Seq, m.una) || before(m.nxt, s.Seq) {
		return
	}
	cause := m.callCause("abort", "close", closeOfListener)
	if m.finSent && cause.N < m.answer.N {
		cause = m.answer // it has closed for good: nobody reads what came
	}
	m.change(tracer.Closed, cause)
}

// closeOfListener is the call that ends a child which was not accepted.
const closeOfListener = "close of the listener"
