package scenario

import (
	"context"
	"sync"

	"appliance/tracer"
)

// journal is the sink that keeps a run's events and tells those who wait of each.
type journal struct {
	mu     sync.Mutex
	header tracer.Header
	events []tracer.Event
	grown  chan struct{} // closed at the next events
}

var _ tracer.Sink = (*journal)(nil)

func newJournal() *journal { return &journal{grown: make(chan struct{})} }

// Start implements tracer.Sink.
func (j *journal) Start(h tracer.Header) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.header = h
	return nil
}

// Write implements tracer.Sink.
func (j *journal) Write(events []tracer.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, events...)
	close(j.grown)
	j.grown = make(chan struct{})
	return nil
}

// Close implements tracer.Sink.
func (*journal) Close() error { return nil }

// forget drops the events so far.
func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = nil
}

// so returns the events so far, which nobody changes, and a channel that closes when there
// are more.
func (j *journal) so() ([]tracer.Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.events[:len(j.events):len(j.events)], j.grown
}

// poke wakes who waits, as if there were more: something else has changed.
func (j *journal) poke() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.grown)
	j.grown = make(chan struct{})
}

// await waits until done accepts the events so far; it is asked again each time that there
// are more. It returns ctx's cause when ctx ends first.
func (j *journal) await(ctx context.Context, done func([]tracer.Event) bool) error {
	for {
		events, grown := j.so()
		if done(events) {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
