package infer_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
	"appliance/tracer/infer"
	"appliance/tracer/tracertest"
)

// The files of testdata are traces of two netstacks on a pipe, both of which are
// traced: what a stack says of itself is the truth that the other's segments must
// lead to. Impairments are on the client's link, so that only the client's trace
// tells of a loss.

func readTrace(t testing.TB, path string) []tracer.Event {
	t.Helper()
	_, events := tracertest.Read(t, path)
	return events
}

// seenFrom keeps of a trace the events of the vantage and, when calls is set, the
// other's calls.
func seenFrom(events []tracer.Event, vantage string, calls bool) []tracer.Event {
	var kept []tracer.Event
	for _, e := range events {
		if e.Stack == vantage || calls && e.Body.Type() == tracer.TypeCall {
			kept = append(kept, e)
		}
	}
	return kept
}

// inWords tells of a segment what both ends see alike.
func inWords(e tracer.Event, own bool) string {
	s, ok := e.Body.(*tracer.Segment)
	if !ok {
		return fmt.Sprintf("no segment but n %d", e.N)
	}
	dir := s.Dir
	if !own {
		dir = map[tracer.Direction]tracer.Direction{tracer.In: tracer.Out, tracer.Out: tracer.In}[dir]
	}
	return fmt.Sprintf("%s %s seq %d ack %d len %d", dir, s.Flags, s.Seq, s.Ack, s.Len)
}

// paths gives each connection's changes, in words, in order: those that a segment
// can show. own says whose numbers the causes are: the end's or the vantage's.
func paths(events, all []tracer.Event, own, causes bool, id func(tracer.Event) string) map[string][]string {
	byN := map[uint64]tracer.Event{}
	for _, e := range all {
		byN[e.N] = e
	}
	got := map[string][]string{}
	for _, e := range events {
		c, ok := e.Body.(*tracer.StateChange)
		if !ok {
			continue
		}
		invisible := c.Cause.Kind == tracer.CauseTimer || c.Cause.Kind == tracer.CauseStack || c.From == tracer.TimeWait
		if invisible || !causes && c.From == tracer.Listen && c.To == tracer.Closed {
			continue
		}
		line := fmt.Sprintf("%s → %s by %s", c.From, c.To, c.Cause.Kind)
		switch {
		case c.Cause.Kind == tracer.CauseSegment:
			line += fmt.Sprintf(" %q (%s) rfc %s error %q", c.Cause.What, inWords(byN[c.Cause.N], own), c.RFC, c.Error)
		case causes:
			line += fmt.Sprintf(" %d %s rfc %s", c.Cause.N, c.Cause.What, c.RFC)
		}
		got[id(e)] = append(got[id(e)], line)
	}
	return got
}

func byConn(e tracer.Event) string {
	return fmt.Sprintf("%s %d of %d: %v-%v", e.Stack, e.Conn, e.Parent, e.Local, e.Remote)
}

func byAddress(e tracer.Event) string { return fmt.Sprintf("%s %v-%v", e.Stack, e.Local, e.Remote) }

// accepted tells whether the program accepted every connection.
func accepted(events []tracer.Event) bool {
	children, names := map[uint32]bool{}, map[uint32]bool{}
	for _, e := range events {
		if e.Parent != 0 {
			children[e.Conn] = true
		}
		if c, ok := e.Body.(*tracer.Call); ok && c.Conn != 0 {
			names[c.Conn] = true
		}
	}
	return len(children) == len(names)
}

func TestAgainstTruth(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	shown := map[string]bool{}
	for _, file := range files {
		for _, e := range readTrace(t, file) {
			if c, ok := e.Body.(*tracer.StateChange); ok {
				shown[c.From.String()+" → "+c.To.String()] = true
			}
		}
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		for vantage, other := range map[string]string{"client": "server", "server": "client"} {
			for _, calls := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/calls=%v", name, other, calls), func(t *testing.T) {
					if name == "three-segments" && other == "client" {
						t.Skip("the ACK that the client's link drops is one that the server sees itself send")
					}
					againstTruth(t, readTrace(t, file), vantage, other, calls)
				})
			}
		}
	}
	for _, want := range []string{
		"SYN-SENT → SYN-RECEIVED", "SYN-SENT → CLOSED", "ESTABLISHED → CLOSED", "FIN-WAIT-1 → FIN-WAIT-2", "FIN-WAIT-1 → CLOSING",
		"FIN-WAIT-1 → TIME-WAIT", "CLOSING → TIME-WAIT", "LAST-ACK → CLOSED",
	} {
		if !shown[want] {
			t.Errorf("no trace shows %s", want)
		}
	}
}

func againstTruth(t *testing.T, all []tracer.Event, vantage, other string, calls bool) {
	var truth []tracer.Event
	for _, e := range all {
		if e.Stack == other {
			truth = append(truth, e)
		}
	}
	id := byAddress
	if calls && accepted(all) { // only an accepted child has a name that calls use
		id = byConn
	}
	o := infer.Options{Vantage: vantage, Stack: other, OpensOnACK: true}
	got := infer.Infer(seenFrom(all, vantage, calls), o)
	if d := cmp.Diff(paths(truth, all, true, calls, id), paths(got, all, false, calls, id)); d != "" {
		t.Errorf("-truth +inferred\n%s", d)
	}
	for _, e := range got {
		if c := e.Body.(*tracer.StateChange); e.N != 0 || c.Via != infer.Via || c.Dwell < 0 {
			t.Errorf("%+v %+v", e, c)
		}
	}
}
