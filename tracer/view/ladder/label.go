package ladder

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"appliance/tracer"
)

// label makes the pieces that stand at an arrow.
func (b *builder) label(a *Arrow) []Piece {
	e := a.event()
	var ps []Piece
	add := func(k PieceKind, text string) {
		if text != "" {
			ps = append(ps, Piece{k, text})
		}
	}
	switch m := e.Body.(type) {
	case *tracer.Segment:
		b.learnISN(a.From, m)
		m = b.related(a.From, m)
		add(PieceFlags, m.Flags.String())
		acked := b.numbers(&ps, a, m)
		add(PieceOptions, options(m, acked, b.o.Raw))
		if m.Win == 0 && !m.Flags.Has(tracer.RST) || slices.Contains(m.Notes, "window-update") {
			add(PieceOptions, "win "+strconv.FormatUint(uint64(m.Win), 10))
		}
		if m.WireSegments > 1 {
			add(PieceOptions, b.o.Lang.F("×%d on the wire", m.WireSegments))
		}
	case *tracer.Datagram:
		add(PieceFlags, "UDP")
		add(PieceNumbers, "len "+strconv.Itoa(m.Len))
	case *tracer.ICMP:
		add(PieceFlags, "ICMP")
		add(PieceNumbers, clean(m.Name))
		add(PieceOptions, fmt.Sprintf("(%d/%d)", m.Kind, m.Code))
	default:
	}
	if b.crowd {
		add(PieceOptions, b.client(e))
	}
	for _, n := range b.notes(a) {
		add(PieceNote, clean(b.o.Lang.Note(n)))
	}
	switch a.Fate {
	case Lost:
		add(PieceDropped, b.dropped(droppedOf(a.Sent)))
	case Refused:
		add(PieceDropped, b.dropped(droppedOf(a.Received)))
	case Unseen:
		add(PieceDropped, b.o.Lang.T("not seen to arrive"))
	case UnderWay:
		add(PieceNote, b.o.Lang.T("under way at the trace's end"))
	case Strayed:
		if !slices.Contains(notesOf(e), "duplicate") { // else that tells it
			add(PieceNote, b.o.Lang.T("not seen to be sent"))
		}
	case Arrived:
	}
	return ps
}

// dropped tells why a packet was dropped. An impairment's rule, which is long, says by itself
// whose it is.
func (b *builder) dropped(why string) string {
	if rule, ok := strings.CutPrefix(why, "impairment: rule "); ok {
		return b.o.Lang.F("dropped by rule %s", clean(rule))
	}
	if other, ok := strings.CutPrefix(why, "impairment: "); ok {
		return b.o.Lang.F("dropped: %s", b.o.Lang.F("impairment: %s", clean(other)))
	}
	return b.o.Lang.F("dropped: %s", clean(b.o.Lang.T(why)))
}

// notes are what both ends noted about an arrow, each once.
func (b *builder) notes(a *Arrow) []string {
	var all []string
	for _, e := range []*tracer.Event{a.Sent, a.Received} {
		if e == nil {
			continue
		}
		for _, n := range notesOf(e) {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// client tells, in the ladder of a listener, which of its clients a segment is about.
func (b *builder) client(e *tracer.Event) string {
	if !e.Remote.IsValid() {
		return ""
	}
	return e.Remote.String()
}

// display returns what the initial numbers of an arrow's sender and of its other end are
// shown as; ok is false where nothing else than 0 was asked for.
func (b *builder) display(a *Arrow) (own, other uint32, ok bool) {
	n := b.o.Numbers
	switch {
	case n == nil || b.o.Raw:
		return 0, 0, false
	case a.From == 1:
		return n.Server, n.Client, true
	default:
		return n.Client, n.Server, true
	}
}

// numbers adds the pieces with sequence and acknowledgment number and length. It returns
// the initial number, for display, of the end that the segment acknowledges.
func (b *builder) numbers(ps *[]Piece, a *Arrow, m *tracer.Segment) (acked uint32) {
	own, other, asked := b.display(a)
	if asked && m.HasRel {
		text := strconv.FormatUint(uint64(own+m.RelSeq), 10) + "(" + strconv.Itoa(m.Len) + ")"
		if m.HasRelAck {
			text += " ack " + strconv.FormatUint(uint64(other+m.RelAck), 10)
		}
		*ps = append(*ps, Piece{PieceNumbers, text})
		return other
	}
	add := func(name, number string) { *ps = append(*ps, Piece{PieceNumbers, name + " " + number}) }
	add("seq", b.number(own+m.RelSeq, m.Seq, m.HasRel))
	if m.Flags.Has(tracer.ACK) {
		add("ack", b.number(other+m.RelAck, m.Ack, m.HasRelAck))
	}
	if m.Len > 0 {
		add("len", strconv.Itoa(m.Len))
	}
	return other
}

// number is a relative number, or the wire's own, marked where it was not asked for.
func (b *builder) number(rel, wire uint32, known bool) string {
	switch {
	case b.o.Raw:
		return strconv.FormatUint(uint64(wire), 10)
	case known:
		return strconv.FormatUint(uint64(rel), 10)
	default:
		return strconv.FormatUint(uint64(wire), 10) + " raw"
	}
}

// options are a segment's options in short. Timestamps, which every segment has, are told
// on SYNs only.
func options(m *tracer.Segment, acked uint32, raw bool) string {
	var parts []string
	o := &m.Opts
	if o.MSS != 0 {
		parts = append(parts, "mss "+strconv.Itoa(int(o.MSS)))
	}
	if o.HasWS {
		parts = append(parts, "ws "+strconv.Itoa(int(o.WS)))
	}
	if o.SACKOK {
		parts = append(parts, "sack")
	}
	if o.HasTS && m.Flags.Has(tracer.SYN) {
		parts = append(parts, "ts")
	}
	if len(o.SACK) > 0 {
		parts = append(parts, "sack")
	}
	var isn uint32
	if m.HasRelAck && !raw {
		isn = m.Ack - m.RelAck - acked
	}
	for _, s := range o.SACK {
		parts = append(parts, strconv.FormatUint(uint64(s.Left-isn), 10)+"-"+strconv.FormatUint(uint64(s.Right-isn), 10))
	}
	return strings.Join(parts, " ")
}

// callText is a call in short. The addresses that stand at the head of the ladder are left
// out: of a connection's own, nothing remains but the port of its other end.
func (b *builder) callText(c, result *tracer.Call) (text, data string, bad bool) {
	var args []string
	if c.Phase != tracer.PhaseReturn && c.Name != "socket" {
		for _, a := range c.Args {
			if s, isText := a.Value.(string); isText && a.Name == "data" {
				data = clean(s)
				continue
			}
			if arg := b.argument(a); arg != "" {
				args = append(args, arg)
			}
		}
	}
	text = clean(c.Name) + "(" + strings.Join(args, ", ") + ")"
	if result == nil {
		return text + " …", data, false
	}
	return b.resultText(text, data, result)
}

// resultText adds what the call returned.
func (b *builder) resultText(text, data string, r *tracer.Call) (string, string, bool) {
	moves := slices.Contains([]string{"send", "recv", "sendto", "recvfrom"}, r.Name)
	switch {
	case r.Error != "" && r.Bytes <= 0:
	case r.Bytes > 0 || r.Bytes == 0 && moves:
		text += " = " + strconv.Itoa(r.Bytes)
		if r.Bytes == 0 && r.Name == "recv" && b.TCP {
			text += ", " + b.o.Lang.T("end of stream")
		}
		if r.Result != "" {
			data = clean(r.Result)
		}
	case r.Result != "":
		text += " = " + b.short(r.Result)
	case r.Phase == tracer.PhaseReturn:
		text += " = ok"
	}
	if r.Error != "" {
		text += " ✗ " + clean(r.Error)
	}
	return text, data, r.Error != ""
}

// argument is one argument of a call, by its place and not its name.
func (b *builder) argument(a tracer.Arg) string {
	switch v := a.Value.(type) {
	case string:
		return b.short(v)
	case bool:
		return a.Name + "=" + strconv.FormatBool(v)
	default:
		return clean(fmt.Sprint(v))
	}
}

// short is a text, or only the port where it is the address of one of the ends.
func (b *builder) short(text string) string {
	for _, lane := range b.Lanes {
		if lane.Addr != "" && lane.Addr == text {
			if ap, err := netip.ParseAddrPort(text); err == nil {
				return ":" + strconv.Itoa(int(ap.Port()))
			}
		}
	}
	return clean(text)
}

// inferred tells whether a lane's states are inferred, all or some of them; "" where none.
func (l *Ladder) inferred(lane *Lane) string {
	switch lane.Inferred {
	case 0:
		return ""
	case lane.States:
		return l.o.Lang.T("states inferred")
	default:
		return l.o.Lang.F("%d of %d states inferred", lane.Inferred, lane.States)
	}
}
