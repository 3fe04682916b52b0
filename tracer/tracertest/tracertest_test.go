package tracertest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ofType(typ tracer.Type) func(tracer.Event) bool {
	return func(e tracer.Event) bool { return e.Body.Type() == typ }
}

func TestRecorder(t *testing.T) {
	var rec tracertest.Recorder
	if n := rec.Record(tracer.Event{Body: &tracer.Timer{}}); n != 1 {
		t.Errorf("first n = %d", n)
	}
	// One that is there already is found, even when the deadline has passed.
	if e, err := rec.WaitFor(ofType(tracer.TypeTimer), time.Now()); err != nil || e.N != 1 {
		t.Errorf("WaitFor: %v, %v", e, err)
	}
	found := make(chan error)
	for range 3 {
		go func() {
			e, err := rec.WaitFor(ofType(tracer.TypeEnd), time.Now().Add(10*time.Second))
			if err == nil && e.N != 3 {
				err = errors.New("not the first")
			}
			found <- err
		}()
	}
	rec.Record(tracer.Event{Body: &tracer.Lost{}})
	rec.Record(tracer.Event{Body: &tracer.End{}})
	rec.Record(tracer.Event{Body: &tracer.End{}})
	for range 3 {
		if err := <-found; err != nil {
			t.Error(err)
		}
	}
	_, err := rec.WaitFor(ofType(tracer.TypeCall), time.Now().Add(time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "among 4") || !strings.Contains(err.Error(), `"type":"lost"`) {
		t.Errorf("WaitFor of what does not come: %v", err)
	}
	events := rec.Events()
	events[0].N = 77
	if rec.Events()[0].N != 1 {
		t.Error("Events gave away its own slice")
	}
	for i, e := range rec.Events() {
		if i > 0 && e.T < rec.Events()[i-1].T {
			t.Error("the time went back")
		}
	}
	if rec.NewConn() != 1 || rec.NewConn() != 2 {
		t.Error("NewConn does not count")
	}
}

func TestRecorderClock(t *testing.T) {
	rec := tracertest.Recorder{Clock: func() time.Duration { return 7 }}
	rec.Record(tracer.Event{Body: &tracer.Timer{}})
	if e := rec.Events()[0]; e.T != 7 {
		t.Errorf("T = %d", e.T)
	}
	if rec.Now() != 7 {
		t.Errorf("Now = %d", rec.Now())
	}
}

func TestSink(t *testing.T) {
	no := errors.New("no")
	s := &tracertest.Sink{WriteErr: no, CloseErr: no, StartErr: no}
	if !errors.Is(s.Start(tracer.Header{Go: "x"}), no) || !errors.Is(s.Write(make([]tracer.Event, 2)), no) || !errors.Is(s.Close(), no) {
		t.Error("errors are not returned")
	}
	if len(s.Events()) != 0 || s.Header().Go != "x" {
		t.Error("kept events of a failed write, or not the header")
	}
}
