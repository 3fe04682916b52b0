package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"time"

	"appliance/internal/bench/load"
	"appliance/internal/bench/report"
)

// parallel is how many connections are opened and closed at the same time.
const parallel = 16

// A far is the end that answers: the appliance, or the kernel.
type far interface {
	// count is what it has moved, and its processor time.
	count(context.Context) (load.Count, error)
	// awaitOpen waits until so many connections are open.
	awaitOpen(ctx context.Context, n int) error
	// memory is what all its connections take, in bytes, and the other end's with it
	// where the two cannot be told apart: ends says how many share it.
	memory(context.Context) (bytes float64, ends int, err error)
}

// world is what one measurement is made in.
type world struct {
	near     *load.Peer // on Linux's side: it makes the load
	far      far
	at       netip.Addr // the far end's
	sink     *sink      // of the trace; nil where there is none
	sync     func()     // waits until the sink has all; nil where there is none
	warnings []string
	closers  []func() error // of all but near; the last one first
}

// close ends all of it, the near end first: with its connections gone, the far end has
// nothing to wait for.
func (w *world) close() error {
	var err error
	if w.near != nil {
		err = w.near.Close()
	}
	for i := len(w.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, w.closers[i]())
	}
	w.closers = nil
	return err
}

// ends are the counts of both ends at a moment, and of the trace.
type ends struct {
	near, far load.Count
	events    uint64
}

func (w *world) counts(ctx context.Context) (e ends, err error) {
	if e.far, err = w.far.count(ctx); err != nil {
		return e, err
	}
	if w.sink != nil {
		e.events = w.sink.events()
	}
	e.near, err = w.near.TransferCount(ctx)
	return e, err
}

// throughput counts, at the end that receives, what comes within the time, or as much
// longer as it takes until anything does.
func (w *world) throughput(ctx context.Context, c report.Case, o Options) ([]report.Reading, error) {
	job := load.Job{To: w.at, Direction: load.Direction(c.Direction), Streams: c.Streams}
	if err := w.near.Start(ctx, job); err != nil {
		return nil, err
	}
	if err := pass(ctx, o.WarmUp); err != nil {
		return nil, err
	}
	from, err := w.counts(ctx)
	if err != nil {
		return nil, err
	}
	to := from
	a, b := &from.far, &to.far
	if c.Direction == report.Out {
		a, b = &from.near, &to.near
	}
	// A time in which nothing came is followed by another: then the rate is low, and true.
	for b.Bytes == a.Bytes {
		if err := pass(ctx, o.Time); err != nil {
			return nil, err
		}
		if to, err = w.counts(ctx); err != nil {
			return nil, err
		}
	}
	rate := float64(b.Bytes-a.Bytes) / (b.At - a.At).Seconds() // bytes a second
	took := (to.far.At - from.far.At).Seconds()
	readings := []report.Reading{
		{Name: report.Rate, Unit: report.BitsPerSecond, Value: 8 * rate},
		{Name: report.CPUPerGB, Unit: report.SecondsPerGB, Value: (to.far.CPU - from.far.CPU).Seconds() / took / rate * 1e9},
	}
	if w.sink != nil {
		readings = append(readings, report.Reading{Name: report.Events, Unit: report.PerSecond, Value: float64(to.events-from.events) / took})
	}
	return readings, w.near.End(ctx)
}

func (w *world) roundTrip(ctx context.Context, o Options) ([]report.Reading, error) {
	r, err := w.near.PingPong(ctx, load.Job{To: w.at, WarmUp: o.WarmUp, Time: o.Time})
	if err != nil {
		return nil, err
	}
	return []report.Reading{
		{Name: report.P50, Unit: report.Seconds, Value: r.P50.Seconds()},
		{Name: report.P99, Unit: report.Seconds, Value: r.P99.Seconds()},
		{Name: report.P999, Unit: report.Seconds, Value: r.P999.Seconds()},
	}, nil
}

func (w *world) connections(ctx context.Context, o Options) ([]report.Reading, error) {
	r, err := w.near.Connects(ctx, load.Job{To: w.at, Streams: parallel, WarmUp: o.WarmUp, Time: o.Time})
	if err != nil {
		return nil, err
	}
	return []report.Reading{{Name: report.Rate, Unit: report.PerSecond, Value: r.PerSecond()}}, nil
}

// idle opens connections and sees how much more memory is used than before.
func (w *world) idle(ctx context.Context, o Options) ([]report.Reading, error) {
	before, _, err := w.far.memory(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.near.Hold(ctx, load.Job{To: w.at, Streams: o.Idle}); err != nil {
		return nil, err
	}
	if err := w.far.awaitOpen(ctx, o.Idle); err != nil {
		return nil, err
	}
	if w.sync != nil {
		w.sync() // what is written is no more in memory
	}
	after, ends, err := w.far.memory(ctx)
	if err != nil {
		return nil, err
	}
	each := (after - before) / float64(o.Idle) / float64(ends)
	if each <= 0 {
		return nil, fmt.Errorf("%w: while %d connections were opened, other programs gave back more memory than they took: hold more", errSkip, o.Idle)
	}
	return []report.Reading{{Name: report.Memory, Unit: report.Bytes, Value: each}}, nil
}

// localEnd is a far end in this process.
type localEnd struct{ *load.Server }

func (l localEnd) count(context.Context) (load.Count, error) { return l.Count() }

func (l localEnd) awaitOpen(ctx context.Context, n int) error { return l.AwaitOpen(ctx, n) }

// memory is that of live objects and of stacks: garbage is collected until nothing more
// goes, as finalizers and pools let go of theirs one collection later.
func (localEnd) memory(ctx context.Context) (float64, int, error) {
	last := math.Inf(1)
	for range 20 {
		if ctx.Err() != nil {
			return 0, 1, context.Cause(ctx)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		used := float64(m.HeapAlloc + m.StackInuse)
		if used > 0.999*last {
			return used, 1, nil
		}
		last = used
	}
	return last, 1, nil
}

// peerEnd is a far end in another process: the kernel's sockets.
type peerEnd struct{ *load.Peer }

func (p peerEnd) count(ctx context.Context) (load.Count, error) { return p.ServerCount(ctx) }

func (p peerEnd) awaitOpen(ctx context.Context, n int) error { return p.AwaitOpen(ctx, n) }

// memory is the kernel's in slabs, where sockets and what belongs to them are: of the
// whole host, so that other programs disturb it, and of both ends.
func (peerEnd) memory(context.Context) (float64, int, error) {
	kb, err := meminfo("Slab")
	if err != nil {
		return 0, 2, fmt.Errorf("%w: memory of the kernel's connections: %w", errSkip, err)
	}
	return kb * 1024, 2, nil
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
