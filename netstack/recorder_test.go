package netstack_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"appliance/tracer"
)

// recorder is a tracer.Recorder that keeps every event. Its time is the given
// clock's, which may be one that the test moves by hand.
type recorder struct {
	clock func() time.Duration
	conns atomic.Uint32

	mu     sync.Mutex
	events []tracer.Event
	grown  chan struct{} // closed at the next event; nil when nobody waits
}

var _ tracer.Recorder = (*recorder)(nil)

func newRecorder(clock func() time.Duration) *recorder {
	if clock == nil {
		start := time.Now()
		clock = func() time.Duration { return time.Since(start) }
	}
	return &recorder{clock: clock}
}

// Record implements tracer.Recorder.
func (r *recorder) Record(e tracer.Event) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.N, e.T = uint64(len(r.events))+1, r.clock()
	if s, ok := e.Body.(*tracer.Segment); ok {
		body := *s
		e.Body = &body
	}
	r.events = append(r.events, e)
	if r.grown != nil {
		close(r.grown)
		r.grown = nil
	}
	return e.N
}

// NewConn implements tracer.Recorder.
func (r *recorder) NewConn() uint32 { return r.conns.Add(1) }

// Now implements tracer.Recorder.
func (r *recorder) Now() time.Duration { return r.clock() }

// Events returns a copy of what was recorded so far, in order.
func (r *recorder) Events() []tracer.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// since returns what was recorded after the first n events, and a channel that
// closes when there is more.
func (r *recorder) since(n int) ([]tracer.Event, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grown == nil {
		r.grown = make(chan struct{})
	}
	return slices.Clone(r.events[n:]), r.grown
}

// WaitFor returns the first event that match accepts; it waits for it until the
// deadline. Its error lists what came instead.
func (r *recorder) WaitFor(match func(tracer.Event) bool, deadline time.Time) (tracer.Event, error) {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	for seen := 0; ; {
		fresh, grown := r.since(seen)
		if i := slices.IndexFunc(fresh, match); i >= 0 {
			return fresh[i], nil
		}
		seen += len(fresh)
		select {
		case <-grown:
		case <-timeout.C:
			return tracer.Event{}, fmt.Errorf("no such event among %d until the deadline:\n%s", seen, r)
		}
	}
}

// String returns the last events, a line each.
func (r *recorder) String() string {
	var b strings.Builder
	events := r.Events()
	for _, e := range events[max(0, len(events)-60):] {
		fmt.Fprintf(&b, "%4d %12s %-7s %2d %s\n", e.N, e.T, e.Stack, e.Conn, tell(e))
	}
	return b.String()
}
