package netstack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/tracer"
)

// wantTimeout fails unless err is what net says at a deadline.
func wantTimeout(t *testing.T, what string, err error) {
	t.Helper()
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: %v; want a time-out", what, err)
	}
}

func TestLargeTransferBothWays(t *testing.T) {
	const size = 4 << 20
	l := newLab(t, setup{level: tracer.LevelSegments})
	c, s := l.connect()
	source := func(seed uint64) []byte {
		b := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
		return b
	}
	sums := map[string]<-chan result[[32]byte]{}
	for name, conn := range map[string]*netstack.Conn{"to the client": c, "to the server": s} {
		sums[name] = async(func() ([32]byte, error) {
			h := sha256.New()
			_, err := io.Copy(h, conn)
			return [32]byte(h.Sum(nil)), err
		})
	}
	sent := map[string]*netstack.Conn{"to the client": s, "to the server": c}
	for i, name := range []string{"to the client", "to the server"} {
		data := source(uint64(i))
		wrote := async(func() (int, error) {
			n, err := sent[name].Write(data)
			return n, errors.Join(err, sent[name].CloseWrite())
		})
		defer func() {
			if n, err := await(t, "Write "+name, wrote); n != size || err != nil {
				t.Errorf("%s: wrote %d, %v", name, n, err)
			}
			if got, err := await(t, "Read "+name, sums[name]); err != nil || got != sha256.Sum256(data) {
				t.Errorf("%s: the checksums differ, or %v", name, err)
			}
		}()
	}
}

func TestReadAfterCloseWrite(t *testing.T) {
	l := newLab(t, setup{})
	c, s := l.connect()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	l.recvEOF(s)
	l.recvEOF(s) // again and again
	l.send(s, "still open")
	if got := l.recv(c, 10); got != "still open" {
		t.Errorf("read %q after CloseWrite", got)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after CloseWrite: %v, want EPIPE", err)
	}
	l.close(s)
	l.recvEOF(c)
	l.close(c)
	if err := c.CloseWrite(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("CloseWrite after Close: %v, want net.ErrClosed", err)
	}
}

// Abort sends RST: the peer's read says so once, then the connection is over.
func TestAbort(t *testing.T) {
	l := newLab(t, setup{})
	c, s := l.connect()
	read := async(func() (int, error) { return s.Read(make([]byte, 1)) })
	if err := c.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := await(t, "Read", read); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want ECONNRESET", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("write: %v, want EPIPE or ECONNRESET", err)
	}
	l.wait(ofConn(c), seg(tracer.Out, tracer.RST))
	for _, conn := range []*netstack.Conn{c, s} {
		if got := conn.State(); got != tracer.Closed {
			t.Errorf("the state is %s", got)
		}
	}
}

// A Close with bytes unread, too, tells the peer by a RST that they were lost.
func TestCloseUnread(t *testing.T) {
	l := newLab(t, setup{})
	c, s := l.connect()
	l.send(c, "hello")
	l.wait(ofConn(s), seg(tracer.In, tracer.ACK), withData)
	l.wait(ofConn(c), seg(tracer.In, tracer.ACK), acks(6)) // it has been queued for reading
	read := async(func() (int, error) { return c.Read(make([]byte, 1)) })
	l.close(s)
	if _, err := await(t, "Read", read); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want ECONNRESET", err)
	}
}

func TestDialErrors(t *testing.T) {
	l := newLab(t, setup{})
	for _, c := range []struct {
		network, address, want string
		is                     error
	}{
		{"tcp", "192.168.12.53:1", "connection refused", syscall.ECONNREFUSED},
		{"tcp", "[fd00:12::53]:1", "connection refused", syscall.ECONNREFUSED},
		{"tcp4", "192.168.12.53:1", "connection refused", syscall.ECONNREFUSED},
		{"sctp", "192.168.12.53:1", "unknown network sctp", net.UnknownNetworkError("sctp")},
		{"", "192.168.12.53:1", "unknown network", net.UnknownNetworkError("")},
		{"tcp", "example.org:80", `"example.org" is not an IP address`, nil},
		{"udp", "example.org:80", `"example.org" is not an IP address`, nil},
		{"tcp", "192.168.12.53", "missing port", nil},
		{"tcp", "192.168.12.53:99999", "port", nil},
		{"tcp", ":80", "address", nil},
		{"tcp4", "[fd00:12::53]:80", "tcp4", nil},
		{"tcp6", "192.168.12.53:80", "tcp6", nil},
		{"tcp", "8.8.8.8:80", "unreachable", syscall.ENETUNREACH},
	} {
		conn, err := l.client.DialContext(context.Background(), c.network, c.address)
		if err == nil {
			l.close(conn)
			t.Errorf("dial %s %s succeeded", c.network, c.address)
			continue
		}
		if conn != nil {
			t.Errorf("dial %s %s: a connection with the error", c.network, c.address)
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("dial %s %s: %v; want %q in it", c.network, c.address, err, c.want)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("dial %s %s: %v is not %v", c.network, c.address, err, c.is)
		}
	}
}

func TestDialFrom(t *testing.T) {
	l := newLab(t, setup{})
	ln := l.listen(serverPort)
	remote := netip.MustParseAddrPort(serverPort)
	local := netip.AddrPortFrom(clientAddr4.Addr(), 5555)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := l.client.DialTCP(ctx, local, remote)
	if err != nil {
		t.Fatal(err)
	}
	s, err := await(t, "accept", async(ln.AcceptTCP))
	if err != nil {
		t.Fatal(err)
	}
	if c.LocalAddr().String() != local.String() || s.RemoteAddr().String() != local.String() {
		t.Errorf("from %s, seen as %s, want %s", c.LocalAddr(), s.RemoteAddr(), local)
	}
	if _, err := l.client.DialTCP(ctx, netip.MustParseAddrPort("192.168.12.99:0"), remote); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("from an address of another: %v, want EADDRNOTAVAIL", err)
	}
	if _, err := l.client.DialTCP(ctx, local, remote); err == nil {
		t.Error("the same connection was made twice")
	}
}

// DialContext gives up when its context ends: the SYN is not answered.
func TestDialContextEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		"cancel": {context.WithCancel, context.Canceled},
		"timeout": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 50*time.Millisecond)
		}, nil},
		"cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			return ctx, func() { cancel(io.ErrClosedPipe) }
		}, io.ErrClosedPipe},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, setup{rules: []string{"drop out SYN"}})
			ctx, cancel := c.end(context.Background())
			defer cancel()
			dialed := async(func() (net.Conn, error) { return l.client.DialContext(ctx, "tcp", serverPort) })
			l.wait(on("client"), seg(tracer.Out, tracer.SYN))
			if c.want != nil {
				cancel()
			}
			conn, err := await(t, "DialContext", dialed)
			if conn != nil {
				t.Error("a connection")
			}
			if c.want == nil {
				wantTimeout(t, "dial", err)
			} else if !errors.Is(err, c.want) {
				t.Errorf("dial: %v, want %v", err, c.want)
			}
			l.wait(on("client"), enters(tracer.Closed))
		})
	}
	t.Run("before", func(t *testing.T) {
		l := newLab(t, setup{})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := l.client.DialContext(ctx, "tcp", serverPort); !errors.Is(err, context.Canceled) {
			t.Errorf("dial: %v", err)
		}
		if n := len(l.rec.Events()); n != 0 {
			t.Errorf("%d events", n)
		}
	})
}

func TestListenErrors(t *testing.T) {
	l := newLab(t, setup{})
	l.listen(serverPort)
	for _, c := range []struct {
		network, address, want string
		is                     error
	}{
		{"tcp", serverPort, "address already in use", syscall.EADDRINUSE},
		{"tcp", "192.168.12.99:80", "cannot assign requested address", syscall.EADDRNOTAVAIL},
		{"tcp", "[fd00:12::99]:80", "cannot assign requested address", syscall.EADDRNOTAVAIL},
		{"udp", serverPort, "unknown network udp", net.UnknownNetworkError("udp")},
		{"tcp", "localhost:80", `"localhost" is not an IP address`, nil},
		{"tcp", "9000", "missing port", nil},
		{"tcp6", "192.168.12.53:80", "tcp6", nil},
	} {
		ln, err := l.server.Listen(c.network, c.address)
		if err == nil {
			l.close(ln)
			t.Errorf("listen %s %s succeeded", c.network, c.address)
			continue
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "listen" || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("listen %s %s: %v; want %q in it", c.network, c.address, err, c.want)
		}
	}
	again := l.listen("192.168.12.53:9001")
	l.close(again)
	l.close(l.listen("192.168.12.53:9001")) // the address is free at once
}

// Port 0 is any free port, which Addr tells.
func TestListenPort0(t *testing.T) {
	l := newLab(t, setup{})
	ln := l.listen("192.168.12.53:0")
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok || addr.Port == 0 || !addr.IP.Equal(net.IP(serverAddr4.Addr().AsSlice())) {
		t.Fatalf("Addr is %v", ln.Addr())
	}
	c, s := l.connectTo(ln, addr.String())
	l.send(c, "x")
	l.recv(s, 1)
}

// A listener on ":port" takes both families, one of tcp4 or tcp6 its own.
func TestListenFamilies(t *testing.T) {
	v4, v6 := serverPort, "[fd00:12::53]:9000"
	for network, takes := range map[string][]string{"tcp": {v4, v6}, "tcp4": {v4}, "tcp6": {v6}} {
		l := newLab(t, setup{})
		ln, err := l.server.Listen(network, ":9000")
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{v4, v6} {
			taken := strings.Contains(strings.Join(takes, " "), at)
			if taken {
				c, s := l.connectTo(ln, at)
				if got := s.LocalAddr().String(); got != at {
					t.Errorf("%s: the accepted connection is at %s, want %s", network, got, at)
				}
				l.close(c, s)
				continue
			}
			if _, err := await(t, "dial", l.dial(at)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: dial %s: %v, want ECONNREFUSED", network, at, err)
			}
		}
	}
}

// A program can serve many connections at once; none gets another's bytes.
func TestManyConnections(t *testing.T) {
	const clients = 20
	l := newLab(t, setup{level: tracer.LevelStates})
	ln := l.listen(serverPort)
	served := make(chan error, clients)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, err := io.Copy(c, c)
				served <- errors.Join(err, c.Close())
			}()
		}
	}()
	var echoes []<-chan result[string]
	for i := range clients {
		echoes = append(echoes, async(func() (string, error) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c, err := l.client.DialContext(ctx, "tcp", serverPort)
			if err != nil {
				return "", err
			}
			defer func() { _ = c.Close() }()
			if _, err = c.Write(bytes.Repeat([]byte{byte('a' + i)}, 1000)); err != nil {
				return "", err
			}
			if err = c.(*netstack.Conn).CloseWrite(); err != nil {
				return "", err
			}
			b, err := io.ReadAll(c)
			return string(b), err
		}))
	}
	for i, e := range echoes {
		if got, err := await(t, "echo", e); err != nil || got != strings.Repeat(string(rune('a'+i)), 1000) {
			t.Errorf("client %d got %d bytes, %v", i, len(got), err)
		}
	}
	for range clients {
		select {
		case err := <-served:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("the server is not done")
		}
	}
	l.close(ln)
}
