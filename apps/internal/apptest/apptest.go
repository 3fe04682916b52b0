// Package apptest runs the servers under apps on loopback for their tests.
package apptest

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Timeout is how long a test waits for what should happen at once.
const Timeout = 20 * time.Second

// Context ends after Timeout, or with the test.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	t.Cleanup(cancel)
	return ctx
}

// Server is a server that runs.
type Server struct {
	Addr string
	// Stop ends its context.
	Stop context.CancelFunc
	done chan struct{}
	err  error
}

// Wait waits for the server to return, and gives what it returned.
func (s *Server) Wait(t testing.TB) error {
	t.Helper()
	select {
	case <-s.done:
		return s.err
	case <-time.After(Timeout):
		t.Fatalf("the server on %s has not returned after %v", s.Addr, Timeout)
		return nil
	}
}

func start(t testing.TB, addr net.Addr, serve func(context.Context) error) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{Addr: addr.String(), Stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = serve(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := s.Wait(t); err != nil {
			t.Errorf("the server on %s returned: %v", s.Addr, err)
		}
	})
	return s
}

// Start serves TCP on a free port of loopback until the test ends, and checks that
// the server then returns nil.
func Start(t testing.TB, serve func(context.Context, net.Listener) error) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return start(t, l.Addr(), func(ctx context.Context) error { return serve(ctx, l) })
}

// StartPacket does for UDP what Start does for TCP.
func StartPacket(t testing.TB, serve func(context.Context, net.PacketConn) error) *Server {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return start(t, pc.LocalAddr(), func(ctx context.Context) error { return serve(ctx, pc) })
}

// Dial connects to a server; the connection's calls fail after Timeout and it is
// closed with the test.
func Dial(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, addr, Timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(Timeout)); err != nil {
		t.Fatal(err)
	}
	return c
}

// Buffer is a bytes.Buffer that several goroutines may write, and a test await.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
	return b.text.Write(p)
}

// String is what was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Await waits until want is part of what was written.
func (b *Buffer) Await(t testing.TB, want string) string {
	t.Helper()
	deadline := time.After(Timeout)
	for {
		b.mu.Lock()
		text := b.text.String()
		if b.more == nil {
			b.more = make(chan struct{})
		}
		more := b.more
		b.mu.Unlock()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no %q after %v in:\n%s", want, Timeout, text)
		}
	}
}
