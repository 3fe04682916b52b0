package sequence

import (
	"math"
	"net/netip"
	"slices"
	"strings"

	"appliance/tracer"
	"appliance/tracer/strictyaml"
)

// maxPayload is the longest payload of a segment in an IPv4 packet without options.
const maxPayload = 65495

// maxTimes bounds how often a frame is sent, and how many segments a row stands for.
const maxTimes = 1 << 20

// parseFrame reads a line of a script.
func parseFrame(s string) (Frame, error) {
	l, err := scan(s, false)
	if err != nil {
		return Frame{}, err
	}
	var f Frame
	if name, t := l.prefix(); l.next > 0 {
		if f.Conn, err = t.conn(name); err != nil {
			return Frame{}, err
		}
	}
	t, err := l.take("send, await or delay")
	if err != nil {
		return Frame{}, err
	}
	f.Do = FrameVerb(t.text)
	switch f.Do {
	case FrameDelay:
		if t, err = l.take("a time, such as 1s,"); err == nil {
			f.For, err = t.duration()
		}
		if err != nil {
			return Frame{}, err
		}
		return f, l.done()
	case FrameSend, FrameAwait:
		return f, f.segment(l)
	default:
		return Frame{}, t.unknown("step of a script", []string{"send", "await", "delay"})
	}
}

// segment reads flags and fields.
func (f *Frame) segment(l *line) error {
	flags, err := l.take("flags, such as SYN,ACK,")
	if err != nil {
		return err
	}
	if f.Flags, err = flags.flags(); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for l.left() > 0 {
		t, _ := l.take("")
		key, value, _ := t.field()
		if t.quoted {
			key = "len" // a text is a payload, and so is a length
		}
		if seen[key] {
			return t.fail("%s: %s stands twice", t.text, key)
		}
		seen[key] = true
		if err := f.field(t, key, value); err != nil {
			return err
		}
	}
	return f.complete(flags)
}

// fieldsOf are the fields of a script's steps.
var fieldsOf = map[FrameVerb][]string{
	FrameSend:  {"seq", "ack", "len", "win", "mss", "ws", "sack_ok", "ts", "from", "to", "times"},
	FrameAwait: {"seq", "ack", "len"},
}

func (f *Frame) field(t token, key, value string) (err error) {
	switch {
	case f.Do == FrameAwait && t.quoted:
		return t.fail("%s: await takes no text: want len=N", t.text)
	case f.Do == FrameAwait && !slices.Contains(fieldsOf[f.Do], key):
		return token{text: key, at: t.at}.unknown("condition of await", fieldsOf[f.Do])
	case t.quoted:
		if f.Text = t.value; f.Text == "" {
			return t.fail("an empty text: leave it out")
		}
		if len(f.Text) > maxPayload {
			return t.fail("a text of %d bytes: want at most %d", len(f.Text), maxPayload)
		}
		return nil
	}
	n := 0
	switch key {
	case "seq":
		f.Seq, err = t.number(value, key)
	case "ack":
		f.Ack, err = t.number(value, key)
	case "len":
		f.Len, err = t.number(value, key)
	case "win":
		f.Win, err = t.number(value, key)
	case "mss":
		n, err = t.whole(value, key, 1, math.MaxUint16)
		f.Opts.MSS = uint16(n) //nolint:gosec // whole has bounded it
	case "ws":
		n, err = t.whole(value, key, 0, math.MaxUint8)
		f.Opts.HasWS, f.Opts.WS = true, uint8(n) //nolint:gosec // whole has bounded it
	case "sack_ok", "ts":
		if t.text != key {
			return t.fail("%s takes no value", key)
		}
		f.Opts.SACKOK = f.Opts.SACKOK || key == "sack_ok"
		f.Opts.HasTS = f.Opts.HasTS || key == "ts"
	case "from":
		f.From = value
		err = t.address(key, value, "flood")
	case "to":
		f.To = value
		err = t.address(key, value, "broadcast", "multicast")
	case "times":
		f.Times, err = t.whole(value, key, 2, maxTimes)
	default:
		return token{text: key, at: t.at}.unknown("field", fieldsOf[f.Do])
	}
	return err
}

// address checks an address, one with a port, or a word.
func (t token) address(key, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	_, err := netip.ParseAddr(value)
	if _, portErr := netip.ParseAddrPort(value); err != nil && portErr != nil {
		return t.fail("%s: %q is not an address such as 192.168.12.77 or fd00:12::77, one with a port, or %s%s",
			key, value, strictyaml.List(words), strictyaml.DidYouMean(value, words))
	}
	return nil
}

// complete checks what fields there must be.
func (f *Frame) complete(flags token) error {
	hasAck := f.Flags.Has(tracer.ACK)
	if f.Ack.Op != Unset && !hasAck {
		return flags.fail("%s has an ack, but not the flag ACK", flags.text)
	}
	if f.Do == FrameAwait {
		return nil
	}
	for _, n := range []struct {
		name   string
		number Number
		need   bool
		most   uint32
	}{
		{"seq", f.Seq, true, math.MaxUint32},
		{"ack", f.Ack, hasAck, math.MaxUint32},
		{"len", f.Len, false, maxPayload},
		{"win", f.Win, false, math.MaxUint16},
	} {
		switch {
		case n.number.Op == Unset && n.need:
			return flags.fail("%s: what is sent needs %s=N", flags.text, n.name)
		case n.number.Op != Unset && n.number.Op != Equal:
			return flags.fail("%s: what is sent needs a number, not a condition: %s=N", n.name, n.name)
		case n.number.N > n.most:
			return flags.fail("%s: %d is more than %d", n.name, n.number.N, n.most)
		}
	}
	if f.From == "flood" && f.Times == 0 {
		return flags.fail("from=flood is a source for each of many: it needs times=N")
	}
	return nil
}

// linkActions are the first words of netstack/link's rules.
var linkActions = []string{"drop", "delay", "duplicate", "corrupt", "reorder"}

// parseLinkRule reads "C→S drop SYN nth=1". What the rule does after its first word is the
// link's to read.
func parseLinkRule(s string) (LinkRule, error) {
	l, err := scan(s, true)
	if err != nil {
		return LinkRule{}, err
	}
	from, err := l.way()
	if err != nil {
		return LinkRule{}, err
	}
	if from.Conn != "" {
		return LinkRule{}, l.tokens[0].fail("%s: a rule of the link is for all connections: want C→S or S→C", l.tokens[0].text)
	}
	t, err := l.take("what the link does")
	if err != nil {
		return LinkRule{}, err
	}
	if !slices.Contains(linkActions, t.text) {
		return LinkRule{}, t.unknown("action of the link", linkActions)
	}
	if d := l.peek(); d.text == "in" || d.text == "out" || d.text == "both" {
		return LinkRule{}, d.fail("%s: the way stands in front already", d.text)
	}
	return LinkRule{From: from.End, Rule: strings.TrimSpace(s[t.at:])}, nil
}

// way takes "C → S" and returns the first, with the connection.
func (l *line) way() (At, error) {
	t, err := l.take("an end")
	if err != nil {
		return At{}, err
	}
	from, err := t.end()
	if err != nil {
		return At{}, err
	}
	if arrow := l.peek(); !l.is("→") {
		return At{}, arrow.fail("want → (or ->) behind %s", t.text)
	}
	return from, l.to(&from)
}

// to takes the end that a way leads to, the other one of from; either may name the connection.
func (l *line) to(from *At) error {
	t, err := l.take("the end that it goes to")
	if err != nil {
		return err
	}
	to, err := t.end()
	if err != nil {
		return err
	}
	if to.End != from.End.Other() {
		return t.fail("%s → %s is no way: want C → S or S → C", from.End, to.End)
	}
	if from.Conn == "" {
		from.Conn = to.Conn
	}
	if to.Conn != from.Conn && to.Conn != "" {
		return t.fail("%s and %s are of two connections", from.Conn, to.Conn)
	}
	return nil
}
