package text

import (
	"fmt"
	"slices"
	"strconv"

	"appliance/tracer"
)

// arrow returns a packet's mark and colour.
func arrow(d tracer.Direction) (string, style) {
	if d == tracer.Out {
		return "▶ ", out
	}
	return "◀ ", inward
}

// segment writes flags, sequence, acknowledgment and length in columns, then what
// else there is to tell.
func (s *Sink) segment(e *tracer.Event, g *tracer.Segment) {
	mark, st := arrow(g.Dir)
	s.put(st, mark+g.Flags.String())
	s.to(s.event0+seqAt, len(gap))
	acked, ok := s.renumbered(e, g)
	if !ok {
		s.numbers(g)
	}
	r := rest{s: s, at: s.restAt()}
	r.add(plain, options(g, acked))
	if showsWindow(g) {
		r.add(plain, "win "+strconv.FormatUint(uint64(g.Win), 10))
	}
	for _, n := range g.Notes {
		r.add(amber, s.o.Lang.Note(n))
	}
	if g.WireSegments > 1 {
		r.add(plain, s.o.Lang.F("×%d on the wire", g.WireSegments))
	}
	r.dropped(g.Dropped)
	r.ends(e)
}

// numbers writes sequence and acknowledgment number and length in their columns.
func (s *Sink) numbers(g *tracer.Segment) {
	s.numeral("seq ", g.RelSeq, g.Seq, g.HasRel, &s.seqDigits)
	if g.Flags.Has(tracer.ACK) {
		s.to(s.ackAt(), len(gap))
		s.numeral("ack ", g.RelAck, g.Ack, g.HasRelAck, &s.ackDigits)
	}
	if g.Len > 0 {
		s.to(s.lenAt(), len(gap))
		n := strconv.Itoa(g.Len)
		s.lenDigits = max(s.lenDigits, len(n))
		s.put(plain, "len "+n)
	}
}

func (s *Sink) ackAt() int  { return s.event0 + seqAt + len("seq ") + s.seqDigits + len(gap) }
func (s *Sink) lenAt() int  { return s.ackAt() + len("ack ") + s.ackDigits + len(gap) }
func (s *Sink) restAt() int { return s.lenAt() + len("len ") + s.lenDigits + len(gap) }

// numeral writes a relative number, or the wire's own, marked, where that is not
// known. Only the relative ones widen the column: the others are rare.
func (s *Sink) numeral(name string, rel, wire uint32, known bool, digits *int) {
	if !known {
		s.put(plain, name+strconv.FormatUint(uint64(wire), 10))
		s.put(dim, " raw")
		return
	}
	n := strconv.FormatUint(uint64(rel), 10)
	*digits = max(*digits, len(n))
	s.put(plain, name+n)
}

// rest writes what stands behind the columns: the first at column at, two spaces
// between.
type rest struct {
	s     *Sink
	at    int
	begun bool
}

func (r *rest) add(st style, text string) {
	if text == "" {
		return
	}
	at := r.at
	if r.begun {
		at = 0
	}
	r.s.to(at, len(gap))
	r.begun = true
	r.s.say(st, text)
}

func (r *rest) dropped(why string) {
	if why != "" {
		r.add(bad, r.s.o.Lang.F("✗ dropped: %s", reason(r.s.o.Lang, why)))
	}
}

// ends tells the two ends of a packet that belongs to no connection of TCP's.
func (r *rest) ends(e *tracer.Event) {
	_, udp := e.Body.(*tracer.Datagram)
	if e.Conn != 0 && !udp || !e.Local.IsValid() && !e.Remote.IsValid() {
		return
	}
	from, to := e.Remote, e.Local
	if dir(e.Body) == tracer.Out {
		from, to = to, from
	}
	switch {
	case !to.IsValid():
		r.add(plain, r.s.o.Lang.F("from %s", from))
	case !from.IsValid():
		r.add(plain, r.s.o.Lang.F("to %s", to))
	case from.Port() == 0 && to.Port() == 0:
		r.add(plain, from.Addr().String()+" → "+to.Addr().String())
	default:
		r.add(plain, from.String()+" → "+to.String())
	}
}

func dir(b tracer.Body) tracer.Direction {
	switch b := b.(type) {
	case *tracer.Segment:
		return b.Dir
	case *tracer.Datagram:
		return b.Dir
	case *tracer.ICMP:
		return b.Dir
	default:
		return ""
	}
}

// options returns a segment's options in short. Timestamps, which every segment
// bears, are told on SYNs only. acked is the initial number, for display, of what the
// segment acknowledges.
func options(g *tracer.Segment, acked uint32) string {
	var text []byte
	add := func(words string) {
		if len(text) > 0 {
			text = append(text, ' ')
		}
		text = append(text, words...)
	}
	o := &g.Opts
	if o.MSS != 0 {
		add("mss " + strconv.Itoa(int(o.MSS)))
	}
	if o.HasWS {
		add("ws " + strconv.Itoa(int(o.WS)))
	}
	if o.SACKOK {
		add("sack")
	}
	if o.HasTS && g.Flags.Has(tracer.SYN) {
		add("ts")
	}
	if len(o.SACK) > 0 {
		add("sack")
	}
	for _, b := range o.SACK {
		// A block speaks of what the acknowledgment does: the same ISN holds.
		var isn uint32
		if g.HasRelAck {
			isn = g.Ack - g.RelAck - acked
		}
		add(strconv.FormatUint(uint64(b.Left-isn), 10) + "-" + strconv.FormatUint(uint64(b.Right-isn), 10))
	}
	if len(o.SACK) > 0 && !g.HasRelAck {
		add("raw")
	}
	return string(text)
}

// showsWindow tells whether a segment's window is worth its place: it is shut, or
// the segment is about it.
func showsWindow(g *tracer.Segment) bool {
	if g.Win == 0 && !g.Flags.Has(tracer.RST) && g.Flags != 0 {
		return true
	}
	return slices.Contains(g.Notes, "window-update") || slices.Contains(g.Notes, "zero-window")
}

func (s *Sink) datagram(e *tracer.Event, d *tracer.Datagram) {
	mark, st := arrow(d.Dir)
	s.put(st, mark+"UDP")
	s.to(s.event0+seqAt, len(gap))
	s.put(plain, "len "+strconv.Itoa(d.Len))
	r := rest{s: s, at: s.ackAt()}
	r.ends(e)
	for _, n := range d.Notes {
		r.add(amber, s.o.Lang.Note(n))
	}
	r.dropped(d.Dropped)
}

func (s *Sink) icmp(e *tracer.Event, m *tracer.ICMP) {
	mark, st := arrow(m.Dir)
	s.put(st, mark+"ICMP")
	s.to(s.event0+seqAt, len(gap))
	name := m.Name
	if name == "" {
		name = s.o.Lang.T("message")
	}
	s.say(plain, name)
	s.put(dim, fmt.Sprintf(" (%d/%d)", m.Kind, m.Code))
	r := rest{s: s}
	if m.Len > 0 {
		r.add(plain, "len "+strconv.Itoa(m.Len))
	}
	r.ends(e)
}
