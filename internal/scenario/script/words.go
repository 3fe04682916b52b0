package script

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// Segment is a TCP segment that came to the script.
type Segment struct {
	// At is when it came, by the script's clock, since [New].
	At time.Duration
	// Conn is its connection's name, "" also where it has none.
	Conn string
	// Local is whom it was for, Remote who sent it.
	Local, Remote netip.AddrPort
	Flags         tracer.Flags
	Seq, Ack      uint32 // as on the wire
	// RelSeq counts from the sender's initial number, RelAck from the script's; each is as on
	// the wire where there is none.
	RelSeq, RelAck uint32
	Win            uint16 // as on the wire
	Opts           tracer.Options
	Payload        []byte
	// Awaited says that it is what an await waited for.
	Awaited bool
}

// String tells the segment: "RST,ACK seq 0 ack 1".
func (g *Segment) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s seq %d", flagNames(g.Flags), g.RelSeq)
	if g.Flags.Has(tracer.ACK) {
		fmt.Fprintf(&b, " ack %d", g.RelAck)
	}
	if len(g.Payload) > 0 {
		fmt.Fprintf(&b, " len %d", len(g.Payload))
	}
	return b.String()
}

// Seen returns the segments that came, in order: all of them, or the last 32768 at least.
func (s *Script) Seen() []Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make([]Segment, len(s.seen))
	for i, g := range s.seen {
		seen[i] = *g
	}
	return seen
}

// manyCame bounds how many segments an error lists.
const manyCame = 12

// cameInstead tells what came while a step waited. mu is held.
func (s *Script) cameInstead(name string, passed []*Segment) string {
	if len(passed) > 0 {
		return "came: " + list(passed)
	}
	var others []*Segment
	for _, g := range s.seen {
		if c := s.byTuple[tuple{g.Local, g.Remote}]; c == nil || c.name != name || !c.isNamed {
			others = append(others, g)
		}
	}
	if len(others) > 0 {
		return "nothing came on its connection; on others: " + list(others)
	}
	return "nothing came"
}

func list(segments []*Segment) string {
	words := make([]string, 0, manyCame+1)
	for i, g := range segments {
		if i == manyCame {
			words = append(words, fmt.Sprintf("and %d more", len(segments)-i))
			break
		}
		words = append(words, g.String())
	}
	return strings.Join(words, "; ")
}

func flagNames(f tracer.Flags) string {
	if f == 0 {
		return "none"
	}
	return strings.Join(f.Names(), ",")
}

// describe tells a step in the file's words.
func describe(f *sequence.Frame) string {
	var b strings.Builder
	if f.Conn != "" {
		b.WriteString(f.Conn + ": ")
	}
	b.WriteString(string(f.Do))
	if f.Do == sequence.FrameDelay {
		return b.String() + " " + f.For.String()
	}
	b.WriteString(" " + flagNames(f.Flags))
	number(&b, "seq", f.Seq)
	number(&b, "ack", f.Ack)
	if f.Text != "" {
		b.WriteString(" " + strconv.Quote(f.Text))
	} else {
		number(&b, "len", f.Len)
	}
	describeOptions(&b, f)
	for _, w := range []struct{ key, value string }{{"from", f.From}, {"to", f.To}} {
		if w.value != "" {
			b.WriteString(" " + w.key + "=" + w.value)
		}
	}
	if f.Times > 1 {
		fmt.Fprintf(&b, " times=%d", f.Times)
	}
	return b.String()
}

func describeOptions(b *strings.Builder, f *sequence.Frame) {
	if f.Opts.MSS != 0 {
		fmt.Fprintf(b, " mss=%d", f.Opts.MSS)
	}
	if f.Opts.HasWS {
		fmt.Fprintf(b, " ws=%d", f.Opts.WS)
	}
	if f.Opts.SACKOK {
		b.WriteString(" sack_ok")
	}
	if f.Opts.HasTS {
		b.WriteString(" ts")
	}
	number(b, "win", f.Win)
}

func number(b *strings.Builder, key string, n sequence.Number) {
	switch n.Op {
	case sequence.Unset:
	case sequence.Any:
		b.WriteString(" " + key + "=*")
	default:
		fmt.Fprintf(b, " %s%s%d", key, n.Op, n.N)
	}
}
