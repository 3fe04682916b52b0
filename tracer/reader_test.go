package tracer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

var sameAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

var head = string(tracer.AppendHeader(nil, tracer.Header{Appliance: "test"})) + "\n"

// readAll reads a trace to its end and returns what ended it.
func readAll(r io.Reader) ([]tracer.Event, *tracer.Reader, error) {
	rd, err := tracer.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	var events []tracer.Event
	for {
		e, err := rd.Next()
		if err != nil {
			return events, rd, err
		}
		events = append(events, e)
	}
}

func TestReaderGivesBackWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := tracertest.DrawHeader(t)
		want := rapid.SliceOfN(rapid.Custom(tracertest.DrawEvent), 0, 10).Draw(t, "events")
		trace := append(tracer.AppendHeader(nil, h), '\n')
		for i := range want {
			trace = append(tracer.AppendJSON(trace, &want[i]), '\n')
		}
		got, r, err := readAll(bytes.NewReader(trace))
		if !errors.Is(err, io.EOF) {
			t.Fatalf("ended with %v:\n%s", err, trace)
		}
		if diff := cmp.Diff(h, r.Header()); diff != "" {
			t.Fatalf("header (-want +got):\n%s", diff)
		}
		if len(want) == 0 {
			want = nil
		}
		if diff := cmp.Diff(want, got, sameAddr); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%s", diff, trace)
		}
	})
}

// TestReaderCutAnywhere holds what a killed writer leaves: the whole lines, and word
// that there was more.
func TestReaderCutAnywhere(t *testing.T) {
	trace := head
	for _, l := range lines {
		trace += l.want + "\n"
	}
	for n := range len(trace) {
		got, _, err := readAll(strings.NewReader(trace[:n]))
		whole := strings.Count(trace[:n], "\n") - 1
		if trace[n] == '\n' { // only the newline is missing: the line is all there
			whole++
		}
		if whole < 0 {
			if strings.Contains(err.Error(), "EOF") || !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "not a trace") {
				t.Fatalf("cut at %d, in the header: %v", n, err)
			}
			continue
		}
		if len(got) != whole {
			t.Fatalf("cut at %d: %d events, want %d", n, len(got), whole)
		}
		atEnd := trace[n] == '\n' || trace[n-1] == '\n'
		if atEnd != errors.Is(err, io.EOF) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if !atEnd && (!errors.Is(err, tracer.ErrTruncated) || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), fmt.Sprintf("line %d: ", whole+2)) || strings.Contains(err.Error(), "EOF")) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestReaderHeaderErrors(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":        {"", "the input is empty"},
		"text":         {"hello\nworld\n", `found "hello"; want a first line with schema "appliance-trace/1"`},
		"pcapng":       {"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", "found a pcapng capture"},
		"gzip":         {"\x1f\x8b\x08\x00\x00", "gzip -d"},
		"binary":       {"\x00\x01\x02\n", "not a trace"},
		"other schema": {`{"type":"trace","schema":"appliance-trace/2","appliance":"9.9"}` + "\n", `found schema "appliance-trace/2", written by appliance "9.9"; want "appliance-trace/1"`},
		"other fields": {`{"type":"trace","schema":"appliance-trace/2","tcp":[1]}` + "\n", `found schema "appliance-trace/2"; want`},
		"an event":     {`{"n":1,"t_ns":0,"type":"lost"}` + "\n", "no schema in the header"},
		"no type":      {`{"schema":"appliance-trace/1"}` + "\n", "no header"},
		"array":        {"[1]\n", "not a trace"},
		"null":         {"null\n", "no schema"},
		"bad time":     {`{"type":"trace","schema":"appliance-trace/1","started":"yesterday"}` + "\n", "bad header"},
		"cut":          {`{"type":"trace","schema":"appl`, "ends in the middle of a line"},
	} {
		_, err := tracer.NewReader(strings.NewReader(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "read trace: ") {
			t.Errorf("%s: got %v, want …%s…", name, err, c.want)
		}
	}
}

func TestReaderLineErrors(t *testing.T) {
	good := lines[0].want
	for name, c := range map[string]struct{ line, want string }{
		"not JSON":      {`{"n":1,`, "line 3: not JSON"},
		"no object":     {`[1]`, "want an object"},
		"no type":       {`{"n":1}`, `no "type"`},
		"second header": {strings.TrimSpace(head), "second header"},
		"n":             {`{"n":"x","type":"lost"}`, `field "n": want an unsigned integer of 64 bits, found "\"x\""`},
		"t_ns":          {`{"t_ns":1.5,"type":"lost"}`, `field "t_ns"`},
		"conn":          {`{"conn":4294967296,"type":"lost"}`, `field "conn": want an unsigned integer of 32 bits`},
		"local":         {`{"local":"nowhere","type":"lost"}`, "want an address and port"},
		"state":         {`{"type":"state","from":"CLOSED","to":"FIN-WAIT1"}`, "want a state of RFC 9293"},
		"no state":      {`{"type":"state","from":"CLOSED"}`, "want two states"},
		"flag":          {`{"type":"segment","flags":["SIN"]}`, "want a TCP flag"},
		"flags":         {`{"type":"segment","flags":"SYN"}`, "want an array"},
		"ts":            {`{"type":"segment","opts":{"ts":[1]}}`, "want two numbers"},
		"opts":          {`{"type":"segment","opts":[]}`, "want an object"},
		"args":          {`{"type":"call","args":3}`, "want an object"},
		"cause":         {`{"type":"state","from":"CLOSED","to":"LISTEN","cause":"x"}`, "want an object"},
		"text":          {`{"type":"timer","timer":3}`, "want a string"},
		"bool":          {`{"type":"segment","opts":{"sack_ok":3}}`, "want true or false"},
	} {
		r, err := tracer.NewReader(strings.NewReader(head + good + "\n" + c.line + "\n" + good + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		_, err = r.Next()
		le := &tracer.LineError{}
		if !errors.As(err, &le) || le.Line != 3 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want line 3: …%s…", name, err, c.want)
		}
		if e, err := r.Next(); err != nil || e.N != 1 {
			t.Errorf("%s: the line behind: %v, %v", name, e, err)
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: end: %v", name, err)
		}
	}
}

// TestReaderForwardCompatible: a newer version's types are passed over and its fields
// ignored; the order of fields, white space, nulls, escapes and blank lines are free.
func TestReaderForwardCompatible(t *testing.T) {
	got, r, err := readAll(strings.NewReader(head + `
{"n":1,"type":"quic","x":{"y":[1,{"z":"]}\""}]}}

 { "to" : "LISTEN" , "new":[[]], "t\u0079pe":"state", "error":null, "from":"CLOSED","x":{}, "n":2 , "local" : null } ` + "\r" + `
{"cwnd":10,"n":3,"after":1,"type":"tcb","new":null,"list":[1],"f":1.5,"recovery":"open"}
{"n":4,"type":"call","args":{"f":1.5,"o":{"a":[1]},"i":-9223372036854775808,"nil":null}}`))
	if !errors.Is(err, io.EOF) || r.Skipped() != 1 {
		t.Fatalf("%v, %d skipped", err, r.Skipped())
	}
	want := []tracer.Event{
		{N: 2, Body: &tracer.StateChange{From: tracer.Closed, To: tracer.Listen}},
		{N: 3, Body: &tracer.TCB{After: 1, Vars: []tracer.TCBVar{{Name: "cwnd", Value: 10}, {Name: "recovery", Text: "open"}}}},
		{N: 4, Body: &tracer.Call{Bytes: -1, Args: []tracer.Arg{{"f", "1.5"}, {"o", `{"a":[1]}`}, {"i", int64(math.MinInt64)}}}},
	}
	if diff := cmp.Diff(want, got, sameAddr); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReaderKeepsNoEscape: a string that was seen is not taken for another's escape.
func TestReaderKeepsNoEscape(t *testing.T) {
	got, _, err := readAll(strings.NewReader(head + `{"type":"tcb","a\\nb":1,"v":"a\nb","w":"a\\nb","x":"a\nb"}`))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	want := []tracer.TCBVar{{Name: `a\nb`, Value: 1}, {Name: "v", Text: "a\nb"}, {Name: "w", Text: `a\nb`}, {Name: "x", Text: "a\nb"}}
	if diff := cmp.Diff(want, got[0].Body.(*tracer.TCB).Vars); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReaderLongLines(t *testing.T) {
	long := func(n int) string { return `{"n":1,"type":"timer","timer":"` + strings.Repeat("x", n) + `"}` }
	in := head + long(4<<20) + "\n" + long(9<<20) + "\n" + lines[0].want + "\n"
	r, err := tracer.NewReader(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := r.Next(); err != nil || len(e.Body.(*tracer.Timer).Name) != 4<<20 {
		t.Fatalf("4 MiB: %v", err)
	}
	if _, err := r.Next(); err == nil || !strings.Contains(err.Error(), "line 3: longer than") {
		t.Fatalf("9 MiB: %v", err)
	}
	if e, err := r.Next(); err != nil || e.N != 1 {
		t.Fatalf("the line behind: %v", err)
	}
}

func TestReaderInputError(t *testing.T) {
	broken := errors.New("broken disk")
	in := io.MultiReader(strings.NewReader(head+lines[0].want+"\n{\"n\""), iotest.ErrReader(broken))
	got, r, err := readAll(in)
	if len(got) != 1 || !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 3") {
		t.Fatalf("%d events, %v", len(got), err)
	}
	if _, again := r.Next(); !errors.Is(again, broken) {
		t.Errorf("Next after the end: %v", again)
	}
}

// FuzzReader holds that no input makes a Reader panic or spin, and that what it reads
// is written and read again as the same.
func FuzzReader(f *testing.F) {
	for _, l := range lines {
		f.Add(l.want + "\n")
	}
	f.Add("{}\n[]\n\"\\ud800\"\nnull\n")
	f.Add(`{"type":"tcb","":"","a":"\u0000"}`)
	f.Add(strings.Repeat("[", 20000))
	f.Fuzz(func(t *testing.T, in string) {
		r, err := tracer.NewReader(strings.NewReader(head + in))
		if err != nil {
			t.Fatal(err)
		}
		for range strings.Count(in, "\n") + 2 {
			e, err := r.Next()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if err == nil {
				line := tracer.AppendJSON(nil, &e)
				again, _, err := readAll(strings.NewReader(head + string(line)))
				if !errors.Is(err, io.EOF) || len(again) != 1 {
					t.Fatalf("wrote what does not read: %v: %s", err, line)
				}
				if second := tracer.AppendJSON(nil, &again[0]); !bytes.Equal(line, second) {
					t.Fatalf("not the same twice:\n%s\n%s", line, second)
				}
			}
		}
		t.Fatal("no end")
	})
}
