package sequence

import (
	"fmt"
	"strings"

	"appliance/tracer"
)

// number is an integer in words.
func number[T ~int | ~uint8 | ~uint16 | ~uint32 | ~uint64](n T) string { return fmt.Sprint(n) }

// words is a reckoned number: relative, or the wire's own, marked.
func (r reckd) words() string {
	if r.rel {
		return number(r.n)
	}
	return number(r.n) + " (as on the wire)"
}

// eventWords tells an event as the text sink does.
func (j *judge) eventWords(i int) string {
	e := &j.in.Events[i]
	switch b := e.Body.(type) {
	case *tracer.Segment:
		return j.segmentWords(i, b)
	case *tracer.Datagram:
		return arrow(b.Dir) + " UDP len " + number(b.Len) + dropWords(b.Dropped)
	case *tracer.Call:
		return callWords(b)
	case *tracer.StateChange:
		return "● " + b.From.String() + " → " + b.To.String() + " by " + j.causeWords(b.Cause)
	case *tracer.Timer:
		return "⏱ " + b.Name + " " + b.What
	case *tracer.ICMP:
		return arrow(b.Dir) + " ICMP " + b.Name
	case *tracer.End:
		return "■ " + string(b.How)
	case *tracer.TCB:
		return "· variables after #" + number(b.After)
	case *tracer.Lost:
		return "… " + number(b.Missed) + " events lost"
	default:
		return "nothing"
	}
}

func arrow(d tracer.Direction) string {
	if d == tracer.Out {
		return "▶"
	}
	return "◀"
}

func dropWords(why string) string {
	if why == "" {
		return ""
	}
	return " ✗ dropped: " + why
}

func (j *judge) segmentWords(i int, g *tracer.Segment) string {
	s := &j.seen[i]
	var b strings.Builder
	b.WriteString(arrow(g.Dir) + " " + g.Flags.String() + " seq " + s.seq.words())
	if g.Flags.Has(tracer.ACK) {
		b.WriteString(" ack " + s.ack.words())
	}
	if g.Len > 0 {
		b.WriteString(" len " + number(g.Len))
	}
	for _, n := range g.Notes {
		b.WriteString(" " + n)
	}
	b.WriteString(dropWords(g.Dropped))
	return b.String()
}

// callWords tells a call's event: "recv()", "recv() = 20", "connect() ✗ connection refused".
func callWords(c *tracer.Call) string {
	text := c.Name + "()"
	switch {
	case c.Phase == tracer.PhaseEnter:
		return text + " …"
	case c.Error != "":
		return text + " ✗ " + c.Error
	case c.Bytes >= 0:
		return text + " = " + number(c.Bytes)
	case c.Result != "":
		return text + " = " + c.Result
	default:
		return text + " = ok"
	}
}

// itemWords tells a track's item: a call as a whole, with what it returned.
func (j *judge) itemWords(t *track, item int) string {
	if t.kind != callTrack {
		return j.eventWords(item)
	}
	c := &j.calls[item]
	if c.ret < 0 {
		return c.name + "() …"
	}
	return callWords(j.in.Events[c.ret].Body.(*tracer.Call))
}

// causeWords tells a cause by its event where it has one.
func (j *judge) causeWords(c tracer.Cause) string {
	k := j.byN(c.N)
	if k < 0 {
		what := c.What
		if what == "" {
			what = string(c.Kind)
		}
		if c.N != 0 {
			what += " #" + number(c.N) + " (which the trace does not have)"
		}
		return what
	}
	if causeKinds[j.in.Events[k].Body.Type()] != c.Kind {
		return "a " + string(c.Kind) + " #" + number(c.N) + " (which is " + j.plainWords(k) + ")"
	}
	switch b := j.in.Events[k].Body.(type) {
	case *tracer.Segment:
		return j.segmentWords(k, b) + " #" + number(c.N)
	case *tracer.Call:
		return b.Name + "() #" + number(c.N)
	default:
		return j.plainWords(k) + " #" + number(c.N)
	}
}

// plainWords tells an event without what it names in turn: a cause may name any event.
func (j *judge) plainWords(i int) string {
	if b, ok := j.in.Events[i].Body.(*tracer.StateChange); ok {
		return "● " + b.From.String() + " → " + b.To.String()
	}
	return j.eventWords(i)
}

// numberWords tells a condition as the file writes it.
func numberWords(c Number) string {
	switch c.Op {
	case Unset:
		return "0"
	case Any:
		return "any"
	case Equal:
		return number(c.N)
	default:
		return string(c.Op) + number(c.N)
	}
}
