package tracer

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// intakeSize is how many events a chunk of the intake holds: it takes 74 KB.
const intakeSize = 256

// chunk is a part of the intake: the events first, first+1, … in their order. Whoever
// records takes the next place in it, fills the place and marks it as ready. The sinks
// read the events where they are.
type chunk struct {
	first    atomic.Uint64 // the number of the first
	_        [56]byte      // what recorders write to stands on cache lines of its own
	taken    atomic.Uint32 // how many places were asked for; at intakeSize the chunk is full
	_        [60]byte
	ready    [intakeSize]atomic.Uint64 // the number of the event that has been filled in
	events   [intakeSize]Event
	segments [intakeSize]Segment // the bodies of those that are segments: a trace's most
	next     *chunk              // the chunk behind it, once it is full; guarded by grow
	users    atomic.Int32        // the sinks that have yet to read a part of it, and the intake
}

// isReady tells whether the event at place i has been filled in.
func (c *chunk) isReady(i int) bool { return c.ready[i].Load() == c.first.Load()+uint64(i) } //nolint:gosec // a place

// isShut is added to a chunk's taken when there is to be no chunk behind it.
const isShut = 1 << 30

// intake is where events are numbered and wait to be carried over to the sinks' queues.
// To record costs one atomic addition and a copy; a lock is taken once a chunk.
type intake struct {
	current atomic.Pointer[chunk] // takes the events

	grow  sync.Mutex // guards what follows, and the change of current
	free  []*chunk   // read by every sink, to be used again
	shut  bool
	total uint64 // once shut: how many events were numbered

	carrying sync.Mutex // guards what follows: one at a time carries over
	oldest   *chunk
	at       int           // how much of oldest has been carried over
	last     time.Duration // the time of the event carried over last
	carried  atomic.Uint64 // its number
}

func newIntake() *intake {
	in := &intake{oldest: new(chunk)}
	in.oldest.first.Store(1)
	in.oldest.users.Store(1)
	in.current.Store(in.oldest)
	return in
}

// put numbers e and takes it in. It returns 0 when the intake is shut. grew tells that a
// chunk was full.
func (in *intake) put(e *Event) (n uint64, grew bool) {
	for {
		c := in.current.Load()
		if i := c.taken.Add(1) - 1; i < intakeSize {
			n = c.first.Load() + uint64(i)
			p := &c.events[i]
			*p = *e
			p.N = n
			if s, ok := e.Body.(*Segment); ok {
				c.segments[i] = *s
				p.Body = &c.segments[i]
			}
			c.ready[i].Store(n)
			return n, grew
		}
		if !in.extend(c) {
			return 0, grew
		}
		grew = true
	}
}

// extend puts a chunk behind c, which is full, unless somebody else already has. It
// returns false when there is to be none.
func (in *intake) extend(c *chunk) bool {
	in.grow.Lock()
	defer in.grow.Unlock()
	if in.shut {
		return false
	}
	if in.current.Load() != c || c.taken.Load() < intakeSize { // it may have come round again
		return true
	}
	var fresh *chunk
	if n := len(in.free); n > 0 {
		fresh, in.free = in.free[n-1], in.free[:n-1]
	} else {
		fresh = new(chunk)
	}
	fresh.users.Store(1)
	fresh.first.Store(c.first.Load() + intakeSize)
	fresh.taken.Store(0) // from here on, who looked at it long ago may take a place too
	c.next = fresh
	in.current.Store(fresh)
	return true
}

// numbered returns how many events have a number.
func (in *intake) numbered() uint64 {
	in.grow.Lock()
	defer in.grow.Unlock()
	if in.shut {
		return in.total
	}
	c := in.current.Load()
	return c.first.Load() - 1 + uint64(min(c.taken.Load(), intakeSize))
}

// close ends the intake: no further event gets a number.
func (in *intake) close() {
	in.grow.Lock()
	defer in.grow.Unlock()
	c := in.current.Load()
	in.shut, in.total = true, c.first.Load()-1+uint64(min(c.taken.Add(isShut)-isShut, intakeSize))
}

// behind returns how many events have not been carried over, but for those of the last
// chunk.
func (in *intake) behind() uint64 {
	before := in.current.Load().first.Load() - 1
	return before - min(in.carried.Load(), before)
}

// isReady tells whether there is something to carry over.
func (in *intake) isReady() bool {
	in.carrying.Lock()
	defer in.carrying.Unlock()
	in.turnOver()
	return in.at < intakeSize && in.oldest.isReady(in.at)
}

// carryTo brings what is ready to the queues, in order. carrying is held.
func (in *intake) carryTo(queues []*queue) {
	for in.turnOver(); in.at < intakeSize; in.turnOver() {
		c, from := in.oldest, in.at
		for in.at < intakeSize && c.isReady(in.at) {
			e := &c.events[in.at]
			// The time was read before the number was given: another may have come between.
			e.T = max(e.T, in.last)
			in.last = e.T
			in.at++
		}
		if in.at == from {
			return
		}
		for _, q := range queues {
			q.pushAll(span{c, from, in.at})
		}
		in.carried.Store(c.events[in.at-1].N)
	}
}

// turnOver goes on to the next chunk when one has been carried over. carrying is held.
func (in *intake) turnOver() {
	c := in.oldest
	if in.at < intakeSize {
		return
	}
	in.grow.Lock()
	next := c.next
	in.grow.Unlock()
	if next == nil {
		return
	}
	in.oldest, in.at = next, 0
	in.release(c)
}

// maxFree is how many chunks are kept for later: 4.7 MB, some 16,000 events, which is what a
// busy stack records while its sinks wait for a processor. What they hold of other memory than
// theirs is let go when they are filled anew.
const maxFree = 64

// release tells that c is needed no longer, by the intake itself or by a sink.
func (in *intake) release(c *chunk) {
	if c.users.Add(-1) > 0 {
		return
	}
	in.grow.Lock()
	defer in.grow.Unlock()
	c.next = nil
	if len(in.free) < maxFree {
		in.free = append(in.free, c)
	}
}

// carryUpTo carries over until the event with number n, which somebody may be about to
// put into its place, has been.
func (in *intake) carryUpTo(n uint64, queues []*queue) {
	for {
		in.carrying.Lock()
		in.carryTo(queues)
		in.carrying.Unlock()
		if in.carried.Load() >= n {
			return
		}
		runtime.Gosched()
	}
}
