package capture

import (
	"appliance/netstack"
	"appliance/tracer"
	"appliance/tracer/infer"
)

// Window is how many events a [Stream] keeps back where its maker names no number, in each
// of its two stages.
const Window = infer.MergeWindow

// Stream reads frames as [Read] does while they come. It keeps back the newest events, to
// which later frames may still give their connection (a SYN that nobody has answered yet)
// or before which a state change may still belong (that by a FIN, until it is acknowledged).
// What is further back is given out as it is; so a trace whose answers come later than that
// many events has SYNs without a connection, and state changes after other events than their
// causes. What else it remembers grows with the number of pairs of sockets. It is for one
// goroutine.
type Stream struct {
	r      *reader
	merger *infer.Merger // nil without states
	window int
	out    func([]tracer.Event) error
	err    error // the first of out's
}

// StreamOptions are a Stream's settings; the zero value is ready.
type StreamOptions struct {
	Read ReadOptions
	// Window is how many events are kept back; 0 means [Window].
	Window int
	// Ends has a connection's end told, as a stack does, when an end's state is CLOSED again:
	// with the totals of what was seen. It needs the states.
	Ends bool
}

// NewStream returns a Stream that hands the events to out, in order and numbered from 1 on,
// which must not keep the slice. What out errs with, the Stream's methods return.
func NewStream(out func([]tracer.Event) error, o StreamOptions) *Stream {
	s := &Stream{r: newReader(o.Read), window: o.Window, out: out}
	if s.window <= 0 {
		s.window = Window
	}
	if !o.Read.NoStates {
		own := infer.MergerOptions{Window: s.window}
		if o.Ends {
			own.After = newEnds().after
		}
		s.merger = infer.NewMerger(infer.Options{}, own)
	}
	return s
}

// Add takes the next frame. It returns what the frame carries; ok is false for one that
// [netstack.Dissect] cannot read, of which nothing is taken.
func (s *Stream) Add(f Frame) (p netstack.Packet, ok bool, err error) {
	p, ok = netstack.Dissect(f.Data)
	if ok && (p.TCP || !s.r.opts.TCPOnly) {
		s.r.packet(f, p)
	}
	if len(s.r.events) > s.window {
		s.release(max(len(s.r.events)/4, 1))
	}
	return p, ok, s.err
}

// Close hands out the events that are left.
func (s *Stream) Close() error {
	s.release(len(s.r.events))
	if s.merger != nil {
		s.give(s.merger.Close())
	}
	return s.err
}

// Conns returns how many connections there were so far, listeners included.
func (s *Stream) Conns() uint32 { return s.r.conns }

// release passes on the first n of the reader's events.
func (s *Stream) release(n int) {
	first := s.r.events[:n]
	if s.merger == nil {
		s.give(first)
	} else {
		for i := range first {
			s.give(s.merger.Add(first[i]))
		}
	}
	s.r.gone += n
	rest := copy(s.r.events, s.r.events[n:])
	clear(s.r.events[rest:])
	s.r.events = s.r.events[:rest]
}

func (s *Stream) give(events []tracer.Event) {
	if s.err == nil && len(events) > 0 {
		s.err = s.out(events)
	}
}
