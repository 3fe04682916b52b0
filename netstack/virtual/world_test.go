package virtual_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/netstack/virtual"
	"appliance/tracer"
	"appliance/tracer/tracertest"
)

// patience bounds, in real time, what should take some milliseconds.
const patience = 30 * time.Second

// The ends' addresses, in both families.
var (
	clientAddrs = []netip.Prefix{netip.MustParsePrefix("192.168.12.1/24"), netip.MustParsePrefix("fd00:12::1/64")}
	serverAddrs = []netip.Prefix{netip.MustParsePrefix("192.168.12.53/24"), netip.MustParsePrefix("fd00:12::53/64")}
)

// families are the server's address in each.
var families = []struct{ name, server string }{
	{"IPv4", "192.168.12.53:9000"},
	{"IPv6", "[fd00:12::53]:9000"},
}

// world is a client and a server stack on a pipe, on one virtual clock.
type world struct {
	t              testing.TB
	clock          *virtual.Clock
	rec            tracertest.Recorder
	client, server *netstack.Stack
	programs       sync.WaitGroup
	running        atomic.Int32
}

// newWorld makes a world; impair is the client's link's.
func newWorld(t testing.TB, tcp netstack.TCPOptions, impair link.ImpairOptions) *world {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	w := &world{t: t, clock: virtual.New(time.Time{})}
	w.rec.Clock = w.clock.Elapsed
	a, b := link.NewPipe(link.PipeOptions{Clock: w.clock})
	impair.Clock = w.clock
	im, err := link.NewImpair(a, impair)
	if err != nil {
		t.Fatal(err)
	}
	w.client = w.stack(im, "client", clientAddrs, tcp)
	w.server = w.stack(b, "server", serverAddrs, tcp)
	t.Cleanup(func() {
		if err := errors.Join(w.client.Close(), w.server.Close()); err != nil {
			t.Errorf("close the stacks: %v", err)
		}
		if t.Failed() {
			return // some may wait for a turn that never comes
		}
		w.programs.Wait()
		goleak.VerifyNone(t, leaks)
	})
	return w
}

func (w *world) stack(l link.Link, name string, addrs []netip.Prefix, tcp netstack.TCPOptions) *netstack.Stack {
	w.t.Helper()
	s, err := netstack.New(l, netstack.Options{
		Name: name, Addresses: addrs, TCP: tcp, Clock: w.clock, Recorder: &w.rec, Level: tracer.LevelFull,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// start runs a program of the world's on a goroutine of its own, when its turn comes.
func (w *world) start(name string, program func() error) {
	w.running.Add(1)
	w.programs.Add(1)
	w.clock.Go(func() {
		defer w.programs.Done()
		defer w.running.Add(-1)
		if err := program(); err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
	})
}

// ended tells whether every program has.
func (w *world) ended() bool { return w.running.Load() == 0 }

// run lets time pass until until says true.
func (w *world) run(until func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := w.clock.Run(ctx, until); err != nil {
		w.t.Fatalf("%v\n%s", err, &w.rec)
	}
}

// listen lets the server listen before anyone connects.
func (w *world) listen(address string) *netstack.Listener {
	w.t.Helper()
	l, err := w.server.Listen("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// dial connects the client, without a limit in real time.
func (w *world) dial(address string) (*netstack.Conn, error) {
	return w.client.DialTCP(context.Background(), netip.AddrPort{}, netip.MustParseAddrPort(address))
}
