package tracer_test

import (
	"fmt"
	"sync"
	"testing"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

// borrower is a sink that keeps nothing: it looks at each segment while it has it.
type borrower struct {
	discard
	err  error
	next uint32
}

// Borrows implements tracer.Borrower.
func (*borrower) Borrows() bool { return true }

// Write implements tracer.Sink.
func (b *borrower) Write(events []tracer.Event) error {
	for _, e := range events {
		if s, ok := e.Body.(*tracer.Segment); !ok || s.Seq != uint32(e.N) || e.N != uint64(b.next)+1 { //nolint:gosec // a few thousand
			b.err = fmt.Errorf("n %d after %d: %+v", e.N, b.next, e.Body)
		}
		b.next++
	}
	return nil
}

// TestBodies: the body of a segment is the recorder's again once it is recorded, a sink
// that keeps events has bodies of its own, and one that borrows them sees them whole,
// however often their memory is used again.
func TestBodies(t *testing.T) {
	const events = 20000
	keeps, borrows := &tracertest.Sink{}, &borrower{}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{Queue: 2 * events}, keeps, borrows)
	if err != nil {
		t.Fatal(err)
	}
	var body tracer.Segment
	for i := range uint32(events) {
		body = tracer.Segment{Seq: i + 1}
		if n := bus.Record(tracer.Event{Body: &body}); n != uint64(i)+1 {
			t.Fatalf("event %d got the number %d", i+1, n)
		}
	}
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	if borrows.err != nil || borrows.next != events {
		t.Errorf("the sink that borrows got %d, %v", borrows.next, borrows.err)
	}
	for i, e := range keeps.Events() {
		if s, ok := e.Body.(*tracer.Segment); !ok || s.Seq != uint32(i)+1 {
			t.Fatalf("event %d of the sink that keeps them: %+v", i+1, e.Body)
		}
	}
}

// TestSyncTellsOfLost: what was lost before a Sync is told by it, not later.
func TestSyncTellsOfLost(t *testing.T) {
	gate := make(chan struct{})
	sink := &tracertest.Sink{Gate: gate}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{Queue: 10}, sink)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 { // more than are waiting anywhere
		bus.Record(tracer.Event{Body: &tracer.Segment{}})
	}
	var open sync.WaitGroup
	open.Go(func() { close(gate) })
	bus.Sync()
	open.Wait()
	told := uint64(0)
	for _, e := range sink.Events() {
		if l, ok := e.Body.(*tracer.Lost); ok {
			told += l.Missed
		} else {
			told++
		}
	}
	if told != 2000 {
		t.Errorf("the sink was told of %d events, want 2000", told)
	}
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
}
