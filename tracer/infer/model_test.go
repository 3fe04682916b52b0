package infer_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/infer"
)

// station is a small TCP of the test's own, with no loss to fear: it knows its state.
type station struct {
	name             string
	state            tracer.State
	una, nxt, rcv    uint32
	closed, finAcked bool
	owes             bool // an ACK, which the next segment may bear
	finSeq           uint32
	path             []string
	out              []tracer.Segment // sent, on its way to the tap
	in               []tracer.Segment // past the tap, on its way to it
}

func (s *station) to(next tracer.State) {
	s.path = append(s.path, fmt.Sprintf("%s → %s", s.state, next))
	s.state = next
}

func (s *station) send(flags tracer.Flags, length int) {
	seg := tracer.Segment{Flags: flags, Seq: s.nxt, Len: length, Win: 60000}
	if flags.Has(tracer.ACK) {
		seg.Ack, s.owes = s.rcv, false
	}
	s.nxt += uint32(length)
	if flags&(tracer.SYN|tracer.FIN) != 0 {
		s.nxt++
	}
	s.out = append(s.out, seg)
}

func (s *station) connect() {
	s.to(tracer.SynSent)
	s.send(tracer.SYN, 0)
}

func (s *station) close(length int) {
	next := tracer.FinWait1
	if s.state == tracer.CloseWait {
		next = tracer.LastAck
	}
	s.to(next)
	s.closed, s.finSeq = true, s.nxt+uint32(length)
	s.send(tracer.FIN|tracer.ACK, length)
}

// open is the handshake's part of arrive; false where the segment is to be handled
// like any other.
func (s *station) open(seg tracer.Segment) bool {
	switch s.state {
	case tracer.Listen:
		s.rcv = seg.Seq + 1
		s.to(tracer.SynReceived)
		s.send(tracer.SYN|tracer.ACK, 0)
	case tracer.SynSent:
		s.rcv = seg.Seq + 1
		if seg.Flags.Has(tracer.ACK) {
			s.una = seg.Ack
			s.to(tracer.Established)
			s.send(tracer.ACK, 0)
			break
		}
		s.to(tracer.SynReceived)
		s.nxt = s.una // the same SYN, with an ACK
		s.send(tracer.SYN|tracer.ACK, 0)
	case tracer.SynReceived:
		s.una = seg.Ack
		s.to(tracer.Established)
		return seg.Flags.Has(tracer.SYN)
	default:
		return seg.Flags.Has(tracer.SYN)
	}
	return true
}

// arrive handles the next segment that is on its way.
func (s *station) arrive() {
	seg := s.in[0]
	s.in = s.in[1:]
	if s.open(seg) || s.state == tracer.Closed {
		return
	}
	s.una = seg.Ack
	s.finAcked = s.closed && int32(seg.Ack-s.finSeq) > 0
	fin := seg.Flags.Has(tracer.FIN)
	s.rcv = seg.Seq + uint32(seg.Len)
	if fin {
		s.rcv++
	}
	switch {
	case s.state == tracer.Established && fin:
		s.to(tracer.CloseWait)
	case s.state == tracer.FinWait1 && fin && s.finAcked, s.state == tracer.FinWait2 && fin, s.state == tracer.Closing && s.finAcked:
		s.to(tracer.TimeWait)
	case s.state == tracer.FinWait1 && fin:
		s.to(tracer.Closing)
	case s.state == tracer.FinWait1 && s.finAcked:
		s.to(tracer.FinWait2)
	case s.state == tracer.LastAck && s.finAcked:
		s.to(tracer.Closed)
	}
	s.owes = s.owes || seg.Len > 0 || fin
}

// passes lets the tap see the next segment.
func passes(w *wire, from, to *station) {
	seg := from.out[0]
	from.out = from.out[1:]
	to.in = append(to.in, seg)
	w.add(from.name, tracer.Out, seg)
	w.add(to.name, tracer.In, seg)
}

// TestModel: two stations talk, and what is on its way takes its time on both sides
// of a tap; the tap's record gives both their paths.
func TestModel(t *testing.T) {
	crossed := map[string]bool{}
	run := func(rt *rapid.T) {
		iss := rapid.SampledFrom([]uint32{100, 0xfffffffe, 0x7fffffff})
		a, b := &station{name: "A"}, &station{name: "B"}
		a.una = iss.Draw(rt, "ISS of A")
		b.una = iss.Draw(rt, "ISS of B") + 1
		a.nxt, b.nxt = a.una, b.una
		both := rapid.Bool().Draw(rt, "simultaneous open")
		if a.connect(); both {
			b.connect()
		} else {
			b.state = tracer.Listen
		}
		w := &wire{t: t}
		for range 200 {
			moves := movesOf(w, a, b)
			if len(moves) == 0 {
				break
			}
			moves[rapid.IntRange(0, len(moves)-1).Draw(rt, "move")]()
		}
		for moves := movesOf(w, a, b); len(moves) > 0; moves = movesOf(w, a, b) {
			moves[0]()
		}
		got := map[string][]string{}
		for _, e := range infer.Infer(w.events, infer.Options{}) {
			if c := e.Body.(*tracer.StateChange); e.Conn != 2 {
				got[e.Stack] = append(got[e.Stack], fmt.Sprintf("%s → %s", c.From, c.To))
			}
		}
		for _, s := range []*station{a, b} {
			for _, step := range s.path {
				crossed[step] = true
			}
			if !slices.Equal(s.path, got[s.name]) {
				rt.Fatalf("%s went %v, inferred %v", s.name, s.path, got[s.name])
			}
		}
	}
	steps := []string{"SYN-SENT → SYN-RECEIVED", "FIN-WAIT-1 → CLOSING", "FIN-WAIT-1 → TIME-WAIT", "LAST-ACK → CLOSED"}
	missing := func(step string) bool { return !crossed[step] }
	rapid.Check(t, run)
	for again := 0; again < 10 && slices.ContainsFunc(steps, missing); again++ { // with -short a check is 20 runs
		rapid.Check(t, run)
	}
	for _, step := range steps {
		if missing(step) {
			t.Errorf("no run made %s: this test shows less than it should", step)
		}
	}
}

// movesOf are what may happen next. What is on its way comes first, so that the first
// moves alone bring a run to its end.
func movesOf(w *wire, a, b *station) []func() {
	var moves []func()
	for _, ends := range [][2]*station{{a, b}, {b, a}} {
		s, other := ends[0], ends[1]
		if len(s.in) > 0 {
			moves = append(moves, s.arrive)
		}
		if len(s.out) > 0 {
			moves = append(moves, func() { passes(w, s, other) })
		}
	}
	for _, s := range []*station{a, b} {
		if s.owes {
			moves = append(moves, func() { s.send(tracer.ACK, 0) })
		}
		if s.state == tracer.Established || s.state == tracer.CloseWait {
			moves = append(moves, func() { s.close(0) }, func() { s.close(7) })
			if len(w.events) < 60 {
				moves = append(moves, func() { s.send(tracer.ACK|tracer.PSH, 5) })
			}
		}
	}
	return moves
}
