package link

import (
	"fmt"
	"strings"
)

// words tells in a phrase what the rule does, for the trace's header: "drop the
// 2nd FIN out", "delay each SYN in by 20ms".
func (r Rule) words() string {
	var b strings.Builder
	b.WriteString(string(r.Action))
	switch {
	case r.Nth == 0:
		b.WriteString(" each")
	case r.Count < 0:
		fmt.Fprintf(&b, " from the %s on each", ordinal(r.Nth))
	case r.Count > 1:
		fmt.Fprintf(&b, " the %s to %s", ordinal(r.Nth), ordinal(r.Nth+r.Count-1))
	default:
		fmt.Fprintf(&b, " the %s", ordinal(r.Nth))
	}
	if r.Set != 0 {
		fmt.Fprintf(&b, " %s", r.Set)
	} else {
		b.WriteString(" segment")
	}
	if r.Unset != 0 {
		fmt.Fprintf(&b, " without %s", strings.Join(r.Unset.Names(), ", "))
	}
	b.WriteString(r.Payload.words())
	if r.Dir != "" {
		fmt.Fprintf(&b, " %s", r.Dir)
	} else {
		b.WriteString(" in and out")
	}
	if len(r.States) > 0 {
		fmt.Fprintf(&b, " while %s", joinStates(r.States, " or "))
	}
	if r.Copies > 1 {
		fmt.Fprintf(&b, " %d times", r.Copies)
	}
	if r.By > 1 {
		fmt.Fprintf(&b, " by %d", r.By)
	}
	if r.Action == Delay {
		fmt.Fprintf(&b, " by %s", words(r.Delay))
	} else if r.Delay > 0 {
		fmt.Fprintf(&b, " within %s", words(r.Delay))
	}
	return b.String()
}

func (p Payload) words() string {
	var s string
	switch {
	case p.Op == noCompare:
	case p.Op == Equal && p.Len == 0:
		s = " without payload"
	case p.Op == More && p.Len == 0, p.Op == NotEqual && p.Len == 0, p.Op == AtLeast && p.Len == 1:
		s = " with payload"
	default:
		s = fmt.Sprintf(" of len %s %d", p.Op, p.Len)
	}
	if len(p.Contains) > 0 {
		s += fmt.Sprintf(" with %q", p.Contains)
	}
	return s
}

// ordinal writes 1st, 2nd, 3rd, 4th, 11th, 21st, …
func ordinal(n int) string {
	suffix := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}
