package netstack_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"appliance/netstack"
	"appliance/tracer"
)

// wantStory fails unless the story is the wanted one.
func wantStory(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant:\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// checkCauses fails unless each state change's cause is an event before it, of the
// kind and the stack that it says.
func (l *lab) checkCauses() {
	l.t.Helper()
	events := l.rec.Events()
	kinds := map[tracer.CauseKind]tracer.Type{
		tracer.CauseSegment: tracer.TypeSegment, tracer.CauseCall: tracer.TypeCall,
		tracer.CauseTimer: tracer.TypeTimer, tracer.CauseICMP: tracer.TypeICMP,
	}
	for _, e := range events {
		s := stateOf(e)
		if s == nil || s.Cause.Kind == tracer.CauseStack {
			continue
		}
		if s.Cause.N == 0 || s.Cause.N >= e.N {
			l.t.Errorf("event %d, %s: the cause is event %d", e.N, tell(e), s.Cause.N)
			continue
		}
		c := events[s.Cause.N-1]
		if c.Body.Type() != kinds[s.Cause.Kind] || c.Stack != e.Stack || c.Conn != e.Conn && c.Conn != e.Parent {
			l.t.Errorf("event %d, %s: the cause is %d, %s of %s, connection %d", e.N, tell(e), c.N, tell(c), c.Stack, c.Conn)
		}
	}
}

// plain runs a whole connection, one step after the other: hello, byebye, and the
// client closes first.
func plain(l *lab) (c, s *netstack.Conn) {
	l.t.Helper()
	c, s = l.connect()
	l.send(c, "hello")
	l.recv(s, 5)
	l.send(s, "byebye")
	l.recv(c, 6)
	l.wait(ofConn(s), seg(tracer.In, tracer.ACK), acks(7))
	l.close(c)
	l.recvEOF(s)
	l.wait(ofConn(c), enters(tracer.FinWait2))
	l.close(s)
	l.wait(ofConn(c), enters(tracer.TimeWait))
	l.wait(ofConn(s), ofType(tracer.TypeEnd))
	return c, s
}

func notCalls(e tracer.Event) bool { return e.Body.Type() != tracer.TypeCall }

func TestTraceOfPlainConnection(t *testing.T) {
	l := newLab(t, setup{manual: true})
	c, s := plain(l)
	wantStory(t, "the client", l.story(ofConn(c), notCalls),
		"● CLOSED → SYN-SENT by connect (call)",
		"out SYN seq 0 len 0",
		"in SYN ACK seq 0 ack 1 len 0",
		"● SYN-SENT → ESTABLISHED by SYN ACK (segment)",
		"out ACK seq 1 ack 1 len 0",
		"out PSH ACK seq 1 ack 1 len 5",
		"in ACK seq 1 ack 6 len 0",
		"in PSH ACK seq 1 ack 6 len 6",
		"out ACK seq 6 ack 7 len 0",
		"● ESTABLISHED → FIN-WAIT-1 by close (call)",
		"out FIN ACK seq 6 ack 7 len 0",
		"in ACK seq 7 ack 7 len 0",
		"● FIN-WAIT-1 → FIN-WAIT-2 by ACK of our FIN (segment)",
		"in FIN ACK seq 7 ack 7 len 0",
		"out ACK seq 7 ack 8 len 0",
		"● FIN-WAIT-2 → TIME-WAIT by FIN (segment)",
	)
	wantStory(t, "the server's connection", l.story(ofConn(s), notCalls),
		"● LISTEN → SYN-RECEIVED by SYN (segment)",
		"out SYN ACK seq 0 ack 1 len 0",
		"in ACK seq 1 ack 1 len 0",
		"● SYN-RECEIVED → ESTABLISHED by ACK of our SYN (segment)",
		"in PSH ACK seq 1 ack 1 len 5",
		"out ACK seq 1 ack 6 len 0",
		"out PSH ACK seq 1 ack 6 len 6",
		"in ACK seq 6 ack 7 len 0",
		"in FIN ACK seq 6 ack 7 len 0",
		"out ACK seq 7 ack 7 len 0",
		"● ESTABLISHED → CLOSE-WAIT by FIN (segment)",
		"● CLOSE-WAIT → LAST-ACK by close (call)",
		"out FIN ACK seq 7 ack 7 len 0",
		"in ACK seq 7 ack 8 len 0",
		"● LAST-ACK → CLOSED by ACK of our FIN (segment)",
		"end passive fin: 5 B in, 6 B out",
	)
	wantStory(t, "the listener", l.story(on("server"), func(e tracer.Event) bool { return e.Parent == 0 }, notCalls),
		"● CLOSED → LISTEN by listen (call)",
		"in SYN seq 0 len 0",
	)
	l.checkCauses()
	l.checkParents(s)
}

// checkParents fails unless each event of a child bears its listener, and the
// accept returned the child.
func (l *lab) checkParents(s *netstack.Conn) {
	l.t.Helper()
	listener := l.wait(on("server"), enters(tracer.Listen)).Conn
	for _, e := range l.events(ofConn(s)) {
		if e.Parent != listener {
			l.t.Errorf("event %d, %s: parent %d, want %d", e.N, tell(e), e.Parent, listener)
		}
		if e.Local.String() != s.LocalAddr().String() || e.Remote.String() != s.RemoteAddr().String() {
			l.t.Errorf("event %d, %s: of %s, %s", e.N, tell(e), e.Local, e.Remote)
		}
	}
	accept := l.wait(on("server"), called("accept", tracer.PhaseReturn))
	if b := accept.Body.(*tracer.Call); accept.Conn != listener || b.Conn != s.TraceConn() || b.Result != s.RemoteAddr().String() {
		l.t.Errorf("accept of %d returned %+v", accept.Conn, b)
	}
}

func TestTraceOfCalls(t *testing.T) {
	l := newLab(t, setup{manual: true})
	c, s := plain(l)
	calls := ofType(tracer.TypeCall)
	wantStory(t, "the client's calls", l.story(ofConn(c), calls),
		"socket done", "connect enter", "connect return", "send enter", "send return 5", "recv enter", "recv return 6", "close enter", "close return")
	wantStory(t, "the server's calls", l.story(ofConn(s), calls),
		"recv enter", "recv return 5", "send enter", "send return 6", "recv enter", "recv return 0", "close enter", "close return")
	wantStory(t, "the listener's calls", l.story(on("server"), calls, func(e tracer.Event) bool { return e.Parent == 0 }),
		"socket done", "bind done", "listen enter", "listen return", "accept enter", "accept return")
	for _, e := range l.events(calls) {
		b := e.Body.(*tracer.Call)
		if b.Phase != tracer.PhaseReturn {
			continue
		}
		enter := l.rec.Events()[b.Of-1]
		if eb, ok := enter.Body.(*tracer.Call); !ok || eb.Name != b.Name || eb.Phase != tracer.PhaseEnter || enter.Conn != e.Conn {
			t.Errorf("event %d, %s: returns from %s", e.N, tell(e), tell(enter))
		}
	}
	send := l.wait(ofConn(c), called("send", tracer.PhaseEnter)).Body.(*tracer.Call)
	if want := []tracer.Arg{{Name: "bytes", Value: int64(5)}, {Name: "data", Value: "hello"}}; !slices.Equal(send.Args, want) {
		t.Errorf("send's arguments: %v, want %v", send.Args, want)
	}
	recv := l.wait(ofConn(c), called("recv", tracer.PhaseReturn)).Body.(*tracer.Call)
	if recv.Result != "byebye" {
		t.Errorf("recv's result: %q", recv.Result)
	}
	dial := l.wait(ofConn(c), called("connect", tracer.PhaseEnter)).Body.(*tracer.Call)
	if want := []tracer.Arg{{Name: "address", Value: serverPort}}; !slices.Equal(dial.Args, want) {
		t.Errorf("connect's arguments: %v, want %v", dial.Args, want)
	}
}

// Windows are in bytes: as they stand on a SYN, scaled by what the SYN announced
// elsewhere; options are told as they are.
func TestTraceOfOptionsAndWindows(t *testing.T) {
	l := newLab(t, setup{manual: true})
	plain(l)
	for _, stack := range []string{"client", "server"} {
		syn := l.segments(on(stack), seg(tracer.Out, tracer.SYN))[0]
		if o := syn.Opts; o.MSS != 1460 || !o.HasWS || o.WS == 0 || !o.SACKOK || !o.HasTS || syn.Win > 65535 {
			t.Errorf("%s: a SYN with window %d and %+v", stack, syn.Win, o)
		}
		for _, s := range l.segments(on(stack), seg(tracer.Out, tracer.ACK), without(tracer.SYN)) {
			if !s.Opts.HasTS || s.Opts.MSS != 0 || s.Opts.HasWS {
				t.Errorf("%s: %+v on a segment after the SYN", stack, s.Opts)
			}
		}
	}
	l.compareWithWire()
	// Both stacks tell the same segment alike, but for its direction.
	strip := func(stack string, dir tracer.Direction) []tracer.Segment {
		var list []tracer.Segment
		for _, s := range l.segments(on(stack), seg(dir, tracer.ACK), without(tracer.SYN)) {
			b := *s
			b.Dir = ""
			list = append(list, b)
		}
		return list
	}
	for _, way := range [][2]string{{"client", "server"}, {"server", "client"}} {
		if out, in := strip(way[0], tracer.Out), strip(way[1], tracer.In); !reflect.DeepEqual(out, in) {
			t.Errorf("%s sent\n%+v\n%s got\n%+v", way[0], out, way[1], in)
		}
	}
}

// compareWithWire fails unless the client's outbound segments in the trace are those
// that its link has sent, field by field.
func (l *lab) compareWithWire() {
	l.t.Helper()
	told := l.segments(on("client"), seg(tracer.Out, 0))
	scale := uint32(told[0].Opts.WS)
	i := 0
	for _, f := range l.wire.sent.list() {
		if f.Type() != header.IPv4ProtocolNumber {
			continue
		}
		ip := header.IPv4(f[header.EthernetMinimumSize:])
		h := header.TCP(ip.Payload())
		if i >= len(told) {
			l.t.Fatalf("more segments on the wire than the %d of the trace", len(told))
		}
		s := told[i]
		win := uint32(h.WindowSize())
		if i > 0 {
			win <<= scale
		}
		if s.Seq != h.SequenceNumber() || s.Ack != h.AckNumber() || s.Flags != tracer.Flags(h.Flags()) || s.Win != win || s.Len != len(h.Payload()) {
			l.t.Errorf("segment %d: the trace has %+v, the wire %x", i, s, h)
		}
		if rel := h.SequenceNumber() - told[0].Seq; !s.HasRel || s.RelSeq != rel {
			l.t.Errorf("segment %d: relative number %d, want %d", i, s.RelSeq, rel)
		}
		i++
	}
	if i != len(told) {
		l.t.Errorf("%d segments in the trace, %d on the wire", len(told), i)
	}
}

// Each state change tells how long the state before it lasted, and the RFC's clause.
func TestTraceOfDwell(t *testing.T) {
	l := newLab(t, setup{manual: true})
	c, s := l.connect()
	l.settle()
	l.clock.Advance(3 * time.Second)
	l.close(c)
	l.recvEOF(s)
	l.wait(ofConn(c), enters(tracer.FinWait2))
	l.clock.Advance(2 * time.Second)
	l.close(s)
	l.wait(ofConn(s), enters(tracer.Closed))
	for _, want := range []struct {
		conn  *netstack.Conn
		to    tracer.State
		dwell time.Duration
		rfc   string
	}{
		{c, tracer.SynSent, 0, "3.10.1"},
		{s, tracer.SynReceived, 0, "3.10.7.2"},
		{c, tracer.FinWait1, 3 * time.Second, "3.10.4"},
		{s, tracer.CloseWait, 3 * time.Second, "3.10.7.4"},
		{c, tracer.TimeWait, 2 * time.Second, "3.10.7.4"},
		{s, tracer.LastAck, 2 * time.Second, "3.10.4"},
	} {
		got := stateOf(l.wait(ofConn(want.conn), enters(want.to)))
		if got.Dwell != want.dwell || got.RFC != want.rfc {
			t.Errorf("→ %s: after %s, RFC %s; want %s, %s", want.to, got.Dwell, got.RFC, want.dwell, want.rfc)
		}
	}
}

func TestTraceLevels(t *testing.T) {
	for level, types := range map[tracer.Level][]tracer.Type{
		tracer.LevelStates:   {tracer.TypeCall, tracer.TypeState, tracer.TypeEnd},
		tracer.LevelSegments: {tracer.TypeCall, tracer.TypeState, tracer.TypeEnd, tracer.TypeSegment},
		tracer.LevelFull:     {tracer.TypeCall, tracer.TypeState, tracer.TypeEnd, tracer.TypeSegment, tracer.TypeTCB},
	} {
		t.Run(level.String(), func(t *testing.T) {
			l := newLab(t, setup{level: level})
			c, s := l.connect()
			l.send(c, "hello")
			l.recv(s, 5)
			l.close(c)
			l.recvEOF(s)
			l.wait(ofConn(c), enters(tracer.FinWait2))
			l.close(s)
			l.wait(ofConn(s), ofType(tracer.TypeEnd))
			got := map[tracer.Type]bool{}
			for _, e := range l.rec.Events() {
				got[e.Body.Type()] = true
			}
			want := map[tracer.Type]bool{}
			for _, typ := range types {
				want[typ] = true
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("types %v, want %v", got, want)
			}
			wantStory(t, "the server's states", l.story(ofConn(s), ofType(tracer.TypeState)),
				"● LISTEN → SYN-RECEIVED by SYN (segment)",
				"● SYN-RECEIVED → ESTABLISHED by ACK of our SYN (segment)",
				"● ESTABLISHED → CLOSE-WAIT by FIN (segment)",
				"● CLOSE-WAIT → LAST-ACK by close (call)",
				"● LAST-ACK → CLOSED by ACK of our FIN (segment)")
			end := l.wait(ofConn(s), ofType(tracer.TypeEnd)).Body.(*tracer.End)
			if end.BytesIn != 5 || end.SegmentsIn < 4 || end.SegmentsOut < 3 {
				t.Errorf("end: %+v", end)
			}
			if level >= tracer.LevelSegments {
				l.checkCauses()
			}
		})
	}
}

// A tcb event holds what has changed and nothing else, and no size is negative.
func TestTraceOfTCB(t *testing.T) {
	l := newLab(t, setup{})
	c, s := l.connect()
	l.send(c, strings.Repeat("x", 100_000))
	l.recv(s, 100_000)
	l.close(c)
	l.recvEOF(s)
	last := map[string]tracer.TCBVar{}
	events := l.rec.Events()
	for _, e := range events {
		b, ok := e.Body.(*tracer.TCB)
		if !ok {
			continue
		}
		if len(b.Vars) == 0 || b.After == 0 || b.After >= e.N || events[b.After-1].Conn != e.Conn {
			t.Errorf("event %d: after %d, %v", e.N, b.After, b.Vars)
		}
		for _, v := range b.Vars {
			key := fmt.Sprint(e.Conn, v.Name)
			if old, known := last[key]; known && old == v {
				t.Errorf("event %d: %s is %d %q as before", e.N, v.Name, v.Value, v.Text)
			}
			if v.Value < 0 {
				t.Errorf("event %d: %s is %d", e.N, v.Name, v.Value)
			}
			last[key] = v
		}
	}
	if len(last) < 20 {
		t.Errorf("only %d variables were told", len(last))
	}
}
