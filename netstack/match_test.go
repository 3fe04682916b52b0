package netstack_test

import (
	"fmt"
	"slices"
	"strings"

	"appliance/netstack"
	"appliance/tracer"
)

// options is how many bytes gVisor reserves in each segment for TCP options where
// SACK is in use.
const options = 40

// match accepts an event, or not.
type match func(tracer.Event) bool

func all(m ...match) match {
	return func(e tracer.Event) bool {
		for _, ok := range m {
			if !ok(e) {
				return false
			}
		}
		return true
	}
}

func on(stack string) match { return func(e tracer.Event) bool { return e.Stack == stack } }

func ofType(t tracer.Type) match { return func(e tracer.Event) bool { return e.Body.Type() == t } }

func ofConn(c *netstack.Conn) match {
	id := c.TraceConn()
	return func(e tracer.Event) bool { return e.Conn == id }
}

// after accepts what comes later in the trace than event n.
func after(n uint64) match { return func(e tracer.Event) bool { return e.N > n } }

// segmentOf returns the event's segment, an empty one when it is none.
func segmentOf(e tracer.Event) *tracer.Segment {
	if s, ok := e.Body.(*tracer.Segment); ok {
		return s
	}
	return &tracer.Segment{}
}

// stateOf returns the event's state change, nil when it is none.
func stateOf(e tracer.Event) *tracer.StateChange {
	s, _ := e.Body.(*tracer.StateChange)
	return s
}

// enters accepts a change to a state.
func enters(to tracer.State) match {
	return func(e tracer.Event) bool { s := stateOf(e); return s != nil && s.To == to }
}

// seg accepts a segment of a direction that bears all of flags.
func seg(dir tracer.Direction, flags tracer.Flags) match {
	return func(e tracer.Event) bool {
		s, ok := e.Body.(*tracer.Segment)
		return ok && s.Dir == dir && s.Flags.Has(flags)
	}
}

// without accepts a segment that bears none of flags.
func without(flags tracer.Flags) match {
	return func(e tracer.Event) bool { return segmentOf(e).Flags&flags == 0 }
}

// acks accepts a segment that acknowledges everything before a relative number.
func acks(rel uint32) match {
	return func(e tracer.Event) bool { s := segmentOf(e); return s.HasRelAck && s.RelAck == rel }
}

// dropped accepts a segment that was discarded.
func dropped(e tracer.Event) bool { return segmentOf(e).Dropped != "" }

// withData accepts a segment with a payload.
func withData(e tracer.Event) bool { return segmentOf(e).Len > 0 }

// noted accepts a segment with a note.
func noted(note string) match {
	return func(e tracer.Event) bool { return slices.Contains(segmentOf(e).Notes, note) }
}

// called accepts a socket call of a name and phase.
func called(name string, phase tracer.Phase) match {
	return func(e tracer.Event) bool {
		c, ok := e.Body.(*tracer.Call)
		return ok && c.Name == name && c.Phase == phase
	}
}

// fired accepts a timer of a name.
func fired(name string) match {
	return func(e tracer.Event) bool {
		t, ok := e.Body.(*tracer.Timer)
		return ok && t.Name == name && t.What == "fired"
	}
}

// tell writes an event as one line without its times, for comparing stories.
func tell(e tracer.Event) string {
	switch b := e.Body.(type) {
	case *tracer.Call:
		s := fmt.Sprintf("%s %s", b.Name, b.Phase)
		if b.Bytes >= 0 && b.Phase != tracer.PhaseEnter {
			s += fmt.Sprintf(" %d", b.Bytes)
		}
		if b.Error != "" {
			s += ": " + b.Error
		}
		return s
	case *tracer.Segment:
		s := fmt.Sprintf("%s %s seq %d", b.Dir, b.Flags, b.RelSeq)
		if b.HasRelAck {
			s += fmt.Sprintf(" ack %d", b.RelAck)
		}
		s += fmt.Sprintf(" len %d", b.Len)
		if len(b.Notes) > 0 {
			s += " [" + strings.Join(b.Notes, ", ") + "]"
		}
		if b.Dropped != "" {
			s += " dropped: " + b.Dropped
		}
		return s
	case *tracer.StateChange:
		return fmt.Sprintf("● %s → %s by %s (%s)", b.From, b.To, b.Cause.What, b.Cause.Kind)
	case *tracer.Timer:
		return "timer " + b.Name + " " + b.What
	case *tracer.End:
		return fmt.Sprintf("end %s %s: %d B in, %d B out", b.Role, b.How, b.BytesIn, b.BytesOut)
	default:
		return string(e.Body.Type())
	}
}

// story tells all events that m accepts, a line each; tcb events are left out.
func (l *lab) story(m ...match) []string {
	var lines []string
	for _, e := range l.events(m...) {
		if e.Body.Type() != tracer.TypeTCB {
			lines = append(lines, tell(e))
		}
	}
	return lines
}
