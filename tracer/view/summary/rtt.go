package summary

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"appliance/tracer"
)

// RTT are round trip times: from a segment to the first acknowledgment that covers it, as
// the stack saw them go and come. Of segments that were sent more than once there is none
// (Karn's algorithm, RFC 6298, 3). Min and max are exact, the others within 1.6 %.
type RTT struct {
	Samples uint64        `json:"samples"`
	Min     time.Duration `json:"min_ns"`
	Median  time.Duration `json:"median_ns"`
	P99     time.Duration `json:"p99_ns"`
	Max     time.Duration `json:"max_ns"`
}

// maxPending is how many segments are timed at once; where more are on their way, the
// others are not timed.
const maxPending = 16

// pending are the segments on their way that are being timed, in order.
type pending struct {
	segments []timed
}

type timed struct {
	end uint32 // the acknowledgment that covers it
	at  time.Duration
}

// sent takes note of an outbound segment.
func (p *pending) sent(at time.Duration, g *tracer.Segment, again bool) {
	end := g.Seq + uint32(max(g.Len, 0))
	if g.Flags.Has(tracer.SYN) {
		end++
	}
	if g.Flags.Has(tracer.FIN) {
		end++
	}
	switch {
	case again:
		p.segments = p.segments[:0] // which of the two an acknowledgment is for, nobody knows
	case end == g.Seq || g.Dropped != "" || len(p.segments) >= maxPending:
	case len(p.segments) > 0 && int32(end-p.segments[len(p.segments)-1].end) <= 0: // sent before
	default:
		p.segments = append(p.segments, timed{end, at})
	}
}

// acked returns the time that the newest of the segments took which an inbound one covers.
func (p *pending) acked(at time.Duration, g *tracer.Segment) (d time.Duration, ok bool) {
	if !g.Flags.Has(tracer.ACK) {
		return 0, false
	}
	n := 0
	for n < len(p.segments) && int32(g.Ack-p.segments[n].end) >= 0 {
		d = at - p.segments[n].at
		n++
	}
	p.segments = p.segments[:copy(p.segments, p.segments[n:])]
	return max(d, 0), n > 0
}

// histogram counts times in buckets whose width is a thirty-second of their values.
type histogram struct {
	n        uint64
	min, max time.Duration
	buckets  []bucket // sorted; those that have any
}

type bucket struct {
	key uint16
	n   uint32
}

// subBits says into how many buckets a doubling is divided.
const subBits = 5

// keyOf returns a value's bucket.
func keyOf(d time.Duration) uint16 {
	v := uint64(d)
	if v < 1<<subBits {
		return uint16(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return uint16((shift+1)<<subBits) + uint16(v>>shift&(1<<subBits-1))
}

// middle returns the value in the middle of a bucket.
func middle(key uint16) time.Duration {
	if key < 1<<subBits {
		return time.Duration(key)
	}
	shift := int(key>>subBits) - 1
	low := (1<<subBits | uint64(key)&(1<<subBits-1)) << shift
	return time.Duration(low + 1<<shift/2)
}

func (h *histogram) add(d time.Duration) {
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.n++
	h.count(keyOf(d), 1)
}

func (h *histogram) count(key uint16, n uint32) {
	i, ok := slices.BinarySearchFunc(h.buckets, key, func(b bucket, key uint16) int { return int(b.key) - int(key) })
	if !ok {
		h.buckets = slices.Insert(h.buckets, i, bucket{key: key})
	}
	if sum := h.buckets[i].n + n; sum >= n { // 2³² of one connection's in a bucket is enough
		h.buckets[i].n = sum
	}
}

// merge adds another's counts.
func (h *histogram) merge(o *histogram) {
	if o.n == 0 {
		return
	}
	if h.n == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.n += o.n
	for _, b := range o.buckets {
		h.count(b.key, b.n)
	}
}

// quantile returns the smallest value that the share q of all do not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q*float64(h.n))) - 1
	var below uint64
	for _, b := range h.buckets {
		if below += uint64(b.n); below > rank {
			return min(max(middle(b.key), h.min), h.max)
		}
	}
	return h.max
}

// summary returns what is told of them, nil where there are none.
func (h *histogram) summary() *RTT {
	if h.n == 0 {
		return nil
	}
	return &RTT{Samples: h.n, Min: h.min, Median: h.quantile(0.5), P99: h.quantile(0.99), Max: h.max}
}
