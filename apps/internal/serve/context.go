package serve

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// past is a deadline that ends a blocked read or write at once.
var past = time.Unix(1, 0)

// OnDone runs f when ctx ends. The function it returns takes that back, or waits
// for f where it runs already; it may be called more than once.
func OnDone(ctx context.Context, f func()) (stop func()) {
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return sync.OnceFunc(func() {
		if !cancel() {
			<-done
		}
	})
}

// Watch makes conn's reads and writes fail once ctx ends, until stop is called.
// It sets conn's deadline only when ctx ends.
func Watch(ctx context.Context, conn net.Conn) (stop func()) {
	return OnDone(ctx, func() { Interrupt(conn) })
}

// Interrupt makes conn's reads and writes fail at once, those under way included.
func Interrupt(conn net.Conn) {
	// A connection that is gone already has nothing left to interrupt.
	_ = conn.SetDeadline(past)
}

// Reason gives the error that a caller should see for err, which a call on a
// watched connection returned: ctx's cause where ctx's end is what stopped the call.
func Reason(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

// Close closes conn and gives the first error of the two: of what was done with
// the connection, or of its close.
func Close(conn net.Conn, err error) error {
	if cerr := conn.Close(); err == nil && !errors.Is(cerr, net.ErrClosed) {
		return cerr
	}
	return err
}

// Datagram says whether conn keeps the boundaries of what is written to it, as UDP does.
func Datagram(conn net.Conn) bool {
	a := conn.LocalAddr()
	if a == nil {
		return false
	}
	switch a.Network() {
	case "udp", "udp4", "udp6", "unixgram":
		return true
	}
	return false
}
