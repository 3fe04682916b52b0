package netstack

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"appliance/tracer"
)

// PacketConn is a UDP socket: a net.PacketConn, and a net.Conn when it is connected.
type PacketConn struct {
	waiting
	stack         *Stack
	ep            tcpip.Endpoint
	rec           *tracked // nil when tracing is off
	network       string
	local, remote netip.AddrPort // remote is zero unless connected
	closeOnce     sync.Once
}

var (
	_ net.PacketConn = (*PacketConn)(nil)
	_ net.Conn       = (*PacketConn)(nil)
)

// ListenPacket makes a UDP socket on a local address: network is "udp", "udp4" or
// "udp6", address "host:port" with an IP address or nothing for host. Errors are
// *net.OpError.
func (s *Stack) ListenPacket(network, address string) (*PacketConn, error) {
	fail := func(err error) (*PacketConn, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}
	if err := checkNetwork(network, "udp", "udp4", "udp6"); err != nil {
		return fail(err)
	}
	local, err := s.resolve(network, address)
	if err != nil {
		return fail(err)
	}
	c, err := s.udpSocket(network, s.listenProtocol(local.Addr()))
	if err != nil {
		return fail(err)
	}
	if network == "udp6" {
		c.ep.SocketOptions().SetV6Only(true)
	}
	bind := func() error { return c.start("bind", c.ep.Bind(fullAddress(local))) }
	if err := c.rec.quick("bind", bind, tracer.Arg{Name: "address", Value: hostPort(local)}); err != nil {
		return fail(err)
	}
	return c, nil
}

func (s *Stack) dialUDP(network string, remote netip.AddrPort) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: udpAddr(remote), Err: err}
	}
	c, err := s.udpSocket(network, protocolOf(remote.Addr()))
	if err != nil {
		return fail(err)
	}
	c.remote = remote
	connect := func() error { return c.start("connect", c.ep.Connect(fullAddress(remote))) }
	if err := c.rec.quick("connect", connect, tracer.Arg{Name: "address", Value: hostPort(remote)}); err != nil {
		return fail(err)
	}
	return c, nil
}

func (s *Stack) udpSocket(network string, proto tcpip.NetworkProtocolNumber) (*PacketConn, error) {
	if s.isClosed() {
		return nil, net.ErrClosed
	}
	c := &PacketConn{waiting: newWaiting(s.clock, new(waiter.Queue)), stack: s, network: network}
	var terr tcpip.Error
	if c.ep, terr = s.stack.NewEndpoint(udp.ProtocolNumber, proto, c.wq); terr != nil {
		return nil, goError("socket", terr)
	}
	c.ep.SocketOptions().SetBroadcast(true)
	family := "AF_INET"
	if proto == ipv6.ProtocolNumber {
		family = "AF_INET6"
	}
	c.rec = s.obs.trackUDP()
	c.rec.done("socket", tracer.Arg{Name: "family", Value: family}, tracer.Arg{Name: "type", Value: "SOCK_DGRAM"})
	return c, nil
}

// start finishes a socket that call made, or closes it when that failed.
func (c *PacketConn) start(call string, terr tcpip.Error) error {
	if terr == nil {
		var bound tcpip.FullAddress
		if bound, terr = c.ep.GetLocalAddress(); terr == nil {
			c.local = addrPort(bound)
			c.rec.bound(c.local, c.remote)
			if c.stack.own(c) {
				return nil
			}
			c.ep.Close()
			return net.ErrClosed
		}
	}
	c.ep.Close()
	return goError(call, terr)
}

// ReadFrom reads one datagram; what does not fit b is lost.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from := 0, netip.AddrPort{}
	call := c.rec.call("recv", tracer.Arg{Name: "bufsize", Value: int64(len(b))})
	err := call.run(func() (err error) {
		n, from, err = c.recv(b)
		call.moved(n, b[:n])
		return err
	})
	if err != nil {
		return 0, nil, c.opError("read", err)
	}
	return n, udpAddr(from), nil
}

func (c *PacketConn) recv(b []byte) (int, netip.AddrPort, error) {
	var res tcpip.ReadResult
	err := c.retry("recvfrom", waiter.ReadableEvents, c.readBy, func() (terr tcpip.Error) {
		w := tcpip.SliceWriter(b)
		res, terr = c.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		return terr
	})
	return res.Count, addrPort(res.RemoteAddr), err
}

// WriteTo sends one datagram to a *net.UDPAddr.
func (c *PacketConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, c.opError("write", fmt.Errorf("%v is not a UDP address", addr))
	}
	ap := to.AddrPort()
	full := fullAddress(netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
	return c.write(b, &full)
}

func (c *PacketConn) write(b []byte, to *tcpip.FullAddress) (int, error) {
	n := 0
	call := c.rec.call("send", sendArgs(c.rec, b)...)
	err := call.run(func() (err error) {
		n, err = c.send(b, to)
		call.moved(n, nil)
		return err
	})
	return n, c.opError("write", err)
}

func (c *PacketConn) send(b []byte, to *tcpip.FullAddress) (int, error) {
	sent := 0
	err := c.retry("sendto", waiter.WritableEvents, c.writeBy, func() tcpip.Error {
		n, terr := c.ep.Write(bytes.NewReader(b), tcpip.WriteOptions{To: to})
		sent = int(n)
		return terr
	})
	return sent, err
}

// Read reads one datagram.
func (c *PacketConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFrom(b)
	return n, err
}

// Write sends one datagram to the address that the socket is connected to.
func (c *PacketConn) Write(b []byte) (int, error) { return c.write(b, nil) }

func (c *PacketConn) opError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Close closes the socket. It errs with net.ErrClosed the second time.
func (c *PacketConn) Close() error {
	err := c.opError("close", net.ErrClosed)
	c.closeOnce.Do(func() {
		c.stack.disown(c)
		c.end()
		err = c.rec.call("close").run(func() error { c.ep.Close(); return nil })
	})
	return err
}

// LocalAddr returns the socket's own address, a *net.UDPAddr.
func (c *PacketConn) LocalAddr() net.Addr { return udpAddr(c.local) }

// RemoteAddr returns the address it is connected to; nil when it is not.
func (c *PacketConn) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return nil
	}
	return udpAddr(c.remote)
}
