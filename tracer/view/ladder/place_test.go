package ladder

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"appliance/tracer"
	"appliance/tracer/view"
)

// story builds a trace of a client whose segments are traced and of a peer of which only
// calls and states are.
type story struct{ events []tracer.Event }

func (s *story) add(at time.Duration, end int, body tracer.Body) uint64 {
	e := tracer.Event{
		N: uint64(len(s.events) + 1), T: at * time.Microsecond,
		Stack: "client", Conn: 2, Local: clientEnd, Remote: serverEnd, Body: body,
	}
	if end == 1 {
		e.Stack, e.Conn, e.Local, e.Remote = "peer", 3, serverEnd, clientEnd
	}
	s.events = append(s.events, e)
	return e.N
}

func (s *story) segment(at time.Duration, dir tracer.Direction, flags tracer.Flags) uint64 {
	return s.add(at, 0, &tracer.Segment{Dir: dir, Flags: flags, Seq: uint32(len(s.events)), Win: 65535})
}

func (s *story) state(at time.Duration, end int, from, to tracer.State, cause uint64, via string) {
	s.add(at, end, &tracer.StateChange{From: from, To: to, Cause: tracer.Cause{Kind: tracer.CauseSegment, N: cause, What: "ACK"}, Via: via})
}

func (s *story) ladder() *Ladder {
	t := view.New(tracer.Header{}, s.events)
	return New(t, t.Pairs()[0], Options{})
}

// lateStates is a connection whose peer's kernel tells of each state later than of the
// segment: of ESTABLISHED only after the client's FIN.
func lateStates(via string) *story {
	s := &story{}
	syn := s.segment(10, tracer.Out, tracer.SYN)
	s.state(10, 1, tracer.Listen, tracer.SynReceived, syn, "inferred")
	s.segment(80, tracer.In, tracer.SYN|tracer.ACK)
	ack := s.segment(140, tracer.Out, tracer.ACK)
	fin := s.segment(170, tracer.Out, tracer.FIN|tracer.ACK)
	s.state(200, 1, tracer.SynReceived, tracer.Established, ack, via)
	s.state(900, 1, tracer.Established, tracer.CloseWait, fin, via)
	return s
}

// TestStateAtItsSegment: a state stands at the arrow of the segment that changed it, however
// late the trace tells, and at no other.
func TestStateAtItsSegment(t *testing.T) {
	l := lateStates("tracepoint").ladder()
	want := map[tracer.State]uint64{tracer.SynReceived: 1, tracer.Established: 4, tracer.CloseWait: 5}
	for _, r := range l.Rows {
		if m := r.Marks[1]; m != nil {
			if r.Arrow == nil || r.Arrow.N() != want[m.State] {
				t.Errorf("%s stands in %+v", m.Text, r)
			}
			delete(want, m.State)
		}
	}
	if len(want) != 0 {
		t.Errorf("not shown: %v", want)
	}
}

// TestStateOutOfOrder: where the end has done something since its segment came, or no
// segment is known, a state has a row of its own, and what is sent then has another.
func TestStateOutOfOrder(t *testing.T) {
	for name, cause := range map[string]uint64{"the FIN": 1, "no event": 0, "an event that is no packet": 3} {
		s := &story{}
		s.segment(0, tracer.In, tracer.FIN|tracer.ACK)
		s.segment(10, tracer.Out, tracer.ACK)
		s.add(20, 0, &tracer.Timer{Name: "delayed-ack"})
		s.segment(25, tracer.In, tracer.ACK)
		s.segment(28, tracer.Out, tracer.ACK)
		s.state(30, 0, tracer.FinWait2, tracer.TimeWait, cause, "probe")
		s.segment(40, tracer.Out, tracer.ACK)
		l := s.ladder()
		for _, r := range l.Rows {
			if m := r.Marks[0]; m != nil && m.Kind == MarkState && r.Arrow != nil {
				t.Errorf("%s: %s stands at the arrow of #%d", name, m.Text, r.Arrow.N())
			}
		}
		if n := len(l.Rows); n != 7 {
			t.Errorf("%s: %d rows, want 7", name, n)
		}
	}
}

// TestInferred: a ladder tells exactly of which ends which states are inferred.
func TestInferred(t *testing.T) {
	for name, c := range map[string]struct {
		via        string
		client     []string // via of the client's states
		text, foot string
	}{
		"some of the peer's": {"tracepoint", nil, "peer.3 (1 of 3 states inferred)\n", "Some states of peer.3 are inferred from segments."},
		"all of the peer's":  {"inferred", []string{"probe"}, "peer.3 (states inferred)\n", "All states of peer.3 are inferred from segments."},
		"all of both": {
			"inferred",
			[]string{"inferred", "inferred"},
			"client.2 (states inferred)", "All states of client.2 are inferred from segments. All states of peer.3 are inferred from segments.",
		},
	} {
		s := lateStates(c.via)
		for _, via := range c.client {
			s.state(950, 0, tracer.SynSent, tracer.Established, 3, via)
		}
		l := s.ladder()
		var text bytes.Buffer
		if err := l.Text(&text, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), c.text) {
			t.Errorf("%s: want %q in\n%s", name, c.text, &text)
		}
		foot := strings.Join(l.picture().legend(), " ")
		if !strings.HasSuffix(foot, c.foot) || strings.Count(foot, "inferred") != strings.Count(c.foot, "inferred") {
			t.Errorf("%s: %q, want %q", name, foot, c.foot)
		}
	}
	none := lateStates("tracepoint")
	none.events[1].Body.(*tracer.StateChange).Via = "tracepoint" //nolint:forcetypeassert // it is one
	if l := none.ladder(); strings.Contains(strings.Join(l.picture().legend(), " "), "inferred") || l.inferred(&l.Lanes[1]) != "" {
		t.Error("it tells of inferred states, and there is none")
	}
}

// TestDwell: how long a state lasted is what the change that ended it says, as exactly as
// the trace's story has it.
func TestDwell(t *testing.T) {
	s := &story{}
	s.state(100, 0, tracer.Listen, tracer.SynReceived, 0, "clock")
	s.state(236, 0, tracer.SynReceived, tracer.Established, 0, "waiter")
	s.state(300, 0, tracer.Established, tracer.Established, 0, "probe") // another name of it
	s.state(1455, 0, tracer.Established, tracer.FinWait1, 0, "probe")
	s.state(1456, 0, tracer.FinWait1, tracer.FinWait2, 0, "probe") // does not say
	for i, dwell := range []int{0, 139, 62, 1155, 0} {
		s.events[i].Body.(*tracer.StateChange).Dwell = time.Duration(dwell) * time.Microsecond //nolint:forcetypeassert // it is one
	}
	l := s.ladder()
	var got []string
	for _, r := range l.Rows {
		got = append(got, stay(r.Marks[1].Dwell)) // it was opened by its peer
	}
	if want := "0.139 ms, 1.217 ms, 0.001 ms, 0 ms"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestStay(t *testing.T) {
	for d, want := range map[time.Duration]string{
		139 * time.Microsecond: "0.139 ms", 80 * time.Millisecond: "80 ms",
		1006880351: "1.007 s", 240 * time.Second: "240 s", 11 * time.Minute: "11m0s",
	} {
		if got := stay(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestNarrow: in 60 columns no word of a call is broken, nor a time from its unit, and a
// rule that drops takes three lines.
func TestNarrow(t *testing.T) {
	s := &story{}
	s.add(10, 0, &tracer.Call{Name: "connect", Phase: tracer.PhaseEnter, Args: []tracer.Arg{{Name: "addr", Value: serverEnd.String()}, {Name: "a", Value: "192.0.2.2:9"}}, Bytes: -1})
	s.state(20, 0, tracer.Closed, tracer.SynSent, 0, "out")
	s.state(152, 0, tracer.SynSent, tracer.Established, 0, "out")
	s.add(200, 0, &tracer.Segment{Dir: tracer.Out, Flags: tracer.ACK, Dropped: `impairment: rule "drop out payload>0 nth=2"`})
	s.state(300, 1, tracer.Listen, tracer.SynReceived, 0, "out")
	var b bytes.Buffer
	if err := s.ladder().Text(&b, TextOptions{Width: LeastWidth}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"connect(:80, │", " 192.0.2.2:9) │", " 0.132 ms ", "✗ dropped by rule ", "\"drop out payload>0 ", "SYN-RECEIVED"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("want %q in\n%s", want, &b)
		}
	}
}

// TestLabelsAlongTheirArrows: of arrows side by side, and of answers that cross their ends,
// no label has another arrow through it.
func TestLabelsAlongTheirArrows(t *testing.T) {
	var events []tracer.Event
	add := func(end int, dir tracer.Direction, seq uint32, at time.Duration) {
		e := tracer.Event{
			N: uint64(len(events) + 1), T: at * time.Microsecond, Stack: "client", Conn: 2, Local: clientEnd, Remote: serverEnd,
			Body: &tracer.Segment{Dir: dir, Flags: tracer.ACK, Seq: seq, Ack: 1000, Len: 1000, Win: 65535},
		}
		if end == 1 {
			e.Stack, e.Conn, e.Local, e.Remote = "server", 3, serverEnd, clientEnd
		}
		events = append(events, e)
	}
	for i := range uint32(5) {
		add(0, tracer.Out, 1000*i, time.Duration(100*i))
	}
	for i := range uint32(5) {
		add(1, tracer.In, 1000*i, 2000+time.Duration(100*i))
	}
	tr := view.New(tracer.Header{}, events)
	l := New(tr, tr.Pairs()[0], Options{})
	p := l.picture()
	for _, a := range l.Arrows {
		if at := p.places[a]; at.ground || at.turn == 0 {
			t.Errorf("the label of #%d: %+v", a.N(), at)
		}
	}
}
