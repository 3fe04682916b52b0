package sequence

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"appliance/tracer"
)

// story writes a trace of two ends by hand, the way the appliance would record it.
type story struct {
	events []tracer.Event
	t      time.Duration
	state  map[string]tracer.State // by stack: its connection's
	since  map[string]time.Duration
	opened map[string]time.Duration
	end    map[string]*tracer.End
}

var (
	storyClient = netip.MustParseAddrPort("192.168.12.1:40000")
	storyServer = netip.MustParseAddrPort("192.168.12.53:9000")
)

// The connections' ids: the server's listener and child, the client's own.
const (
	storyListener = 1
	storyOpener   = 2
	storyChild    = 3
)

func newStory() *story {
	return &story{
		state: map[string]tracer.State{"server": tracer.Listen}, since: map[string]time.Duration{},
		opened: map[string]time.Duration{}, end: map[string]*tracer.End{
			"client": {Role: tracer.Active}, "server": {Role: tracer.Passive, SegmentsIn: 1},
		},
	}
}

func (s *story) add(stack string, conn uint32, body tracer.Body) uint64 {
	e := tracer.Event{N: uint64(len(s.events)) + 1, T: s.t, Stack: stack, Conn: conn, Body: body}
	switch conn {
	case storyListener:
		e.Local = netip.AddrPortFrom(netip.IPv4Unspecified(), 9000)
	case storyOpener:
		e.Local, e.Remote = storyClient, storyServer
	case storyChild:
		e.Local, e.Remote, e.Parent = storyServer, storyClient, storyListener
	}
	if _, ok := body.(*tracer.Segment); ok && conn == storyListener {
		e.Local, e.Remote = storyServer, storyClient
	}
	s.events = append(s.events, e)
	return e.N
}

// call writes a call's enter, what it causes, and its return.
func (s *story) call(stack string, conn uint32, name string, bytes int, args []tracer.Arg, causes func(enter uint64)) {
	enter := s.add(stack, conn, &tracer.Call{Name: name, Phase: tracer.PhaseEnter, Args: args, Bytes: -1})
	if causes != nil {
		causes(enter)
	}
	s.add(stack, conn, &tracer.Call{Name: name, Phase: tracer.PhaseReturn, Of: enter, Bytes: bytes})
}

func (s *story) done(stack string, conn uint32, name string) {
	s.add(stack, conn, &tracer.Call{Name: name, Phase: tracer.PhaseDone, Bytes: -1})
}

// becomes writes a state change.
func (s *story) becomes(stack string, conn uint32, to tracer.State, kind tracer.CauseKind, n uint64) {
	from, dwell := s.state[stack], s.t-s.since[stack]
	if conn == storyListener {
		from, dwell = tracer.Closed, 0
	} else if _, known := s.opened[stack]; !known {
		s.opened[stack], dwell = s.t, 0
	}
	s.add(stack, conn, &tracer.StateChange{From: from, To: to, Cause: tracer.Cause{Kind: kind, N: n}, Via: "call", Dwell: dwell})
	if conn == storyListener {
		return
	}
	s.state[stack], s.since[stack] = to, s.t
	if to == tracer.Closed {
		end := s.end[stack]
		end.How, end.Opened, end.Duration = tracer.HowFIN, s.opened[stack], s.t-s.opened[stack]
		s.add(stack, conn, end)
	}
}

// crosses writes a segment, out at one end and in at the other, and returns the latter's number.
func (s *story) crosses(from string, flags tracer.Flags, seq, ack uint32, size int) uint64 {
	to, fromConn, toConn := "server", uint32(storyOpener), uint32(storyChild)
	if from == "server" {
		to, fromConn, toConn = "client", storyChild, storyOpener
	}
	isn := map[string]uint32{"client": 1_000_000, "server": 8_000_000}
	g := tracer.Segment{
		Dir: tracer.Out, Flags: flags, Seq: isn[from] + seq, RelSeq: seq, HasRel: true, Len: size, Win: 65535,
	}
	if flags.Has(tracer.ACK) {
		g.Ack, g.RelAck, g.HasRelAck = isn[to]+ack, ack, true
	}
	if flags.Has(tracer.SYN) {
		g.Opts = tracer.Options{MSS: 1460, SACKOK: true}
	}
	o := g
	s.add(from, fromConn, &o)
	s.end[from].SegmentsOut++
	s.end[from].BytesOut += uint64(size) //nolint:gosec // a payload
	g.Dir = tracer.In
	if flags == tracer.SYN {
		toConn = storyListener
	} else {
		s.end[to].SegmentsIn++
		s.end[to].BytesIn += uint64(size) //nolint:gosec // a payload
	}
	return s.add(to, toConn, &g)
}

// opens writes the handshake.
func (s *story) opens() {
	s.done("server", storyListener, "socket")
	s.done("server", storyListener, "bind")
	s.call("server", storyListener, "listen", -1, nil, func(n uint64) {
		s.becomes("server", storyListener, tracer.Listen, tracer.CauseCall, n)
	})
	accept := s.add("server", storyListener, &tracer.Call{Name: "accept", Phase: tracer.PhaseEnter, Bytes: -1})
	s.done("client", storyOpener, "socket")
	s.call("client", storyOpener, "connect", -1, nil, func(n uint64) {
		s.becomes("client", storyOpener, tracer.SynSent, tracer.CauseCall, n)
		syn := s.crosses("client", tracer.SYN, 0, 0, 0)
		s.becomes("server", storyChild, tracer.SynReceived, tracer.CauseSegment, syn)
		synAck := s.crosses("server", tracer.SYN|tracer.ACK, 0, 1, 0)
		s.becomes("client", storyOpener, tracer.Established, tracer.CauseSegment, synAck)
		ack := s.crosses("client", tracer.ACK, 1, 1, 0)
		s.becomes("server", storyChild, tracer.Established, tracer.CauseSegment, ack)
	})
	s.add("server", storyListener, &tracer.Call{Name: "accept", Phase: tracer.PhaseReturn, Of: accept, Bytes: -1, Conn: storyChild})
}

// says writes a client's send of so many bytes from seq on, its way, and the server's recv.
func (s *story) says(seq uint32, size int) {
	bytes := []tracer.Arg{{Name: "bytes", Value: int64(size)}}
	s.call("client", storyOpener, "send", size, bytes, func(uint64) {
		s.crosses("client", tracer.ACK|tracer.PSH, seq, 1, size)
		s.crosses("server", tracer.ACK, 1, seq+uint32(size), 0) //nolint:gosec // a payload
	})
	s.call("server", storyChild, "recv", size, []tracer.Arg{{Name: "bufsize", Value: int64(1024)}}, nil)
}

// closes writes the four-way close after so many bytes.
func (s *story) closes(after uint32) {
	u := after + 1
	var fin, finAck, serverFin, last uint64
	s.call("client", storyOpener, "close", -1, nil, func(n uint64) {
		s.becomes("client", storyOpener, tracer.FinWait1, tracer.CauseCall, n)
		fin = s.crosses("client", tracer.FIN|tracer.ACK, u, 1, 0)
	})
	s.becomes("server", storyChild, tracer.CloseWait, tracer.CauseSegment, fin)
	finAck = s.crosses("server", tracer.ACK, 1, u+1, 0)
	s.becomes("client", storyOpener, tracer.FinWait2, tracer.CauseSegment, finAck)
	s.call("server", storyChild, "recv", 0, []tracer.Arg{{Name: "bufsize", Value: int64(1024)}}, nil)
	s.call("server", storyChild, "close", -1, nil, func(n uint64) {
		s.becomes("server", storyChild, tracer.LastAck, tracer.CauseCall, n)
		serverFin = s.crosses("server", tracer.FIN|tracer.ACK, 1, u+1, 0)
	})
	s.becomes("client", storyOpener, tracer.TimeWait, tracer.CauseSegment, serverFin)
	last = s.crosses("client", tracer.ACK, u+1, 2, 0)
	s.becomes("server", storyChild, tracer.Closed, tracer.CauseSegment, last)
	s.t += 240 * time.Second
	timer := s.add("client", storyOpener, &tracer.Timer{Name: "time-wait", What: "fired", RTO: 240 * time.Second})
	s.becomes("client", storyOpener, tracer.Closed, tracer.CauseTimer, timer)
}

// told returns the whole story with so many exchanges, and the rows for it.
func told(tb testing.TB, exchanges int) MatchInput {
	tb.Helper()
	s := newStory()
	s.opens()
	rows := []string{}
	for i := range exchanges {
		seq := uint32(20*i) + 1 //nolint:gosec // small
		s.says(seq, 20)
		rows = append(rows, "C send 20", fmt.Sprintf("C → S ACK seq=%d ack=1 len=20", seq), fmt.Sprintf("S → C ACK seq=1 ack=%d", seq+20), "S recv 20")
	}
	s.closes(uint32(20 * exchanges)) //nolint:gosec // small
	u := 20*exchanges + 1
	rows = append(rows, strings.Split(fmt.Sprintf(`C close
C ESTABLISHED → FIN-WAIT-1 by close
fin: C → S FIN,ACK seq=%[1]d ack=1
S ESTABLISHED → CLOSE-WAIT by fin
fin-ack: S → C ACK seq=1 ack=%[2]d
C FIN-WAIT-1 → FIN-WAIT-2 by fin-ack
S recv EOF
S close
S CLOSE-WAIT → LAST-ACK by close
server-fin: S → C FIN,ACK seq=1 ack=%[2]d
C FIN-WAIT-2 → TIME-WAIT by server-fin
last-ack: C → S ACK seq=%[2]d ack=2
S LAST-ACK → CLOSED by last-ack
C timer time-wait after 2msl
C TIME-WAIT → CLOSED by timer time-wait after 2msl`, u, u+1), "\n")...)
	run := &Run{Expect: opening("", false, 1)}
	for _, text := range rows {
		r, err := ParseRow(text)
		if err != nil {
			tb.Fatal(err)
		}
		run.Expect = append(run.Expect, r)
	}
	return MatchInput{
		Run: run, Virtual: true, Events: s.events, Players: Players{Client: Stack, Server: Stack},
		Stacks:   map[End]string{Client: "client", Server: "server"},
		Segments: map[End]bool{Client: true, Server: true}, Calls: map[End]bool{Client: true, Server: true},
	}
}

// TestStory holds that a story told by hand matches its rows.
func TestStory(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		if m := Match(told(t, n)); m != nil {
			t.Errorf("%d exchanges: %v", n, m)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 50, 500} {
		in := told(b, n)
		b.Run(fmt.Sprintf("events=%d", len(in.Events)), func(b *testing.B) {
			for b.Loop() {
				if m := Match(in); m != nil {
					b.Fatal(m)
				}
			}
		})
	}
}
