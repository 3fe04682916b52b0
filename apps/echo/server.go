// Package echo is the echo service of RFC 862, over TCP and UDP, and its client:
// what is sent comes back.
package echo

import (
	"context"
	"io"
	"net"
	"time"

	"appliance/apps/internal/serve"
)

// Port is the one that RFC 862 assigns.
const Port = 7

// Server sends back what it gets; the zero value is ready.
type Server struct {
	// Log takes the errors of connections, one line a call; nil means none.
	Log func(format string, args ...any)
	// Grace is how long open connections may go on after the stop: 0 means a
	// second, below 0 means none.
	Grace time.Duration
	// Count is how many connections to serve before the listener is closed; 0 means
	// no limit. Datagrams are not counted.
	Count int
}

// Serve serves TCP on l, which it closes. A client that closes its sending side gets
// the rest of its bytes, then the server's FIN. It returns nil once ctx has ended
// or Count connections are served, else the listener's error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	o := serve.Options{Log: s.Log, Grace: s.Grace, Count: s.Count}
	return serve.Conns(ctx, l, o, func(_ context.Context, c net.Conn) error {
		_, err := io.Copy(c, c)
		return err
	})
}

// ServePacket answers each datagram on pc, which it closes, with its own bytes,
// except those from the port of another service that answers everything. It
// returns nil once ctx has ended, else the socket's error.
func (s *Server) ServePacket(ctx context.Context, pc net.PacketConn) error {
	return serve.Packets(ctx, pc, s.Log, func(p []byte, _ net.Addr) []byte { return p })
}
