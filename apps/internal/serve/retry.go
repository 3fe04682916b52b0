package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

const (
	// firstDelay and lastDelay bound the wait after a failed accept or read, which
	// doubles from one to the other.
	firstDelay = 5 * time.Millisecond
	lastDelay  = time.Second
	// maxStrange is how many errors in a row that do not say they may pass end a
	// loop: a stack of its own may have errors that nobody here has heard of, and
	// one of them should not end the server.
	maxStrange = 8
)

// passing are errors that say nothing against the listener or the socket: the host
// is short of something for a while, or an ICMP message about an earlier datagram
// was handed to the next read.
var passing = []error{
	syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.ECONNRESET,
	syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EMSGSIZE,
}

// mayPass says whether an accept or a read that failed with err is worth another try.
func mayPass(err error) bool {
	var t interface{ Temporary() bool }
	if errors.As(err, &t) && t.Temporary() {
		return true
	}
	for _, p := range passing {
		if errors.Is(err, p) {
			return true
		}
	}
	return false
}

// retry is the state of a run of failures; the zero value is ready.
type retry struct {
	delay   time.Duration
	strange int
}

// wait waits before another try. It reports false when there is to be none: the
// listener or socket is closed, ctx has ended, or the error does not go away.
func (r *retry) wait(ctx context.Context, what string, err error, log Logf) bool {
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	if !mayPass(err) {
		if r.strange++; r.strange >= maxStrange {
			return false
		}
	}
	r.delay = min(max(2*r.delay, firstDelay), lastDelay)
	logf(log, "%s: %v; trying again in %v", what, err, r.delay)
	t := time.NewTimer(r.delay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Accept takes the next connection from l and waits out the errors that may pass.
// It fails with ctx's cause once ctx has ended, else with the listener's last error.
// It does not close l when ctx ends: who owns l does, which ends the wait.
func Accept(ctx context.Context, l net.Listener, log Logf) (net.Conn, error) {
	var r retry
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			return c, nil
		case r.wait(ctx, "accept on "+l.Addr().String(), err, log):
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		default:
			return nil, fmt.Errorf("accept on %v: %w", l.Addr(), err)
		}
	}
}
