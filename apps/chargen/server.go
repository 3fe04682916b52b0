package chargen

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"appliance/apps/internal/serve"
)

// datagramLines is how many whole lines fit the 512 characters that RFC 864 allows
// in a datagram.
const datagramLines = 512 / LineLen

// Server generates characters; the zero value is ready.
type Server struct {
	// Log takes the errors of connections, one line a call; nil means none.
	Log func(format string, args ...any)
	// Grace is how long a connection may take to end after the stop: 0 means a
	// second, below 0 means none.
	Grace time.Duration
	// Count is how many connections to serve before the listener is closed; 0 means
	// no limit. Datagrams are not counted.
	Count int
}

// Serve serves TCP on l, which it closes: lines as fast as the client takes them, until
// the client closes; what the client sends is thrown away, and a client that closes
// only its sending side still gets lines. It returns nil once ctx has ended or
// Count connections are served, else the listener's error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	o := serve.Options{Log: s.Log, Grace: s.Grace, Count: s.Count}
	return serve.Conns(ctx, l, o, generate)
}

// ServePacket answers each datagram on pc, which it closes, with one of six lines that
// go on where the last one ended. Datagrams from the port of another service that
// answers everything get none. It returns nil once ctx has ended, else the
// socket's error.
func (s *Server) ServePacket(ctx context.Context, pc net.PacketConn) error {
	line := 0
	return serve.Packets(ctx, pc, s.Log, func([]byte, net.Addr) []byte {
		p := make([]byte, 0, datagramLines*LineLen)
		for range datagramLines {
			p = append(p, Line(line)...)
			line = (line + 1) % Printing
		}
		return p
	})
}

func generate(ctx context.Context, c net.Conn) error {
	// What the client sends must be read, or closing with it unread is a reset
	// (RFC 2525, 2.17).
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, c) // the end of input, however it came, changes nothing
	}()
	err := write(ctx, c)
	err = serve.Close(c, err)
	<-read
	return err
}

func write(ctx context.Context, c net.Conn) error {
	// The server's stop ends the stream at once: it has no end of its own to wait for.
	defer serve.Watch(ctx, c)()
	for ctx.Err() == nil {
		if _, err := c.Write(cycle); err != nil {
			if ctx.Err() != nil || left(err) {
				return nil
			}
			return err
		}
	}
	return nil
}

// left says that the client has gone, which is how every connection to this service
// ends (RFC 864: "until the calling user terminates the connection").
func left(err error) bool {
	for _, e := range []error{syscall.EPIPE, syscall.ECONNRESET, io.ErrClosedPipe} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
