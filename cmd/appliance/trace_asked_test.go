package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"appliance/tracer"
)

// TestAskedMissing: what the trace never shows is named, with what there is: bounded, and
// harmless to a terminal.
func TestAskedMissing(t *testing.T) {
	seg := func(conn uint32, stack string) tracer.Event {
		return tracer.Event{Conn: conn, Stack: stack, Body: &tracer.Segment{Notes: []string{"dup-ack", "new 3ms"}}}
	}
	var many []tracer.Event
	for i := range uint32(100) {
		many = append(many, seg(i+1, "s"+strconv.Itoa(int(i))))
	}
	for _, tt := range []struct {
		name   string
		want   asked
		events []tracer.Event
		err    string // "" for none
	}{
		{"nothing asked for", asked{}, nil, ""},
		{"all there", asked{conns: []uint32{2, 1}, stacks: []string{"b", "a"}}, []tracer.Event{seg(1, "a"), seg(2, "b")}, ""},
		{"no more than the accept", asked{conns: []uint32{7}}, []tracer.Event{{Conn: 1, Body: &tracer.Call{Name: "accept", Conn: 7}}}, "x: --conn 7: the trace has no such connection: it has 1: "},
		{"no stack", asked{stacks: []string{"a"}}, []tracer.Event{{Body: &tracer.Lost{}}}, "x: --stack a: the trace has no such stack: it has none"},
		{"a later version's note", asked{notes: []string{"new"}}, []tracer.Event{seg(1, "a")}, ""},
		{"a note as it stands", asked{notes: []string{"new 3ms"}}, []tracer.Event{seg(1, "a")}, ""},
		{"a note that is the start of one", asked{notes: []string{"dup"}}, []tracer.Event{seg(1, "a")}, "x: --note dup: no packet in the trace bears it: want retransmission, "},
		{"an empty trace", asked{conns: []uint32{1}}, nil, "x: --conn 1: the trace has no such connection: it has none: "},
		{"one of two", asked{conns: []uint32{1, 9}}, []tracer.Event{seg(1, "a"), seg(1, "a"), seg(3, "a")}, "x: --conn 9: the trace has no such connection: it has 1, 3: "},
		{"many connections", asked{conns: []uint32{999}}, many, "it has 1, 2, 3, 4, 5, 6, 7, 8 and more: trace summary lists them"},
		{"many stacks", asked{stacks: []string{"a"}}, many, `it has "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7" and more`},
		{"a hostile name", asked{stacks: []string{"a"}}, []tracer.Event{seg(1, "\x1b[2J"+strings.Repeat("é", 100)), seg(1, "b")}, `it has "\x1b[2Jé`},
	} {
		tt.want.where = "x: "
		for i := range tt.events {
			tt.want.see(&tt.events[i])
		}
		err := tt.want.missing()
		switch {
		case tt.err == "" && err != nil, tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: %v, want …%s…", tt.name, err, tt.err)
		case err != nil && len(err.Error()) > 400:
			t.Errorf("%s: an error of %d bytes", tt.name, len(err.Error()))
		}
	}
}

// TestPacketNotes: the notes that the stack makes are known: to ask for one that a trace lacks
// is no mistake.
func TestPacketNotes(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../netstack/flow.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "note") {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
			found++
			if note, err := strconv.Unquote(lit.Value); err != nil || !slices.Contains(packetNotes, note) {
				t.Errorf("%s is not known (%v)", lit.Value, err)
			}
		}
		return true
	})
	if found < 10 {
		t.Errorf("found %d notes: have they moved?", found)
	}
}
