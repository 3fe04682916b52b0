package serve

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// DefaultGrace is how long the connections that are open when a server stops may
// go on.
const DefaultGrace = time.Second

// Logf takes one line, without a newline at its end. It may be called from several
// goroutines at once; nil means that nobody listens.
type Logf = func(format string, args ...any)

func logf(log Logf, format string, args ...any) {
	if log != nil {
		log(format, args...)
	}
}

// Options are what Conns heeds; the zero value serves until its context ends.
type Options struct {
	Log Logf
	// Grace is how long open connections may go on once the context has ended.
	// 0 means DefaultGrace; below 0 means none.
	Grace time.Duration
	// Count is how many connections to accept. When the last of them has been
	// served, and not before, the listener is closed. 0 means no limit.
	Count int
}

// Patience is the time that a Grace stands for.
func Patience(grace time.Duration) time.Duration {
	if grace == 0 {
		return DefaultGrace
	}
	return max(grace, 0)
}

// Conns accepts connections on l and runs handle for each in a goroutine of its own,
// then closes the connection. handle's context ends when the server stops: a
// handler with no end of its own returns then, any other has the grace to finish in.
//
// It owns l and closes it. It returns once every handler has: nil after ctx's end or
// after o.Count connections, else the error that ended the accepting.
func Conns(ctx context.Context, l net.Listener, o Options, handle func(context.Context, net.Conn) error) error {
	// l may be closed already, by the context's end: the second close says nothing new.
	defer func() { _ = l.Close() }()
	defer OnDone(ctx, func() { _ = l.Close() })()

	hctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := group{log: o.Log, open: map[net.Conn]struct{}{}}
	var err error
	for n := 0; o.Count <= 0 || n < o.Count; n++ {
		var c net.Conn
		if c, err = Accept(ctx, l, o.Log); err != nil {
			cancel()
			break
		}
		g.run(hctx, c, handle)
	}
	g.drain(hctx, Patience(o.Grace))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// group is the connections that are being served.
type group struct {
	log Logf
	wg  sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	forced bool // they were closed under their handlers, whose errors say no more than that
}

func (g *group) run(ctx context.Context, c net.Conn, handle func(context.Context, net.Conn) error) {
	g.mu.Lock()
	g.open[c] = struct{}{}
	g.mu.Unlock()
	g.wg.Go(func() {
		// Taken now: a closed connection may no longer know it.
		remote := c.RemoteAddr()
		err := Close(c, handle(ctx, c))
		g.mu.Lock()
		delete(g.open, c)
		forced := g.forced
		g.mu.Unlock()
		if err != nil && !forced {
			logf(g.log, "%v: %v", remote, err)
		}
	})
}

// drain waits for the handlers; from ctx's end on no longer than grace, after which
// it closes their connections.
func (g *group) drain(ctx context.Context, grace time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.wg.Wait()
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
	}
	g.force(grace)
	<-done
}

func (g *group) force(grace time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forced = true
	for c := range g.open {
		Interrupt(c)
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			logf(g.log, "%v: close: %v", c.RemoteAddr(), err)
		}
	}
	if n := len(g.open); n > 0 {
		logf(g.log, "closed %d connection(s) that were still open %v after the stop", n, grace)
	}
}
