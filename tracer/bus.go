package tracer

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Recorder takes events. Record returns the number that the event got, 0 when it
// was not recorded. It never blocks, keeps no bytes of the caller's, and never
// calls back into the caller. It copies the body of a segment, which the caller may
// use again, down to its lists; any other body is its own from then on. A nil
// Recorder means tracing is off.
type Recorder interface {
	Record(Event) uint64
	// NewConn returns the next connection's id within the trace: 1, 2, 3, …
	NewConn() uint32
	// Now returns the time since the trace started, as Event.T is measured.
	Now() time.Duration
}

// Sink is where a Bus brings its events: one goroutine calls it, in the order of N.
type Sink interface {
	// Start is called once, before any event.
	Start(Header) error
	// Write is called with runs of events; it must not keep the slice, nor change it.
	Write([]Event) error
	// Close flushes. It is called once, after the last Write.
	Close() error
}

// Borrower is a Sink that says whether it needs the events of a Write, their bodies
// included, only until Write returns. A Bus lends it those that all sinks share, where
// any other sink gets copies.
type Borrower interface {
	Sink
	Borrows() bool
}

// Borrows tells whether s needs no copies.
func Borrows(s Sink) bool {
	b, ok := s.(Borrower)
	return ok && b.Borrows()
}

// defaultQueue is how many events a sink may be behind before it loses segments.
const defaultQueue = 1 << 16

// BusOptions are a Bus's settings; the zero value is ready.
type BusOptions struct {
	// Now returns the time since the trace started; it never goes back. Nil means
	// the time since NewBus, by the machine's monotonic clock; sinks then let events
	// gather for about a millisecond of it. Any goroutine calls it.
	Now func() time.Duration
	// Queue is how many events each sink may be behind before segments, timers, tcb
	// and datagram events give way; 0 or less means 65536. State changes, calls and
	// ends never do: the queue grows by them.
	Queue int
	// Started stands in the header. Zero means now.
	Started time.Time
	// OnError is told, once a sink, of the first error that the sink returned. The
	// sink gets no further events. It is called on the sink's goroutine, which Close
	// waits for: it must not call Close.
	OnError func(error)
}

// Bus numbers events, stamps their times and hands each to every sink. Record may
// be called from any goroutine, until Close: it takes no lock but once in 256 events.
type Bus struct {
	now    func() time.Duration
	conns  atomic.Uint32
	in     *intake
	queues []*queue
	mu     sync.Mutex
	closed bool
	done   chan struct{} // closed when the first Close is through
}

// NewBus starts a Bus: it calls every sink's Start with h, and one goroutine a
// sink, which Close stops and waits for. On an error it closes what it started.
func NewBus(h Header, opts BusOptions, sinks ...Sink) (*Bus, error) {
	start := time.Now()
	b := &Bus{now: opts.Now, in: newIntake(), done: make(chan struct{})}
	var gather time.Duration
	if b.now == nil {
		b.now, gather = func() time.Duration { return time.Since(start) }, linger
	}
	if opts.Queue <= 0 {
		opts.Queue = defaultQueue
	}
	h.Started = opts.Started
	if h.Started.IsZero() {
		h.Started = start
	}
	for i, s := range sinks {
		if err := s.Start(h); err != nil {
			for _, started := range sinks[:i] {
				err = errors.Join(err, started.Close())
			}
			return nil, err
		}
	}
	for _, s := range sinks {
		b.queues = append(b.queues, newQueue(s, b.in, opts.Queue, opts.OnError))
	}
	for _, q := range b.queues {
		q.all, q.linger = b.queues, gather
		go q.run()
	}
	return b, nil
}

// How many events may wait in the intake before its sinks are hurried, and before who
// records carries them over itself: the sinks are all busy then, and may stay so.
const (
	intakeHurry = 2 * intakeSize
	intakeLimit = 8 * intakeSize
)

// Record implements Recorder: it stamps N and T and queues the event.
func (b *Bus) Record(e Event) uint64 {
	e.T = b.now()
	n, grew := b.in.put(&e)
	for _, q := range b.queues {
		q.wake()
	}
	if grew {
		b.press()
	}
	return n
}

// press sees to it that the intake stays small.
func (b *Bus) press() {
	behind := b.in.behind()
	if behind >= intakeLimit && b.in.carrying.TryLock() {
		b.in.carryTo(b.queues)
		b.in.carrying.Unlock()
		return
	}
	if behind >= intakeHurry {
		for _, q := range b.queues {
			q.hasten()
		}
	}
}

// NewConn implements Recorder.
func (b *Bus) NewConn() uint32 { return b.conns.Add(1) }

// Now implements Recorder.
func (b *Bus) Now() time.Duration { return b.now() }

// Recorded returns how many events have been recorded so far.
func (b *Bus) Recorded() uint64 { return b.in.numbered() }

// Sync waits until every sink has been given the events recorded so far. It is not for
// the goroutines of a stack, which must never wait for a sink.
func (b *Bus) Sync() {
	b.in.carryUpTo(b.in.numbered(), b.queues)
	for _, q := range b.queues {
		q.sync()
	}
}

// Close lets every sink write what is queued, closes them and returns what they
// erred with. Events recorded afterwards are ignored. A further Close waits for the
// first and returns nil.
func (b *Bus) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		<-b.done
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	defer close(b.done)
	b.in.close()
	b.in.carryUpTo(b.in.numbered(), b.queues)
	var err error
	for _, q := range b.queues {
		err = errors.Join(err, q.close())
	}
	return err
}

// AtLevel returns a Recorder that passes to r what level l holds.
func AtLevel(r Recorder, l Level) Recorder {
	if r == nil || l == LevelOff {
		return nil
	}
	return leveled{r, l}
}

type leveled struct {
	r Recorder
	l Level
}

func (f leveled) Record(e Event) uint64 {
	if LevelOf(e.Body.Type()) > f.l {
		return 0
	}
	return f.r.Record(e)
}

func (f leveled) NewConn() uint32 { return f.r.NewConn() }

func (f leveled) Now() time.Duration { return f.r.Now() }
