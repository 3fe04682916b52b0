package tracer

import (
	"errors"
	"sync"
)

// queue is one sink's bounded queue and the goroutine that empties it.
type queue struct {
	sink    Sink
	max     int
	onError func(error)
	done    chan struct{}

	mu      sync.Mutex
	wake    sync.Cond
	written sync.Cond // a run of events has been written, or there will be no more
	pushed  uint64    // how many were queued, and …
	told    uint64    // … how many of them the sink has
	pending []Event
	spare   []Event // the slice that the goroutine has finished with
	lost    Event   // the run of dropped events that is not queued yet; Body nil for none
	closed  bool
	failed  bool
	err     error
}

func newQueue(s Sink, limit int, onError func(error)) *queue {
	q := &queue{sink: s, max: limit, onError: onError, done: make(chan struct{})}
	q.wake.L, q.written.L = &q.mu, &q.mu
	return q
}

// push queues e, or drops it where it may be and the queue is full.
func (q *queue) push(e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.failed {
		return
	}
	if len(q.pending) >= q.max && droppable(e.Body.Type()) {
		q.drop(e)
		return
	}
	idle := len(q.pending) == 0
	q.flushLost()
	q.pending = append(q.pending, e)
	q.pushed++
	if idle {
		q.wake.Signal()
	}
}

// droppable tells which events give way when a sink falls behind.
func droppable(t Type) bool { return LevelOf(t) > LevelStates }

// drop puts e into the run of dropped events. A run is one event whatever it is
// made of, so that a queue which stays full does not grow by what it drops.
func (q *queue) drop(e Event) {
	if l, ok := q.lost.Body.(*Lost); ok {
		if q.lost.N+l.Missed == e.N {
			l.Missed++
			if l.Of != e.Body.Type() {
				l.Of = ""
			}
			if q.lost.Stack != e.Stack {
				q.lost.Stack = ""
			}
			return
		}
		q.flushLost()
	}
	q.lost = Event{N: e.N, T: e.T, Stack: e.Stack, Body: &Lost{Missed: 1, Of: e.Body.Type()}}
}

func (q *queue) flushLost() {
	if q.lost.Body != nil {
		q.pending = append(q.pending, q.lost)
		q.pushed++
		q.lost = Event{}
	}
}

// take waits for events and returns them; ok is false when there will be no more.
func (q *queue) take() (events []Event, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) == 0 && !q.closed {
		q.wake.Wait()
	}
	// Now, not with the next event: the sink would not learn of the gap until then.
	q.flushLost()
	if len(q.pending) == 0 {
		return nil, false
	}
	events = q.pending
	q.pending, q.spare = q.spare[:0], nil
	return events, true
}

func (q *queue) run() {
	defer close(q.done)
	for {
		events, ok := q.take()
		if !ok {
			return
		}
		err := q.sink.Write(events)
		n := uint64(len(events))
		clear(events)
		q.mu.Lock()
		q.spare = events[:0]
		q.told += n
		q.written.Broadcast()
		if err != nil {
			q.failed, q.err, q.pending = true, err, nil
		}
		q.mu.Unlock()
		if err != nil {
			if q.onError != nil {
				q.onError(err)
			}
			return
		}
	}
}

// sync waits until the sink has what was queued so far, or takes no more.
func (q *queue) sync() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for upTo := q.pushed; q.told < upTo && !q.failed && !q.closed; {
		q.written.Wait()
	}
}

func (q *queue) close() error {
	q.mu.Lock()
	q.closed = true
	q.wake.Signal()
	q.written.Broadcast()
	q.mu.Unlock()
	<-q.done
	return errors.Join(q.err, q.sink.Close())
}
