package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Direction is where bulk data flows.
type Direction string

// The directions.
const (
	ToServer   Direction = "in"  // as the server sees it
	FromServer Direction = "out" // likewise
)

// Transfer is bulk data that flows until End.
type Transfer struct {
	bytes   atomic.Uint64
	conns   []net.Conn
	workers sync.WaitGroup
	ending  atomic.Bool
	once    sync.Once

	mu  sync.Mutex
	err error // the first stream's that ended too early
}

// Start starts that many streams to or from a Server.
func Start(ctx context.Context, n Network, to netip.Addr, d Direction, streams int) (*Transfer, error) {
	t := &Transfer{}
	port := uint16(sinkPort)
	if d == FromServer {
		port = sourcePort
	}
	for range streams {
		c, err := n.Dial(ctx, netip.AddrPortFrom(to, port))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load: start a stream: %w", err), t.End())
		}
		t.conns = append(t.conns, c)
	}
	for _, c := range t.conns {
		move := c.Write
		if d == FromServer {
			move = c.Read
		}
		t.workers.Go(func() { t.run(move) })
	}
	return t, nil
}

func (t *Transfer) run(move func([]byte) (int, error)) {
	buf := make([]byte, blockSize)
	for {
		n, err := move(buf)
		t.bytes.Add(uint64(n)) //nolint:gosec // never negative
		if err == nil {
			continue
		}
		if !t.ending.Load() {
			t.mu.Lock()
			t.err = errors.Join(t.err, fmt.Errorf("load: a stream ended too early: %w", err))
			t.mu.Unlock()
		}
		return
	}
}

// Count tells how many bytes the streams have moved.
func (t *Transfer) Count() (Count, error) { return countNow(t.bytes.Load()) }

// End closes the streams. It errs where one had ended before.
func (t *Transfer) End() error {
	t.once.Do(func() {
		t.ending.Store(true)
		for _, c := range t.conns {
			_ = c.Close() // with data on its way: what became of it does not matter
		}
		t.workers.Wait()
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Rate is how many times something was done in a time.
type Rate struct {
	N    uint64
	Took time.Duration
}

// PerSecond is the rate.
func (r Rate) PerSecond() float64 { return float64(r.N) / r.Took.Seconds() }

// Connects opens and closes connections, parallel at a time, and tells how many were
// through within the time d after warmUp, or as much longer as the first takes. Each is closed by the client, then by the
// server, and only then done.
func Connects(ctx context.Context, n Network, to netip.Addr, parallel int, warmUp, d time.Duration) (Rate, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Uint64
	var workers sync.WaitGroup
	for i := range parallel {
		at := netip.AddrPortFrom(to, connectPort+uint16(i%connectPorts)) //nolint:gosec // below 16
		workers.Go(func() {
			for ctx.Err() == nil {
				if err := openAndClose(ctx, n, at); err != nil {
					if ctx.Err() == nil {
						cancel(err)
					}
					return
				}
				done.Add(1)
			}
		})
	}
	defer workers.Wait()
	defer cancel(nil) // before the wait
	if err := pass(ctx, warmUp); err != nil {
		return Rate{}, fmt.Errorf("load: open and close connections: %w", err)
	}
	before, from := done.Load(), time.Now()
	for done.Load() == before || time.Since(from) < d {
		if err := pass(ctx, d); err != nil {
			return Rate{}, fmt.Errorf("load: open and close connections: %w", err)
		}
	}
	return Rate{N: done.Load() - before, Took: time.Since(from)}, nil
}

func openAndClose(ctx context.Context, n Network, at netip.AddrPort) error {
	c, err := n.Dial(ctx, at)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		if err = half.CloseWrite(); err == nil {
			err = awaitEnd(c)
		}
	}
	return errors.Join(err, c.Close())
}

// pass lets the time of a measurement pass.
func pass(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
