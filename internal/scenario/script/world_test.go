package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/netstack/virtual"
	"appliance/tracer"
	"appliance/tracer/sequence"
	"appliance/tracer/tracertest"
)

// patience bounds, in real time, what should take some milliseconds.
const patience = 30 * time.Second

// port is the server's.
const port = 9000

// prefixes are the addresses of C and S.
func prefixes(client bool) []netip.Prefix {
	if client {
		return []netip.Prefix{netip.MustParsePrefix("192.168.12.1/24"), netip.MustParsePrefix("fd00:12::1/64")}
	}
	return []netip.Prefix{netip.MustParsePrefix("192.168.12.53/24"), netip.MustParsePrefix("fd00:12::53/64")}
}

// settings are what a test's worlds differ in.
type settings struct {
	family  int  // 4 or 6
	virtual bool // the clock
	client  bool // what the script plays
	seed    uint64
	tcp     netstack.TCPOptions
	// links makes the two ends; nil means a pipe.
	links func(t testing.TB) (appliance, script link.Link)
}

// world is a stack and a script on a link.
type world struct {
	settings
	t      testing.TB
	clock  *virtual.Clock // nil for the machine's
	rec    tracertest.Recorder
	stack  *netstack.Stack
	script *Script

	programs sync.WaitGroup
	running  atomic.Int32
}

// pipe is a pipe's two ends.
func pipe(testing.TB) (appliance, script link.Link) {
	a, b := link.NewPipe(link.PipeOptions{})
	return a, b
}

// newWorld makes a world. When the test ends, it closes it and no goroutine may be left.
func newWorld(t testing.TB, s settings) *world {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	w := &world{settings: s, t: t}
	if s.links == nil {
		s.links = pipe
	}
	a, b := s.links(t)
	so := netstack.Options{Name: "stack", Addresses: prefixes(!s.client), TCP: s.tcp, Recorder: &w.rec, Level: tracer.LevelFull}
	co := Options{Addresses: prefixes(s.client), Peer: w.addr(!s.client), Client: s.client, Seed: s.seed}
	if s.virtual {
		w.clock = virtual.New(time.Time{})
		w.rec.Clock = w.clock.Elapsed
		so.Clock, co.Clock = w.clock, w.clock
	}
	var err error
	if w.stack, err = netstack.New(a, so); err != nil {
		t.Fatal(err)
	}
	if w.script, err = New(b, co); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.stack.Close(); err != nil {
			t.Errorf("close the stack: %v", err)
		}
		w.script.Close()
		w.programs.Wait()
		if !t.Failed() {
			goleak.VerifyNone(t, leaks)
		}
	})
	return w
}

// addr is the address of C or S in the world's family.
func (w *world) addr(client bool) netip.Addr {
	if w.family == 6 {
		return prefixes(client)[1].Addr()
	}
	return prefixes(client)[0].Addr()
}

// server is where S is.
func (w *world) server() netip.AddrPort { return netip.AddrPortFrom(w.addr(false), port) }

// run plays frames while the stack's program runs, and waits for both.
func (w *world) run(frames []sequence.Frame, program func() error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.start("script", func() error { return w.script.Play(ctx, frames) })
	if program != nil {
		w.start("program", program)
	}
	if w.clock != nil {
		if err := w.clock.Run(ctx, func() bool { return w.running.Load() == 0 }); err != nil {
			w.t.Fatalf("%v\n%s", err, &w.rec)
		}
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		w.programs.Wait()
	}()
	select {
	case <-over:
	case <-ctx.Done():
		w.t.Fatalf("the programs do not end\n%s", &w.rec)
	}
	if w.t.Failed() {
		w.t.Fatalf("the trace:\n%s", &w.rec)
	}
}

func (w *world) start(name string, program func() error) {
	w.running.Add(1)
	w.programs.Go(func() {
		defer w.running.Add(-1)
		if err := program(); err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
	})
}

// listen has the stack listen before the script begins.
func (w *world) listen() *netstack.Listener {
	w.t.Helper()
	l, err := w.stack.Listen("tcp", w.server().String())
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// recv reads exactly want.
func recv(c io.Reader, want string) error {
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		return fmt.Errorf("recv: %q, %w; want %q", got[:n], err, want)
	}
	return nil
}

// recvEOF reads the end of the stream.
func recvEOF(c io.Reader) error {
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("recv at the end of the stream: %d, %w; want EOF", n, err)
	}
	return nil
}

// wantStates wants these changes in the trace, besides those of listeners. The last may be on its
// way when the program has ended.
func (w *world) wantStates(want ...string) {
	w.t.Helper()
	var got []string
	_, err := w.rec.WaitFor(func(e tracer.Event) bool {
		if b, ok := e.Body.(*tracer.StateChange); ok && e.Remote.IsValid() {
			got = append(got, fmt.Sprintf("%s → %s", b.From, b.To))
		}
		return len(got) == len(want)
	}, time.Now().Add(patience))
	if err != nil || !slices.Equal(got, want) {
		w.t.Errorf("the states are %q, want %q: %v", got, want, err)
	}
}

// segments are the trace's, in a direction, in words.
func (w *world) segments(dir tracer.Direction) (all []string) {
	for _, e := range w.rec.Events() {
		if b, ok := e.Body.(*tracer.Segment); ok && b.Dir == dir {
			g := Segment{Flags: b.Flags, RelSeq: b.RelSeq, RelAck: b.RelAck, Payload: make([]byte, b.Len)}
			all = append(all, g.String())
		}
	}
	return all
}

// eachWorld runs a test in both families and on both clocks.
func eachWorld(t *testing.T, test func(t *testing.T, s settings)) {
	t.Helper()
	for _, family := range []int{4, 6} {
		for _, clock := range []string{"real", "virtual"} {
			t.Run(fmt.Sprintf("IPv%d/%s", family, clock), func(t *testing.T) {
				test(t, settings{family: family, virtual: clock == "virtual"})
			})
		}
	}
}

// The flags that the tests use.
const (
	syn, ack, fin, rst = tracer.SYN, tracer.ACK, tracer.FIN, tracer.RST
	pshACK             = tracer.PSH | tracer.ACK
)

func is(n uint32) sequence.Number { return sequence.Number{Op: sequence.Equal, N: n} }

// change changes a step that snd or exp makes.
type change func(*sequence.Frame)

// snd sends; without ACK among the flags, ackN does not count.
func snd(flags tracer.Flags, seq, ackN uint32, changes ...change) sequence.Frame {
	f := sequence.Frame{Do: sequence.FrameSend, Flags: flags, Seq: is(seq)}
	if flags.Has(ack) {
		f.Ack = is(ackN)
	}
	for _, c := range changes {
		c(&f)
	}
	return f
}

// exp awaits.
func exp(flags tracer.Flags, changes ...change) sequence.Frame {
	f := sequence.Frame{Do: sequence.FrameAwait, Flags: flags}
	for _, c := range changes {
		c(&f)
	}
	return f
}

func seqIs(n uint32) change  { return func(f *sequence.Frame) { f.Seq = is(n) } }
func ackIs(n uint32) change  { return func(f *sequence.Frame) { f.Ack = is(n) } }
func length(n uint32) change { return func(f *sequence.Frame) { f.Len = is(n) } }
func text(s string) change   { return func(f *sequence.Frame) { f.Text = s } }
func of(conn string) change  { return func(f *sequence.Frame) { f.Conn = conn } }
func to(a string) change     { return func(f *sequence.Frame) { f.To = a } }
func from(a string) change   { return func(f *sequence.Frame) { f.From = a } }
func times(n int) change     { return func(f *sequence.Frame) { f.Times = n } }
func mss(f *sequence.Frame)  { f.Opts.MSS = 1460 }
func ts(f *sequence.Frame)   { f.Opts.HasTS = true }

// pause delays.
func pause(d time.Duration) sequence.Frame { return sequence.Frame{Do: sequence.FrameDelay, For: d} }

// allOpts are the options of Linux's SYNs.
func allOpts(f *sequence.Frame) {
	f.Opts = tracer.Options{MSS: 1460, HasWS: true, WS: 7, SACKOK: true, HasTS: true}
}
