// Package host is the sockets that a sequence's programs use: one interface over the
// appliance's stack and, in package kernel, over Linux's own sockets.
package host

import (
	"context"
	"net"
	"net/netip"
)

// A Host opens sockets at one end. Its methods may be called concurrently.
type Host interface {
	// Listen makes a socket, binds and listens; backlog 0 means the default.
	Listen(port uint16, backlog int) (Listener, error)
	// Connect makes a socket and connects from local (port 0: any) to remote. When ctx ends
	// first, the attempt is given up.
	Connect(ctx context.Context, local, remote netip.AddrPort) (Conn, error)
	// DialUDP makes a connected UDP socket, ListenUDP one that is bound.
	DialUDP(remote netip.AddrPort) (net.Conn, error)
	ListenUDP(port uint16) (net.PacketConn, error)
	// Close closes what is still open and wakes every call that waits.
	Close() error
}

// A Listener takes connections.
type Listener interface {
	Accept() (Conn, error)
	Close() error
	// Net is the same listener for a program of package apps.
	Net() net.Listener
}

// A Conn is a TCP connection. Errors wrap those of the operating system that they stand
// for (syscall.ECONNREFUSED, ECONNRESET, ETIMEDOUT, …), and io.EOF is the end-of-file.
type Conn interface {
	// Send sends all of b; each Send is one call.
	Send(b []byte) (int, error)
	// Recv is one call, which returns at least one byte, io.EOF, or an error.
	Recv(b []byte) (int, error)
	// Shutdown shuts down the sending side.
	Shutdown() error
	Close() error
	// Abort closes with linger 0: RST.
	Abort() error
	// Set sets an option of [sequence]'s step "set"; it errs where this end does not have it.
	Set(option, value string) error
	// Net is the same connection for a program of package apps.
	Net() net.Conn
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
}

// Pattern returns n bytes of the payload that an end sends, from the offset on: 'a' to 'z' and
// again for the client's ('A' to 'Z' for the server's), so that a stream that arrives whole, once and in
// order can be told from any other.
func Pattern(client bool, offset, n int) []byte {
	first := byte('A')
	if client {
		first = 'a'
	}
	b := make([]byte, n)
	for i := range b {
		// 26 divides no power of two: a repeat or a loss of a usual size shows.
		b[i] = first + byte((offset+i+(offset+i)/26)%26) //nolint:gosec // below 26
	}
	return b
}
