package sequence

import (
	"slices"
	"strings"
	"testing"
	"time"

	"appliance/tracer"
)

// FuzzMatch holds that no trace, however broken, makes the judge fail, and that a mismatch always
// says something. The input is edits: what to do, to which event, with what.
func FuzzMatch(f *testing.F) {
	traces := append(loadTraces(f), goodTrace{"told by hand", told(f, 2)})
	f.Add(byte(0), []byte{})
	f.Add(byte(1), []byte{0, 3, 0, 1, 4, 0, 2, 5, 0})
	f.Add(byte(7), []byte{3, 9, 200, 4, 12, 7, 5, 20, 1, 6, 21, 9, 7, 22, 3})
	f.Add(byte(12), []byte{8, 1, 1, 9, 2, 2, 10, 3, 3, 11, 4, 4})
	f.Fuzz(func(t *testing.T, which byte, edits []byte) {
		in := traces[int(which)%len(traces)].in
		in.Events = slices.Clone(in.Events)
		edits = edits[:min(len(edits), 3*32)]
		for ; len(edits) >= 3 && len(in.Events) > 0; edits = edits[3:] {
			in.Events = edited(in.Events, edits[0], int(edits[1]), edits[2])
		}
		if m := Match(in); m != nil && (m.At == "" || m.Expected == "" || m.Seen == "" || m.Why == "") {
			t.Errorf("the mismatch says too little: %+v", m)
		}
	})
}

// edited returns events with one edit done.
func edited(events []tracer.Event, op byte, at int, value byte) []tracer.Event {
	at %= len(events)
	e := &events[at]
	switch op % 12 {
	case 0:
		return renumbered(slices.Delete(events, at, at+1))
	case 1:
		return renumbered(slices.Insert(events, at, events[int(value)%len(events)]))
	case 2:
		other := int(value) % len(events)
		events[at], events[other] = events[other], events[at]
		return renumbered(events)
	case 3:
		e.N = uint64(value)
	case 4:
		e.Conn = uint32(value % 5)
	case 5:
		e.Stack = []string{"client", "server", "peer", ""}[value%4]
	case 6:
		e.Local, e.Remote = e.Remote, e.Local
	case 7:
		e.Body = events[int(value)%len(events)].Body
	case 8:
		e.Body = nil
	case 9:
		e.T = time.Duration(value)
	case 10:
		e.Parent = uint32(value)
	default:
		e.Body = bent(e.Body, value)
	}
	return events
}

// bent returns a body with a value where it does not belong.
func bent(body tracer.Body, v byte) tracer.Body {
	switch b := body.(type) {
	case *tracer.Segment:
		return with(b, func(c *tracer.Segment) {
			c.Flags, c.RelSeq, c.Len, c.Dir, c.WireSegments = tracer.Flags(v), uint32(v)-5, int(v)-9, tracer.Direction(rune(v)), int(v)-3
			c.Notes = append(slices.Clone(c.Notes), "duplicated "+strings.Repeat("9", int(v)%30)+" times")
		})
	case *tracer.StateChange:
		return with(b, func(c *tracer.StateChange) { c.From, c.Cause.N = tracer.State(v), uint64(v) })
	case *tracer.Call:
		return with(b, func(c *tracer.Call) {
			c.Of, c.Bytes, c.Conn, c.Phase = uint64(v), int(v)-9, uint32(v), tracer.Phase([]string{"enter", "return", "done", ""}[v%4])
		})
	default:
		return &tracer.Lost{Missed: uint64(v)}
	}
}

// TestTooMuchOpen holds that rows which leave more open than can be tried end with a mismatch that
// says so, and soon.
func TestTooMuchOpen(t *testing.T) {
	in := told(t, 30)
	row := func(text string) Row {
		r, err := ParseRow(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	anyACK := row("C → S ACK seq=* ack=* len=* times=0+")
	for name, group := range map[string]Group{
		"any order": {Kind: AnyOrder, Lists: slices.Repeat([][]Row{{anyACK, row("S → C ACK seq=* ack=* times=0+"), anyACK}}, 12)},
		"optional": {Kind: Optional, Lists: [][]Row{slices.Repeat([]Row{{Body: Group{
			Kind: Either, Lists: slices.Repeat([][]Row{{anyACK}}, 9),
		}}}, 12)}},
	} {
		t.Run(name, func(t *testing.T) {
			run := *in.Run
			run.Expect = append(slices.Clone(in.Run.Expect[:11]), Row{Body: group})
			open := in
			open.Run = &run
			start := time.Now()
			m := Match(open)
			if m == nil || !strings.Contains(m.Why, "too many") {
				t.Errorf("%v; want that there are too many ways", m)
			}
			if spent := time.Since(start); spent > 30*time.Second {
				t.Errorf("it took %s", spent)
			}
		})
	}
}
