package tracer_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kinds are an event of each type that a recorder makes.
var kinds = []tracer.Body{
	&tracer.Call{Name: "send", Phase: tracer.PhaseEnter, Bytes: -1}, &tracer.StateChange{To: tracer.Listen}, &tracer.End{},
	&tracer.Segment{Dir: tracer.In}, &tracer.Datagram{}, &tracer.ICMP{}, &tracer.Timer{}, &tracer.TCB{},
}

// droppable tells which may give way, in the words of the package's documentation.
func droppable(t tracer.Type) bool {
	return t != tracer.TypeCall && t != tracer.TypeState && t != tracer.TypeEnd
}

// checkStream holds that what a sink got is recorded, the events in order, with each
// gap told by one exact Lost. types[i] is the type of the event with number i+1.
func checkStream(got []tracer.Event, types []tracer.Type) error {
	next := uint64(1)
	var last time.Duration
	for i, e := range got {
		if e.N != next {
			return fmt.Errorf("event %d has n %d, want %d", i, e.N, next)
		}
		if e.T < last {
			return fmt.Errorf("n %d: the time went back from %v to %v", e.N, last, e.T)
		}
		last = e.T
		l, ok := e.Body.(*tracer.Lost)
		if !ok {
			if want := types[e.N-1]; e.Body.Type() != want {
				return fmt.Errorf("n %d is a %s, want a %s", e.N, e.Body.Type(), want)
			}
			next++
			continue
		}
		if l.Missed == 0 || e.N+l.Missed-1 > uint64(len(types)) {
			return fmt.Errorf("n %d: %d lost of %d", e.N, l.Missed, len(types))
		}
		if i+1 < len(got) && got[i+1].Body.Type() == tracer.TypeLost {
			// Two in a row only where the first had been handed over already.
			if got[i+1].N != e.N+l.Missed {
				return fmt.Errorf("n %d: the second of two runs is not next to the first", e.N)
			}
		}
		of := types[e.N-1]
		for _, typ := range types[e.N-1 : e.N-1+l.Missed] {
			if !droppable(typ) {
				return fmt.Errorf("n %d: lost a %s", e.N, typ)
			}
			if typ != of {
				of = ""
			}
		}
		if l.Of != of {
			return fmt.Errorf("n %d: lost of %q, want %q", e.N, l.Of, of)
		}
		next += l.Missed
	}
	if next != uint64(len(types))+1 {
		return fmt.Errorf("the stream ends before %d of %d", next, len(types))
	}
	return nil
}

// TestBusLosesExactly: whatever the sinks' pace, each one's stream is whole or says
// exactly what is missing.
func TestBusLosesExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gates := make([]chan struct{}, rapid.IntRange(1, 3).Draw(t, "sinks"))
		fakes := make([]*tracertest.Sink, len(gates))
		sinks := make([]tracer.Sink, len(gates))
		for i := range gates {
			gates[i] = make(chan struct{})
			fakes[i] = &tracertest.Sink{Gate: gates[i]}
			sinks[i] = fakes[i]
		}
		bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{Queue: rapid.IntRange(1, 5).Draw(t, "queue")}, sinks...)
		if err != nil {
			t.Fatal(err)
		}
		var types []tracer.Type
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if i := rapid.IntRange(-3, len(gates)-1).Draw(t, "let through"); i >= 0 {
				select {
				case gates[i] <- struct{}{}:
				case <-time.After(time.Millisecond): // nothing to write just now
				}
				continue
			}
			body := rapid.SampledFrom(kinds).Draw(t, "kind")
			types = append(types, body.Type())
			if n := bus.Record(tracer.Event{Stack: "s", Body: body}); n != uint64(len(types)) {
				t.Fatalf("Record = %d, want %d", n, len(types))
			}
		}
		for _, g := range gates {
			close(g)
		}
		if err := bus.Close(); err != nil {
			t.Fatal(err)
		}
		for i, f := range fakes {
			if err := checkStream(f.Events(), types); err != nil {
				t.Fatalf("sink %d: %v\n%v", i, err, f)
			}
			if starts, _, closes := f.Calls(); starts != 1 || closes != 1 {
				t.Fatalf("sink %d: %d starts, %d closes", i, starts, closes)
			}
		}
	})
}

// TestBusOrderUnderConcurrency: many recorders, a sink that cannot follow and one
// that can; all that both got agrees, and no state change is missing.
func TestBusOrderUnderConcurrency(t *testing.T) {
	const recorders, each = 8, 2000
	slow, fast := &tracertest.Sink{}, &tracertest.Sink{}
	gate := make(chan struct{})
	slow.Gate = gate
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{Queue: 64}, slow)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{Queue: 2 * recorders * each}, fast)
	if err != nil {
		t.Fatal(err)
	}
	types := make([]tracer.Type, recorders*each)
	var all sync.WaitGroup
	for r := range recorders {
		all.Go(func() {
			var last uint64
			for i := range each {
				e := tracer.Event{Stack: "s", Body: kinds[(i+r)%len(kinds)]}
				n := bus.Record(e)
				if n <= last {
					t.Errorf("recorder %d: %d after %d", r, n, last)
				}
				last = n
				types[n-1] = e.Body.Type()
				wide.Record(e)
			}
		})
	}
	all.Wait()
	close(gate)
	if err := errors.Join(bus.Close(), wide.Close()); err != nil {
		t.Fatal(err)
	}
	if err := checkStream(slow.Events(), types); err != nil {
		t.Error(err)
	}
	if got := len(fast.Events()); got != recorders*each {
		t.Errorf("the sink that can follow got %d of %d", got, recorders*each)
	}
	if got := len(slow.Events()); got == recorders*each {
		t.Error("the slow sink lost nothing: this test shows nothing")
	}
}

// TestBusTellsOfAGapAtOnce: a live view must learn of it without a further event.
func TestBusTellsOfAGapAtOnce(t *testing.T) {
	gate := make(chan struct{})
	sink := &tracertest.Sink{Gate: gate}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{Queue: 1}, sink)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 { // the sink is at the first ones, one waits, the last are lost
		bus.Record(tracer.Event{Body: &tracer.Segment{}})
	}
	close(gate)
	_, err = sink.WaitFor(func(e tracer.Event) bool {
		l, ok := e.Body.(*tracer.Lost)
		return ok && l.Of == tracer.TypeSegment && e.N+l.Missed == 51
	}, time.Now().Add(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	// And the queue is not stuck: an event that comes now comes through.
	bus.Record(tracer.Event{Body: &tracer.Segment{}})
	if _, err := sink.WaitFor(func(e tracer.Event) bool { return e.N == 51 }, time.Now().Add(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBusStaysBounded: events of changing types, all dropped, are still one Lost.
func TestBusStaysBounded(t *testing.T) {
	gate := make(chan struct{})
	sink := &tracertest.Sink{Gate: gate}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{Queue: 4}, sink)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10000 {
		bus.Record(tracer.Event{Stack: fmt.Sprint(i % 2), Body: []tracer.Body{&tracer.Segment{}, &tracer.TCB{}}[i%2]})
	}
	close(gate)
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	events := sink.Events()
	if len(events) > 2*(4+1) { // what the sink is at, and what waits: a queue and a Lost each
		t.Errorf("%d events were kept", len(events))
	}
	last := events[len(events)-1]
	if l, ok := last.Body.(*tracer.Lost); !ok || l.Of != "" || last.Stack != "" || last.N+l.Missed != 10001 {
		t.Errorf("last is %+v %+v", last, last.Body)
	}
}

// TestBusCloseWaits: Close comes back when the sink has everything, and so does a
// second Close meanwhile.
func TestBusCloseWaits(t *testing.T) {
	gate := make(chan struct{})
	sink := &tracertest.Sink{Gate: gate}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, sink)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		bus.Record(tracer.Event{Body: &tracer.Segment{}})
	}
	var started, closing sync.WaitGroup
	for range 3 {
		started.Add(1)
		closing.Go(func() {
			started.Done()
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
			if n := len(sink.Events()); n != 10 {
				t.Errorf("Close returned when %d of 10 were written", n)
			}
			if _, _, closes := sink.Calls(); closes != 1 {
				t.Errorf("Close returned after %d closes of the sink", closes)
			}
		})
	}
	started.Wait()
	close(gate)
	closing.Wait()
	if n := bus.Record(tracer.Event{Body: &tracer.Segment{}}); n != 0 {
		t.Errorf("Record after Close = %d", n)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

// TestBusReportsASinkOnce: a sink that fails gets nothing further, is closed, and the
// others go on.
func TestBusReportsASinkOnce(t *testing.T) {
	full, late := errors.New("disk full"), errors.New("close failed")
	failing, good := &tracertest.Sink{WriteErr: full, CloseErr: late}, &tracertest.Sink{}
	reports := make(chan error, 10)
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{OnError: func(err error) { reports <- err }}, failing, good)
	if err != nil {
		t.Fatal(err)
	}
	bus.Record(tracer.Event{Body: &tracer.StateChange{}})
	if err := <-reports; !errors.Is(err, full) {
		t.Errorf("reported %v", err)
	}
	for range 100 {
		bus.Record(tracer.Event{Body: &tracer.StateChange{}})
	}
	err = bus.Close()
	if !errors.Is(err, full) || !errors.Is(err, late) || strings.Count(err.Error(), "disk full") != 1 {
		t.Errorf("Close: %v", err)
	}
	if len(reports) != 0 {
		t.Errorf("reported again: %v", <-reports)
	}
	if _, writes, closes := failing.Calls(); writes != 1 || closes != 1 {
		t.Errorf("%d writes, %d closes of the sink that failed", writes, closes)
	}
	if n := len(good.Events()); n != 101 {
		t.Errorf("the other sink got %d of 101", n)
	}
}

func TestNewBusClosesWhatItStarted(t *testing.T) {
	no := errors.New("no")
	first, second, third := &tracertest.Sink{}, &tracertest.Sink{StartErr: no}, &tracertest.Sink{}
	if _, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, first, second, third); !errors.Is(err, no) {
		t.Errorf("NewBus: %v", err)
	}
	for i, want := range [][2]int{{1, 1}, {1, 0}, {0, 0}} {
		starts, _, closes := []*tracertest.Sink{first, second, third}[i].Calls()
		if [2]int{starts, closes} != want {
			t.Errorf("sink %d: %d starts, %d closes; want %v", i, starts, closes, want)
		}
	}
}

func TestBusStampsAndNumbers(t *testing.T) {
	started := time.Date(2026, 11, 20, 21, 6, 0, 0, time.UTC)
	now := time.Duration(0)
	sink := &tracertest.Sink{}
	bus, err := tracer.NewBus(tracer.Header{Go: "go"}, tracer.BusOptions{Started: started, Now: func() time.Duration { now += 5; return now }}, sink)
	if err != nil {
		t.Fatal(err)
	}
	bus.Record(tracer.Event{N: 99, T: 99, Body: &tracer.Timer{}})
	bus.Record(tracer.Event{Body: &tracer.Timer{}})
	if got := bus.Recorded(); got != 2 {
		t.Errorf("Recorded = %d", got)
	}
	if got := bus.Now(); got != 15 {
		t.Errorf("Now = %d", got)
	}
	if a, b := bus.NewConn(), bus.NewConn(); a != 1 || b != 2 {
		t.Errorf("NewConn gave %d, %d", a, b)
	}
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	for i, e := range sink.Events() {
		if e.N != uint64(i+1) || e.T != time.Duration(i+1)*5 {
			t.Errorf("event %d: n %d at %d", i, e.N, e.T)
		}
	}
	if h := sink.Header(); !h.Started.Equal(started) || h.Go != "go" {
		t.Errorf("header %+v", h)
	}
}

func TestAtLevel(t *testing.T) {
	if tracer.AtLevel(nil, tracer.LevelFull) != nil || tracer.AtLevel(&tracertest.Recorder{}, tracer.LevelOff) != nil {
		t.Error("off is not nil")
	}
	for level, want := range map[tracer.Level]int{tracer.LevelStates: 3, tracer.LevelSegments: 7, tracer.LevelFull: 8} {
		var rec tracertest.Recorder
		r := tracer.AtLevel(&rec, level)
		for _, b := range kinds {
			before := len(rec.Events())
			n := r.Record(tracer.Event{Body: b})
			if kept := len(rec.Events()) > before; kept != (n != 0) {
				t.Errorf("%v: Record of a %s = %d, kept %v", level, b.Type(), n, kept)
			}
		}
		if got := len(rec.Events()); got != want {
			t.Errorf("%v: %d events, want %d", level, got, want)
		}
		if r.NewConn() != 1 || rec.NewConn() != 2 {
			t.Errorf("%v: NewConn is not the recorder's", level)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, &discard{})
	if err != nil {
		b.Fatal(err)
	}
	e := tracer.Event{Stack: "s", Body: &tracer.Segment{}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			bus.Record(e)
		}
	})
	if err := bus.Close(); err != nil {
		b.Fatal(err)
	}
}

type discard struct{}

func (discard) Start(tracer.Header) error  { return nil }
func (discard) Write([]tracer.Event) error { return nil }
func (discard) Close() error               { return nil }
func (discard) Borrows() bool              { return true }
