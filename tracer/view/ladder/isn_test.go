package ladder

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"appliance/tracer"
	"appliance/tracer/view"
)

// The initial sequence numbers of the segments below.
const (
	clientISN = 2751532543
	serverISN = 4294967290 // its numbers wrap
)

// at is a segment that bears relative numbers.
func at(dir tracer.Direction, flags tracer.Flags, seq, ack uint32) *tracer.Segment {
	m := bare(dir, flags, seq, ack)
	m.HasRel, m.RelSeq = true, seq
	if flags.Has(tracer.ACK) {
		m.HasRelAck, m.RelAck = true, ack
	}
	return m
}

// bare is the same without them, as of a stack that has forgotten the connection.
func bare(dir tracer.Direction, flags tracer.Flags, seq, ack uint32) *tracer.Segment {
	own, peer := uint32(clientISN), uint32(serverISN)
	if dir == tracer.In {
		own, peer = peer, own
	}
	m := &tracer.Segment{Dir: dir, Flags: flags, Seq: own + seq}
	if flags.Has(tracer.ACK) {
		m.Ack = peer + ack
	}
	return m
}

// abort is a connection whose client aborts it, and what goes over the wire after that, which
// bears no connection.
func abort(more ...*tracer.Segment) []*Ladder {
	s := &story{}
	s.add(0, 0, at(tracer.Out, tracer.SYN, 0, 0))
	s.add(10, 0, at(tracer.In, tracer.SYN|tracer.ACK, 0, 1))
	s.add(20, 0, at(tracer.Out, tracer.ACK|tracer.PSH, 1, 1))
	s.add(30, 0, at(tracer.Out, tracer.RST|tracer.ACK, 21, 1))
	s.add(30, 0, &tracer.End{How: tracer.HowAborted})
	for _, m := range more {
		s.add(40, 0, m)
		s.events[len(s.events)-1].Conn = 0
	}
	return ladders(view.New(tracer.Header{}, s.events), Options{})
}

// numbersOf are the numbers in an arrow's label.
func numbersOf(a *Arrow) string {
	var list []string
	for _, p := range a.Label {
		if p.Kind != PieceFlags {
			list = append(list, p.Text)
		}
	}
	return strings.Join(list, " ")
}

// TestRelative: a segment without relative numbers has them by the connection's others, in
// every form; and its own where they do not tell or another number was asked for.
func TestRelative(t *testing.T) {
	sacked := bare(tracer.In, tracer.ACK, 1, 21)
	sacked.Opts.SACK = []tracer.SACKBlock{{Left: clientISN + 31, Right: clientISN + 41}}
	unnumbered := bare(tracer.In, tracer.RST|tracer.ACK, 0, 22)
	unnumbered.Seq = 0
	numbers := Options{Numbers: &Numbers{Client: 1000, Server: 8000}}
	for name, c := range map[string]struct {
		m    *tracer.Segment
		o    Options
		want string
	}{
		"RST after an abort": {bare(tracer.Out, tracer.RST, 21, 0), Options{}, "seq 21"},
		"the other end's":    {bare(tracer.In, tracer.RST, 7, 0), Options{}, "seq 7"},
		"with ACK":           {bare(tracer.Out, tracer.RST|tracer.ACK, 21, 8), Options{}, "seq 21 ack 8"},
		"SACK":               {sacked, Options{}, "seq 1 ack 21 sack 31-41 win 0"},
		"no number":          {unnumbered, Options{}, "seq 0 raw ack 22"},
		"raw":                {bare(tracer.Out, tracer.RST, 21, 0), Options{Raw: true}, "seq 2751532564"},
		"numbers":            {bare(tracer.Out, tracer.RST, 21, 0), numbers, "1021(0)"},
		"numbers, with ACK":  {bare(tracer.In, tracer.RST|tracer.ACK, 7, 21), numbers, "8007(0) ack 1021"},
		"numbers, SACK":      {sacked, numbers, "8001(0) ack 1021 sack 1031-1041 win 0"},
		"numbers, no number": {unnumbered, numbers, "seq 0 raw ack 1022"},
	} {
		l := abort(c.m)[0]
		l = New(l.trace, l.trace.Pairs()[0], c.o)
		if got := numbersOf(l.Arrows[len(l.Arrows)-1]); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	ls := abort(bare(tracer.Out, tracer.RST, 21, 0))
	for form, write := range map[string]func(w io.Writer) error{
		"text":    func(w io.Writer) error { return Text(w, ls, TextOptions{}) },
		"mermaid": func(w io.Writer) error { return Mermaid(w, ls) },
		"svg":     func(w io.Writer) error { _, err := ls[0].Canvas().WriteInline(w); return err },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); strings.Contains(got, "raw") || strings.Contains(got, "2751532564") {
			t.Errorf("%s: a number of the wire's in\n%s", form, got)
		}
	}
}

// TestRelativeOfAPortUsedAgain: the number is relative to the initial number before it, and
// to the first where it comes before all.
func TestRelativeOfAPortUsedAgain(t *testing.T) {
	later := at(tracer.Out, tracer.SYN, 0, 0)
	later.Seq = 500
	s := &story{}
	s.add(0, 0, bare(tracer.Out, tracer.ACK, 5, 5))
	s.add(10, 0, at(tracer.Out, tracer.ACK, 6, 5))
	s.add(20, 0, later)
	s.add(30, 0, &tracer.Segment{Dir: tracer.Out, Flags: tracer.RST, Seq: 501})
	var got []string
	for _, a := range s.ladder().Arrows {
		got = append(got, strings.TrimSuffix(numbersOf(a), " win 0"))
	}
	if want := "seq 5 ack 5, seq 6 ack 5, seq 0, seq 1"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestNotRelative: no number is relative to what is not known, nor to another client's
// initial number.
func TestNotRelative(t *testing.T) {
	s := &story{}
	s.add(0, 0, bare(tracer.Out, tracer.RST, 21, 0))
	if got, want := numbersOf(s.ladder().Arrows[0]), "seq 2751532564 raw"; got != want {
		t.Errorf("nothing known: %q, want %q", got, want)
	}
	tr := view.New(tracer.Header{}, []tracer.Event{
		{N: 1, Stack: "server", Conn: 1, Local: serverEnd, Body: &tracer.StateChange{From: tracer.Closed, To: tracer.Listen}},
		{N: 2, Stack: "server", Conn: 1, Local: serverEnd, Remote: clientEnd, Body: at(tracer.In, tracer.SYN, 0, 0)},
		{N: 3, Stack: "server", Conn: 1, Local: serverEnd, Remote: clientEnd, Body: &tracer.Segment{Dir: tracer.In, Flags: tracer.RST, Seq: 9}},
	})
	l := New(tr, view.Pair{A: tr.Conn(1)}, Options{})
	if got, want := numbersOf(l.Arrows[1]), "seq 9 raw "+clientEnd.String(); got != want {
		t.Errorf("a listener's clients: %q, want %q", got, want)
	}
}
