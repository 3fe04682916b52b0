package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// RoundTrip is how long one byte took there and back.
type RoundTrip struct {
	N              int
	P50, P99, P999 time.Duration
}

// PingPong sends one byte to a Server and waits for it to come back, again and again,
// and tells how long that took in the time d after warmUp: once at least.
func PingPong(ctx context.Context, n Network, to netip.Addr, warmUp, d time.Duration) (RoundTrip, error) {
	c, err := n.Dial(ctx, netip.AddrPortFrom(to, echoPort))
	if err != nil {
		return RoundTrip{}, fmt.Errorf("load: round trip: %w", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var took []time.Duration
	one := make([]byte, 1)
	start := time.Now()
	for now := start; now.Sub(start) < warmUp+d || len(took) == 0; {
		if _, err := c.Write(one); err != nil {
			return RoundTrip{}, fmt.Errorf("load: round trip: %w", errors.Join(err, context.Cause(ctx)))
		}
		if _, err := io.ReadFull(c, one); err != nil {
			return RoundTrip{}, fmt.Errorf("load: round trip: %w", errors.Join(err, context.Cause(ctx)))
		}
		then := time.Now()
		if now.Sub(start) >= warmUp {
			took = append(took, then.Sub(now))
		}
		now = then
	}
	return roundTrip(took), nil
}

// roundTrip sums up times, which it sorts.
func roundTrip(took []time.Duration) RoundTrip {
	if len(took) == 0 {
		return RoundTrip{}
	}
	slices.Sort(took)
	// The nearest rank: the smallest time that a share of them all does not exceed.
	rank := func(permille int) time.Duration { return took[(len(took)*permille+999)/1000-1] }
	return RoundTrip{N: len(took), P50: rank(500), P99: rank(990), P999: rank(999)}
}

// Held is connections that are open and idle.
type Held struct{ conns []net.Conn }

// Hold opens that many connections to a Server, a few at a time, and leaves them alone.
func Hold(ctx context.Context, n Network, to netip.Addr, count int) (*Held, error) {
	const parallel = 16
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conns := make([]net.Conn, count)
	var workers sync.WaitGroup
	for w := range parallel {
		workers.Go(func() {
			for i := w; i < count && ctx.Err() == nil; i += parallel {
				c, err := n.Dial(ctx, netip.AddrPortFrom(to, idlePort))
				if err != nil {
					cancel(fmt.Errorf("load: connection %d of %d: %w", i+1, count, err))
					return
				}
				conns[i] = c
			}
		})
	}
	workers.Wait()
	h := &Held{conns: slices.DeleteFunc(conns, func(c net.Conn) bool { return c == nil })}
	if err := context.Cause(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Close closes the connections.
func (h *Held) Close() error {
	var err error
	for _, c := range h.conns {
		err = errors.Join(err, c.Close())
	}
	h.conns = nil
	return err
}

// awaitEnd reads the other end's end-of-file.
func awaitEnd(c net.Conn) error {
	var b [1]byte
	n, err := c.Read(b[:])
	switch {
	case n > 0:
		return errors.New("data came where none was to come")
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}
