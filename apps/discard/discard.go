// Package discard is the discard service of RFC 863, over TCP and UDP, and its
// client: what is sent is thrown away.
package discard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"appliance/apps/internal/serve"
)

// Port is the one that RFC 863 assigns.
const Port = 9

// Server reads and throws away; the zero value is ready.
type Server struct {
	// Log takes the errors of connections, one line a call; nil means none.
	Log func(format string, args ...any)
	// Grace is how long open connections may go on after the stop: 0 means a
	// second, below 0 means none.
	Grace time.Duration
	// Count is how many connections to serve before the listener is closed; 0 means
	// no limit.
	Count int
}

// Serve serves TCP on l, which it closes: it reads each connection to its end and
// never sends a byte. It returns nil once ctx has ended or Count connections are
// served, else the listener's error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	o := serve.Options{Log: s.Log, Grace: s.Grace, Count: s.Count}
	return serve.Conns(ctx, l, o, func(_ context.Context, c net.Conn) error {
		_, err := io.Copy(io.Discard, c)
		return err
	})
}

// ServePacket reads datagrams from pc, which it closes, and answers none. It returns
// nil once ctx has ended, else the socket's error.
func (s *Server) ServePacket(ctx context.Context, pc net.PacketConn) error {
	return serve.Packets(ctx, pc, s.Log, func([]byte, net.Addr) []byte { return nil })
}

// Result is what a client's run came to.
type Result struct {
	// Bytes is how many the stack took to send.
	Bytes int
	// Took lasts until the server closed in its turn; over UDP, until the datagram
	// was handed over, whose arrival nobody confirms.
	Took time.Duration
}

// ErrAnswered says that the server sent something, which RFC 863 forbids.
var ErrAnswered = errors.New("the server answered, which a discard service never does")

// Run is the whole client. It sends data over conn and closes its sending side; the
// server, which then has read it all, closes its own, and Run closes conn. Over UDP
// data is one datagram. It fails with ErrAnswered, with ctx's cause when ctx ended,
// and with the connection's error.
func Run(ctx context.Context, conn net.Conn, data []byte) (Result, error) {
	defer serve.Watch(ctx, conn)()
	start := time.Now()
	n, err := conn.Write(data)
	if err == nil && !serve.Datagram(conn) {
		err = finish(conn)
	}
	r := Result{Bytes: n, Took: time.Since(start)}
	if err != nil {
		err = fmt.Errorf("discard of %d bytes by %v: %w", len(data), conn.RemoteAddr(), serve.Reason(ctx, err))
	}
	return r, serve.Close(conn, err)
}

// finish closes the sending side and waits for the server's end-of-file. A connection
// that cannot be half-closed (net.Pipe) leaves nothing to wait for.
func finish(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	var b [1]byte
	switch n, err := conn.Read(b[:]); {
	case n > 0:
		return ErrAnswered
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}
