package tracer

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// linger is how long a sink that has got all there is lets events gather before it asks
// for more: to wake it for each would cost the stack's goroutines more than the event.
// A Bus with a clock of its own does without: its time need not pass by itself.
const linger = time.Millisecond

// enough is how many events a sink writes without waiting for more.
const enough = intakeSize

// span is a run of events in a chunk.
type span struct {
	c        *chunk
	from, to int
}

func (r span) len() int { return r.to - r.from }

// item is what a queue holds: a span, or what was lost where it stands.
type item struct {
	span
	lost *Event
}

// queue is one sink's bounded queue and the goroutine that empties it.
type queue struct {
	sink    Sink
	max     int
	onError func(error)
	in      *intake
	all     []*queue // every sink's
	linger  time.Duration
	done    chan struct{}

	asleep atomic.Bool   // the goroutine waits for an event
	bell   chan struct{} // holds one token: there is one
	hurry  chan struct{} // holds one token: somebody waits for the sink to have everything

	lends bool    // the sink keeps nothing: it gets the events where they are
	own   []Event // the goroutine's: the events as another sink gets them

	mu      sync.Mutex
	written sync.Cond // a run of events has been written, or there will be no more
	pushed  uint64    // how many were queued, and …
	told    uint64    // … how many of them the sink has
	pending []item
	waiting int    // how many events pending holds
	spare   []item // the slice that the goroutine has finished with
	lost    Event  // the run of dropped events that is not queued yet; Body nil for none
	closed  bool
	failed  bool
	err     error
}

func newQueue(s Sink, in *intake, limit int, onError func(error)) *queue {
	q := &queue{
		sink: s, in: in, max: limit, onError: onError, done: make(chan struct{}), lends: Borrows(s),
		bell: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
	q.written.L = &q.mu
	return q
}

// pushAll queues a run of events, or drops those that may be when the queue is full.
func (q *queue) pushAll(r span) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.failed {
		return
	}
	if q.waiting+r.len() < q.max {
		q.push(r)
	} else {
		for ; r.from < r.to; r.from++ {
			e := &r.c.events[r.from]
			if q.waiting >= q.max && droppable(e.Body.Type()) {
				q.drop(e)
			} else {
				q.push(span{r.c, r.from, r.from + 1})
			}
		}
	}
	q.wake()
}

// push queues a run of events. mu is held.
func (q *queue) push(r span) {
	q.flushLost()
	q.waiting += r.len()
	q.pushed += uint64(r.len()) //nolint:gosec // at most intakeSize
	if n := len(q.pending); n > 0 && q.pending[n-1].c == r.c && q.pending[n-1].to == r.from {
		q.pending[n-1].to = r.to
		return
	}
	r.c.users.Add(1)
	q.pending = append(q.pending, item{span: r})
}

// wake wakes the goroutine if it sleeps.
func (q *queue) wake() {
	if q.asleep.Load() && q.asleep.CompareAndSwap(true, false) {
		q.bell <- struct{}{} // there is room: who sleeps takes the token before it sleeps again
	}
}

// hasten ends the goroutine's sleep, or its wait for more.
func (q *queue) hasten() {
	select {
	case q.hurry <- struct{}{}:
	default:
	}
}

// droppable tells which events give way when a sink falls behind.
func droppable(t Type) bool { return LevelOf(t) > LevelStates }

// drop puts e into the run of dropped events. A run is one event whatever it is
// made of, so that a queue which stays full does not grow by what it drops.
func (q *queue) drop(e *Event) {
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
		lost := q.lost
		q.pending = append(q.pending, item{span: span{to: 1}, lost: &lost})
		q.pushed++
		q.waiting++
		q.lost = Event{}
	}
}

// take returns what is queued, and how many events it is; ended is true when there will
// be no more.
func (q *queue) take() (items []item, events int, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// Now, not with the next event: the sink would not learn of the gap until then.
	q.flushLost()
	if len(q.pending) == 0 {
		return nil, 0, q.closed
	}
	items, events = q.pending, q.waiting
	q.pending, q.spare, q.waiting = q.spare[:0], nil, 0
	return items, events, false
}

// isEmpty tells whether there is no reason to be awake.
func (q *queue) isEmpty() bool {
	q.mu.Lock()
	empty := len(q.pending) == 0 && q.lost.Body == nil && !q.closed
	q.mu.Unlock()
	return empty && !q.in.isReady()
}

// sleep waits until there is an event, or no more will come.
func (q *queue) sleep() {
	q.asleep.Store(true)
	if !q.isEmpty() && q.asleep.CompareAndSwap(true, false) {
		return
	}
	select {
	case <-q.bell:
	case <-q.hurry:
		if !q.asleep.CompareAndSwap(true, false) {
			<-q.bell // somebody rings just now
		}
	}
}

func (q *queue) run() {
	defer close(q.done)
	more := time.NewTimer(q.linger)
	defer more.Stop()
	for {
		q.in.carrying.Lock()
		q.in.carryTo(q.all)
		q.in.carrying.Unlock()
		items, n, ended := q.take()
		switch {
		case ended:
			return
		case n == 0:
			q.sleep()
		case !q.writeAll(items):
			return
		}
		if n >= enough || q.linger == 0 {
			continue
		}
		more.Reset(q.linger)
		select {
		case <-more.C:
		case <-q.hurry:
		}
	}
}

// writeAll gives the sink what was queued. It returns false when the sink has failed:
// what is left then is the garbage collector's.
func (q *queue) writeAll(items []item) bool {
	for i, it := range items {
		events := []Event(nil)
		if it.lost != nil {
			events = append(q.own[:0], *it.lost)
			q.own = events
		} else {
			events = it.c.events[it.from:it.to]
			if !q.lends {
				events = q.copies(events)
			}
		}
		if !q.write(events) {
			return false
		}
		if it.c != nil {
			q.in.release(it.c)
		}
		items[i] = item{}
	}
	q.mu.Lock()
	q.spare = items[:0]
	q.mu.Unlock()
	return true
}

// copies returns events that the sink may keep, but for the slice.
func (q *queue) copies(events []Event) []Event {
	q.own = append(q.own[:0], events...)
	count := 0
	for i := range q.own {
		if _, ok := q.own[i].Body.(*Segment); ok {
			count++
		}
	}
	bodies := make([]Segment, 0, count)
	for i := range q.own {
		if s, ok := q.own[i].Body.(*Segment); ok {
			bodies = append(bodies, *s)
			q.own[i].Body = &bodies[len(bodies)-1]
		}
	}
	return q.own
}

// write gives the sink a run of events. It returns false when the sink has failed.
func (q *queue) write(events []Event) bool {
	err := q.sink.Write(events)
	clear(q.own)
	q.mu.Lock()
	q.told += uint64(len(events))
	q.written.Broadcast()
	if err != nil {
		q.failed, q.err, q.pending, q.waiting = true, err, nil, 0
	}
	q.mu.Unlock()
	if err != nil && q.onError != nil {
		q.onError(err)
	}
	return err == nil
}

// sync waits until the sink has what was queued so far, or takes no more.
func (q *queue) sync() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flushLost()
	q.hasten()
	for upTo := q.pushed; q.told < upTo && !q.failed && !q.closed; {
		q.written.Wait()
	}
}

func (q *queue) close() error {
	q.mu.Lock()
	q.closed = true
	q.hasten()
	q.written.Broadcast()
	q.mu.Unlock()
	<-q.done
	return errors.Join(q.err, q.sink.Close())
}
