//go:build exactness

package netstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/netstack/link"
	"appliance/tracer"
)

// exactPatience bounds each wait of a connection's.
const exactPatience = 10 * time.Second

// The ports of an exactWorld's server: one that accepts, one that nobody listens
// on, and the first of those that single scenarios take; ephemeral ports begin at 16000.
const (
	exactPort       = 9000
	exactPortClosed = 9001
	exactPortFree   = 10000
)

// exactWorld is two stacks on a wire. What the client's link does to packets is set;
// both links can be tapped.
type exactWorld struct {
	*exactRun
	client, server *Stack
	ctap, stap     *exactTap
	listener       *Listener
	wire           exactWire
	ports          atomic.Uint32
	pauses         sync.Mutex // one Pause at a time
	accepts        sync.WaitGroup

	mu   sync.Mutex
	came map[netip.AddrPort]chan *Conn // accepted, by the peer's address
}

// exactOptions are what differs from world to world.
type exactOptions struct {
	wire    string // of exactWires; "" is the pipe
	level   tracer.Level
	impair  link.ImpairOptions
	clock   tcpip.Clock
	backlog int
	msl     time.Duration
	noServe bool // nobody accepts on exactPort, nor listens
}

func newExactWorld(t *testing.T, o exactOptions) *exactWorld {
	t.Helper()
	r := newExactRun(t, o.level)
	if o.wire == "" {
		o.wire = "pipe"
	}
	wire := exactWires[o.wire](t)
	w := &exactWorld{exactRun: r, wire: wire, ctap: newExactTap(wire.a), stap: newExactTap(wire.b), came: map[netip.AddrPort]chan *Conn{}}
	o.impair.Clock = o.clock
	im, err := link.NewImpair(w.ctap, o.impair)
	if err != nil {
		t.Fatal(err)
	}
	if o.msl == 0 {
		o.msl = 50 * time.Millisecond
	}
	opts := func(name, ip4, ip6 string) Options {
		return Options{
			Name: name, Recorder: r.rec, Level: o.level, Clock: o.clock,
			Addresses: []netip.Prefix{netip.MustParsePrefix(ip4), netip.MustParsePrefix(ip6)},
			TCP: TCPOptions{
				MSL: o.msl, FinWait2: 100 * time.Millisecond, Retries: 3, MinRTO: 20 * time.Millisecond, Backlog: o.backlog,
				Keepalive: Keepalive{Idle: 400 * time.Millisecond, Interval: 60 * time.Millisecond, Count: 3},
			},
		}
	}
	rack, client := true, opts("client", "10.9.0.1/24", "fd09::1/64")
	client.TCP.RACK, client.TCP.Congestion = &rack, "cubic" // one end has what is not the default
	w.client = w.stack(im, client)
	w.server = w.stack(w.stap, opts("server", "10.9.0.2/24", "fd09::2/64"))
	if !o.noServe {
		w.listener = w.listen(exactPort)
		w.serve(w.listener)
	}
	return w
}

// stack makes one of the run's stacks.
func (r *exactRun) stack(l stack.LinkEndpoint, o Options) *Stack {
	r.t.Helper()
	s, err := New(l, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.stacks[o.Name] = s
	r.mu.Unlock()
	return s
}

// listen listens on the server, both families.
func (w *exactWorld) listen(port uint16) *Listener {
	w.t.Helper()
	l, err := w.server.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// freePort returns a port that no other scenario uses.
func (w *exactWorld) freePort() uint16 { return exactPortFree + uint16(w.ports.Add(1)) } //nolint:gosec // a few thousand

// serve accepts until the listener is closed.
func (w *exactWorld) serve(l *Listener) {
	w.accepts.Add(1)
	go func() {
		defer w.accepts.Done()
		for {
			c, err := l.AcceptTCP()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				w.t.Errorf("accept: %v", err)
				return
			}
			select {
			case w.from(c.remote) <- c:
			default: // nobody took the ones before: an odd duplicate
				_ = c.Close()
			}
		}
	}()
}

// from is where the connections accepted from an address arrive.
func (w *exactWorld) from(remote netip.AddrPort) chan *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := w.came[remote]
	if ch == nil {
		ch = make(chan *Conn, 4)
		w.came[remote] = ch
	}
	return ch
}

// at is the server's address.
func (w *exactWorld) at(v6 bool, port uint16) netip.AddrPort {
	if v6 {
		return netip.AddrPortFrom(netip.MustParseAddr("fd09::2"), port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("10.9.0.2"), port)
}

// here is the client's address.
func (w *exactWorld) here(v6 bool, port uint16) netip.AddrPort {
	if v6 {
		return netip.AddrPortFrom(netip.MustParseAddr("fd09::1"), port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("10.9.0.1"), port)
}

// pair connects, from local where it is not zero, and returns both ends.
func (w *exactWorld) pair(ctx context.Context, local, remote netip.AddrPort) (c, s *Conn, err error) {
	c, err = w.client.DialTCP(ctx, local, remote)
	if err != nil {
		return nil, nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	select {
	case s = <-w.from(c.local):
		_ = s.SetDeadline(deadline)
		return c, s, nil
	case <-ctx.Done():
		_ = c.Close()
		return nil, nil, ctx.Err()
	}
}

// cut swallows, both ways, all segments of a client's port from now on.
func (w *exactWorld) cut(port uint16) {
	w.ctap.swallow(port)
	w.stap.swallow(port)
}

// mend undoes cut.
func (w *exactWorld) mend(port uint16) {
	w.ctap.intercept(port, nil)
	w.stap.intercept(port, nil)
}

// gone waits until a connection's endpoint is dead, and tells whether it is.
func (w *exactWorld) gone(c *Conn) bool {
	dead := make(chan struct{})
	w.accepts.Add(1)
	go func() { // ends at the stack's Close at the latest
		defer w.accepts.Done()
		for !isDead(c.ep.EndpointState()) {
			c.ep.Wait()
		}
		close(dead)
	}()
	select {
	case <-dead:
		return true
	case <-time.After(exactPatience / 3): // as may be when its RTO is a second
		return false
	}
}

// quiet waits until nothing moves: what the clock has brought about is over.
func (w *exactWorld) quiet() {
	for range 3 { // a frame brings work to a processor, which brings frames
		for deadline := time.Now().Add(exactPatience); !w.wire.idle() && time.Now().Before(deadline); {
			runtime.Gosched()
		}
		for _, s := range w.stacks {
			s.Pause()
			s.Resume()
		}
	}
}

// drain waits until no connection is left but in TIME-WAIT, and closes those that
// were accepted and not taken.
func (w *exactWorld) drain() {
	w.t.Helper()
	w.mu.Lock()
	for _, ch := range w.came {
		for len(ch) > 0 {
			_ = (<-ch).Close()
		}
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 2*exactPatience)
	defer cancel()
	if err := errors.Join(w.client.Drain(ctx), w.server.Drain(ctx)); err != nil {
		w.t.Logf("drain: %v; what is left is aborted", err)
	}
}

// close closes both stacks.
func (w *exactWorld) close() {
	_ = w.client.Close()
	_ = w.server.Close()
	w.accepts.Wait()
}

// put writes n bytes.
func put(c *Conn, n int) error {
	_, err := c.Write(make([]byte, n))
	return err
}

// readAll reads to the end or an error.
func readAll(c *Conn) { _, _ = io.Copy(io.Discard, struct{ io.Reader }{c}) }

// exactScenario makes connections end in one way.
type exactScenario struct {
	name   string
	weight int // how many of 100
	run    func(context.Context, *exactWorld, *rand.Rand)
}

// work runs n scenarios, drawn by weight from a seed, at most parallel at a time.
func (w *exactWorld) work(scenarios []exactScenario, n, parallel int, seed uint64) {
	type job struct {
		s exactScenario
		g *rand.Rand
	}
	var deck []exactScenario
	for _, s := range scenarios {
		for range s.weight {
			deck = append(deck, s)
		}
	}
	g := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // repeatable on purpose
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range parallel {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for j := range jobs {
				ctx, cancel := context.WithTimeout(context.Background(), exactPatience)
				j.s.run(ctx, w, j.g)
				cancel()
			}
		}()
	}
	for i := range n {
		s := deck[g.IntN(len(deck))]
		if i < len(scenarios) {
			s = scenarios[i] // each at least once
		}
		jobs <- job{s, rand.New(rand.NewPCG(seed, uint64(i)+2))} //nolint:gosec // repeatable on purpose
	}
	close(jobs)
	workers.Wait()
}
