package host_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"appliance/internal/scenario/host"
	"appliance/netstack"
	"appliance/netstack/link"
)

var (
	clientAddr = netip.MustParsePrefix("192.168.12.1/24")
	serverAddr = netip.MustParsePrefix("192.168.12.53/24")
)

// hosts are two on a pipe.
func hosts(t *testing.T) (client, server host.Host) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	a, b := link.NewPipe(link.PipeOptions{})
	start := func(l link.Link, at netip.Prefix) host.Host {
		s, err := netstack.New(l, netstack.Options{Addresses: []netip.Prefix{at}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { must(t, s.Close()) })
		h := host.NewStack(s, host.StackOptions{Local: at.Addr()})
		t.Cleanup(func() { must(t, h.Close()) })
		return h
	}
	return start(a, clientAddr), start(b, serverAddr)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// connected are both ends of a connection.
func connected(t *testing.T, client, server host.Host) (c, s host.Conn) {
	t.Helper()
	l, err := server.Listen(9000, 1)
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	local := netip.AddrPortFrom(clientAddr.Addr(), 40000)
	c, err = client.Connect(ctx, local, netip.AddrPortFrom(serverAddr.Addr(), 9000))
	must(t, err)
	s, err = l.Accept()
	must(t, err)
	if c.LocalAddr() != local || s.RemoteAddr() != local || s.LocalAddr() != c.RemoteAddr() {
		t.Errorf("addresses: %s to %s, and %s to %s", c.LocalAddr(), c.RemoteAddr(), s.LocalAddr(), s.RemoteAddr())
	}
	return c, s
}

// TestConn: bytes go both ways, one direction is shut down, the other goes on, both close.
func TestConn(t *testing.T) {
	client, server := hosts(t)
	c, s := connected(t, client, server)
	for _, option := range [][2]string{
		{"nodelay", ""}, {"cork", ""}, {"uncork", ""}, {"rcvbuf", "65536"}, {"sndbuf", "65536"}, {"keepalive", "10s"},
	} {
		if err := c.Set(option[0], option[1]); err != nil {
			t.Errorf("set %s=%s: %v", option[0], option[1], err)
		}
	}
	_, err := c.Send([]byte("hello"))
	must(t, err)
	must(t, c.Shutdown())
	got, err := io.ReadAll(reader{s})
	if string(got) != "hello" || err != nil {
		t.Errorf("the server got %q, %v", got, err)
	}
	_, err = s.Net().Write([]byte("byebye"))
	must(t, err)
	must(t, s.Close())
	got, err = io.ReadAll(c.Net())
	if string(got) != "byebye" || err != nil {
		t.Errorf("the client got %q, %v", got, err)
	}
	must(t, c.Close())
}

type reader struct{ c host.Conn }

func (r reader) Read(b []byte) (int, error) { return r.c.Recv(b) }

// TestErrors: errors are those of the operating system.
func TestErrors(t *testing.T) {
	client, server := hosts(t)
	_, err := client.Connect(context.Background(), netip.AddrPort{}, netip.AddrPortFrom(serverAddr.Addr(), 9999))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect to nobody: %v", err)
	}
	c, s := connected(t, client, server)
	for option, want := range map[string]error{"quickack": errors.ErrUnsupported, "rcvbuf": nil, "sndbuf": nil, "keepalive": nil} {
		if err := c.Set(option, "x"); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("set %s=x: %v", option, err)
		}
	}
	if err := c.Set("rcvbuf", "1"); err != nil { // the least there is, as in Linux
		t.Errorf("set rcvbuf=1: %v", err)
	}
	must(t, s.Abort())
	if _, err := c.Recv(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("recv after a reset: %v", err)
	}
}

// TestClose wakes every call that waits, and refuses new ones.
func TestClose(t *testing.T) {
	client, server := hosts(t)
	c, _ := connected(t, client, server)
	l, err := client.Listen(9001, 0)
	must(t, err)
	u, err := client.ListenUDP(9002)
	must(t, err)
	done := make(chan error, 3)
	go func() { _, err := c.Recv(make([]byte, 1)); done <- err }()
	go func() { _, err := l.Accept(); done <- err }()
	go func() { _, _, err := u.ReadFrom(make([]byte, 1)); done <- err }()
	must(t, client.Close())
	for range 3 {
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a call that waited: %v", err)
		}
	}
	if _, err := client.Listen(9003, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen on a closed host: %v", err)
	}
}

// TestUDP: a datagram goes and is answered.
func TestUDP(t *testing.T) {
	client, server := hosts(t)
	pc, err := server.ListenUDP(7)
	must(t, err)
	c, err := client.DialUDP(netip.AddrPortFrom(serverAddr.Addr(), 7))
	must(t, err)
	_, err = c.Write([]byte("echo"))
	must(t, err)
	buf := make([]byte, 10)
	n, from, err := pc.ReadFrom(buf)
	must(t, err)
	_, err = pc.WriteTo(buf[:n], from)
	must(t, err)
	if n, err = c.Read(buf); err != nil || string(buf[:n]) != "echo" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
}

// TestPattern: what is sent in pieces is what is sent at once, and the two ends differ.
func TestPattern(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		client := rapid.Bool().Draw(t, "client")
		whole := host.Pattern(client, 0, 5000)
		off := rapid.IntRange(0, 4000).Draw(t, "offset")
		n := rapid.IntRange(0, 1000).Draw(t, "n")
		if !bytes.Equal(host.Pattern(client, off, n), whole[off:off+n]) {
			t.Fatalf("%d bytes at %d are not those of the whole", n, off)
		}
		if n > 0 && bytes.Equal(host.Pattern(!client, off, n), whole[off:off+n]) {
			t.Fatal("both ends send the same")
		}
	})
}
