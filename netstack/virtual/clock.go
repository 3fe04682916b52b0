package virtual

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// uptime is the monotonic clock's reading at the start. gVisor takes a reading of 0 for
// "never", and limits rates as though something had happened then: a host that has
// just been switched on is not what anyone wants to look at.
const uptime = time.Hour

// defaultStart is New's where none is given. Programs set deadlines in a past that they take
// for long ago (net/http: 1 s after 1970), so a start must come well after it.
var defaultStart = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// Clock is a tcpip.Clock whose time moves only by Step and Run. Any goroutine may use it.
type Clock struct {
	// Limit is the horizon, measured from the start: no timer beyond it fires. 0 means
	// none. It is set before the clock is used.
	Limit time.Duration

	start time.Time
	now   atomic.Int64 // time.Duration since start; written with mu held

	mu     sync.Mutex
	timers timerHeap
	order  uint64  // of the timer set last
	turns  []*turn // of programs that could go on, the first comes first
}

var _ tcpip.Clock = (*Clock)(nil)

// New returns a clock that stands at start; the zero time means 2026-01-01 00:00 UTC.
func New(start time.Time) *Clock {
	if start.IsZero() {
		start = defaultStart
	}
	// Without the machine's monotonic reading: it would win over the wall clock's in
	// every comparison with a time of this clock's.
	return &Clock{start: start.Round(0)}
}

// Now implements tcpip.Clock: the start and what has elapsed since.
func (c *Clock) Now() time.Time { return c.start.Add(c.Elapsed()) }

// NowMonotonic implements tcpip.Clock. It stands at one hour at the start.
func (c *Clock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(satAdd(uptime, c.Elapsed()))
}

// Elapsed returns the time since the start.
func (c *Clock) Elapsed() time.Duration { return time.Duration(c.now.Load()) }

// Next returns the time of the next Step, measured from the start as Elapsed is: the next
// timer's, or now when a program waits for its turn. It is false when nothing is pending.
func (c *Clock) Next() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.turns) > 0:
		return c.Elapsed(), true
	case len(c.timers) > 0:
		return c.timers[0].when, true
	default:
		return 0, false
	}
}

// Pending returns how many timers are set and have not fired, and how many programs wait
// for their turn.
func (c *Clock) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers) + len(c.turns)
}

// AfterFunc implements tcpip.Clock: f runs on a goroutine of its own once d has passed,
// or at the next Step where d is 0 or less.
func (c *Clock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	t := &timer{clock: c, f: f, index: idle}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(t, d)
	return t
}

// Sleep returns nil once d has passed, or an error that wraps ctx's when ctx ends first.
// It takes its turn among the timers: with d of 0 or less it returns when everything else
// has come to rest, at the same time. Somebody must Run or Step the clock meanwhile.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	done := make(chan struct{})
	t := c.AfterFunc(d, func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		t.Stop()
		return fmt.Errorf("virtual sleep of %s, at %s: %w", d, c.Elapsed(), context.Cause(ctx))
	}
}

// set arms an idle timer. c.mu is held.
func (c *Clock) set(t *timer, d time.Duration) {
	c.order++
	t.when, t.order = satAdd(c.Elapsed(), max(d, 0)), c.order
	heap.Push(&c.timers, t)
}

// fire does the next thing that is pending. It is false when nothing is.
func (c *Clock) fire() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.turns) > 0 && (len(c.timers) == 0 || c.timers[0].when > c.Elapsed()) {
		c.nextTurn()
		return true, nil
	}
	if len(c.timers) == 0 {
		return false, nil
	}
	t := c.timers[0]
	if c.Limit > 0 && t.when > c.Limit {
		return false, fmt.Errorf("virtual clock at %s: %w: the next of %d timers is due at %s, the limit is %s",
			c.Elapsed(), ErrHorizon, len(c.timers), t.when, c.Limit)
	}
	heap.Pop(&c.timers)
	c.now.Store(int64(t.when))
	go t.f()
	return true, nil
}

// satAdd adds two durations, neither below 0, and stops at the longest there is.
func satAdd(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
