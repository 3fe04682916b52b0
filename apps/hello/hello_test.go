package hello

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

// order notes who closed, by wrapping connections.
type order struct {
	mu    sync.Mutex
	names []string
}

type noted struct {
	net.Conn
	name string
	o    *order
	once sync.Once
}

func (n *noted) Close() error {
	n.once.Do(func() {
		n.o.mu.Lock()
		n.o.names = append(n.o.names, n.name)
		n.o.mu.Unlock()
	})
	return n.Conn.Close()
}

// notedListener wraps the connections that it accepts.
type notedListener struct {
	net.Listener
	o *order
}

func (l notedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &noted{Conn: c, name: "server", o: l.o}, nil
}

func (l notedListener) Close() error {
	l.o.mu.Lock()
	l.o.names = append(l.o.names, "listener")
	l.o.mu.Unlock()
	return l.Listener.Close()
}

func TestHelloOnce(t *testing.T) {
	tests := []struct {
		name           string
		server, client bool // AwaitClose
		first          string
	}{
		{name: "as it comes"},
		{name: "client closes first", server: true, first: "client"},
		{name: "server closes first", client: true, first: "server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, said apptest.Buffer
			var o order
			server := &Server{Out: &out, Log: t.Logf, Count: 1, AwaitClose: tt.server}
			s := apptest.Start(t, func(ctx context.Context, l net.Listener) error {
				return server.Serve(ctx, notedListener{l, &o})
			})
			client := &Client{Out: &said, AwaitClose: tt.client}
			conn := &noted{Conn: apptest.Dial(t, "tcp", s.Addr), name: "client", o: &o}
			msg, err := client.Run(apptest.Context(t), conn)
			if err != nil || string(msg) != "hello" {
				t.Errorf("the client got %q, %v", msg, err)
			}
			if err := s.Wait(t); err != nil {
				t.Error(err)
			}
			if said.String() != "b'hello'\n" || out.String() != "b'byebye'\n" {
				t.Errorf("client printed %q, server %q", said.String(), out.String())
			}
			closes := strings.Join(o.names, " ")
			if !strings.HasPrefix(closes, tt.first) {
				t.Errorf("closed in the order %s, want %s first", closes, tt.first)
			}
			if !strings.Contains(closes, "server listener") && !strings.Contains(closes, "server client listener") {
				t.Errorf("closed in the order %s: the listener comes after the server's connection", closes)
			}
		})
	}
}

func TestHelloServesMany(t *testing.T) {
	const clients = 50
	var out apptest.Buffer
	s := apptest.Start(t, (&Server{Out: &out, Log: t.Logf, Count: clients}).Serve)
	var wg sync.WaitGroup
	for range clients {
		conn := apptest.Dial(t, "tcp", s.Addr)
		wg.Go(func() {
			if _, err := (&Client{}).Run(apptest.Context(t), conn); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := s.Wait(t); err != nil {
		t.Error(err)
	}
	if got, want := out.String(), strings.Repeat("b'byebye'\n", clients); got != want {
		t.Errorf("printed %q", got)
	}
}

// TestServerGetsOdd: what clients do besides saying byebye, and that the next client
// is served all the same.
func TestServerGetsOdd(t *testing.T) {
	tests := []struct {
		name   string
		client func(*testing.T, *net.TCPConn)
		out    string // what the server prints
		log    string // or logs
	}{
		{"nothing", func(t *testing.T, c *net.TCPConn) { half(t, c, "") }, "b''\n", ""},
		{"bytes", func(t *testing.T, c *net.TCPConn) { half(t, c, "\x00'\n") }, `b"\x00'\n"` + "\n", ""},
		// No half-close: the server's close with a byte unread may reset us first.
		{"1025 bytes", func(t *testing.T, c *net.TCPConn) { send(t, c, strings.Repeat("a", 1025)) }, "b'" + strings.Repeat("a", 1024) + "'\n", ""},
		{"reset", func(t *testing.T, c *net.TCPConn) {
			if err := c.SetLinger(0); err != nil {
				t.Error(err)
			}
			_ = c.Close()
		}, "", "recv of the answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, log apptest.Buffer
			server := &Server{Out: &out, Log: func(f string, a ...any) { t.Logf(f, a...); write(&log, f, a...) }}
			s := apptest.Start(t, server.Serve)
			conn := apptest.Dial(t, "tcp", s.Addr).(*net.TCPConn)
			if _, err := io.ReadFull(conn, make([]byte, len(Greeting))); err != nil {
				t.Fatal(err)
			}
			tt.client(t, conn)
			out.Await(t, tt.out)
			log.Await(t, tt.log)
			if _, err := (&Client{}).Run(apptest.Context(t), apptest.Dial(t, "tcp", s.Addr)); err != nil {
				t.Error(err)
			}
			if got := out.Await(t, tt.out+"b'byebye'\n"); got != tt.out+"b'byebye'\n" {
				t.Errorf("printed %q", got)
			}
		})
	}
}

func send(t *testing.T, c net.Conn, text string) {
	if _, err := io.WriteString(c, text); err != nil {
		t.Error(err)
	}
}

func half(t *testing.T, c *net.TCPConn, text string) {
	send(t, c, text)
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
}

func TestClientFails(t *testing.T) {
	tests := []struct {
		name  string
		serve func(net.Conn)
		ctx   time.Duration
		await bool
		want  error
		out   string
	}{
		{name: "silent server closes", serve: func(net.Conn) {}, want: ErrSilent, out: "b''\n"},
		{name: "silent server stays", serve: hold, ctx: 20 * time.Millisecond, want: context.DeadlineExceeded},
		{
			name: "server never closes", await: true, ctx: 20 * time.Millisecond, want: context.DeadlineExceeded, out: "b'hello'\n",
			serve: func(c net.Conn) { _, _ = io.WriteString(c, Greeting); hold(c) },
		},
		{
			name: "server is gone before byebye", want: io.ErrClosedPipe, out: "b'hi'\n",
			serve: func(c net.Conn) { _, _ = io.WriteString(c, "hi") },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, conn := net.Pipe()
			done := make(chan struct{})
			go func() { defer close(done); defer server.Close(); tt.serve(server) }()
			ctx := apptest.Context(t)
			if tt.ctx > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.ctx)
				defer cancel()
			}
			var out apptest.Buffer
			_, err := (&Client{Out: &out, AwaitClose: tt.await}).Run(ctx, conn)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if out.String() != tt.out {
				t.Errorf("printed %q, want %q", out.String(), tt.out)
			}
			<-done // so the client closed: hold ends by nothing else
		})
	}
}

// hold reads until the peer closes.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func write(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
