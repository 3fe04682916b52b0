package summary

import (
	"net/netip"
	"slices"
	"testing"

	"appliance/tracer"
)

// script makes a trace by hand: the server's listener is 1.
type script []tracer.Event

var server = netip.MustParseAddrPort("192.0.2.2:9000")

func peer(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(40000+n))
}

func (s *script) add(conn, parent uint32, remote netip.AddrPort, b tracer.Body) {
	*s = append(*s, tracer.Event{
		N: uint64(len(*s) + 1), Stack: "server", Conn: conn, Parent: parent, Local: server, Remote: remote, Body: b,
	})
}

// syn is one that comes for the listener.
func (s *script) syn(remote netip.AddrPort) *tracer.Segment {
	b := &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN, Seq: 100, HasRel: true}
	s.add(1, 0, remote, b)
	return b
}

// child makes a connection of the listener's: its SYN+ACK, and the ACK of that.
func (s *script) child(conn uint32, remote netip.AddrPort) {
	s.add(conn, 1, remote, &tracer.StateChange{From: tracer.Listen, To: tracer.SynReceived})
	s.add(conn, 1, remote, &tracer.Segment{Dir: tracer.Out, Flags: tracer.SYN | tracer.ACK, Seq: 700, Ack: 101})
	s.add(conn, 1, remote, &tracer.Segment{Dir: tracer.In, Flags: tracer.ACK, Seq: 101, Ack: 701})
}

// TestFirstSYN: the SYN that a listener takes is the first segment of the connection that it
// makes of it, and of no other.
func TestFirstSYN(t *testing.T) {
	for name, c := range map[string]struct {
		make func(s *script)
		want map[uint32]uint64 // segments in, by connection
	}{
		"one": {func(s *script) { s.syn(peer(0)); s.child(3, peer(0)) }, map[uint32]uint64{3: 2}},
		"several": {func(s *script) {
			s.syn(peer(0))
			s.syn(peer(1))
			s.child(4, peer(1))
			s.syn(peer(2)) // becomes nothing
			s.child(3, peer(0))
		}, map[uint32]uint64{3: 2, 4: 2}},
		// A stack's own count has the one that it took.
		"sent again before it": {func(s *script) { s.syn(peer(0)); s.syn(peer(0)); s.child(3, peer(0)) }, map[uint32]uint64{3: 2}},
		"sent again after it": {func(s *script) {
			s.syn(peer(0))
			s.child(3, peer(0))
			s.add(3, 1, peer(0), &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN, Seq: 100})
		}, map[uint32]uint64{3: 3}},
		"dropped":          {func(s *script) { s.syn(peer(0)).Dropped = "impairment"; s.child(3, peer(0)) }, map[uint32]uint64{3: 1}},
		"not in the trace": {func(s *script) { s.syn(peer(1)); s.child(3, peer(0)) }, map[uint32]uint64{3: 1}},
		"a port used again": {func(s *script) {
			s.syn(peer(0))
			s.child(3, peer(0))
			s.add(3, 1, peer(0), &tracer.End{SegmentsIn: 5})
			s.syn(peer(0))
			s.child(4, peer(0))
			s.child(5, peer(0)) // the trace lacks its SYN
		}, map[uint32]uint64{3: 5, 4: 2, 5: 1}},
		"it came in TIME-WAIT": {func(s *script) {
			s.child(3, peer(0))
			s.add(3, 1, peer(0), &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN, Seq: 900})
			s.child(4, peer(0))
		}, map[uint32]uint64{3: 2, 4: 2}},
		"a SYN cookie": {func(s *script) {
			s.syn(peer(0))
			s.add(3, 1, peer(0), &tracer.StateChange{From: tracer.Listen, To: tracer.Established})
		}, map[uint32]uint64{3: 0}},
	} {
		var s script
		c.make(&s)
		conns, all := summarize(t, s)
		sum := uint64(0)
		for _, l := range conns {
			if want, ok := c.want[l.ID]; !ok || l.SegmentsIn != want {
				t.Errorf("%s: connection %d: %d segments in, want %d", name, l.ID, l.SegmentsIn, want)
			}
			sum += l.SegmentsIn
		}
		if len(conns) != len(c.want) || all.Stacks[0].SegmentsIn != sum {
			t.Errorf("%s: %d connections; %d segments in, the total %d", name, len(conns), sum, all.Stacks[0].SegmentsIn)
		}
	}
}

// TestSYNsAreBounded: SYNs that become nothing are not kept for ever, nor forgotten soon.
func TestSYNsAreBounded(t *testing.T) {
	var s syns
	at := func(n int) *tracer.Event {
		return &tracer.Event{Local: server, Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1)}
	}
	g := &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN}
	const n = 5 * maxSYNs
	for i := range n {
		s.note(at(i), g)
		if len(s.young)+len(s.old) > 2*maxSYNs {
			t.Fatalf("%d SYNs are kept", len(s.young)+len(s.old))
		}
	}
	if f := s.take(at(n - maxSYNs)); f.segments != 1 {
		t.Errorf("%+v", f)
	}
	if f := s.take(at(n - maxSYNs)); f.segments != 0 {
		t.Errorf("a second time: %+v", f)
	}
}

// TestListeners: a listener is no connection, also in a part of a trace that does not have
// how it came to listen.
func TestListeners(t *testing.T) {
	ack := &tracer.Segment{Dir: tracer.In, Flags: tracer.ACK, Seq: 101, Ack: 701}
	for name, c := range map[string]struct {
		make      func(s *script)
		conns     []uint32
		listeners uint64
	}{
		"listens":            {func(s *script) { s.add(1, 0, netip.AddrPort{}, &tracer.Call{Name: "listen"}) }, nil, 1},
		"is LISTEN":          {func(s *script) { s.add(1, 0, netip.AddrPort{}, &tracer.StateChange{To: tracer.Listen}) }, nil, 1},
		"accepts":            {func(s *script) { s.syn(peer(0)); s.add(1, 0, netip.AddrPort{}, &tracer.Call{Name: "accept"}) }, nil, 1},
		"stops":              {func(s *script) { s.add(1, 0, netip.AddrPort{}, &tracer.StateChange{From: tracer.Listen}) }, nil, 1},
		"a parent":           {func(s *script) { s.syn(peer(0)); s.child(3, peer(0)) }, []uint32{3}, 1},
		"a parent before it": {func(s *script) { s.child(3, peer(0)); s.syn(peer(0)) }, []uint32{3}, 1},
		"a parent of what ended": {func(s *script) {
			s.add(3, 1, peer(0), &tracer.End{})
			s.add(1, 0, peer(0), ack)
		}, []uint32{3}, 1},
		"a parent that is not there": {func(s *script) { s.child(3, peer(0)) }, []uint32{3}, 0},
		"SYNs alone":                 {func(s *script) { s.syn(peer(0)); s.syn(peer(1)) }, nil, 1},
		"one SYN alone":              {func(s *script) { s.syn(peer(0)) }, nil, 1},
		"cookies": {func(s *script) {
			s.syn(peer(0))
			s.add(1, 0, peer(0), &tracer.Segment{Dir: tracer.Out, Flags: tracer.SYN | tracer.ACK})
			s.syn(peer(1))
			s.add(1, 0, peer(0), ack)
		}, nil, 1},
		"a part of a connection": {func(s *script) { s.add(2, 0, peer(0), ack); s.add(2, 0, peer(0), ack) }, []uint32{2}, 0},
		"a child's SYN":          {func(s *script) { s.add(2, 1, peer(0), &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN}) }, []uint32{2}, 0},
		"one that opened":        {func(s *script) { s.add(2, 0, peer(0), &tracer.Segment{Dir: tracer.Out, Flags: tracer.SYN}) }, []uint32{2}, 0},
	} {
		var s script
		c.make(&s)
		conns, all := summarize(t, s)
		var got []uint32
		for _, l := range conns {
			got = append(got, l.ID)
		}
		if !slices.Equal(got, c.conns) || all.Stacks[0].Listeners != c.listeners || all.Stacks[0].Connections != uint64(len(c.conns)) {
			t.Errorf("%s: connections %v, want %v; %+v", name, got, c.conns, all.Stacks[0])
		}
	}
}
