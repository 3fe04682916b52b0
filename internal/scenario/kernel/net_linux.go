package kernel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"appliance/tracer"
)

// netConn is a conn as a net.Conn.
type netConn struct {
	deadlines
	c *conn
}

// opError dresses an error as net's connections do; nil and io.EOF stay as they are.
func (n netConn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: n.LocalAddr(), Addr: n.RemoteAddr(), Err: err}
}

func (n netConn) Read(b []byte) (int, error) {
	got, err := n.c.recv(b)
	return got, n.opError("read", err)
}

func (n netConn) Write(b []byte) (int, error) {
	sent, err := n.c.send(b)
	return sent, n.opError("write", err)
}

func (n netConn) Close() error { return n.opError("close", n.c.s.close()) }
func (n netConn) CloseWrite() error {
	return n.opError("shutdown", n.c.shutdown("SHUT_WR", unix.SHUT_WR))
}

func (n netConn) CloseRead() error {
	return n.opError("shutdown", n.c.shutdown("SHUT_RD", unix.SHUT_RD))
}

// SetLinger decides what Close does, as *net.TCPConn's does.
func (n netConn) SetLinger(sec int) error { return n.opError("set", n.c.s.setLinger(sec)) }

func (n netConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(n.c.LocalAddr()) }
func (n netConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(n.c.RemoteAddr()) }

// netListener is a listener as a net.Listener.
type netListener struct{ l *listener }

func (n netListener) Accept() (net.Conn, error) {
	c, err := n.l.accept()
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: n.Addr(), Err: err}
	}
	return c.Net(), nil
}

func (n netListener) Close() error {
	if err := n.l.s.close(); err != nil {
		return &net.OpError{Op: "close", Net: "tcp", Addr: n.Addr(), Err: err}
	}
	return nil
}

func (n netListener) Addr() net.Addr {
	local, _ := n.l.s.addrs()
	return net.TCPAddrFromAddrPort(local)
}

// packetConn is a UDP socket of the kernel's: a net.PacketConn, and a net.Conn when it is
// connected.
type packetConn struct{ deadlines }

var (
	_ net.Conn       = (*packetConn)(nil)
	_ net.PacketConn = (*packetConn)(nil)
)

func (p *packetConn) opError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "udp", Source: p.LocalAddr(), Addr: p.RemoteAddr(), Err: err}
}

// ReadFrom reads one datagram; what does not fit b is lost.
func (p *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	got, from := 0, netip.AddrPort{}
	err := p.s.call("recv", func(o *outcome) error {
		err := p.s.wait(true, "recvfrom", func(fd int) error {
			n, sa, err := unix.Recvfrom(fd, b, 0)
			if err == nil {
				got, from = n, fromSockaddr(sa)
			}
			return err
		})
		o.moved(got, b[:got])
		return err
	}, tracer.Arg{Name: "bufsize", Value: int64(len(b))})
	if err != nil {
		return 0, nil, p.opError("read", err)
	}
	return got, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo sends one datagram to a *net.UDPAddr.
func (p *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, p.opError("write", fmt.Errorf("%v is not a UDP address", addr))
	}
	at := to.AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if p.s.family == unix.AF_INET6 && at.Addr().Is4() {
		at = netip.AddrPortFrom(netip.AddrFrom16(at.Addr().As16()), at.Port())
	}
	return p.write(b, sockaddr(at))
}

func (p *packetConn) write(b []byte, to unix.Sockaddr) (int, error) {
	sent := 0
	err := p.s.call("send", func(o *outcome) error {
		err := p.s.wait(false, "sendto", func(fd int) (err error) {
			sent, err = unix.SendmsgN(fd, b, nil, to, unix.MSG_NOSIGNAL)
			return err
		})
		sent = max(sent, 0)
		o.moved(sent, nil)
		return err
	}, tracer.SendArgs(b)...)
	return sent, p.opError("write", err)
}

// Read reads one datagram.
func (p *packetConn) Read(b []byte) (int, error) {
	n, _, err := p.ReadFrom(b)
	return n, err
}

// Write sends one datagram to the address that the socket is connected to.
func (p *packetConn) Write(b []byte) (int, error) { return p.write(b, nil) }

// Close closes the socket.
func (p *packetConn) Close() error { return p.opError("close", p.s.close()) }

// LocalAddr returns the socket's own address.
func (p *packetConn) LocalAddr() net.Addr {
	local, _ := p.s.addrs()
	return net.UDPAddrFromAddrPort(local)
}

// RemoteAddr returns the address it is connected to; nil when it is not.
func (p *packetConn) RemoteAddr() net.Addr {
	_, remote := p.s.addrs()
	if !remote.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(remote)
}

// familyOf is the address family of a socket for a.
func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
}

func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)) //nolint:gosec // a port
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)) //nolint:gosec // a port
	default:
		return netip.AddrPort{}
	}
}
