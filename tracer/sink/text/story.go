package text

import (
	"strings"

	"appliance/tracer"
)

// Story returns what an event's line tells behind the columns of number, time and stack,
// for a view that has columns of its own. With Options.Color its styles are the terminal's
// SGR sequences; nothing else in it is a control character. A Sink that is asked for
// stories is asked for those of all events, in order, and is not written to.
func (s *Sink) Story(e *tracer.Event) string {
	s.conns.see(e)
	s.buf, s.col, s.last, s.event0 = s.buf[:0], 0, plain, 0
	s.body(e)
	story := strings.TrimRight(string(s.buf), " ")
	s.buf = s.buf[:0]
	s.lastT, s.lastN = e.T, e.N
	if e.Body != nil && e.Body.Type() == tracer.TypeEnd {
		s.conns.ended(e)
	}
	return story
}
