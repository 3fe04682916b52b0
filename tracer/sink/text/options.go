package text

import (
	"fmt"
	"time"

	"appliance/tracer/view/words"
)

// Options are a Sink's settings; the zero value is ready: no colour, Unicode marks,
// times since the start.
type Options struct {
	// Lang is the language of the words.
	Lang words.Lang
	// Color marks calls, segments and states with the terminal's own 8 colours.
	Color bool
	// ASCII writes marks and data in ASCII only.
	ASCII bool
	// Time is what stands in the time column.
	Time Time
	// Location is the time zone of TimeAbs; nil means the machine's.
	Location *time.Location
	// Width is how many columns a line shall keep to; 0 means 100. Payload previews
	// and lists of variables are cut to it; nothing else is, and no line is wrapped.
	Width int
	// Conns tells when the stack column bears the connection's id too: "server.2".
	Conns Conns
	// Clauses adds to each state change the clause of RFC 9293 that has it.
	Clauses bool
	// Numbers shows sequence numbers as if the initial ones had been these, in the form
	// of old tcpdump output, "1001(20) ack 8001": the number and, in parentheses, the
	// length. Nil shows relative numbers. The trace keeps the true ones.
	Numbers *Numbers
	// Preamble begins with a line that tells link, settings and versions.
	Preamble bool
}

// Numbers are initial sequence numbers for display: of the end that opened, by the
// first SYN that the trace has of a connection, and of the other end.
type Numbers struct{ Client, Server uint32 }

// Time is a way to show when an event was.
type Time uint8

// The ways to show time.
const (
	TimeRel   Time = iota // milliseconds since the trace started
	TimeDelta             // milliseconds since the line before
	TimeAbs               // the wall clock, to the microsecond
)

var timeNames = [...]string{"rel", "delta", "abs"}

// String returns the name that ParseTime takes.
func (t Time) String() string {
	if int(t) < len(timeNames) {
		return timeNames[t]
	}
	return fmt.Sprintf("Time(%d)", uint8(t))
}

// ParseTime returns the way of that name: rel, delta or abs. It errs on any other.
func ParseTime(name string) (Time, error) {
	for i, n := range timeNames {
		if n == name {
			return Time(i), nil
		}
	}
	return TimeRel, fmt.Errorf("unknown time %q: want rel, delta or abs", name)
}

// Conns tells when lines bear their connection's id.
type Conns uint8

// When lines bear their connection's id.
const (
	ConnsAuto   Conns = iota // while more than one connection of the stack is open
	ConnsAlways              // where there is one
	ConnsNever
)
