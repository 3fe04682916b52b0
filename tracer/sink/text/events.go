package text

import (
	"slices"
	"strconv"
	"strings"

	"appliance/tracer"
	"appliance/tracer/view/words"
)

// body writes what an event tells.
func (s *Sink) body(e *tracer.Event) {
	switch b := e.Body.(type) {
	case *tracer.Call:
		s.call(e, b)
	case *tracer.Segment:
		s.segment(e, b)
	case *tracer.Datagram:
		s.datagram(e, b)
	case *tracer.ICMP:
		s.icmp(e, b)
	case *tracer.StateChange:
		s.state(b)
	case *tracer.Timer:
		s.timer(b)
	case *tracer.TCB:
		s.tcb(e, b)
	case *tracer.End:
		s.ending(b)
	case *tracer.Lost:
		what := "event"
		if b.Of != "" {
			what = string(b.Of)
		}
		s.say(bad, s.o.Lang.F("… %s not shown (the sink fell behind)", counted(s.o.Lang, b.Missed, what)))
	}
}

func (s *Sink) state(c *tracer.StateChange) {
	s.put(state, "● "+c.From.String()+" → "+c.To.String())
	if c.From == c.To && c.StackState != "" {
		s.say(plain, " ("+c.StackState+")")
	}
	s.by()
	what := c.Cause.What
	if what == "" {
		what = string(c.Cause.Kind)
	}
	if what != "" {
		s.say(plain, s.o.Lang.F("by %s", s.o.Lang.T(what)))
		s.number(plain, " #", c.Cause.N)
	}
	if c.Error != "" {
		s.say(bad, " ✗ "+c.Error)
	} else if c.Dwell > 0 && c.From != tracer.Closed && c.From != tracer.Listen {
		// How long it was nothing, or listened, tells nothing of this change.
		s.put(plain, s.o.Lang.F(", after %s", span(c.Dwell)))
	}
	if c.Via == "filled" {
		s.put(amber, s.o.Lang.T(", filled in"))
	}
	if c.Via == "inferred" {
		s.put(dim, s.o.Lang.T(", inferred"))
	}
	if s.o.Clauses && c.RFC != "" {
		clause := c.RFC
		if !strings.HasPrefix(clause, "RFC") {
			clause = "RFC 9293, " + clause
		}
		s.say(dim, "  ["+clause+"]")
	}
}

// number appends a sign and an event's number, or nothing where there is none.
func (s *Sink) number(st style, sign string, n uint64) {
	if n != 0 {
		s.put(st, sign+strconv.FormatUint(n, 10))
	}
}

func (s *Sink) timer(t *tracer.Timer) {
	s.say(amber, "⏱ "+s.o.Lang.F("%s %s|a timer and what it did", s.o.Lang.T(t.Name), s.o.Lang.T(t.What)))
	switch {
	case t.RTO == 0:
	case t.Name == "retransmit":
		s.put(plain, " (rto "+setting(t.RTO)+")")
	default:
		s.put(plain, s.o.Lang.F(" (set to %s)", setting(t.RTO)))
	}
}

// telling are the variables that stand first, in this order, with the value that
// they had before.
var telling = []string{"cwnd", "ssthresh", "recovery", "rto_ns", "srtt_ns", "inflight"}

// rank returns a variable's place in telling, or one behind it.
func rank(v tracer.TCBVar) int {
	if i := slices.Index(telling, v.Name); i >= 0 {
		return i
	}
	return len(telling)
}

// tcb writes the variables that changed, as many as the width holds.
func (s *Sink) tcb(e *tracer.Event, t *tracer.TCB) {
	vars := slices.Clone(t.Vars)
	slices.SortStableFunc(vars, func(a, b tracer.TCBVar) int { return rank(a) - rank(b) })
	var parts []string
	live := s.conns.live[e.Conn]
	for _, v := range vars {
		text := strings.TrimSuffix(v.Name, "_ns") + " "
		if live != nil && rank(v) < len(telling) {
			if old, ok := live.vars[v.Name]; ok && old != v {
				text += value(old) + " → "
			}
			if live.vars == nil {
				live.vars = make(map[string]tracer.TCBVar)
			}
			live.vars[v.Name] = v
		}
		parts = append(parts, clean(text+value(v), s.ascii))
	}
	s.put(dim, "·")
	tail := ""
	if t.After != 0 && t.After != s.lastN { // else it stands in the line above
		tail = s.o.Lang.F("  after #%d", t.After)
	}
	for i, p := range parts {
		p = strings.Repeat(" ", 1+min(i, 1)) + p
		room := s.o.Width - s.col - words.Width(tail)
		if i < len(parts)-1 {
			room -= words.Width(s.o.Lang.F("  %d more", 10))
		}
		if i > 0 && len([]rune(p)) > room {
			s.put(dim, s.o.Lang.F("  %d more", len(parts)-i))
			break
		}
		s.put(dim, p)
	}
	s.put(dim, tail)
}

// noThreshold is what a slow start threshold that was never set is at least.
const noThreshold = 1<<31 - 1

// value returns a variable's value: a time with its unit, else as it is.
func value(v tracer.TCBVar) string {
	switch {
	case v.Text != "":
		return v.Text
	case strings.HasSuffix(v.Name, "_ns"):
		return setting(durationOf(v.Value))
	case v.Name == "ssthresh" && v.Value >= noThreshold:
		return "none"
	default:
		return strconv.FormatInt(v.Value, 10)
	}
}

var howWords = map[tracer.How]string{
	tracer.HowFIN:         words.Key("closed by FIN"),
	tracer.HowReset:       words.Key("reset by peer"),
	tracer.HowAborted:     words.Key("aborted here"),
	tracer.HowTimeout:     words.Key("timed out"),
	tracer.HowRefused:     words.Key("refused"),
	tracer.HowUnreachable: words.Key("peer unreachable"),
}

func (s *Sink) ending(x *tracer.End) {
	how, ok := howWords[x.How]
	switch {
	case ok:
		how = s.o.Lang.T(how)
	case x.How != "":
		how = s.o.Lang.F("ended: %s", x.How)
	default:
		how = s.o.Lang.T("ended")
	}
	st := bold
	if x.How != tracer.HowFIN {
		st = bad
	}
	s.say(st, "■ "+how)
	s.put(plain, s.o.Lang.F(": %s, %d B in, %d out, %d+%d segments", brief(x.Duration),
		x.BytesIn, x.BytesOut, x.SegmentsIn, x.SegmentsOut))
	again := style(plain)
	if x.Retransmits > 0 {
		again = amber
	}
	if x.Retransmits == 1 {
		s.put(again, s.o.Lang.F(", %d retransmit", 1))
	} else {
		s.put(again, s.o.Lang.F(", %d retransmits", x.Retransmits))
	}
}
