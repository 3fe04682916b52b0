package chargen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"appliance/apps/internal/serve"
)

// Result is what a client's run came to.
type Result struct {
	Bytes int
	Took  time.Duration
}

// Run is the whole client: it takes that many lines from conn, checks that they are
// the pattern, writes them to out, and closes conn. More is on its way then, so
// that the close is a reset where it arrived unread (RFC 9293, 3.10.4). Over UDP
// it asks with a datagram of one byte and takes the one that comes back, whatever
// lines says; a lost one is waited for until ctx ends. It fails where the pattern
// breaks, with io.ErrUnexpectedEOF when the server closes first, and with ctx's
// cause when ctx ended.
func Run(ctx context.Context, conn net.Conn, out io.Writer, lines int) (Result, error) {
	defer serve.Watch(ctx, conn)()
	take := stream
	if serve.Datagram(conn) {
		take = datagram
	}
	start := time.Now()
	n, err := take(conn, out, lines)
	r := Result{Bytes: n, Took: time.Since(start)}
	if err != nil {
		err = fmt.Errorf("chargen from %v: %w", conn.RemoteAddr(), serve.Reason(ctx, err))
	}
	return r, serve.Close(conn, err)
}

func stream(conn net.Conn, out io.Writer, lines int) (int, error) {
	var c checker
	buf := make([]byte, cycleLen)
	for total := lines * LineLen; c.pos < total; {
		n, err := conn.Read(buf[:min(len(buf), total-c.pos)])
		if cerr := pass(&c, out, buf[:n]); cerr != nil {
			return c.pos, cerr
		}
		switch {
		case errors.Is(err, io.EOF) && c.pos < total:
			return c.pos, fmt.Errorf("%d of %d bytes: %w", c.pos, total, io.ErrUnexpectedEOF)
		case err != nil && !errors.Is(err, io.EOF):
			return c.pos, err
		}
	}
	return c.pos, nil
}

func datagram(conn net.Conn, out io.Writer, _ int) (int, error) {
	if _, err := conn.Write([]byte{'\n'}); err != nil {
		return 0, err
	}
	buf := make([]byte, 65535)
	n, err := conn.Read(buf)
	if err != nil {
		return 0, err
	}
	var c checker
	return n, pass(&c, out, buf[:n])
}

func pass(c *checker, out io.Writer, p []byte) error {
	if err := c.check(p); err != nil {
		return err
	}
	_, err := out.Write(p)
	return err
}
