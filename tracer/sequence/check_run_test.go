package sequence

import (
	"net/netip"
	"strings"
	"testing"

	"appliance/tracer"
)

// flooded is a listener that a flood of SYNs comes to: the first fill its backlog of half-open
// connections, the others get cookies, and one of these answers after all.
func flooded(tb testing.TB, syns, halfOpen int) MatchInput {
	tb.Helper()
	s := newStory()
	s.done("server", storyListener, "socket")
	s.done("server", storyListener, "bind")
	s.call("server", storyListener, "listen", -1, nil, func(n uint64) {
		s.becomes("server", storyListener, tracer.Listen, tracer.CauseCall, n)
	})
	from := func(k int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 12, 128 + byte(k%127)}), uint16(1024+k)) //nolint:gosec // small
	}
	record := func(k int, conn uint32, body tracer.Body) uint64 {
		n := s.add("server", storyListener, body)
		e := &s.events[n-1]
		e.Local, e.Remote, e.Conn = storyServer, from(k), conn
		if conn != storyListener {
			e.Parent = storyListener
		}
		return n
	}
	segment := func(k int, conn uint32, dir tracer.Direction, flags tracer.Flags, notes ...string) uint64 {
		g := &tracer.Segment{Dir: dir, Flags: flags, HasRel: true, HasRelAck: flags.Has(tracer.ACK), Win: 65535, Notes: notes}
		if dir == tracer.In && flags == tracer.ACK {
			g.Seq, g.RelSeq = 1, 1
		}
		if flags.Has(tracer.ACK) {
			g.Ack, g.RelAck = 1, 1
		}
		return record(k, conn, g)
	}
	for k := range syns {
		syn := segment(k, storyListener, tracer.In, tracer.SYN)
		if k >= halfOpen {
			segment(k, storyListener, tracer.Out, tracer.SYN|tracer.ACK, "syn-cookie")
			continue
		}
		conn := uint32(10 + k) //nolint:gosec // small
		record(k, conn, &tracer.StateChange{From: tracer.Listen, To: tracer.SynReceived, Cause: tracer.Cause{Kind: tracer.CauseSegment, N: syn}})
		segment(k, conn, tracer.Out, tracer.SYN|tracer.ACK)
	}
	ack := segment(halfOpen, storyListener, tracer.In, tracer.ACK)
	record(halfOpen, uint32(10+halfOpen), &tracer.StateChange{From: tracer.Listen, To: tracer.Established, Cause: tracer.Cause{Kind: tracer.CauseSegment, N: ack}}) //nolint:gosec // small
	return MatchInput{
		Run: &Run{
			Expect:  opening("", false, 1)[:2],
			Scripts: map[End][]Frame{Client: {{Do: FrameSend, Flags: tracer.SYN, From: "flood", Times: syns}}},
		},
		Virtual: true, Events: s.events, Players: Players{Client: Script, Server: Stack},
		Stacks: map[End]string{Server: "server"}, Segments: map[End]bool{Server: true}, Calls: map[End]bool{Server: true},
	}
}

// TestFlood holds that a flood is judged by the checks alone, and by them it is.
func TestFlood(t *testing.T) {
	for _, c := range []struct {
		check Checks
		why   string
	}{
		{Checks{}, ""},
		{Checks{MaxHalfOpen: 8, MinCookies: 1, Established: 1, MaxEvents: 300}, ""},
		{Checks{MaxHalfOpen: 7}, "this is the 8th"},
		{Checks{MinCookies: 2}, "these are too few"},
		{Checks{Established: 2}, "these are not as many"},
		{Checks{MaxEvents: 100}, "drowns"},
		{Checks{NoAnswer: true}, "it answers"},
	} {
		in := flooded(t, 100, 8)
		in.Run.Check = c.check
		m := Match(in)
		if c.why == "" && m != nil || c.why != "" && (m == nil || !strings.Contains(m.Why, c.why)) {
			t.Errorf("%+v: %v; want %q", c.check, m, c.why)
		}
	}
	in := flooded(t, 10, 8)
	in.Run.Scripts = nil
	if m := Match(in); m == nil || !strings.Contains(m.Why, "another connection") {
		t.Errorf("without a script that floods: %v; want that it is another connection", m)
	}
}

// TestBuffer holds that the check tcb sees a send buffer that does not keep to what it holds.
func TestBuffer(t *testing.T) {
	in := told(t, 2)
	run := *in.Run
	run.Check.TCB = Client
	in.Run = &run
	tell := func(after int, una, buf int64) {
		i := after // behind the event
		e := in.Events[i-1]
		e.N, e.Stack, e.Conn, e.Parent = 0, "client", storyOpener, 0
		e.Local, e.Remote = storyClient, storyServer
		e.Body = &tracer.TCB{Vars: []tracer.TCBVar{{Name: "snd_una", Value: 1_000_001 + una}, {Name: "snd_buf", Value: buf}}}
		in.Events = renumbered(append(in.Events[:i:i], append([]tracer.Event{e}, in.Events[i:]...)...))
	}
	at := func(name string, nth int) int {
		for i := range in.Events {
			if c, ok := in.Events[i].Body.(*tracer.Call); ok && c.Name == name && c.Phase != tracer.PhaseReturn {
				if nth--; nth == 0 {
					return i + 1
				}
			}
		}
		t.Fatalf("no %s", name)
		return 0
	}
	if m := Match(in); m == nil || !strings.Contains(m.Why, "shows it nowhere") {
		t.Errorf("no variables: %v", m)
	}
	good := in.Events
	tell(at("send", 1), 0, 20)
	tell(at("recv", 1), 20, 0)
	if m := Match(in); m != nil {
		t.Errorf("true variables: %v", m)
	}
	in.Events = good
	tell(at("recv", 1), 20, 0)
	tell(at("send", 2), 0, 40)
	if m := Match(in); m == nil || !strings.Contains(m.Why, "SND.UNA falls") {
		t.Errorf("SND.UNA falls: %v", m)
	}
	for why, wrong := range map[string][2][2]int64{
		"it holds 20 bytes": {{0, 20}, {20, 20}},
		"it holds 1 bytes":  {{0, 20}, {20, 1}},
		"is beyond":         {{20, 0}, {20, 0}},
	} {
		in.Events = good
		tell(at("send", 1), wrong[0][0], wrong[0][1])
		tell(at("recv", 1), wrong[1][0], wrong[1][1])
		if m := Match(in); m == nil || !strings.Contains(m.Why, why) {
			t.Errorf("%v: %v; want %q", wrong, m, why)
		}
	}
}
