package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/tracer"
	"appliance/tracer/view"
)

// asked are the connections, stacks and notes that the flags name, for as long as the trace
// has not shown them: what it never shows is a mistake.
type asked struct {
	where  string
	conns  []uint32
	stacks []string
	notes  []string // but for those that are known, which a trace need not have

	ids   []string // the first connections that the trace has
	names []string // the first stacks
}

// These bound what an error lists: how many connections or stacks, and of a name how many
// bytes.
const (
	maxTold     = 8
	longestName = 64
)

// packetNotes are the notes that the stack, the link and the impairment put on a packet, by
// their first word.
var packetNotes = []string{
	"retransmission", "fast-retransmit", "tail-loss-probe", "dup-ack", "out-of-order", "zero-window",
	"window-probe", "window-update", "keepalive", "challenge-ack", "piggyback", "syn-cookie", "dropped",
	"delayed", "duplicate", "duplicated", "reordered", "corrupted", "rule",
}

// newAsked returns what is asked for: conns, and what the flags --stack and --note say. A note
// that is not known may be one of a later version: it is looked for.
func newAsked(c *cli.Context, conns []uint32) *asked {
	a := &asked{where: where(c), conns: slices.Clone(conns), stacks: traceWords(c, "stack")}
	for _, note := range traceWords(c, "note") {
		if word, _, _ := strings.Cut(note, " "); !slices.Contains(packetNotes, word) {
			a.notes = append(a.notes, note)
		}
	}
	return a
}

// found tells whether nothing is left to look for.
func (a *asked) found() bool { return len(a.conns)+len(a.stacks)+len(a.notes) == 0 }

// see takes note of an event.
func (a *asked) see(e *tracer.Event) {
	if a.found() {
		return
	}
	if e.Stack != "" {
		a.stacks = without(a.stacks, e.Stack)
		a.names = atFirst(a.names, strconv.Quote(e.Stack[:min(len(e.Stack), longestName)]))
	}
	if e.Conn != 0 {
		a.conns = without(a.conns, e.Conn)
		a.ids = atFirst(a.ids, strconv.FormatUint(uint64(e.Conn), 10))
	}
	switch b := e.Body.(type) {
	case *tracer.Segment:
		a.seeNotes(b.Notes)
	case *tracer.Datagram:
		a.seeNotes(b.Notes)
	default:
	}
}

// seeResult takes note of the connection that an accept returned, of which the trace may have
// nothing else.
func (a *asked) seeResult(e *tracer.Event) {
	if b, ok := e.Body.(*tracer.Call); ok {
		a.conns = without(a.conns, b.Conn)
	}
}

func (a *asked) seeNotes(notes []string) {
	for _, n := range notes {
		word, _, _ := strings.Cut(n, " ")
		a.notes = without(without(a.notes, n), word)
	}
}

// of errs where a whole trace has not all that is asked for.
func (a *asked) of(t *view.Trace) error {
	for i := range t.Events {
		a.see(&t.Events[i])
	}
	return a.missing()
}

// missing errs where something was not seen. It is asked at the trace's end.
func (a *asked) missing() error {
	switch {
	case len(a.notes) > 0:
		return usageErr("%s--note %s: no packet in the trace bears it: want %s", a.where, a.notes[0], orList(packetNotes))
	case len(a.conns) > 0:
		return fmt.Errorf("%s--conn %d: the trace has no such connection: it has %s: trace summary lists them", a.where, a.conns[0], told(a.ids))
	case len(a.stacks) > 0:
		return fmt.Errorf("%s--stack %s: the trace has no such stack: it has %s", a.where, a.stacks[0], told(a.names))
	}
	return nil
}

// without returns list without the value.
func without[T comparable](list []T, value T) []T {
	return slices.DeleteFunc(list, func(v T) bool { return v == value })
}

// atFirst returns list with word, if it is among the first words of the trace: one more than
// are told of.
func atFirst(list []string, word string) []string {
	if len(list) > maxTold || slices.Contains(list, word) {
		return list
	}
	return append(list, word)
}

// told lists what there is, bounded.
func told(list []string) string {
	switch {
	case len(list) == 0:
		return "none"
	case len(list) > maxTold:
		return strings.Join(list[:maxTold], ", ") + " and more"
	default:
		return strings.Join(list, ", ")
	}
}
