package scenario

import (
	"context"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"appliance/netstack/virtual"
	"appliance/tracer"
)

// The limits of a run's time.
const (
	// realLimit is how long a combination may take by the machine's clock.
	realLimit = 30 * time.Second
	// virtualLimit is how far the virtual clock may go: above all that TCP waits for but a
	// peer that keeps its window shut, which is probed for ever.
	virtualLimit = 6 * time.Hour
)

// timekeeper is a run's clock.
type timekeeper interface {
	// tcpip is the clock for stacks, impairments and scripts; nil means the machine's.
	tcpip() tcpip.Clock
	// now is the time since the trace started, for the Bus; nil means the machine's.
	now() func() time.Duration
	started() time.Time
	elapsed() time.Duration
	// sleep waits; it returns ctx's cause when ctx ends first.
	sleep(ctx context.Context, d time.Duration) error
	// rest waits until nothing more happens without time moving. On a real clock it
	// returns at once.
	rest(ctx context.Context) error
	// drive lets time pass until over says so; over is asked each time that something may
	// have changed, which j tells of on a real clock.
	drive(ctx context.Context, j *journal, over func() bool) error
}

// realTime is the machine's clock.
type realTime struct{ start time.Time }

func newRealTime() *realTime { return &realTime{start: time.Now()} }

func (*realTime) tcpip() tcpip.Clock         { return nil }
func (*realTime) now() func() time.Duration  { return nil }
func (r *realTime) started() time.Time       { return r.start }
func (r *realTime) elapsed() time.Duration   { return time.Since(r.start) }
func (*realTime) rest(context.Context) error { return nil }

func (*realTime) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (*realTime) drive(ctx context.Context, j *journal, over func() bool) error {
	return j.await(ctx, func([]tracer.Event) bool { return over() })
}

// virtualTime is a clock that moves when the process is at rest.
type virtualTime struct {
	clock *virtual.Clock
	start time.Time
}

func newVirtualTime() *virtualTime {
	start := time.Now()
	c := virtual.New(start)
	c.Limit = virtualLimit
	return &virtualTime{clock: c, start: start}
}

func (v *virtualTime) tcpip() tcpip.Clock        { return v.clock }
func (v *virtualTime) now() func() time.Duration { return v.clock.Elapsed }
func (v *virtualTime) started() time.Time        { return v.start }
func (v *virtualTime) elapsed() time.Duration    { return v.clock.Elapsed() }

func (v *virtualTime) sleep(ctx context.Context, d time.Duration) error {
	return v.clock.Sleep(ctx, d)
}

// rest waits for a timer that is due at once: it fires when the process is at rest.
func (v *virtualTime) rest(ctx context.Context) error { return v.clock.Sleep(ctx, 0) }

func (v *virtualTime) drive(ctx context.Context, _ *journal, over func() bool) error {
	return v.clock.Run(ctx, over)
}
