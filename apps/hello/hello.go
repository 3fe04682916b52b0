// Package hello is the socket server and client of the document "TCP's three-way
// handshake and four-way wave": the server says hello, the client says byebye, and
// each prints what it got as Python prints bytes.
//
// Either end may close first. Left alone they race, since the client closes once
// byebye is sent and the server once it has read it; AwaitClose on one of them makes the
// other the end that closes first (RFC 9293, 3.6: the active close).
package hello

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"appliance/apps/internal/serve"
)

const (
	// Port is the document's.
	Port = 9000
	// Greeting is what the server says.
	Greeting = "hello"
	// Farewell is what the client says.
	Farewell = "byebye"
	// recvSize is the most that either takes in its one recv.
	recvSize = 1024
)

// Server says hello and prints the answer; the zero value is ready.
type Server struct {
	// Out gets a line for each connection, such as b'byebye', in one Write; nil
	// means nobody reads it.
	Out io.Writer
	// Log takes the errors of connections, one line a call; nil means none.
	Log func(format string, args ...any)
	// Grace is how long open connections may go on after the stop: 0 means a
	// second, below 0 means none.
	Grace time.Duration
	// Count is how many connections to serve before the listener is closed, which
	// comes after the last connection's close; 1 is what the document's program
	// does, 0 means no limit.
	Count int
	// AwaitClose keeps the server from closing before the client has: then the
	// client's is the active close.
	AwaitClose bool

	mu sync.Mutex // of Out
}

// Serve serves TCP on l, which it closes. It returns nil once ctx has ended or Count
// connections are served, else the listener's error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	o := serve.Options{Log: s.Log, Grace: s.Grace, Count: s.Count}
	return serve.Conns(ctx, l, o, s.serve)
}

func (s *Server) serve(_ context.Context, c net.Conn) error {
	if _, err := io.WriteString(c, Greeting); err != nil {
		return fmt.Errorf("send %s: %w", Greeting, err)
	}
	msg, err := recv(c)
	if err != nil {
		return fmt.Errorf("recv of the answer: %w", err)
	}
	s.mu.Lock()
	err = show(s.Out, msg)
	s.mu.Unlock()
	if err == nil && s.AwaitClose {
		err = awaitEOF(c)
	}
	return err
}

// Client prints the greeting and says byebye; the zero value is ready.
type Client struct {
	// Out gets a line such as b'hello'; nil means nobody reads it.
	Out io.Writer
	// AwaitClose keeps the client from closing before the server has: then the
	// server's is the active close.
	AwaitClose bool
}

// ErrSilent says that the server closed without a word.
var ErrSilent = errors.New("the server closed the connection before it said anything")

// Run is the whole client over conn, which it closes: one recv of at most 1024
// bytes, the print, byebye, close. It gives what the server said, whatever that
// was. It fails with ErrSilent (having printed the empty bytes, as Python would),
// with ctx's cause when ctx ended, and with the connection's error.
func (c *Client) Run(ctx context.Context, conn net.Conn) ([]byte, error) {
	defer serve.Watch(ctx, conn)()
	msg, err := c.talk(conn)
	if err != nil {
		err = fmt.Errorf("hello with %v: %w", conn.RemoteAddr(), serve.Reason(ctx, err))
	}
	return msg, serve.Close(conn, err)
}

func (c *Client) talk(conn net.Conn) ([]byte, error) {
	msg, err := recv(conn)
	if err != nil {
		return nil, fmt.Errorf("recv: %w", err)
	}
	if err := show(c.Out, msg); err != nil {
		return msg, err
	}
	if len(msg) == 0 {
		return msg, ErrSilent
	}
	if _, err := io.WriteString(conn, Farewell); err != nil {
		return msg, fmt.Errorf("send %s: %w", Farewell, err)
	}
	if c.AwaitClose {
		return msg, awaitEOF(conn)
	}
	return msg, nil
}

// recv is one recv(1024): what is there, or nothing at the peer's end-of-file.
func recv(c net.Conn) ([]byte, error) {
	buf := make([]byte, recvSize)
	n, err := c.Read(buf)
	if n > 0 || errors.Is(err, io.EOF) {
		err = nil
	}
	return buf[:n], err
}

func show(out io.Writer, msg []byte) error {
	if out == nil {
		return nil
	}
	_, err := io.WriteString(out, Repr(msg)+"\n")
	return err
}

// awaitEOF reads until the peer has closed its side.
func awaitEOF(c net.Conn) error {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return fmt.Errorf("waiting for the peer to close: %w", err)
	}
	return nil
}
