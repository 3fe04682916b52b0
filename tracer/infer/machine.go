package infer

import (
	"appliance/tracer"
)

// WasOpen is the What of the one change that is told of a connection which was open
// before its first segment was seen.
const WasOpen = "already open when the trace began"

// Change is one change of state.
type Change struct {
	From, To tracer.State
	Cause    tracer.Cause
}

// MachineOptions are a Machine's settings.
type MachineOptions struct {
	// Listening says that the end starts in LISTEN: a child of a listener.
	Listening bool
	// OpensOnACK says that in a simultaneous open the end opens on the other's next
	// ACK, as gVisor and Linux before 6.12 do, and not on its SYN+ACK, as figure 7 of
	// RFC 9293 has it.
	OpensOnACK bool
}

// Machine is one end of one connection: RFC 9293's machine, as far as segments show
// it. The zero value is not ready: use [NewMachine].
type Machine struct {
	opts    MachineOptions
	state   tracer.State
	started bool // a segment has come
	guess   *guess
	changes []Change // of the call in progress

	hasISS   bool
	iss      uint32
	una, nxt uint32 // SND.UNA, SND.NXT
	finSent  bool
	finSeq   uint32

	hasRcv   bool
	sawSYN   bool // the other end's SYN is on record
	irs      uint32
	passive  bool
	rcv      stream
	low      uint32 // the acknowledgment sent last: RCV.NXT is there or behind it
	hasLow   bool
	edge     uint32 // the right edge of the window offered
	hasEdge  bool
	answer   tracer.Cause // what was received last, if it was data and nothing was sent since
	finCalls []calling    // calls that a FIN or a RST may come from, unused
}

// calling is a call of the end's.
type calling struct {
	n    uint64
	name string
}

// NewMachine returns a machine in CLOSED, or in LISTEN.
func NewMachine(o MachineOptions) *Machine {
	m := &Machine{opts: o}
	if o.Listening {
		m.state, m.passive = tracer.Listen, true
	}
	return m
}

// State returns the state; CLOSED while it is not known.
func (m *Machine) State() tracer.State { return m.state }

// Known tells whether the state is known: false for a connection that was open
// before its first segment, until there is evidence.
func (m *Machine) Known() bool { return m.guess == nil }

// Called tells of a call of the end's: connect, shutdown or close, with the number
// of its enter. It explains the next change that such a call can make.
func (m *Machine) Called(n uint64, name string) {
	m.finCalls = append(m.finCalls, calling{n, name})
}

// GaveUp tells that the end's program was told that its connect timed out: the
// retransmission timer has closed a connection that never came to be (RFC 9293, 3.8.3).
func (m *Machine) GaveUp() []Change {
	if m.state == tracer.SynSent || m.state == tracer.SynReceived {
		m.change(tracer.Closed, tracer.Cause{Kind: tracer.CauseTimer, What: "retransmit timer"})
	}
	return m.took()
}

// callCause takes the first call of the names that nothing has been explained by;
// otherwise is what it must have been where none is known.
func (m *Machine) callCause(otherwise string, names ...string) tracer.Cause {
	for i, c := range m.finCalls {
		for _, name := range names {
			if c.name == name {
				m.finCalls = append(m.finCalls[:i:i], m.finCalls[i+1:]...)
				return tracer.Cause{Kind: tracer.CauseCall, N: c.n, What: c.name}
			}
		}
	}
	return tracer.Cause{Kind: tracer.CauseCall, What: otherwise}
}

func (m *Machine) change(to tracer.State, cause tracer.Cause) {
	m.changes = append(m.changes, Change{From: m.state, To: to, Cause: cause})
	m.state = to
}

// took returns the changes of the call in progress.
func (m *Machine) took() []Change {
	c := m.changes
	m.changes = nil
	return c
}

// size is a segment's length in sequence numbers (RFC 9293, 3.4: SEG.LEN).
func size(s *tracer.Segment) uint32 {
	n := uint32(max(s.Len, 0)) //nolint:gosec // modulo 2^32 is meant
	if s.Flags.Has(tracer.SYN) {
		n++
	}
	if s.Flags.Has(tracer.FIN) {
		n++
	}
	return n
}

func by(n uint64, what string) tracer.Cause {
	return tracer.Cause{Kind: tracer.CauseSegment, N: n, What: what}
}

// synchronized tells whether both ends know each other's sequence numbers.
func (m *Machine) synchronized() bool {
	switch m.state {
	case tracer.Closed, tracer.Listen, tracer.SynSent, tracer.SynReceived:
		return false
	default:
		return true
	}
}

// guess is what the segments of a connection that was open before the first of them
// have shown: of the end itself, and of the other.
type guess struct {
	own, other shown
	low        uint32 // the end's last acknowledgment
	lost       bool   // a FIN came before the evidence
}

// shown is what one end has shown.
type shown struct {
	has  bool
	next uint32
	open bool // it had not sent its FIN when the trace began
}

// look takes a segment as evidence: data, or a FIN where the stream had been before.
func (w *shown) look(s *tracer.Segment) {
	if s.Len > 0 || s.Flags.Has(tracer.FIN) && w.has && w.next == s.Seq {
		w.open = true
	}
}

func (w *shown) advance(s *tracer.Segment) {
	end := s.Seq + size(s)
	if !w.has {
		w.has, w.next = true, end
	}
	w.next = latest(w.next, end)
}

// observe learns from a segment of a connection whose state is not known. It
// returns true when the state is known from here on; the segment is then still to
// be processed.
func (m *Machine) observe(s *tracer.Segment, sent bool) bool {
	g := m.guess
	if g.lost || s.Flags&(tracer.SYN|tracer.RST) != 0 || !s.Flags.Has(tracer.ACK) {
		return false
	}
	w := &g.other
	if sent {
		w = &g.own
	}
	w.look(s)
	if g.own.open && g.other.open {
		m.believe(s, sent)
		return true
	}
	w.advance(s)
	if sent {
		g.low = s.Ack
	}
	g.lost = s.Flags.Has(tracer.FIN)
	return false
}

// believe takes the connection for ESTABLISHED at the segment that is the last of
// the evidence.
func (m *Machine) believe(s *tracer.Segment, sent bool) {
	g := m.guess
	m.guess = nil
	own, other := s.Seq, s.Ack // of the first segment of a direction
	if !sent {
		own, other = s.Ack, s.Seq
	}
	if !g.own.has {
		g.own.next = own
	}
	if !g.other.has {
		g.other.next = other
	}
	m.nxt, m.una = g.own.next, g.own.next
	m.rcv.next, m.hasRcv = g.other.next, true
	m.low, m.hasLow = g.low, g.own.has
	m.change(tracer.Established, tracer.Cause{Kind: tracer.CauseStack, What: WasOpen})
}
