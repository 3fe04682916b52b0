package virtual

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"
)

// How Rest asks. Go has no event for "nothing runs any more", so it must ask again and
// again: at first without a pause, because what a timer or a segment causes often takes but
// some microseconds, then ever more seldom. The pauses are a fixed part of the time that has
// passed already, so that they never add more than that to it, and cost next to nothing while
// something computes for long.
const (
	// eagerFor is how long it asks without a pause.
	eagerFor = 20 * time.Microsecond
	// minPause bounds a pause from below.
	minPause = 20 * time.Microsecond
	// pausePart is which part of the time waited a pause lasts.
	pausePart = 8
	// maxPause bounds a pause from above.
	maxPause = 2 * time.Millisecond
	// sureEvery is how many pauses go by on the word of the counters alone that something
	// runs. They are approximate, and count the garbage collector's workers too.
	sureEvery = 16
)

// One at a time looks at the goroutines, across all clocks: two who looked at each other would
// both see one that runs. Whoever looks holds the token.
var (
	looking = make(chan struct{}, 1)
	look    = newLook()
)

// lookState is what looking needs; the holder of the token has it to himself.
type lookState struct {
	buf     []byte
	samples []metrics.Sample
	outside uint64 // goroutines in system calls when the process was last at rest
}

func newLook() *lookState {
	return &lookState{
		buf: make([]byte, 64<<10),
		samples: []metrics.Sample{
			{Name: "/sched/goroutines/running:goroutines"},
			{Name: "/sched/goroutines/runnable:goroutines"},
			{Name: "/sched/goroutines/not-in-go:goroutines"},
		},
	}
}

// Rest waits until the process is at rest: every goroutine but this one is blocked (the
// package's comment says what that means and what it does not). When ctx ends first it errs,
// wraps ctx's error and names the goroutines that are still at work.
func (c *Clock) Rest(ctx context.Context) error {
	select {
	case looking <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("virtual clock at %s: wait for another clock to look for rest: %w", c.Elapsed(), context.Cause(ctx))
	}
	defer func() { <-looking }()
	if err := look.rest(ctx); err != nil {
		return fmt.Errorf("virtual clock at %s: %w", c.Elapsed(), err)
	}
	return nil
}

func (l *lookState) rest(ctx context.Context) error {
	start, pauses := time.Now(), 0
	for {
		runtime.Gosched()
		waited := time.Since(start)
		eager := waited < eagerFor
		if l.seemsAtRest() || !eager && pauses%sureEvery == 0 {
			if l.atRest() {
				return nil
			}
		}
		if ctx.Err() != nil {
			return l.notAtRest(ctx, waited)
		}
		if !eager {
			pause(ctx, min(max(waited/pausePart, minPause), maxPause))
			pauses++
		}
	}
}

// pause gives the processor away for a moment.
func pause(ctx context.Context, d time.Duration) {
	if d < time.Millisecond {
		nap(d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// seemsAtRest asks the scheduler's counters, which is cheap: only when they know of
// nobody else who runs, may run, or has gone into a system call is a closer look worth it.
func (l *lookState) seemsAtRest() bool {
	metrics.Read(l.samples)
	running, runnable, outside := value(l.samples[0]), value(l.samples[1]), value(l.samples[2])
	return running <= 1 && runnable == 0 && outside <= l.outside
}

// value is a counter's; one that this Go does not have says nothing against rest.
func value(s metrics.Sample) uint64 {
	if s.Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s.Value.Uint64()
}

// atRest looks at every goroutine, with the world stopped, so that the answer is exact.
func (l *lookState) atRest() bool {
	rest, self := true, true
	goroutines(l.trace(), func(g goroutine) bool {
		rest = self || g.blocked()
		self = false
		return rest
	})
	if rest { // those that are in system calls all the same are exempt
		l.outside = value(l.samples[2])
	}
	return rest
}

// trace is the stack trace of all goroutines, this one's first. It is good until the next.
func (l *lookState) trace() []byte {
	for {
		if n := runtime.Stack(l.buf, true); n < len(l.buf) {
			return l.buf[:n]
		}
		l.buf = make([]byte, 2*len(l.buf))
	}
}

func (l *lookState) notAtRest(ctx context.Context, waited time.Duration) error {
	busy := summary(l.trace(), func(g goroutine) bool { return !g.blocked() })
	return fmt.Errorf("the process did not come to rest within %s, still at work: %s: %w",
		waited.Round(time.Millisecond), busy, context.Cause(ctx))
}

// whoWaits tells in words which goroutines there are and what they wait for.
func whoWaits() string {
	looking <- struct{}{}
	defer func() { <-looking }()
	return summary(look.trace(), func(goroutine) bool { return true })
}
