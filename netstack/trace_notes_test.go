package netstack_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/tracer"
)

// lossy is two stacks without RACK on the manual clock, with rules.
func lossy(rules ...string) setup {
	off := false
	o := both(netstack.TCPOptions{RACK: &off})
	o.manual, o.rules = true, rules
	return o
}

// A lost segment without others behind it is sent again by the timer.
func TestTraceOfRetransmission(t *testing.T) {
	l := newLab(t, lossy(`drop out payload>0 nth=1 name="the first data"`))
	c, s := l.connect()
	sent := l.rec.Events()
	l.send(c, "hello")
	l.advance(100*time.Millisecond, 5*time.Second, ofConn(s), seg(tracer.Out, tracer.ACK), acks(6))
	from := after(uint64(len(sent)))
	wantStory(t, "the client", l.story(ofConn(c), notCalls, from),
		`out PSH ACK seq 1 ack 1 len 5 dropped: impairment: rule "the first data"`,
		"timer retransmit fired",
		"out PSH ACK seq 1 ack 1 len 5 [retransmission]",
		"in ACK seq 1 ack 6 len 0")
	wantStory(t, "the server", l.story(ofConn(s), notCalls, from),
		"in PSH ACK seq 1 ack 1 len 5", "out ACK seq 1 ack 6 len 0")
	timer := l.wait(ofConn(c), fired("retransmit"))
	if got := timer.Body.(*tracer.Timer).RTO; got != timer.T || got < 200*time.Millisecond {
		t.Errorf("it had been set to %s and fired after %s", got, timer.T)
	}
}

// A lost segment with others behind it is sent again on duplicate ACKs, before the
// timer would.
func TestTraceOfFastRetransmit(t *testing.T) {
	l := newLab(t, lossy("drop out payload>0 nth=2"))
	c, s := l.connect()
	l.send(c, strings.Repeat("x", 9000))
	l.recv(s, 9000)
	again := l.wait(ofConn(c), noted("fast-retransmit"))
	if segmentOf(again).Dir != tracer.Out || !noted("retransmission")(again) {
		t.Errorf("%s", tell(again))
	}
	// The receiver may acknowledge several segments at once, so that there are fewer
	// than three; their SACK blocks tell of the others (RFC 6675).
	dups := l.events(ofConn(c), noted("dup-ack"), func(e tracer.Event) bool { return e.N < again.N })
	if len(dups) == 0 {
		t.Error("no duplicate ACK before it")
	}
	for _, d := range dups {
		if b := segmentOf(d); b.Dir != tracer.In || b.RelAck != segmentOf(again).RelSeq || len(b.Opts.SACK) == 0 {
			t.Errorf("%s, sack %v: a duplicate ACK of what was sent again at %d", tell(d), b.Opts.SACK, segmentOf(again).RelSeq)
		}
	}
	for _, e := range l.events(ofConn(s), noted("dup-ack")) {
		if segmentOf(e).Dir != tracer.Out {
			t.Errorf("the server: %s", tell(e))
		}
	}
	// To the server, all is out of order that comes until the gap is filled (RFC 9293, 3.10.7.4:
	// SEG.SEQ is not RCV.NXT), and what fills it is not.
	missing, filled, late := segmentOf(again).RelSeq, false, 0
	for _, e := range l.events(ofConn(s), seg(tracer.In, tracer.ACK), withData) {
		b := segmentOf(e)
		filled = filled || b.RelSeq == missing
		if beyond := b.RelSeq > missing && !filled; noted("out-of-order")(e) != beyond {
			t.Errorf("to the server, with %d missing: %s", missing, tell(e))
		} else if beyond {
			late++
		}
	}
	if late < 2 {
		t.Errorf("%d segments were out of order, want all that followed the lost one", late)
	}
	if n := len(l.events(fired("retransmit"))); n != 0 {
		t.Errorf("the timer fired %d times", n)
	}
}

// A full receiver closes its window; it is probed, and opens the window again.
func TestTraceOfZeroWindow(t *testing.T) {
	o := lossy()
	o.server.TCP.RecvBuffer = 8 << 10
	l := newLab(t, o)
	c, s := l.connect()
	const size = 20_000
	sent := async(func() (int, error) { return c.Write(make([]byte, size)) })
	closed := l.wait(ofConn(c), seg(tracer.In, tracer.ACK), noted("zero-window"))
	if got := segmentOf(closed); got.Win != 0 {
		t.Errorf("window %d on a segment noted zero-window", got.Win)
	}
	probe := l.advance(50*time.Millisecond, 5*time.Second, ofConn(c), seg(tracer.Out, tracer.ACK), noted("window-probe"))
	l.wait(ofConn(s), seg(tracer.In, tracer.ACK), noted("window-probe"))
	if n := len(l.events(ofConn(c), func(e tracer.Event) bool { return e.N < probe.N }, ofType(tracer.TypeTimer))); n == 0 {
		t.Error("no timer fired before the probe")
	}
	l.settle()
	read := async(func() (int64, error) { return io.Copy(io.Discard, io.LimitReader(s, size)) })
	l.wait(ofConn(s), seg(tracer.Out, tracer.ACK), noted("window-update"))
	opened := l.wait(ofConn(c), seg(tracer.In, tracer.ACK), noted("window-update"))
	if segmentOf(opened).Win == 0 {
		t.Errorf("%s, window 0", tell(opened))
	}
	l.advance(50*time.Millisecond, 30*time.Second, ofConn(c), seg(tracer.In, tracer.ACK), acks(size+1))
	if n, err := await(t, "Write", sent); n != size || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if n, err := await(t, "Read", read); n != size || err != nil {
		t.Errorf("Read: %d, %v", n, err)
	}
}

// When half-open connections fill the backlog, SYN cookies answer (RFC 4987): the
// child of one is born ESTABLISHED, by the ACK.
func TestTraceOfSYNCookie(t *testing.T) {
	o := setup{manual: true, rules: []string{"reorder out ACK,!SYN 10ms by=1000"}}
	o.server.TCP.Backlog = 1
	l := newLab(t, o)
	l.listen(serverPort)
	for range 2 {
		if _, err := await(t, "dial", l.dial(serverPort)); err != nil {
			t.Fatal(err)
		}
		l.settle()
	}
	listener := l.wait(on("server"), enters(tracer.Listen))
	cookie := l.wait(on("server"), noted("syn-cookie"))
	if b := segmentOf(cookie); cookie.Conn != listener.Conn || !b.Flags.Has(tracer.SYN|tracer.ACK) || b.RelSeq != 0 || b.RelAck != 1 {
		t.Errorf("connection %d: %s; want the listener's SYN ACK", cookie.Conn, tell(cookie))
	}
	born := l.advance(5*time.Millisecond, time.Second, on("server"), enters(tracer.Established), func(e tracer.Event) bool { return stateOf(e).From == tracer.Listen })
	if got := stateOf(born); got.Cause.What != "ACK of our SYN cookie" || got.RFC != "RFC 4987, 3.6" || born.Parent != listener.Conn {
		t.Errorf("%s, RFC %s, parent %d", tell(born), got.RFC, born.Parent)
	}
	l.wait(on("server"), enters(tracer.Established), func(e tracer.Event) bool { return stateOf(e).From == tracer.SynReceived })
	l.settle()
	l.checkCauses()
}

// A segment with data that acknowledges what no segment before it did is noted
// piggyback, and no other is.
func TestTraceOfPiggyback(t *testing.T) {
	l := newLab(t, setup{level: tracer.LevelSegments})
	c, s := l.connect()
	const size = 1 << 20
	var ends []<-chan result[int64]
	for _, way := range [][2]*netstack.Conn{{c, s}, {s, c}} {
		ends = append(ends, async(func() (int64, error) { n, err := way[0].Write(make([]byte, size)); return int64(n), err }))
		ends = append(ends, async(func() (int64, error) { return io.Copy(io.Discard, io.LimitReader(way[1], size)) }))
	}
	for _, e := range ends {
		if n, err := await(t, "transfer", e); n != size || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	count := 0
	for _, conn := range []*netstack.Conn{c, s} {
		acked := uint32(1)
		for _, e := range l.events(ofConn(conn), seg(tracer.Out, tracer.ACK), without(tracer.SYN)) {
			b := segmentOf(e)
			if want := b.Len > 0 && b.RelAck > acked; want != slices.Contains(b.Notes, "piggyback") {
				t.Errorf("%s, after an ACK of %d", tell(e), acked)
			} else if want {
				count++
			}
			acked = max(acked, b.RelAck)
		}
	}
	t.Logf("%d segments were noted", count)
}

// What the impairment does to a segment, either way, is in the trace.
func TestTraceOfImpairment(t *testing.T) {
	o := lossy(`drop in payload>0 nth=1 name="a"`, "duplicate out payload>0 nth=1", "delay out 30ms payload>0 nth=2", "corrupt out payload>0 nth=3")
	l := newLab(t, o)
	c, s := l.connect()
	l.send(s, "lost")
	dropped := l.wait(ofConn(c), seg(tracer.In, tracer.ACK), withData)
	if got := segmentOf(dropped).Dropped; got != `impairment: rule "a"` {
		t.Errorf("dropped %q", got)
	}
	l.settle()
	if n := len(l.segments(ofConn(c), seg(tracer.Out, tracer.ACK), acks(5))); n != 0 {
		t.Error("the stack acknowledged what was dropped before it")
	}
	l.send(c, "one")
	if e := l.wait(ofConn(c), noted("duplicated")); segmentOf(e).RelSeq != 1 {
		t.Errorf("%s", tell(e))
	}
	got := 0
	l.wait(ofConn(s), seg(tracer.In, tracer.ACK), withData, func(tracer.Event) bool { got++; return got == 2 })
	l.settle()
	l.send(c, "two")
	l.wait(ofConn(c), noted("delayed 30ms"))
	l.settle()
	l.send(c, "three")
	l.wait(ofConn(c), noted("corrupted"))
	bad := l.advance(10*time.Millisecond, time.Second, ofConn(s), seg(tracer.In, tracer.ACK), func(e tracer.Event) bool { return segmentOf(e).Dropped != "" })
	if got := segmentOf(bad); got.Dropped != "bad checksum" || got.RelSeq != 7 {
		t.Errorf("%s; want the third, dropped for its checksum", tell(bad))
	}
	arrived := l.wait(ofConn(s), seg(tracer.In, tracer.ACK), withData, func(e tracer.Event) bool { return segmentOf(e).RelSeq == 4 })
	if arrived.T != 30*time.Millisecond {
		t.Errorf("the second arrived after %s, want 30ms", arrived.T)
	}
}

// ended brings a connection of the client's to its end; how is what the trace says.
var ended = map[string]struct {
	rules          []string
	client, server tracer.How // "" where that end has no connection
	run            func(l *lab)
}{
	"fin": {nil, tracer.HowFIN, tracer.HowFIN, func(l *lab) { plain(l) }},
	"abort": {nil, tracer.HowAborted, tracer.HowReset, func(l *lab) {
		c, s := l.connect()
		l.send(c, "hello")
		l.recv(s, 5)
		if err := c.Abort(); err != nil {
			l.t.Error(err)
		}
	}},
	"reset": {nil, tracer.HowReset, tracer.HowAborted, func(l *lab) {
		c, s := l.connect()
		l.send(c, "unread")
		l.wait(ofConn(c), seg(tracer.In, tracer.ACK), acks(7))
		l.close(s)
	}},
	"timeout": {[]string{"drop out payload>0"}, tracer.HowTimeout, "", func(l *lab) {
		c, _ := l.connect()
		l.send(c, "hello")
	}},
	"refused": {nil, tracer.HowRefused, "", func(l *lab) {
		l.dial("192.168.12.53:1")
	}},
	"unreachable": {nil, tracer.HowUnreachable, "", func(l *lab) {
		l.dial("192.168.12.99:1")
	}},
	"no answer": {[]string{"drop out SYN"}, tracer.HowTimeout, "", func(l *lab) {
		l.dial(serverPort)
	}},
}

func TestTraceOfEnds(t *testing.T) {
	for name, c := range ended {
		t.Run(name, func(t *testing.T) {
			o := lossy(c.rules...)
			o.client.TCP.Retries, o.server.TCP.Retries = 3, 3
			l := newLab(t, o)
			c.run(l)
			l.wait(on("client"), ofType(tracer.TypeState)) // time stands still until then
			l.checkEnd(l.advance(500*time.Millisecond, 3*time.Minute, on("client"), ofType(tracer.TypeEnd)), c.client)
			if c.server != "" {
				l.checkEnd(l.wait(on("server"), ofType(tracer.TypeEnd)), c.server)
			}
		})
	}
}

// checkEnd fails unless an end sums up the events before it.
func (l *lab) checkEnd(e tracer.Event, how tracer.How) {
	l.t.Helper()
	got := *e.Body.(*tracer.End)
	want := tracer.End{How: how, Role: tracer.Active, Opened: got.Opened, Duration: e.T - got.Opened}
	if e.Parent != 0 {
		want.Role = tracer.Passive
		want.SegmentsIn = 1 // the SYN, which came to the listener
	}
	for _, ev := range l.events(func(o tracer.Event) bool { return o.Conn == e.Conn && o.N < e.N }, ofType(tracer.TypeSegment)) {
		s := segmentOf(ev)
		again := slices.Contains(s.Notes, "retransmission")
		switch {
		case s.Dir == tracer.In && s.Dropped == "":
			want.SegmentsIn++
			want.BytesIn += uint64(s.Len)
		case s.Dir == tracer.Out:
			want.SegmentsOut++
			if again {
				want.Retransmits++
			} else {
				want.BytesOut += uint64(s.Len)
			}
		}
	}
	first := l.events(func(o tracer.Event) bool { return o.Conn == e.Conn }, ofType(tracer.TypeState))[0]
	if diff := got.Opened - first.T; got != want || diff < 0 || diff > time.Microsecond {
		l.t.Errorf("the end says\n %+v\nits events\n %+v\nits first change was at %s:\n%s", got, want, first.T, l.rec)
	}
	later := l.events(func(o tracer.Event) bool { return o.Conn == e.Conn && o.N > e.N }, notCalls)
	for _, ev := range later {
		l.t.Errorf("after the end of connection %d: %s", e.Conn, fmt.Sprint(ev.N, " ", tell(ev)))
	}
}
