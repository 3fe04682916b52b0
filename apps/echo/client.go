package echo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"appliance/apps/internal/serve"
)

// Result is what an exchange gave.
type Result struct {
	// Data is what came back: the bytes that were sent, or, beside an error, those
	// that came instead.
	Data []byte
	// RTT is the time from before the first byte was sent until the last was back.
	RTT time.Duration
}

// MismatchError says that the peer sent something else than it was sent.
type MismatchError struct {
	Sent, Got []byte
	// Offset is of the first byte that differs, or the shorter one's length.
	Offset int
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("not an echo: of %d bytes sent, %d came back, and differ from byte %d on",
		len(e.Sent), len(e.Got), e.Offset)
}

// Run is the whole client: one Exchange, then it closes conn.
func Run(ctx context.Context, conn net.Conn, data []byte) (Result, error) {
	r, err := Exchange(ctx, conn, data)
	return r, serve.Close(conn, err)
}

// Exchange sends data over conn and waits until as much is back. Over UDP data is
// one datagram, and a lost one is waited for until ctx ends. It fails with a
// *MismatchError when something else came back, with ctx's cause when ctx ended, and
// with io.ErrUnexpectedEOF when the peer closed first. After an error conn is of no
// more use; else it is as before, for the next exchange.
func Exchange(ctx context.Context, conn net.Conn, data []byte) (Result, error) {
	defer serve.Watch(ctx, conn)()
	exchange := stream
	if serve.Datagram(conn) {
		exchange = datagram
	}
	start := time.Now()
	got, err := exchange(conn, data)
	r := Result{Data: got, RTT: time.Since(start)}
	if err != nil {
		return r, fmt.Errorf("echo of %d bytes with %v: %w", len(data), conn.RemoteAddr(), serve.Reason(ctx, err))
	}
	if !bytes.Equal(got, data) {
		return r, &MismatchError{Sent: data, Got: got, Offset: differ(data, got)}
	}
	return r, nil
}

// stream sends while it receives: the server stops reading when nobody takes its
// echo, so who sends all first and more than the buffers hold waits for ever.
func stream(conn net.Conn, data []byte) ([]byte, error) {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	n, rerr := io.ReadFull(conn, got)
	if rerr != nil {
		serve.Interrupt(conn)
	}
	werr := <-sent
	switch rerr {
	case io.EOF:
		rerr = io.ErrUnexpectedEOF
	case nil:
		rerr = werr
	}
	return got[:n], rerr
}

func datagram(conn net.Conn, data []byte) ([]byte, error) {
	if _, err := conn.Write(data); err != nil {
		return nil, err
	}
	got := make([]byte, len(data)+1) // one more, to tell a longer reply
	n, err := conn.Read(got)
	return got[:n], err
}

func differ(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
