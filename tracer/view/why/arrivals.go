package why

import (
	"slices"

	"appliance/tracer"
)

const (
	maxAhead = 1024 // what is remembered of a stream with holes
	maxAsks  = 64   // segments that call for an ACK and did not get it
)

// span is [left, right) in sequence space.
type span struct{ left, right uint32 }

// arrivals are the segments that came, as a receiver puts them together: which of them brought
// RCV.NXT where it is, and which call for an ACK that says nothing new.
type arrivals struct {
	onWire   bool // they were seen on their way: some may not have come, or in another order
	known    bool
	irs      uint32 // the SYN's number
	hasIRS   bool
	next     uint32
	ahead    []span
	reached  map[uint32]uint64 // by where it brought next, the segment; 0 where it may have been another
	asks     []uint64          // those that an ACK with the number of the one before answers
	acked    uint32            // the last acknowledgment that went out
	hasAcked bool
	doubt    uint64 // up to this one it is not known which ACK answers which
}

// add takes a segment; shut says that there was no window for it.
func (r *arrivals) add(n uint64, g *tracer.Segment, shut bool) {
	left, right := g.Seq, behind(g)
	if g.Flags.Has(tracer.RST) {
		return
	}
	if g.Flags.Has(tracer.SYN) && (!r.hasIRS || r.irs != left) {
		r.begin(left)
		r.irs, r.hasIRS = left, true
	}
	switch {
	case !r.known:
	case left == right:
		if left != r.next {
			r.ask(n)
		}
	case !shut && r.insert(span{left, right}):
		r.reached[r.next] = n
	default:
		r.reached[right] = 0
		r.distrust()
		r.ask(n)
	}
}

// ask takes note of a segment that calls for an ACK which says nothing new.
func (r *arrivals) ask(n uint64) {
	if len(r.asks) == maxAsks {
		r.asks, r.doubt = r.asks[1:], r.asks[maxAsks-1]
	}
	r.asks = append(r.asks, n)
}

// begin says that next is known.
func (r *arrivals) begin(next uint32) {
	*r = arrivals{onWire: r.onWire, known: true, next: next, reached: map[uint32]uint64{}}
}

// distrust forgets what brought next where it is: a repeat, or an ACK that says nothing new, may
// mean that something else did.
func (r *arrivals) distrust() {
	if r.onWire {
		clear(r.reached)
	}
}

// insert adds what came, and tells whether next has moved.
func (r *arrivals) insert(s span) bool {
	was := r.next
	r.ahead = append(r.ahead, s)
	for again := true; again; {
		again = false
		r.ahead = slices.DeleteFunc(r.ahead, func(s span) bool {
			if before(r.next, s.left) {
				return false
			}
			if before(r.next, s.right) {
				r.next, again = s.right, true
			}
			return true
		})
	}
	if len(r.ahead) > maxAhead {
		r.ahead = r.ahead[1:]
	}
	return r.next != was
}

// acknowledge takes note of an acknowledgment that went out.
func (r *arrivals) acknowledge(ack uint32) {
	if !r.known {
		r.begin(ack)
	}
	if r.hasAcked && ack == r.acked {
		r.distrust()
	}
	r.acked, r.hasAcked = ack, true
	if n := r.reached[ack]; n != 0 {
		r.asks = slices.DeleteFunc(r.asks, func(m uint64) bool { return m < n })
	}
	if before(r.next, ack) {
		r.next = ack // the trace lacks what came
		r.insert(span{ack, ack})
	}
	delete(r.reached, ack)
}

// answer takes the segment that an ACK which says nothing new answers; 0 where it is not known.
func (r *arrivals) answer() uint64 {
	if len(r.asks) == 0 {
		return 0
	}
	n, last := r.asks[0], r.asks[len(r.asks)-1]
	r.asks = r.asks[1:]
	if n != last {
		r.doubt = last
	}
	if n <= r.doubt {
		return 0
	}
	return n
}

// before tells whether a comes before b in sequence space (RFC 9293, 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 } //nolint:gosec // modulo 2^32 is meant
