package netstack_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// patience bounds each wait for what should happen at once.
const patience = 20 * time.Second

// The two stacks' addresses.
var (
	clientAddr4 = netip.MustParsePrefix("192.168.12.1/24")
	clientAddr6 = netip.MustParsePrefix("fd00:12::1/64")
	serverAddr4 = netip.MustParsePrefix("192.168.12.53/24")
	serverAddr6 = netip.MustParsePrefix("fd00:12::53/64")
)

// serverPort is where the tests' listeners are.
const serverPort = "192.168.12.53:9000"

// setup says how a lab is made; the zero value is two plain stacks, traced in full.
type setup struct {
	client, server netstack.Options // Name, Addresses, Recorder, Level and Clock are filled in
	pipe           link.PipeOptions
	impair         link.ImpairOptions // on the client's end of the pipe: out is towards the server
	rules          []string           // further rules of that impairment
	level          tracer.Level       // LevelOff means LevelFull
	manual         bool               // the stacks' time stands still but for lab.clock.Advance
}

// lab is a client and a server stack on a pipe, with one trace of both.
type lab struct {
	t              testing.TB
	client, server *netstack.Stack
	rec            *recorder
	clock          *faketime.ManualClock
	wire           *wiretap // at the client's end, below the impairment
	serverLink     *link.Pipe
}

// newLab makes a lab. When the test ends, it closes it and no goroutine may be left.
func newLab(t testing.TB, o setup) *lab {
	t.Helper()
	verifyNoLeak(t)
	l := &lab{t: t, rec: newRecorder(nil)}
	if o.manual {
		l.clock = faketime.NewManualClock()
		start := l.clock.NowMonotonic()
		l.rec = newRecorder(func() time.Duration { return l.clock.NowMonotonic().Sub(start) })
		o.client.Clock, o.server.Clock, o.impair.Clock = l.clock, l.clock, l.clock
	}
	a, b := link.NewPipe(o.pipe)
	l.serverLink = b
	l.wire = newWiretap(a)
	for _, r := range o.rules {
		rule, err := link.ParseRule(r)
		if err != nil {
			t.Fatal(err)
		}
		o.impair.Rules = append(o.impair.Rules, rule)
	}
	var clientLink stack.LinkEndpoint = l.wire
	if o.impair.String() != "" {
		im, err := link.NewImpair(l.wire, o.impair)
		if err != nil {
			t.Fatal(err)
		}
		clientLink = im
	}
	if o.level == tracer.LevelOff {
		o.level = tracer.LevelFull
	}
	l.client = l.newStack(clientLink, o, o.client, "client", clientAddr4, clientAddr6)
	l.server = l.newStack(b, o, o.server, "server", serverAddr4, serverAddr6)
	return l
}

func (l *lab) newStack(end stack.LinkEndpoint, o setup, opts netstack.Options, name string, addrs ...netip.Prefix) *netstack.Stack {
	l.t.Helper()
	if opts.Name == "" {
		opts.Name = name
	}
	if opts.Addresses == nil {
		opts.Addresses = addrs
	}
	opts.Recorder, opts.Level = l.rec, o.level
	s, err := netstack.New(end, opts)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		within(l.t, "Close", func() {
			if err := s.Close(); err != nil {
				l.t.Errorf("close %s: %v", name, err)
			}
		})
		if n := s.FilledStates(); n != 0 {
			l.t.Errorf("%s: %d state changes that no hook saw:\n%s", name, n, l.rec)
		}
	})
	return s
}

// verifyNoLeak fails the test when goroutines that it started are left at its end.
func verifyNoLeak(t testing.TB) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if !t.Failed() { // what failed may have left some waiting: that is the second error
			goleak.VerifyNone(t, before)
		}
	})
}

// within fails the test when f does not return soon.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s did not return within %s", what, patience)
	}
}

// result is what a call that runs on a goroutine of its own gave.
type result[T any] struct {
	value T
	err   error
}

// async runs f on a goroutine of its own.
func async[T any](f func() (T, error)) <-chan result[T] {
	ch := make(chan result[T], 1)
	go func() {
		v, err := f()
		ch <- result[T]{v, err}
	}()
	return ch
}

// await returns what async's call gave.
func await[T any](t testing.TB, what string, ch <-chan result[T]) (T, error) {
	t.Helper()
	select {
	case r := <-ch:
		return r.value, r.err
	case <-time.After(patience):
		t.Fatalf("%s did not return within %s", what, patience)
		panic("unreachable")
	}
}

func (l *lab) listen(address string) *netstack.Listener {
	l.t.Helper()
	ln, err := l.server.Listen("tcp", address)
	if err != nil {
		l.t.Fatal(err)
	}
	return ln
}

// dial starts to connect the client to an address.
func (l *lab) dial(address string) <-chan result[*netstack.Conn] {
	return async(func() (*netstack.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
		defer cancel()
		return l.client.DialTCP(ctx, netip.AddrPort{}, netip.MustParseAddrPort(address))
	})
}

// connect gives both ends of a connection to serverPort.
func (l *lab) connect() (client, server *netstack.Conn) {
	l.t.Helper()
	ln := l.listen(serverPort)
	client, server = l.connectTo(ln, serverPort)
	return client, server
}

// connectTo gives both ends of a connection to a listener.
func (l *lab) connectTo(ln *netstack.Listener, address string) (client, server *netstack.Conn) {
	l.t.Helper()
	accepted := async(ln.AcceptTCP)
	dialed := l.dial(address)
	client, err := await(l.t, "dial", dialed)
	if err != nil {
		l.t.Fatal(err)
	}
	if server, err = await(l.t, "accept", accepted); err != nil {
		l.t.Fatal(err)
	}
	return client, server
}

// send writes all of b, or fails.
func (l *lab) send(c io.Writer, b string) {
	l.t.Helper()
	within(l.t, "Write", func() {
		if n, err := io.WriteString(c, b); n != len(b) || err != nil {
			l.t.Errorf("write %d bytes: %d, %v", len(b), n, err)
		}
	})
}

// recv reads n bytes, or fails.
func (l *lab) recv(c io.Reader, n int) string {
	l.t.Helper()
	b := make([]byte, n)
	within(l.t, "Read", func() {
		if got, err := io.ReadFull(c, b); err != nil {
			l.t.Errorf("read %d bytes: %d, %v", n, got, err)
		}
	})
	return string(b)
}

// recvEOF reads the end of the stream, or fails.
func (l *lab) recvEOF(c io.Reader) {
	l.t.Helper()
	within(l.t, "Read", func() {
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			l.t.Errorf("read at the end of the stream: %d, %v; want EOF", n, err)
		}
	})
}

func (l *lab) close(closers ...io.Closer) {
	l.t.Helper()
	for _, c := range closers {
		if err := c.Close(); err != nil {
			l.t.Errorf("close: %v", err)
		}
	}
}

// shut closes a connection's sending direction.
func (l *lab) shut(c *netstack.Conn) {
	l.t.Helper()
	if err := c.CloseWrite(); err != nil {
		l.t.Fatal(err)
	}
}

// wait returns the first event of the trace that all of m accept.
func (l *lab) wait(m ...match) tracer.Event {
	l.t.Helper()
	e, err := l.rec.WaitFor(all(m...), time.Now().Add(patience))
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

// advance moves the clock on in steps until the trace has an event that all of m
// accept, and fails when it has none after limit. Between steps, what was caused
// comes to rest.
func (l *lab) advance(step, limit time.Duration, m ...match) tracer.Event {
	l.t.Helper()
	want := all(m...)
	for passed := time.Duration(0); ; passed += step {
		l.settle()
		if got := l.events(want); len(got) > 0 {
			return got[0]
		}
		if passed >= limit {
			l.t.Fatalf("no such event within %s:\n%s", limit, l.rec)
		}
		l.clock.Advance(step)
	}
}

// settle returns when nothing moves any more by itself: no frame is on its way and
// the stacks have processed what they got. It needs the manual clock, and programs
// that are at rest.
func (l *lab) settle() {
	l.t.Helper()
	end := time.Now().Add(patience)
	for quiet, last := 0, -1; quiet < 5; runtime.Gosched() {
		for _, s := range []*netstack.Stack{l.client, l.server} {
			s.Pause()
			s.Resume()
		}
		n := len(l.rec.Events())
		if l.serverLink.Idle() && n == last {
			quiet++
		} else {
			quiet = 0
		}
		last = n
		if time.Now().After(end) {
			l.t.Fatalf("the stacks do not come to rest:\n%s", l.rec)
		}
	}
}

// events returns all events so far that m accepts.
func (l *lab) events(m ...match) []tracer.Event {
	want := all(m...)
	return slices.DeleteFunc(l.rec.Events(), func(e tracer.Event) bool { return !want(e) })
}

// segments returns the bodies of all segments so far that m accepts.
func (l *lab) segments(m ...match) []*tracer.Segment {
	var bodies []*tracer.Segment
	for _, e := range l.events(append(m, ofType(tracer.TypeSegment))...) {
		bodies = append(bodies, segmentOf(e))
	}
	return bodies
}
