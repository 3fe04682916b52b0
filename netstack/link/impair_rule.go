package link

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"appliance/tracer"
)

// Action is what a rule does to a segment.
type Action string

// The actions.
const (
	Drop      Action = "drop"
	Delay     Action = "delay"     // hold it and all that follows in its direction
	Duplicate Action = "duplicate" // send copies right after it
	Corrupt   Action = "corrupt"   // flip a bit, so that its checksum is wrong
	Reorder   Action = "reorder"   // hold it alone: what follows passes
)

// Rule does something to the TCP segments that match all its conditions. A
// condition's zero value matches every segment. ParseRule reads a Rule from text.
type Rule struct {
	// Name stands in the trace; "" means the rule's text.
	Name   string
	Action Action
	// Dir is the segment's way; "" means both, each counted on its own.
	Dir tracer.Direction
	// Set are flags that the segment must bear, Unset those that it must not. SYN
	// alone matches SYN and SYN ACK.
	Set, Unset tracer.Flags
	Payload    Payload
	// States are those that the segment's endpoint may be in at that moment, for
	// an inbound segment before the stack has seen it. Where nobody tells the
	// state (no Watcher, no endpoint), a rule with States matches nothing.
	States []tracer.State
	// Nth is the first of the matching segments that the rule acts on, counted
	// from 1 for each connection (4-tuple) and direction, retransmissions
	// included; 0 means each segment. Counting starts anew with a SYN of another
	// initial sequence number.
	Nth int
	// Count is on how many, from the Nth on, it acts: 0 means 1, -1 all. It needs Nth.
	Count int
	// Delay is how long Delay holds (needed), and how long Reorder holds at most
	// (0: 20 ms).
	Delay time.Duration
	// Copies is how many extra copies Duplicate sends; 0 means 1.
	Copies int
	// By is how many later segments of the connection pass what Reorder holds; 0
	// means 1.
	By int
}

// Compare is a comparison.
type Compare string

// The comparisons.
const (
	Equal     Compare = "="
	NotEqual  Compare = "!="
	Less      Compare = "<"
	AtMost    Compare = "<="
	More      Compare = ">"
	AtLeast   Compare = ">="
	noCompare Compare = ""
)

// comparisons are all of them, those of two characters first, for the parser.
var comparisons = []Compare{NotEqual, AtMost, AtLeast, Equal, Less, More}

// Payload is a condition on a segment's payload.
type Payload struct {
	// Op compares the payload's length with Len, bytes: {Op: Equal} is a segment
	// without payload, {Op: More} one with. "" means any length.
	Op  Compare
	Len int
	// Contains are bytes that it must contain, within the one segment; nil for any.
	Contains []byte
}

func (p Payload) matches(n int, data []byte) bool {
	ok := true
	switch p.Op {
	case Equal:
		ok = n == p.Len
	case NotEqual:
		ok = n != p.Len
	case Less:
		ok = n < p.Len
	case AtMost:
		ok = n <= p.Len
	case More:
		ok = n > p.Len
	case AtLeast:
		ok = n >= p.Len
	case noCompare:
	}
	return ok && (len(p.Contains) == 0 || bytes.Contains(data, p.Contains))
}

// matches tells whether the rule's conditions hold, all but state and number.
func (r *Rule) matches(dir tracer.Direction, p *packet) bool {
	return (r.Dir == "" || r.Dir == dir) && p.flags.Has(r.Set) && p.flags&r.Unset == 0 &&
		r.Payload.matches(p.payload, p.data)
}

// acts tells whether the rule acts on the nth matching segment.
func (r *Rule) acts(nth int) bool {
	return r.Nth == 0 || nth >= r.Nth && (r.Count < 0 || nth < r.Nth+max(r.Count, 1))
}

// label is what the trace calls the rule.
func (r *Rule) label() string {
	if r.Name != "" {
		return r.Name
	}
	return r.String()
}

// Validate returns every field that is out of its range, or does nothing with the
// rule's action, as one error; nil when there is none.
func (r Rule) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.Dir != "" && r.Dir != tracer.In && r.Dir != tracer.Out {
		bad("direction %q: want in, out, or nothing for both", r.Dir)
	}
	if both := r.Set & r.Unset; both != 0 {
		bad("flags: %s can't be both set and unset", both)
	}
	if r.Payload.Op != noCompare && !slices.Contains(comparisons, r.Payload.Op) {
		bad("payload: unknown comparison %q: want = != < <= > >=", r.Payload.Op)
	}
	if r.Payload.Len < 0 || r.Payload.Op == noCompare && r.Payload.Len != 0 {
		bad("payload: length %d: want 0 or more bytes, with a comparison", r.Payload.Len)
	}
	if r.Payload.Op == Less && r.Payload.Len == 0 {
		bad("payload: no length is below 0: want payload=0 for none")
	}
	if r.Nth < 0 || r.Count < -1 {
		bad("nth %d, count %d: want 1 or more, with count -1 for all that follow", r.Nth, r.Count)
	} else if r.Nth == 0 && r.Count != 0 {
		bad("count %d without nth: want where to begin", r.Count)
	}
	for i, s := range r.States {
		if _, err := tracer.ParseState(s.String()); err != nil {
			bad("state: %w", err)
		} else if slices.Contains(r.States[:i], s) {
			bad("state: %s stands twice", s)
		}
	}
	return errors.Join(append(errs, r.validateAction()...)...)
}

func (r Rule) validateAction() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch r.Action {
	case Drop, Duplicate, Corrupt, Reorder:
	case Delay:
		if r.Delay == 0 {
			bad("delay: want how long, as in \"delay in SYN 20ms\"")
		}
	default:
		bad("unknown action %q: want drop, delay, duplicate, corrupt or reorder", r.Action)
	}
	if r.Delay < 0 || r.Delay > maxHold {
		bad("time %s: want more than 0, to %s", r.Delay, words(maxHold))
	} else if r.Delay != 0 && r.Action != Delay && r.Action != Reorder {
		bad("time %s: %s takes none", words(r.Delay), r.Action)
	}
	if r.Copies < 0 || r.Copies > maxCopies {
		bad("copies %d: want 1 to %d", r.Copies, maxCopies)
	} else if r.Copies != 0 && r.Action != Duplicate {
		bad("copies %d: %s takes none", r.Copies, r.Action)
	}
	if r.By < 0 {
		bad("by %d: want 1 or more", r.By)
	} else if r.By != 0 && r.Action != Reorder {
		bad("by %d: %s takes none", r.By, r.Action)
	}
	return errs
}
