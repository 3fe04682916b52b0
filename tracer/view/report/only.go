package report

import (
	"fmt"

	"appliance/tracer"
	"appliance/tracer/view"
)

// only returns the part of t that is about those connections: their stories and their other
// ends', how their listeners came to listen, and whatever all these follow from, back to
// what began it. It errs where there is no such connection.
func only(t *view.Trace, conns []uint32) (*view.Trace, error) {
	if len(conns) == 0 {
		return t, nil
	}
	s := selection{t: t, causes: causes(t), keep: make([]bool, len(t.Events))}
	for _, id := range conns {
		c := t.Conn(id)
		if c == nil {
			return nil, fmt.Errorf("connection %d is not in the trace: trace summary lists those that are", id)
		}
		p, ok := t.PairOf(id)
		if !ok {
			p = view.Pair{A: c} // a listener, or a socket for datagrams
		}
		for _, it := range t.Story(p) {
			s.add(it.Index)
		}
		for _, end := range []*view.Conn{p.A, p.B} {
			if end != nil {
				s.listening(t.Conn(end.Parent))
			}
		}
	}
	var events []tracer.Event
	for i, k := range s.keep {
		if k {
			events = append(events, t.Events[i])
		}
	}
	return view.New(t.Header, events), nil
}

// selection is which events of a trace to keep.
type selection struct {
	t      *view.Trace
	causes []cause
	keep   []bool
}

// add keeps an event and what it follows from.
func (s *selection) add(i int) {
	for i >= 0 && !s.keep[i] {
		s.keep[i] = true
		i = s.t.Index(s.causes[i].n)
	}
}

// listening keeps how a listener came to listen: without that it would be taken for a
// connection.
func (s *selection) listening(l *view.Conn) {
	if l == nil {
		return
	}
	for _, i := range l.Events {
		switch b := s.t.Events[i].Body.(type) {
		case *tracer.StateChange:
			s.add(i)
		case *tracer.Call:
			if b.Name != "accept" {
				s.add(i)
			}
		default:
		}
	}
}
