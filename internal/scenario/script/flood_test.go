package script

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

func TestFlood(t *testing.T) { eachWorld(t, testFlood) }

func testFlood(t *testing.T, s settings) {
	t.Helper()
	const backlog, n = 16, 300
	s.client = true
	s.tcp.Backlog = backlog
	w := newWorld(t, s)
	ln := w.listen()
	w.run([]sequence.Frame{
		snd(syn, 0, 0, mss, from("flood"), times(n)),
		snd(syn, 0, 0, mss, of("b")), exp(syn|ack, of("b"), ackIs(1)),
		snd(pshACK, 1, 1, of("b"), text("here I am")), exp(ack, of("b"), ackIs(10)),
	}, func() error {
		c, err := ln.AcceptTCP()
		if err != nil {
			return err
		}
		return recv(c, "here I am")
	})
	sources, isns, cookies, half, opened := map[netip.AddrPort]bool{}, map[uint32]bool{}, 0, 0, []string{}
	for _, e := range w.rec.Events() {
		switch b := e.Body.(type) {
		case *tracer.Segment:
			if b.Dir == tracer.In && b.Flags == syn {
				sources[e.Remote], isns[b.Seq] = true, true
			}
			if b.Dir == tracer.Out && slices.Contains(b.Notes, "syn-cookie") {
				cookies++
			}
		case *tracer.StateChange:
			if b.To == tracer.SynReceived {
				half++
			}
			if b.To == tracer.Established {
				opened = append(opened, b.From.String())
			}
		default:
		}
	}
	if len(sources) != n+1 || len(isns) != n+1 {
		t.Errorf("%d sources and %d initial numbers, want %d", len(sources), len(isns), n+1)
	}
	if half > backlog+1 || half+cookies < n+1 || !slices.Equal(opened, []string{"LISTEN"}) {
		t.Errorf("%d half-open, %d cookies, established from %q; want at most %d, the rest, and one by a cookie", half, cookies, opened, backlog+1)
	}
	for a := range sources {
		if own := a.Addr() == w.addr(true); own == isFlood(a.Addr()) || a.Port() < 1024 {
			t.Errorf("a source is %s", a)
		}
	}
}

// TestUnicastOnly sends SYNs to nobody in particular, and sees that they come and are not
// answered.
func TestUnicastOnly(t *testing.T) { eachWorld(t, testUnicastOnly) }

func testUnicastOnly(t *testing.T, s settings) {
	t.Helper()
	s.client = true
	w := newWorld(t, s)
	ln := w.listen()
	before := w.stack.Stats().IP.PacketsReceived.Value()
	w.run([]sequence.Frame{
		snd(syn, 0, 0, mss, to("broadcast")),
		snd(syn, 0, 0, mss, to("multicast"), times(2)),
		snd(syn, 0, 0, mss, of("b")), exp(syn|ack, of("b")), snd(ack, 1, 1, of("b")),
	}, func() error {
		_, err := ln.AcceptTCP()
		return err
	})
	for _, g := range w.script.Seen() {
		if g.Conn != "b" {
			t.Errorf("%s came to %s", &g, g.Local)
		}
	}
	// Neighbour discovery counts as well; the three must be among them.
	if n := w.stack.Stats().IP.PacketsReceived.Value() - before; n < 5 {
		t.Errorf("%d packets came to the stack", n)
	}
}

// TestSpoofed sends from an address of nobody's, for which the script then answers.
func TestSpoofed(t *testing.T) {
	eachWorld(t, func(t *testing.T, s settings) {
		s.client = true
		w := newWorld(t, s)
		ln := w.listen()
		spoofed := "192.168.12.77:7777"
		if s.family == 6 {
			spoofed = "[fd00:12::77]:7777"
		}
		w.run([]sequence.Frame{snd(syn, 0, 0, from(spoofed)), exp(syn|ack, ackIs(1)), snd(ack, 1, 1)}, func() error {
			c, err := ln.AcceptTCP()
			if err == nil && c.RemoteAddr().String() != spoofed {
				err = fmt.Errorf("accepted %s", c.RemoteAddr())
			}
			return err
		})
	})
}

func TestFloodSources(t *testing.T) {
	for _, v4 := range []bool{true, false} {
		seen := map[netip.AddrPort]bool{}
		for i := range 200_000 {
			src, ok := floodSource(i, v4, 12345)
			if !ok || seen[src] || !isFlood(src.Addr()) || src.Port() < floodFirstPort || src.Addr().Is4() != v4 {
				t.Fatalf("source %d is %s, %v, seen before: %v", i, src, ok, seen[src])
			}
			seen[src] = true
		}
		if _, ok := floodSource(floodCount*floodPorts, v4, 0); ok {
			t.Error("there are more sources than addresses and ports")
		}
		if _, ok := floodSource(floodCount*floodPorts-1, v4, 0); !ok {
			t.Error("there are fewer sources than addresses and ports")
		}
	}
	for _, a := range []string{"192.168.12.127", "192.168.12.255", "192.168.13.128", "fd00:12::53", "fd00:12::f:ff", "fd00:12::f:180"} {
		if isFlood(netip.MustParseAddr(a)) {
			t.Errorf("%s is one of the flood's", a)
		}
	}
}
