package netstack_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// datagram is what a ReadFrom gave.
type datagram struct {
	data string
	from net.Addr
}

func readFrom(c net.PacketConn, size int) <-chan result[datagram] {
	return async(func() (datagram, error) {
		b := make([]byte, size)
		n, from, err := c.ReadFrom(b)
		return datagram{string(b[:n]), from}, err
	})
}

func (l *lab) listenPacket(s *netstack.Stack, network, address string) *netstack.PacketConn {
	l.t.Helper()
	c, err := s.ListenPacket(network, address)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func TestUDPEcho(t *testing.T) {
	l := newLab(t, setup{})
	server := l.listenPacket(l.server, "udp", ":7")
	client := l.listenPacket(l.client, "udp", ":0")
	for _, at := range []string{"192.168.12.53:7", "[fd00:12::53]:7"} {
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at))
		if n, err := client.WriteTo([]byte("hello"), to); n != 5 || err != nil {
			t.Fatalf("WriteTo %s: %d, %v", at, n, err)
		}
		got, err := await(t, "ReadFrom", readFrom(server, 100))
		if err != nil || got.data != "hello" {
			t.Fatalf("the server got %q, %v", got.data, err)
		}
		if _, err := server.WriteTo([]byte("byebye"), got.from); err != nil {
			t.Fatal(err)
		}
		back, err := await(t, "ReadFrom", readFrom(client, 3))
		if err != nil || back.data != "bye" || back.from.String() != at {
			t.Errorf("the client got %q from %v, %v; want what fits, from %s", back.data, back.from, err, at)
		}
	}
	l.close(client, server)
}

// A connected socket exchanges datagrams with its peer only, and hears of a closed port.
func TestUDPConnected(t *testing.T) {
	l := newLab(t, setup{})
	server := l.listenPacket(l.server, "udp4", "192.168.12.53:7")
	stranger := l.listenPacket(l.server, "udp4", "192.168.12.53:8")
	c, err := l.client.DialContext(context.Background(), "udp", "192.168.12.53:7")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.RemoteAddr().String(); got != "192.168.12.53:7" {
		t.Errorf("connected to %s", got)
	}
	l.send(c, "hello")
	got, err := await(t, "ReadFrom", readFrom(server, 100))
	if err != nil || got.data != "hello" || got.from.String() != c.LocalAddr().String() {
		t.Fatalf("the server got %q from %v, %v", got.data, got.from, err)
	}
	if _, err := stranger.WriteTo([]byte("no"), got.from); err != nil {
		t.Fatal(err)
	}
	if _, err := server.WriteTo([]byte("yes"), got.from); err != nil {
		t.Fatal(err)
	}
	if got := l.recv(c, 3); got != "yes" {
		t.Errorf("the client got %q", got)
	}
	closed, err := l.client.DialContext(context.Background(), "udp", "192.168.12.53:9")
	if err != nil {
		t.Fatal(err)
	}
	read := async(func() (int, error) { return closed.Read(make([]byte, 1)) })
	l.send(closed, "x")
	if _, err := await(t, "Read", read); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("read from a closed port: %v, want ECONNREFUSED", err)
	}
	l.close(c, closed)
}

func TestUDPDeadlinesAndClose(t *testing.T) {
	l := newLab(t, setup{})
	c := l.listenPacket(l.client, "udp", ":0")
	reading := readFrom(c, 1)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := await(t, "ReadFrom", reading)
	wantTimeout(t, "ReadFrom", err)
	_, err = await(t, "ReadFrom", readFrom(c, 1))
	wantTimeout(t, "ReadFrom after the deadline", err)
	if err := c.SetDeadline(time.Now().Add(-1)); err != nil {
		t.Fatal(err)
	}
	_, err = c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.168.12.53:7")))
	wantTimeout(t, "WriteTo with a deadline in the past", err)
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	reading = readFrom(c, 1)
	server := l.listenPacket(l.server, "udp", ":7")
	if _, err := server.WriteTo([]byte("x"), &net.UDPAddr{IP: clientAddr4.Addr().AsSlice(), Port: c.LocalAddr().(*net.UDPAddr).Port}); err != nil {
		t.Fatal(err)
	}
	if got, err := await(t, "ReadFrom", reading); err != nil || got.data != "x" {
		t.Errorf("after the deadline was taken away: %q, %v", got.data, err)
	}
	reading = readFrom(c, 1)
	l.close(c)
	if _, err := await(t, "ReadFrom", reading); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom when closed: %v, want net.ErrClosed", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Close: %v, want net.ErrClosed", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v, want net.ErrClosed", err)
	}
}

func TestUDPErrors(t *testing.T) {
	l := newLab(t, setup{})
	l.listenPacket(l.server, "udp4", "192.168.12.53:7")
	for _, c := range []struct{ network, address, want string }{
		{"udp4", "192.168.12.53:7", "address already in use"},
		{"udp", "192.168.12.99:7", "cannot assign requested address"},
		{"tcp", ":7", "unknown network tcp"},
		{"udp", "localhost:7", "is not an IP address"},
	} {
		conn, err := l.server.ListenPacket(c.network, c.address)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ListenPacket %s %s: %v; want %q in it", c.network, c.address, err, c.want)
		}
		if err == nil {
			l.close(conn)
		}
	}
	c := l.listenPacket(l.client, "udp", ":0")
	if _, err := c.WriteTo([]byte("x"), &net.TCPAddr{}); err == nil {
		t.Error("WriteTo took a TCP address")
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("Write on a socket that is not connected succeeded")
	}
	if _, err := c.WriteTo(make([]byte, 70000), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.168.12.53:7"))); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("WriteTo of 70000 bytes: %v, want EMSGSIZE", err)
	}
}

// Datagrams and the ICMP error that a closed port gives are in the trace.
func TestUDPTrace(t *testing.T) {
	l := newLab(t, setup{})
	server := l.listenPacket(l.server, "udp", ":7")
	c := l.listenPacket(l.client, "udp", ":5000")
	for _, at := range []string{"192.168.12.53:7", "192.168.12.53:9", "[fd00:12::53]:9"} {
		if _, err := c.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := await(t, "ReadFrom", readFrom(server, 5)); err != nil {
		t.Fatal(err)
	}
	local, remote := netip.MustParseAddrPort("192.168.12.1:5000"), netip.MustParseAddrPort("192.168.12.53:7")
	for _, want := range []struct {
		stack         string
		dir           tracer.Direction
		local, remote netip.AddrPort
	}{{"client", tracer.Out, local, remote}, {"server", tracer.In, remote, local}} {
		e := l.wait(on(want.stack), ofType(tracer.TypeDatagram), func(e tracer.Event) bool { return e.Local == want.local && e.Remote == want.remote })
		d := e.Body.(*tracer.Datagram)
		if d.Dir != want.dir || d.Len != 5 || d.Dropped != "" {
			t.Errorf("%s: %+v of %s, %s", want.stack, d, e.Local, e.Remote)
		}
	}
	for _, dir := range []struct {
		stack string
		dir   tracer.Direction
	}{{"server", tracer.Out}, {"client", tracer.In}} {
		for _, want := range []tracer.ICMP{
			{Dir: dir.dir, Name: "destination unreachable: port", Kind: 3, Code: 3},
			{Dir: dir.dir, Name: "destination unreachable: port", Kind: 1, Code: 4},
		} {
			l.wait(on(dir.stack), func(e tracer.Event) bool {
				m, ok := e.Body.(*tracer.ICMP)
				return ok && m.Len > 0 && tracer.ICMP{Dir: m.Dir, Name: m.Name, Kind: m.Kind, Code: m.Code} == want
			})
		}
	}
}

// A datagram that the impairment discards is in the trace of its own stack, either way.
func TestUDPTraceOfLoss(t *testing.T) {
	for dir, impair := range map[tracer.Direction]link.ImpairOptions{
		tracer.Out: {Out: link.Impairment{Loss: 1}},
		tracer.In:  {In: link.Impairment{Loss: 1}},
	} {
		l := newLab(t, setup{impair: impair})
		client, server := l.listenPacket(l.client, "udp", ":5000"), l.listenPacket(l.server, "udp", ":7")
		from, to := client, "192.168.12.53:7"
		if dir == tracer.In {
			from, to = server, "192.168.12.1:5000"
		}
		if _, err := from.WriteTo([]byte("lost"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
			t.Fatal(err)
		}
		e := l.wait(on("client"), ofType(tracer.TypeDatagram))
		if d := e.Body.(*tracer.Datagram); d.Dir != dir || d.Len != 4 || d.Dropped != "impairment: loss" {
			t.Errorf("%s: %+v", dir, d)
		}
	}
}
