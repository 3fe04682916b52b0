package netstack

import (
	"slices"

	"appliance/tracer"
)

// half is what the segments of one direction have shown.
type half struct {
	hasISN bool
	isn    uint32
	hasWS  bool
	ws     uint8  // the window scale that its sender announced
	next   uint32 // the sequence number after the highest seen
	win    uint32 // the window last announced, bytes
	synWin uint32 // the window announced on its SYN, bytes
	ack    uint32 // the acknowledgment last sent
	hasAck bool
	hasTS  bool
	ts     uint32 // the newest of its timestamps (RFC 7323)
	fin    bool
	segs   uint64
	joined bool       // it was open before the first segment seen, and …
	first  uint32     // … all from this number on is next's and the gaps' to tell
	bytes  uint64     // payload, without repeats
	gaps   []interval // sequence space below next that has not been seen

	dupACKs  int    // in a row, sent by this side
	sacks    bool   // its last ACK bore SACK blocks
	rto      bool   // it is sending again after a retransmission time-out …
	rtoUntil uint32 // … until this is acknowledged
}

// maxGaps bounds what is remembered of a stream with holes. What fills one that is
// forgotten counts as a retransmission.
const maxGaps = 1024

// interval is [left, right) in sequence space.
type interval struct{ left, right uint32 }

// flow is what the segments of a connection have shown, both ways: it gives the
// trace relative numbers, scaled windows and notes. It decides nothing of a state.
type flow struct {
	in, out     half
	retransmits uint64
	joins       bool // its segments may be seen from the middle on
}

// halves returns the segment's own direction and the other.
func (f *flow) halves(d tracer.Direction) (own, other *half) {
	if d == tracer.In {
		return &f.in, &f.out
	}
	return &f.out, &f.in
}

// tell completes a segment's event with what its connection knows, and learns from it.
func (f *flow) tell(s *segment, body *tracer.Segment, why string) {
	own, other := f.halves(s.dir)
	if s.dropped != "" && s.dir == tracer.In {
		f.relate(s, body, own, other)
		return // the stack has not seen it
	}
	if s.flags.Has(tracer.SYN) && (!own.hasISN || own.isn != s.seq && own.bytes == 0) {
		*own = half{hasISN: true, isn: s.seq, next: s.seq, segs: own.segs, hasWS: s.opts.HasWS, ws: s.opts.WS}
	}
	if f.joins {
		own.join(s)
	}
	f.relate(s, body, own, other)
	body.Notes = f.notes(s, body, own, other, why)
	own.segs++
	if s.opts.HasTS && !own.overtook(s) {
		own.hasTS, own.ts = true, s.opts.TSVal
	}
	f.advance(s, own)
	own.win = body.Win
	if s.flags.Has(tracer.SYN) {
		own.synWin = body.Win
	}
	f.acknowledge(s, body, own, other)
}

// join begins a stream whose SYN was not seen at its first segment.
func (h *half) join(s *segment) {
	if !h.isKnown() && s.size() > 0 && !s.flags.Has(tracer.RST) {
		h.joined, h.first, h.next = true, s.seq, s.seq
	}
}

// isKnown tells whether next is known.
func (h *half) isKnown() bool { return h.hasISN || h.joined }

// precedes tells whether what comes before end was sent before all that has been seen: whether
// it is a repeat is then not known.
func (h *half) precedes(end uint32) bool {
	return h.joined && h.bytes < longAgo && !before(h.first, end)
}

// overtook tells whether a segment was sent before one that has been seen, by its timestamp.
func (h *half) overtook(s *segment) bool {
	return h.hasTS && s.opts.HasTS && before(s.opts.TSVal, h.ts)
}

// acknowledge learns from a segment's acknowledgment.
func (f *flow) acknowledge(s *segment, body *tracer.Segment, own, other *half) {
	if !s.flags.Has(tracer.ACK) || s.flags.Has(tracer.RST) {
		return
	}
	switch {
	case own.hasAck && s.ack == own.ack && hasNote(body, noteDupACK):
		own.dupACKs++
	case s.ack != own.ack:
		own.dupACKs = 0
	}
	own.ack, own.hasAck, own.sacks = s.ack, true, len(s.opts.SACK) > 0
	other.acknowledged(s.ack)
	if other.rto && !before(s.ack, other.rtoUntil) {
		other.rto = false
	}
}

func hasNote(body *tracer.Segment, note string) bool {
	for _, n := range body.Notes {
		if n == note {
			return true
		}
	}
	return false
}

// relate sets relative numbers and the window in bytes.
func (f *flow) relate(s *segment, body *tracer.Segment, own, other *half) {
	if own.hasISN {
		body.HasRel, body.RelSeq = true, s.seq-own.isn
	}
	if other.hasISN && s.flags.Has(tracer.ACK) {
		body.HasRelAck, body.RelAck = true, s.ack-other.isn
	}
	if own.hasWS && other.hasWS && !s.flags.Has(tracer.SYN) {
		body.Win = uint32(s.win) << min(own.ws, 14) // RFC 7323, 2.3
	}
}

// advance learns which sequence numbers the segment has shown.
func (f *flow) advance(s *segment, own *half) {
	if !own.isKnown() || s.size() == 0 || s.flags.Has(tracer.RST) {
		return
	}
	end := s.end()
	if s.flags.Has(tracer.FIN) {
		own.fin = true
	}
	if own.precedes(s.seq+1) && !before(end, own.first) {
		own.first = s.seq
	}
	if before(own.next, s.seq) {
		if len(own.gaps) == maxGaps {
			own.gaps = own.gaps[1:]
		}
		own.gaps = append(own.gaps, interval{own.next, s.seq})
	}
	if before(own.next, end) {
		fresh := end - own.next
		if before(own.next, s.seq) {
			fresh = end - s.seq
		}
		own.bytes += uint64(fresh)
		own.next = end
	}
	own.fill(s.seq, end)
	if s.flags.Has(tracer.SYN) {
		own.bytes = 0 // the SYN's own number is not a byte
	}
}

// fill takes [left, right) out of the gaps and counts what it filled.
func (h *half) fill(left, right uint32) {
	if len(h.gaps) == 0 {
		return
	}
	var rest []interval
	for _, g := range h.gaps {
		if !before(g.left, right) || !before(left, g.right) {
			rest = append(rest, g)
			continue
		}
		l, r := left, right
		if before(l, g.left) {
			l = g.left
		}
		if before(g.right, r) {
			r = g.right
		}
		h.bytes += uint64(r - l)
		if before(g.left, l) {
			rest = append(rest, interval{g.left, l})
		}
		if before(r, g.right) {
			rest = append(rest, interval{r, g.right})
		}
	}
	h.gaps = rest
}

// acknowledged forgets the gaps below an acknowledgment: a capture may lack what arrived.
func (h *half) acknowledged(ack uint32) {
	if len(h.gaps) == 0 {
		return
	}
	h.gaps = slices.DeleteFunc(h.gaps, func(g interval) bool { return !before(ack, g.right) })
	for i := range h.gaps {
		if g := &h.gaps[i]; before(g.left, ack) {
			g.left = ack
		}
	}
}

// inGap tells whether a part of [left, right) has not been seen although later
// numbers have.
func (h *half) inGap(left, right uint32) bool {
	for _, g := range h.gaps {
		if before(g.left, right) && before(left, g.right) {
			return true
		}
	}
	return false
}

// expected is the number that comes next: on what comes in the first that has not been
// seen, RCV.NXT, which is in the lowest gap while there is one.
func (h *half) expected(d tracer.Direction) uint32 {
	next := h.next
	if d == tracer.In {
		for _, g := range h.gaps {
			if before(g.left, next) {
				next = g.left
			}
		}
	}
	return next
}

// longAgo is a number of bytes sent below half of the sequence space: until then its own
// numbers and those of an earlier connection of the same ends are told apart.
const longAgo = 1 << 30

// reached tells whether SND.UNA can be una: whether that is one of the numbers sent so far.
func (h *half) reached(una uint32) bool {
	return !h.hasISN || h.bytes >= longAgo || una-h.isn <= h.next-h.isn
}

// before tells whether a comes before b in sequence space (RFC 9293, 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 } //nolint:gosec // modulo 2^32 is meant

// The notes of a segment, as Wireshark calls them where it has a word.
const (
	noteRetransmission = "retransmission"
	noteFast           = "fast-retransmit"
	noteTLP            = "tail-loss-probe"
	noteDupACK         = "dup-ack"
	noteOutOfOrder     = "out-of-order"
	noteZeroWindow     = "zero-window"
	noteWindowProbe    = "window-probe"
	noteWindowUpdate   = "window-update"
	noteKeepalive      = "keepalive"
	notePiggyback      = "piggyback"
	noteCookie         = "syn-cookie"
)

// Most segments that have a note have one of these: they share the list. An append to
// it copies it.
var (
	onlyRetransmission = []string{noteRetransmission}
	onlyTLP            = []string{noteTLP}
	onlyFast           = []string{noteFast}
	onlyDupACK         = []string{noteDupACK}
	onlyOutOfOrder     = []string{noteOutOfOrder}
	onlyZeroWindow     = []string{noteZeroWindow}
	onlyWindowProbe    = []string{noteWindowProbe}
	onlyWindowUpdate   = []string{noteWindowUpdate}
	onlyKeepalive      = []string{noteKeepalive}
	onlyPiggyback      = []string{notePiggyback}
)

// join returns both lists in one.
func join(a, b []string) []string {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	default:
		return append(slices.Clip(a), b...)
	}
}

// notes tells what is special about a segment. why names the timer that sent it.
func (f *flow) notes(s *segment, body *tracer.Segment, own, other *half, why string) []string {
	var notes []string
	if !own.hasISN && !f.joins || s.flags.Has(tracer.RST) {
		return nil
	}
	if s.size() > 0 {
		notes = f.dataNotes(s, own, other, why)
	} else if s.pureACK() && own.hasAck {
		notes = f.ackNotes(s, body, own, other, why)
	}
	if s.win == 0 && !s.flags.Has(tracer.SYN) {
		notes = join(notes, onlyZeroWindow)
	}
	return notes
}

// dataNotes are the notes of a segment that takes up sequence numbers.
func (f *flow) dataNotes(s *segment, own, other *half, why string) []string {
	var notes []string
	end := s.end()
	switch {
	case s.len == 1 && other.win == 0 && other.hasAck && s.seq == other.ack-1 && !s.flags.Has(tracer.SYN):
		return onlyWindowProbe
	case s.seq == own.expected(s.dir), own.precedes(end): // in its turn, or nobody knows
	case !before(s.seq, own.next), s.dir == tracer.In && own.inGap(s.seq, end):
		notes = onlyOutOfOrder // something before it is missing
	default:
		notes = onlyRetransmission
		if s.dir == tracer.Out {
			f.retransmits++
			notes = join(notes, f.retransmission(s, own, other, why))
		}
	}
	if s.len > 0 && s.flags.Has(tracer.ACK) && own.hasAck && before(own.ack, s.ack) {
		notes = join(notes, onlyPiggyback)
	}
	return notes
}

// retransmission tells what made an outbound segment go out again: the timer that
// is firing, or, with none, three duplicate ACKs or SACK blocks (RFC 5681, 3.2;
// RFC 8985) unless the sender is still repeating what a time-out took for lost.
func (f *flow) retransmission(s *segment, own, other *half, why string) []string {
	switch why {
	case timerTLP:
		return onlyTLP
	case timerRetransmit:
		own.rto, own.rtoUntil = true, own.next
	case "":
		if !own.rto && s.len > 0 && (other.dupACKs >= 3 || other.sacks) {
			return onlyFast
		}
	}
	return nil
}

// ackNotes are the notes of a pure ACK.
func (f *flow) ackNotes(s *segment, body *tracer.Segment, own, other *half, why string) []string {
	switch {
	case why == timerKeepalive && own.isLast(s.seq):
		return onlyKeepalive
	case other.hasAck && other.win == 0 && s.seq == other.ack-1: // Linux's probe has no byte
		return onlyWindowProbe
	case (s.dir == tracer.In || f.joins) && own.isLast(s.seq) && s.ack == own.ack && !own.overtook(s): // f.joins: nobody tells its timers
		return onlyKeepalive
	case s.ack != own.ack:
		return nil
	case body.Win != own.win:
		return onlyWindowUpdate
	case other.isKnown() && before(s.ack, other.next):
		return onlyDupACK // there is something it does not acknowledge
	default:
		return nil
	}
}

// isLast tells whether a number is the one before the next.
func (h *half) isLast(seq uint32) bool { return h.isKnown() && seq == h.next-1 }

// summarize writes what was counted into the connection's end.
func (f *flow) summarize(e *tracer.End) {
	e.BytesIn, e.BytesOut = f.in.payload(), f.out.payload()
	e.SegmentsIn, e.SegmentsOut = f.in.segs, f.out.segs
	e.Retransmits = f.retransmits
}

// payload is the number of payload bytes seen: FIN's number is not one.
func (h *half) payload() uint64 {
	if h.fin && h.bytes > 0 {
		return h.bytes - 1
	}
	return h.bytes
}
