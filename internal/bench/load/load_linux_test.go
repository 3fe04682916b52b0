package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	RunPeerIfAsked()
	goleak.VerifyTestMain(m)
}

// patience bounds what should happen at once, on a machine that is busy.
const patience = 60 * time.Second

// short is how long a measurement lasts here: nothing is said about how fast it is.
const short = 20 * time.Millisecond

var lastAddress atomic.Uint32

// loopback is the kernel's sockets at a loopback address of a test's own, so that tests of
// several processes do not meet.
type loopback struct {
	Kernel
	at netip.Addr
}

func newLoopback() loopback {
	pid := os.Getpid()
	return loopback{at: netip.AddrFrom4([4]byte{127, byte(1 + pid>>8%200), byte(pid), byte(1 + lastAddress.Add(1)%250)})} //nolint:gosec // bytes
}

// Listen implements Network.
func (l loopback) Listen(ctx context.Context, port uint16) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(ctx, "tcp", netip.AddrPortFrom(l.at, port).String())
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func serve(t *testing.T) (*Server, loopback) {
	t.Helper()
	n := newLoopback()
	s, err := Serve(testContext(t), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, n
}

// awaitBytes waits until a count is above some.
func awaitBytes(t *testing.T, above uint64, count func() (Count, error)) Count {
	t.Helper()
	limit := time.Now().Add(patience)
	for {
		c, err := count()
		if err != nil {
			t.Fatal(err)
		}
		if c.Bytes > above {
			return c
		}
		if time.Now().After(limit) {
			t.Fatalf("no more than %d bytes in %v", c.Bytes, patience)
		}
	}
}

// TestTransfer: data flows either way, both ends count it, and the clocks go forward.
func TestTransfer(t *testing.T) {
	for _, tt := range []struct {
		direction Direction
		streams   int
	}{{ToServer, 1}, {ToServer, 4}, {FromServer, 1}, {FromServer, 4}} {
		t.Run(fmt.Sprint(tt.direction, tt.streams), func(t *testing.T) {
			s, n := serve(t)
			transfer, err := Start(testContext(t), n, n.at, tt.direction, tt.streams)
			if err != nil {
				t.Fatal(err)
			}
			first := awaitBytes(t, 0, s.Count)
			second := awaitBytes(t, first.Bytes+1<<20, s.Count)
			if second.At <= first.At || second.CPU < first.CPU {
				t.Errorf("a later count is %+v, an earlier one %+v", second, first)
			}
			awaitBytes(t, 1<<20, transfer.Count)
			for range 2 { // the second does nothing
				if err := transfer.End(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestTransferBroken: a stream that the other end ends is an error.
func TestTransferBroken(t *testing.T) {
	s, n := serve(t)
	transfer, err := Start(testContext(t), n, n.at, FromServer, 2)
	if err != nil {
		t.Fatal(err)
	}
	awaitBytes(t, 0, transfer.Count)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	transfer.workers.Wait() // they end by themselves
	if err := transfer.End(); err == nil || !strings.Contains(err.Error(), "a stream ended too early") {
		t.Errorf("error %v, want one of a stream that ended too early", err)
	}
}

// TestNobodyThere: each kind of load says when there is no Server.
func TestNobodyThere(t *testing.T) {
	n, ctx := newLoopback(), testContext(t)
	for name, do := range map[string]func() error{
		"transfer": func() error { _, err := Start(ctx, n, n.at, ToServer, 1); return err },
		"pingpong": func() error { _, err := PingPong(ctx, n, n.at, 0, short); return err },
		"connects": func() error { _, err := Connects(ctx, n, n.at, 4, patience, short); return err },
		"hold":     func() error { _, err := Hold(ctx, n, n.at, 20); return err },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: error %v, want connection refused", name, err)
		}
	}
}

func TestPingPong(t *testing.T) {
	_, n := serve(t)
	r, err := PingPong(testContext(t), n, n.at, short, short)
	if err != nil {
		t.Fatal(err)
	}
	if r.N == 0 || r.P50 <= 0 || r.P99 < r.P50 || r.P999 < r.P99 {
		t.Errorf("round trips: %+v", r)
	}
}

// TestPingPongStops: when its context ends, so does it.
func TestPingPongStops(t *testing.T) {
	_, n := serve(t)
	ctx, cancel := context.WithCancelCause(testContext(t))
	cancel(errStop)
	if _, err := PingPong(ctx, n, n.at, 0, time.Hour); !errors.Is(err, errStop) && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, errStop)
	}
}

var errStop = errors.New("stop")

func TestRoundTrip(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	var thousand []time.Duration
	for i := range 1000 {
		thousand = append(thousand, ms(1000-i))
	}
	for _, tt := range []struct {
		name string
		took []time.Duration
		want RoundTrip
	}{
		{"none", nil, RoundTrip{}},
		{"one", []time.Duration{ms(5)}, RoundTrip{1, ms(5), ms(5), ms(5)}},
		{"two", []time.Duration{ms(9), ms(1)}, RoundTrip{2, ms(1), ms(9), ms(9)}},
		{"thousand", thousand, RoundTrip{1000, ms(500), ms(990), ms(999)}},
	} {
		if diff := cmp.Diff(tt.want, roundTrip(tt.took)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestConnects(t *testing.T) {
	_, n := serve(t)
	r, err := Connects(testContext(t), n, n.at, 16, short, short)
	if err != nil || r.N == 0 || r.Took < short || r.PerSecond() <= 0 {
		t.Errorf("%+v, %v, in %v", r, err, short)
	}
}

func TestHold(t *testing.T) {
	s, n := serve(t)
	ctx := testContext(t)
	h, err := Hold(ctx, n, n.at, 50)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitOpen(ctx, 50); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancelCause(ctx)
	cancel(errStop)
	if err := s.AwaitOpen(ended, 51); !errors.Is(err, errStop) {
		t.Errorf("waiting for one more: %v, want %v", err, errStop)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.AwaitOpen(ctx, 1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("waiting at a closed server: %v, want %v", err, net.ErrClosed)
	}
}

// TestServeTwice: a port that is taken is an error that names it, and nothing is left.
func TestServeTwice(t *testing.T) {
	_, n := serve(t)
	if s, err := Serve(testContext(t), n); err == nil || !strings.Contains(err.Error(), "load: listen on port ") {
		t.Errorf("a second server: %v, %v", s, err)
	}
}

// TestCongestion: every socket has the congestion control that was asked for, or there is
// an error.
func TestCongestion(t *testing.T) {
	_, n := serve(t)
	n.Congestion = "no-such-algorithm"
	if _, err := PingPong(testContext(t), n, n.at, 0, short); err == nil || !strings.Contains(err.Error(), "congestion control no-such-algorithm") {
		t.Errorf("error %v, want one about the congestion control", err)
	}
}

// self runs this test again as a peer.
func self(ctx context.Context, stdin, stdout *os.File, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = PeerEnv(""), stdin, stdout, stderr
	err := cmd.Run()
	return cmd.ProcessState.ExitCode(), err
}

func startPeer(t *testing.T, run Runner) *Peer {
	t.Helper()
	p, err := StartPeer(run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestPeer: a process of its own does each kind of load.
func TestPeer(t *testing.T) {
	s, n := serve(t)
	p, ctx := startPeer(t, self), testContext(t)
	if err := p.Start(ctx, Job{To: n.at, Direction: FromServer, Streams: 2}); err != nil {
		t.Fatal(err)
	}
	awaitBytes(t, 1<<20, func() (Count, error) { return p.TransferCount(ctx) })
	if err := p.Start(ctx, Job{To: n.at, Direction: FromServer, Streams: 1}); err == nil {
		t.Error("a second transfer started beside the first")
	}
	if err := p.End(ctx); err != nil {
		t.Error(err)
	}
	if r, err := p.PingPong(ctx, Job{To: n.at, Time: short}); err != nil || r.N == 0 {
		t.Errorf("round trip: %+v, %v", r, err)
	}
	if r, err := p.Connects(ctx, Job{To: n.at, Streams: 2, Time: short}); err != nil || r.Took < short {
		t.Errorf("connections: %+v, %v", r, err)
	}
	if err := p.Hold(ctx, Job{To: n.at, Streams: 10}); err != nil {
		t.Error(err)
	}
	if err := s.AwaitOpen(ctx, 10); err != nil {
		t.Error(err)
	}
}

// TestPeerRefuses: what cannot be done is an error of the call, and the next call works.
func TestPeerRefuses(t *testing.T) {
	p, ctx := startPeer(t, self), testContext(t)
	nobody := newLoopback().at
	for name, call := range map[string]func() error{
		"count of no server":   func() error { _, err := p.ServerCount(ctx); return err },
		"wait at no server":    func() error { return p.AwaitOpen(ctx, 1) },
		"count of no transfer": func() error { _, err := p.TransferCount(ctx); return err },
		"end of no transfer":   func() error { return p.End(ctx) },
		"nobody there":         func() error { return p.Start(ctx, Job{To: nobody, Direction: ToServer, Streams: 1}) },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "load: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestPeerDies: a process that cannot start, or ends, is an error that says what it said.
func TestPeerDies(t *testing.T) {
	p := startPeer(t, func(_ context.Context, _, _ *os.File, stderr io.Writer) (int, error) {
		_, err := io.WriteString(stderr, "no such thing\n")
		return 7, err
	})
	err := p.Serve(testContext(t))
	if err == nil || !strings.Contains(err.Error(), "ended with code 7: no such thing") {
		t.Errorf("error %v, want one with the exit code and what it said", err)
	}
}

// TestPeerStops: a call ends with its context, and Close does not wait for it.
func TestPeerStops(t *testing.T) {
	_, n := serve(t)
	p := startPeer(t, self)
	ctx, cancel := context.WithCancelCause(testContext(t))
	stopped := make(chan error, 1)
	go func() {
		_, err := p.PingPong(ctx, Job{To: n.at, Time: time.Hour})
		stopped <- err
	}()
	cancel(errStop)
	if err := <-stopped; !errors.Is(err, errStop) {
		t.Errorf("error %v, want %v", err, errStop)
	}
}
