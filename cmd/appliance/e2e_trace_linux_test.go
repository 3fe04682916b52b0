package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"testing"

	"appliance/tracer"
)

// wantMatch checks that text matches the pattern, a line at a time; "" asks nothing.
func wantMatch(t *testing.T, of any, what, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
		t.Errorf("%q: %s does not match %q:\n%s", of, what, pattern, text)
	}
}

// readTrace reads a trace and checks what holds for each: numbers rise by one but
// for what a lost event counts, and causes exist. cut allows a last line that is not
// whole.
func readTrace(t *testing.T, path string, cut bool) []tracer.Event {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !cut && !bytes.HasSuffix(data, []byte("\n")) {
		t.Errorf("%s does not end with a whole line: %q", path, data[max(0, len(data)-80):])
	}
	r, err := tracer.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var events []tracer.Event
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) || cut && errors.Is(err, tracer.ErrTruncated) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		events = append(events, e)
	}
	for i, e := range events {
		if e.N != uint64(i+1) {
			t.Fatalf("%s: event %d has n %d: something is lost", path, i+1, e.N)
		}
		if s, ok := e.Body.(*tracer.StateChange); ok && s.Cause.N >= e.N {
			t.Errorf("%s: state change %d is caused by %d, which comes later", path, e.N, s.Cause.N)
		}
	}
	return events
}

// statesOf returns the states that a connection goes through, its first From
// included, and checks that each change starts where the one before ended and names
// a cause that exists.
func statesOf(t *testing.T, events []tracer.Event, conn uint32) []tracer.State {
	t.Helper()
	var states []tracer.State
	for _, e := range events {
		s, ok := e.Body.(*tracer.StateChange)
		if !ok || e.Conn != conn {
			continue
		}
		if len(states) == 0 {
			states = append(states, s.From)
		}
		if last := states[len(states)-1]; last != s.From {
			t.Errorf("state change %d is from %v, the one before it to %v", e.N, s.From, last)
		}
		if s.Cause.Kind == "" || s.Cause.What == "" || s.Cause.Kind != tracer.CauseStack && s.Cause.N == 0 {
			t.Errorf("state change %d, %v → %v, has no cause: %+v", e.N, s.From, s.To, s.Cause)
		}
		if s.Via == "filled" {
			t.Errorf("state change %d, %v → %v, was filled in", e.N, s.From, s.To)
		}
		states = append(states, s.To)
	}
	return states
}

// servedConn returns the connections that a listener at that port has brought forth.
func servedConns(events []tracer.Event, port uint16) []uint32 {
	var conns []uint32
	for _, e := range events {
		if e.Parent != 0 && e.Local.Port() == port && !slices.Contains(conns, e.Conn) {
			conns = append(conns, e.Conn)
		}
	}
	return conns
}
