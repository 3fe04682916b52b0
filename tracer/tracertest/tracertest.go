// Package tracertest has the fakes of package tracer's seams: a Recorder that keeps
// what it is given, for tests of what records, and a Sink that does, for tests of
// what writes. Both let a test wait for an event instead of sleeping. DrawEvent and
// DrawHeader draw the parts of any trace there is, for properties.
package tracertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"appliance/tracer"
)

// log keeps events and tells those who wait of each. The zero log is ready.
type log struct {
	mu     sync.Mutex
	events []tracer.Event
	grown  chan struct{} // closed at the next event; nil when nobody waits
}

func (l *log) add(events ...tracer.Event) {
	l.events = append(l.events, events...)
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Events returns a copy of what was recorded so far, in order.
func (l *log) Events() []tracer.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// WaitFor returns the first event, from the beginning, that match accepts; it waits
// for it until the deadline. Its error lists what came instead. match is called once
// an event, in order.
func (l *log) WaitFor(match func(tracer.Event) bool, deadline time.Time) (tracer.Event, error) {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	for seen := 0; ; {
		l.mu.Lock()
		fresh := slices.Clone(l.events[seen:])
		if l.grown == nil {
			l.grown = make(chan struct{})
		}
		grown := l.grown
		l.mu.Unlock()
		for _, e := range fresh {
			if match(e) {
				return e, nil
			}
		}
		seen += len(fresh)
		if len(fresh) > 0 {
			continue
		}
		select {
		case <-grown:
		case <-timeout.C:
			return tracer.Event{}, fmt.Errorf("no such event among %d until the deadline:\n%s", seen, l)
		}
	}
}

// String returns the events as lines of the schema, the last 50 of them.
func (l *log) String() string {
	var b strings.Builder
	events := l.Events()
	if skip := len(events) - 50; skip > 0 {
		fmt.Fprintf(&b, "(%d before)\n", skip)
		events = events[skip:]
	}
	for i := range events {
		b.Write(tracer.AppendJSON(nil, &events[i]))
		b.WriteByte('\n')
	}
	return b.String()
}

// Recorder is a [tracer.Recorder] that keeps every event; the zero value is ready.
// It numbers and stamps them as a Bus does. Any goroutine may use it.
type Recorder struct {
	log
	// Clock returns the time of an event; nil means the time since it was first
	// asked for.
	Clock func() time.Duration
	start time.Time
	conns atomic.Uint32
}

var _ tracer.Recorder = (*Recorder)(nil)

// Record implements tracer.Recorder.
func (r *Recorder) Record(e tracer.Event) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.N = uint64(len(r.events)) + 1
	e.T = r.now()
	if s, ok := e.Body.(*tracer.Segment); ok {
		body := *s
		e.Body = &body
	}
	r.add(e)
	return e.N
}

// Now implements tracer.Recorder.
func (r *Recorder) Now() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now()
}

func (r *Recorder) now() time.Duration {
	if r.Clock != nil {
		return r.Clock()
	}
	if r.start.IsZero() {
		r.start = time.Now()
	}
	return time.Since(r.start)
}

// NewConn implements tracer.Recorder.
func (r *Recorder) NewConn() uint32 { return r.conns.Add(1) }

// Sink is a [tracer.Sink] that keeps every event; the zero value is ready. Set its
// fields before it is given to a Bus.
type Sink struct {
	log
	// Gate, when not nil, holds each Write until a value can be received from it, or
	// it is closed: a sink that falls behind.
	Gate <-chan struct{}
	// StartErr, WriteErr and CloseErr are what the methods return.
	StartErr, WriteErr, CloseErr error

	header tracer.Header
	starts int
	writes int
	closes int
}

var _ tracer.Sink = (*Sink)(nil)

// Start implements tracer.Sink.
func (s *Sink) Start(h tracer.Header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header = h
	s.starts++
	return s.StartErr
}

// Write implements tracer.Sink. When it errs it keeps nothing.
func (s *Sink) Write(events []tracer.Event) error {
	if s.Gate != nil {
		<-s.Gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.WriteErr != nil {
		return s.WriteErr
	}
	s.add(events...)
	return nil
}

// Close implements tracer.Sink.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return s.CloseErr
}

// Header returns what Start was given.
func (s *Sink) Header() tracer.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header
}

// Calls returns how often Start, Write and Close were called.
func (s *Sink) Calls() (starts, writes, closes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts, s.writes, s.closes
}
