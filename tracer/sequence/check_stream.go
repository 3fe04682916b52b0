package sequence

import "slices"

// stream is what a trace has shown of one direction of a connection, at one end. Numbers count
// from the SYN's, which has 0.
type stream struct {
	spans  []span          // what has been seen, apart and in order
	ends   map[uint32]bool // where segments ended
	next   uint32          // after the highest
	fin    uint32          // the FIN's number
	hasFin bool
}

// span is [left, right) in sequence space.
type span struct{ left, right uint32 }

// add takes note of a segment's place.
func (s *stream) add(left, right uint32, fin bool) {
	if fin {
		s.fin, s.hasFin = right-1, true
	}
	if s.ends == nil {
		s.ends = map[uint32]bool{}
	}
	s.ends[right] = true
	s.next = max(s.next, right)
	if left == right {
		return
	}
	i, _ := slices.BinarySearchFunc(s.spans, left, func(p span, left uint32) int {
		if p.right < left {
			return -1
		}
		return 1
	})
	k := i
	for ; k < len(s.spans) && s.spans[k].left <= right; k++ {
		left, right = min(left, s.spans[k].left), max(right, s.spans[k].right)
	}
	s.spans = slices.Replace(s.spans, i, k, span{left, right})
}

// borders tells whether a number is where a segment ended: a receiver takes segments whole.
func (s *stream) borders(n uint32) bool { return n == 1 || s.ends[n] }

// inOrder returns the number after the last that has come without a gap from the first.
func (s *stream) inOrder() uint32 {
	if len(s.spans) == 0 || s.spans[0].left > 1 {
		return 1
	}
	return s.spans[0].right
}

// missing tells whether a part of [left, right) has not been seen although later numbers have.
func (s *stream) missing(left, right uint32) bool {
	right = min(right, s.next)
	for _, p := range s.spans {
		if p.left <= left && right <= p.right {
			return false
		}
	}
	return left < right
}

// bytes returns how many bytes of payload have been seen: neither SYN's nor FIN's number is one.
func (s *stream) bytes() uint64 {
	n := uint64(0)
	for _, p := range s.spans {
		n += uint64(p.right - p.left)
	}
	if len(s.spans) > 0 && s.spans[0].left == 0 && n > 0 {
		n--
	}
	if s.hasFin && n > 0 {
		n--
	}
	return n
}
