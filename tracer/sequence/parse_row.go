package sequence

import (
	"math"
	"slices"
	"strings"

	"appliance/tracer"
	"appliance/tracer/strictyaml"
)

// calls are the calls that a trace has (see tracer.Call).
var calls = []string{
	"socket", "bind", "listen", "accept", "connect", "send", "recv", "shutdown", "close", "setsockopt",
}

// timers are the timers that a trace has (see tracer.Timer).
var timers = []string{
	"retransmit", "time-wait", "fin-wait-2", "keepalive", "tail-loss-probe", "reorder", "cork", "tcp",
}

// notes are the notes that the stack, the link and the inference put on a segment.
var notes = []string{
	"retransmission", "fast-retransmit", "tail-loss-probe", "dup-ack", "out-of-order", "zero-window", "window-probe",
	"window-update", "keepalive", "challenge-ack", "piggyback", "syn-cookie",
	"duplicate", "duplicated", "reordered", "corrupted",
}

// notLabels are words that would be taken for something else.
var notLabels = append([]string{
	"timer", "icmp", "stack", "rest", "opening", string(AnyOrder), string(Either), string(Optional), string(Only),
}, calls...)

// label checks a label.
func (t token) label(name string) (string, error) {
	if !labelName.MatchString(name) {
		return "", t.fail("%q is not a label: want small letters, digits, hyphens and dots", name)
	}
	if slices.Contains(notLabels, name) {
		return "", t.fail("%q cannot be a label: it would be taken for something else", name)
	}
	return name, nil
}

// parseRow reads a row's line, but for "opening".
func parseRow(s string) (RowBody, error) {
	l, err := scan(s, true)
	if err != nil {
		return nil, err
	}
	label, labelToken := l.prefix()
	labelled := l.next > 0
	if labelled {
		if label, err = labelToken.label(label); err != nil {
			return nil, err
		}
	}
	t, err := l.take("what happens")
	if err != nil {
		return nil, err
	}
	at, err := t.end()
	if near := strictyaml.DidYouMean(t.text, []string{"opening"}); err != nil && near != "" {
		return nil, t.fail("%s%s", err, near)
	}
	if err != nil {
		return nil, err
	}
	what, err := l.take("an arrow, a call, a state or timer")
	if err != nil {
		return nil, err
	}
	switch what.text {
	case "→", "▶", "◀":
		return l.sent(label, at, what.text)
	}
	if labelled {
		return nil, labelToken.fail("%s only segments and datagrams have labels", labelToken.text)
	}
	switch {
	case what.text == "timer":
		return l.timer(at)
	case slices.Contains(calls, what.text):
		return l.call(at, what.text)
	case slices.Contains(stateNames, what.text) || l.peek().text == "→":
		return l.state(at, what)
	default:
		known := slices.Concat(calls, []string{"timer"})
		if what.text == strings.ToUpper(what.text) {
			known = stateNames
		}
		return nil, what.unknown("call or state", known)
	}
}

// sent reads a segment or a datagram, behind the first arrow.
func (l *line) sent(label string, at At, arrow string) (RowBody, error) {
	row := SegmentRow{Label: label, From: at, Len: Number{Op: Equal}, Min: 1, Max: 1}
	switch arrow {
	case "▶":
		row.Way = Sent
	case "◀":
		row.Way, row.From.End = Arrives, at.End.Other()
	default:
		if err := l.to(&row.From); err != nil {
			return nil, err
		}
	}
	t, err := l.take("flags, such as SYN,ACK, or datagram")
	if err != nil {
		return nil, err
	}
	if t.text == "datagram" {
		return l.datagram(DatagramRow{Label: label, From: row.From, Way: row.Way}, t)
	}
	if row.Flags, err = t.flags("datagram"); err != nil {
		return nil, err
	}
	if err := l.fields(row.field); err != nil {
		return nil, err
	}
	return row, row.complete(t)
}

// fields gives each field that is left to read, which must know it.
func (l *line) fields(read func(t token, key, value string) error) error {
	seen := make(map[string]bool)
	for l.left() > 0 {
		t, _ := l.take("")
		key, value, _ := t.field()
		if seen[key] {
			return t.fail("%s stands twice", key)
		}
		seen[key] = true
		if err := read(t, key, value); err != nil {
			return err
		}
	}
	return nil
}

// segmentFields are the fields of a segment's row.
var segmentFields = []string{"seq", "ack", "len", "win", "opts", "note", "times", "lost"}

func (r *SegmentRow) field(t token, key, value string) (err error) {
	switch key {
	case "seq":
		r.Seq, err = t.number(value, key)
	case "ack":
		r.Ack, err = t.number(value, key)
	case "len":
		r.Len, err = t.number(value, key)
	case "win":
		r.Win, err = t.number(value, key)
	case "opts":
		r.Opts, err = t.opts(value)
	case "note":
		r.Notes, err = t.notes(value)
	case "times":
		r.Min, r.Max, err = t.times(value)
	case "lost":
		r.Lost, err = true, t.word(key)
	default:
		return token{text: key, at: t.at}.unknown("field", segmentFields)
	}
	return err
}

// word errs where the word s has a value.
func (t token) word(s string) error {
	if t.text != s {
		return t.fail("%s takes no value", s)
	}
	return nil
}

// complete checks what fields there must be.
func (r *SegmentRow) complete(flags token) error {
	hasAck := r.Flags.Has(tracer.ACK)
	switch {
	case r.Seq.Op == Unset:
		return flags.fail("%s: which one? want seq=N, or seq=* for any", flags.text)
	case hasAck && r.Ack.Op == Unset:
		return flags.fail("%s: what does it acknowledge? want ack=N, or ack=* for anything", flags.text)
	case !hasAck && r.Ack.Op != Unset:
		return flags.fail("%s has an ack, but not the flag ACK", flags.text)
	case r.Lost && r.Way != Both:
		return flags.fail("lost says that it is sent and does not arrive: write C → S or S → C")
	}
	return nil
}

// opts reads "mss=1460,ws,sack_ok"; "none" is no option.
func (t token) opts(value string) (*Opts, error) {
	o := &Opts{WSValue: -1}
	if value == "none" {
		return o, nil
	}
	for _, part := range strings.Split(value, ",") {
		name, number, has := strings.Cut(part, "=")
		flag := map[string]*bool{"mss": &o.MSS, "ws": &o.WS, "sack_ok": &o.SACKOK, "ts": &o.TS, "sack": &o.SACK}[name]
		if flag == nil {
			return nil, token{text: name, at: t.at}.unknown("option", []string{"mss", "ws", "sack_ok", "ts", "sack", "none"})
		}
		if *flag {
			return nil, t.fail("opts: %s stands twice", name)
		}
		*flag = true
		if !has {
			continue
		}
		var n int
		var err error
		switch name {
		case "mss":
			n, err = t.whole(number, name, 1, math.MaxUint16)
			o.MSSValue = uint16(n) //nolint:gosec // whole has bounded it
		case "ws":
			o.WSValue, err = t.whole(number, name, 0, math.MaxUint8)
		default:
			err = t.fail("opts: %s takes no value", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// notes reads names with commas between.
func (t token) notes(value string) ([]string, error) {
	names := strings.Split(value, ",")
	for i, name := range names {
		if !slices.Contains(notes, name) {
			return nil, token{text: name, at: t.at}.unknown("note", notes)
		}
		if slices.Contains(names[:i], name) {
			return nil, t.fail("note: %s stands twice", name)
		}
	}
	return names, nil
}

// times reads "3", "2-5" and "1+".
func (t token) times(value string) (low, high int, err error) {
	if digits, ok := strings.CutSuffix(value, "+"); ok {
		low, err = t.whole(digits, "times", 0, maxTimes)
		return low, 0, err
	}
	first, last, ranged := strings.Cut(value, "-")
	if !ranged {
		low, err = t.whole(first, "times", 1, maxTimes)
		return low, low, err
	}
	if low, err = t.whole(first, "times", 0, maxTimes); err != nil {
		return 0, 0, err
	}
	high, err = t.whole(last, "times", low+1, maxTimes)
	return low, high, err
}

// datagram reads a datagram's fields.
func (l *line) datagram(row DatagramRow, t token) (RowBody, error) {
	err := l.fields(func(t token, key, value string) (err error) {
		switch key {
		case "len":
			row.Len, err = t.number(value, key)
		case "lost":
			row.Lost, err = true, t.word(key)
		default:
			err = token{text: key, at: t.at}.unknown("field of a datagram", []string{"len", "lost"})
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case row.Len.Op == Unset:
		return nil, t.fail("how long is it? want len=N, or len=* for any")
	case row.Lost && row.Way != Both:
		return nil, t.fail("lost says that it is sent and does not arrive: write C → S or S → C")
	}
	return row, nil
}
