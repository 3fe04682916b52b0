package infer

import "slices"

// before tells whether a comes before b in sequence space (RFC 9293, 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 } //nolint:gosec // modulo 2^32 is meant

// latest returns the later of two sequence numbers.
func latest(a, b uint32) uint32 {
	if before(a, b) {
		return b
	}
	return a
}

// maxSpans bounds what is remembered of a stream with holes.
const maxSpans = 1024

// span is [left, right) in sequence space.
type span struct{ left, right uint32 }

// stream is what an end has received: RCV.NXT, what has come ahead of it, and the
// FIN.
//
//	       next      ahead[0]       ahead[1]
//	--------|.........=====.........========|F
//	all here                                 finSeq
type stream struct {
	next   uint32
	ahead  []span // in order, apart from each other
	fin    bool   // a FIN has come, at finSeq
	finSeq uint32
	finN   uint64 // its event
	taken  bool   // all before it has come too
}

// add takes length bytes from seq on, and the FIN behind them; n is their event.
func (s *stream) add(seq uint32, length int, fin bool, n uint64) {
	right := seq + uint32(length) //nolint:gosec // modulo 2^32 is meant
	if fin && !s.fin {
		s.fin, s.finSeq, s.finN = true, right, n
	}
	if before(s.next, right) {
		s.insert(span{latest(seq, s.next), right})
	}
	s.settle()
}

func (s *stream) insert(g span) {
	i := 0
	for i < len(s.ahead) && before(s.ahead[i].right, g.left) {
		i++
	}
	j := i
	for j < len(s.ahead) && !before(g.right, s.ahead[j].left) {
		if before(s.ahead[j].left, g.left) {
			g.left = s.ahead[j].left
		}
		g.right = latest(g.right, s.ahead[j].right)
		j++
	}
	s.ahead = slices.Replace(s.ahead, i, j, g)
	if len(s.ahead) > maxSpans {
		s.ahead = s.ahead[:maxSpans]
	}
}

// advance says that all before to has come, whatever was seen of it.
func (s *stream) advance(to uint32) {
	if before(s.next, to) {
		s.next = to
	}
	s.settle()
}

// settle moves next over what stands at it, and takes the FIN when it is its turn.
func (s *stream) settle() {
	for len(s.ahead) > 0 && !before(s.next, s.ahead[0].left) {
		s.next = latest(s.next, s.ahead[0].right)
		s.ahead = s.ahead[1:]
	}
	if s.fin && !s.taken && !before(s.next, s.finSeq) {
		s.taken = true
		s.next = latest(s.next, s.finSeq+1)
		s.ahead = nil
	}
}
