package bench

import (
	"sync"

	"appliance/tracer"
	"appliance/tracer/sink/jsonl"
)

// sink counts events and passes them on to a file, or to nobody.
type sink struct {
	to   *jsonl.Sink // nil: they are thrown away
	file *traceFile  // that it writes to

	mu      sync.Mutex
	written uint64
	missed  uint64
}

var _ tracer.Borrower = (*sink)(nil)

// newSink makes a sink as the options say.
func newSink(o Options) (*sink, error) {
	s := &sink{}
	if o.Sink == Discard {
		return s, nil
	}
	var err error
	if s.file, err = newTraceFile(o.Dir); err != nil {
		return nil, err
	}
	s.to = jsonl.New(s.file)
	return s, nil
}

// Start implements tracer.Sink.
func (s *sink) Start(h tracer.Header) error {
	if s.to == nil {
		return nil
	}
	return s.to.Start(h)
}

// Borrows implements tracer.Borrower, as the file's sink does.
func (s *sink) Borrows() bool { return true }

// Write implements tracer.Sink.
func (s *sink) Write(events []tracer.Event) error {
	var missed, written uint64
	for i := range events {
		if l, ok := events[i].Body.(*tracer.Lost); ok {
			missed += l.Missed
		} else {
			written++
		}
	}
	if s.to != nil {
		if err := s.to.Write(events); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += written
	s.missed += missed
	return nil
}

// Close implements tracer.Sink.
func (s *sink) Close() error {
	if s.to == nil {
		return nil
	}
	return s.to.Close()
}

// free gives the file's space back, once the trace is closed.
func (s *sink) free() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// events is how many events there were by now, lost ones included.
func (s *sink) events() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written + s.missed
}

// lostShare is how many of all events were lost.
func (s *sink) lostShare() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missed == 0 {
		return 0
	}
	return float64(s.missed) / float64(s.missed+s.written)
}
