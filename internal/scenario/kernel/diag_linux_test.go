package kernel

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/lab"
	"appliance/internal/scenario/host"
	"appliance/tracer/tracertest"
)

// endpoint is what has the two ends of a connection.
type endpoint interface {
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
}

// stateOf is what sock_diag says of a socket, by its ends; 0 for none.
func stateOf(t *testing.T, l *lab.Lab, c endpoint) RawState {
	t.Helper()
	family := uint8(unix.AF_INET)
	if c.LocalAddr().Addr().Is6() {
		family = unix.AF_INET6
	}
	all, err := Diag(l, family)
	must(t, "diag", err)
	for _, s := range all {
		if s.Local == c.LocalAddr() && s.Remote == c.RemoteAddr() {
			return s.State
		}
	}
	return 0
}

// eventually waits for a state; the kernel may be a moment, or a delayed acknowledgment,
// behind the call that brings it about, and tells a user of no change.
func eventually(t *testing.T, l *lab.Lab, c endpoint, want RawState) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		got := stateOf(t, l, c)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is in %s, not in %s within %v", c.LocalAddr(), got, want, patience)
		}
	}
}

func TestDiag(t *testing.T) {
	for _, at := range []netip.Addr{loopback4, loopback6} {
		t.Run(at.String(), func(t *testing.T) {
			l := newLab(t)
			p := openPair(t, l, at, clientPort)
			check := func(c host.Conn, want RawState) {
				t.Helper()
				eventually(t, l, c, want)
			}
			check(p.c, rawEstablished)
			check(p.s, rawEstablished)
			must(t, "shutdown", p.c.Shutdown())
			eof(t, p.s)
			check(p.c, rawFinWait2)
			check(p.s, rawCloseWait)
			must(t, "close", p.c.Close())
			check(p.c, rawFinWait2) // no longer a socket, but what stands for one
			must(t, "close", p.s.Close())
			check(p.c, rawTimeWait)
			check(p.s, 0)
		})
	}
}

// A half-open connection is SYN_RECV: its SYN came, and the rest never does.
func TestDiagHalfOpen(t *testing.T) {
	l := newLab(t)
	p := openPair(t, l, loopback4, clientPort)
	// Its data are deferred to, so that the handshake's last segment does not count.
	must(t, "set", p.listener.(*listener).Set("defer-accept", ""))
	c, err := p.client.Connect(ctxOf(t), netip.AddrPort{}, netip.AddrPortFrom(loopback4, serverPort))
	must(t, "connect", err)
	child := ends{c.RemoteAddr(), c.LocalAddr()}
	eventually(t, l, child, rawSynRecv)
	segmentsIn(t, l, child, 0, true)
	send(t, c, "x")
	s, err := p.listener.Accept()
	must(t, "accept", err)
	recv(t, s, "x")
	eventually(t, l, child, rawEstablished)
}

// TestSegmentsIn: a listener's child counts one SYN, and each segment after it.
func TestSegmentsIn(t *testing.T) {
	for _, at := range []netip.Addr{loopback4, loopback6} {
		t.Run(at.String(), func(t *testing.T) {
			l := newLab(t)
			p := openPair(t, l, at, clientPort)
			segmentsIn(t, l, p.s, 2, true)
			segmentsIn(t, l, p.c, 1, true)
			send(t, p.c, "hello")
			recv(t, p.s, "hello")
			segmentsIn(t, l, p.s, 3, true)
			must(t, "abort", p.c.Abort())
			segmentsIn(t, l, p.c, 0, false)
		})
	}
}

func segmentsIn(t *testing.T, l *lab.Lab, c endpoint, want uint32, exists bool) {
	t.Helper()
	n, there, err := SegmentsIn(l, c.LocalAddr(), c.RemoteAddr())
	must(t, "segments in", err)
	if n != want || there != exists {
		t.Errorf("%s has got %d segments, %v; want %d, %v", c.LocalAddr(), n, there, want, exists)
	}
}

type ends struct{ local, remote netip.AddrPort }

func (e ends) LocalAddr() netip.AddrPort  { return e.local }
func (e ends) RemoteAddr() netip.AddrPort { return e.remote }

func TestDiagNetNS(t *testing.T) {
	one, other := newLab(t), newLab(t)
	a, err := NetNS(one)
	must(t, "net ns", err)
	b, err := NetNS(other)
	must(t, "net ns", err)
	if a == b || a == inode("/proc/self/ns/net") {
		t.Errorf("the namespaces are %d and %d", a, b)
	}
}

func TestDiagClock(t *testing.T) {
	before := monotonic()
	start := time.Now()
	after := monotonic()
	rec := &tracertest.Recorder{Clock: func() time.Duration { return time.Since(start) }}
	const exact = int64(time.Millisecond)
	if zero := int64(Clock(rec)); zero < before-exact || zero > after+exact {
		t.Errorf("the recorder's zero is %d, which was between %d and %d", zero, before, after)
	}
}
