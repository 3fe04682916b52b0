package qlog

import (
	"slices"

	"appliance/tracer"
)

// flowKey names an end of a connection.
type flowKey struct {
	stack string
	conn  uint32
}

// flow is what the packets of a connection have shown, seen from one end: it makes numbers
// and offsets of what TCP counts in bytes.
type flow struct {
	started  bool
	sent     half
	received half
	recovery string
}

// half is one direction.
type half struct {
	next    uint64 // the next packet's number
	pending []flying
	hasBase bool
	base    uint32 // the sequence number of the stream's first byte
	top     uint64 // the offset behind the last byte seen, to tell how often numbers went round
	edge    uint64 // the max_data that it announced last
}

// flying is a packet that was neither acknowledged nor lost yet.
type flying struct {
	number      uint64
	left, right uint32 // its sequence numbers
	frame       *streamFrame
}

// maxFlying bounds what is remembered of a direction that is never acknowledged.
const maxFlying = 1 << 15

// before tells whether a comes before b in sequence space (RFC 9293, 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 } //nolint:gosec // modulo 2^32 is meant

// size is a segment's length in sequence numbers.
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

// offset is where in the stream a sequence number stands: 64 bits of the 32.
func (h *half) offset(seq uint32) uint64 {
	delta := int64(int32(seq - h.base - uint32(h.top))) //nolint:gosec // modulo 2^32 is meant
	if at := int64(h.top) + delta; at > 0 {             //nolint:gosec // a stream is below 2^63 bytes
		return uint64(at)
	}
	return 0
}

// learn finds where the stream begins: behind the SYN, or at the first segment that was seen.
func (h *half) learn(s *tracer.Segment) {
	switch {
	case s.Flags.Has(tracer.SYN):
		if base := s.Seq + 1; !h.hasBase || base != h.base {
			*h = half{next: h.next, hasBase: true, base: base}
		}
	case h.hasBase || s.Flags.Has(tracer.RST):
	case s.HasRel:
		h.hasBase, h.base = true, s.Seq-s.RelSeq+1
	default:
		h.hasBase, h.base = true, s.Seq
	}
}

// stream is the frame of a segment's payload and FIN; nil for none.
func (h *half) stream(s *tracer.Segment) *streamFrame {
	fin := s.Flags.Has(tracer.FIN)
	if s.Len <= 0 && !fin || !h.hasBase {
		return nil
	}
	seq := s.Seq
	if s.Flags.Has(tracer.SYN) {
		seq++
	}
	f := &streamFrame{FrameType: "stream", Offset: h.offset(seq), Length: max(s.Len, 0), Fin: fin}
	h.top = max(h.top, f.Offset+uint64(f.Length)) //nolint:gosec // a length is not negative
	return f
}

// took returns the number of the next packet, and remembers it where it is to be
// acknowledged.
func (h *half) took(s *tracer.Segment, f *streamFrame) uint64 {
	n := h.next
	h.next++
	if size(s) > 0 && !s.Flags.Has(tracer.RST) {
		if len(h.pending) >= maxFlying {
			h.pending = slices.Delete(h.pending, 0, maxFlying/2)
		}
		h.pending = append(h.pending, flying{n, s.Seq, s.Seq + size(s), f})
	}
	return n
}

// acknowledged takes what an acknowledgment covers out of those that fly, and returns the
// ranges of their numbers.
func (h *half) acknowledged(s *tracer.Segment) [][2]uint64 {
	return rangesOf(h.take(func(p *flying) bool {
		if !before(s.Ack, p.right) {
			return true
		}
		for _, b := range s.Opts.SACK {
			if !before(p.left, b.Left) && !before(b.Right, p.right) {
				return true
			}
		}
		return false
	}))
}

// lost takes what a segment repeats out of those that fly.
func (h *half) lost(s *tracer.Segment) []flying {
	left, right := s.Seq, s.Seq+size(s)
	return h.take(func(p *flying) bool { return before(p.left, right) && before(left, p.right) })
}

func (h *half) take(which func(*flying) bool) []flying {
	var taken []flying
	h.pending = slices.DeleteFunc(h.pending, func(p flying) bool {
		if !which(&p) {
			return false
		}
		taken = append(taken, p)
		return true
	})
	return taken
}

// rangesOf joins numbers, which rise, to ranges.
func rangesOf(list []flying) [][2]uint64 {
	var ranges [][2]uint64
	for _, p := range list {
		if n := len(ranges); n > 0 && ranges[n-1][1]+1 == p.number {
			ranges[n-1][1] = p.number
			continue
		}
		ranges = append(ranges, [2]uint64{p.number, p.number})
	}
	return ranges
}

// announced is the window's right edge as an offset in the other direction's stream; ok is
// false where it is the one that was announced before.
func (h *half) announced(s *tracer.Segment, other *half) (edge uint64, ok bool) {
	if !other.hasBase || !s.Flags.Has(tracer.ACK) || s.Flags.Has(tracer.RST) {
		return 0, false
	}
	edge = other.offset(s.Ack) + uint64(s.Win)
	if edge <= h.edge { // a right edge that moves back is not QUIC's
		return 0, false
	}
	h.edge = edge
	return edge, true
}
