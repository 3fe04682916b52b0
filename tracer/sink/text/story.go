package text

import (
	"io"
	"net/netip"
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

// What repeats: a line that says what has been said foldAfter times within the last
// foldWithin lines. As many of them in a row as fill a screen are folded.
const (
	foldAfter  = 2
	foldWithin = 16
	foldFrom   = 24
)

// WriteFolded writes the story of events as Write does, but for long runs of lines that say
// the same, one connection after the other or again and again, as in a flood of SYNs: of
// those it counts the lines of each kind. Lines say the same when they differ in nothing but
// number, time, connection and addresses: where sequence numbers move on, nothing repeats.
func (s *Sink) WriteFolded(events []tracer.Event) error {
	kinds := s.kindsOf(events)
	again := repeats(kinds)
	for i := 0; i < len(events); {
		end := i
		for end < len(events) && again[end] == again[i] {
			end++
		}
		if again[i] && end-i >= foldFrom {
			s.fold(events[i:end], kinds[i:end])
		} else if err := s.Write(events[i:end]); err != nil {
			return err
		}
		i = end
	}
	return s.flush()
}

// kindsOf are what the events' lines say, without what may differ where they say the same.
func (s *Sink) kindsOf(events []tracer.Event) []string {
	bare := New(io.Discard, Options{Conns: ConnsNever, Lang: s.o.Lang, Numbers: s.o.Numbers})
	kinds := make([]string, len(events))
	for i := range events {
		e := events[i]
		bare.Pass(&e)
		e.Body = withoutReferences(e.Body)
		kinds[i] = e.Stack + " " + strings.Join(strings.Fields(bare.Story(&e)), " ")
	}
	return kinds
}

// withoutReferences returns b without the numbers of other events and how long it took.
func withoutReferences(b tracer.Body) tracer.Body {
	switch b := b.(type) {
	case *tracer.Call:
		c := *b
		c.Of, c.Took = 0, 0
		return &c
	case *tracer.StateChange:
		c := *b
		c.Cause.N, c.Dwell = 0, 0
		return &c
	case *tracer.TCB:
		c := *b
		c.After = 0
		return &c
	case *tracer.End:
		c := *b
		c.Duration = 0
		return &c
	default:
		return b
	}
}

// repeats tells of each line whether it says what was said shortly before.
func repeats(kinds []string) []bool {
	again := make([]bool, len(kinds))
	recent := map[string]int{}
	for i, k := range kinds {
		again[i] = recent[k] >= foldAfter
		recent[k]++
		if i >= foldWithin {
			recent[kinds[i-foldWithin]]--
		}
	}
	return again
}

// fold writes a line for each kind of events' lines.
func (s *Sink) fold(events []tracer.Event, kinds []string) {
	var order []string
	of := map[string][]*tracer.Event{}
	for i := range events {
		e, k := &events[i], kinds[i]
		if of[k] == nil {
			order = append(order, k)
		}
		of[k] = append(of[k], e)
		s.Pass(e)
		if e.Body != nil && e.Body.Type() == tracer.TypeEnd {
			s.conns.ended(e)
		}
	}
	for _, k := range order {
		s.more(of[k], k)
	}
	s.lastT, s.lastN = events[len(events)-1].T, 0
}

// more tells of events what kind they are, how many, and with how many peers.
func (s *Sink) more(events []*tracer.Event, kind string) {
	first, last := events[0], events[len(events)-1]
	peers := map[netip.AddrPort]bool{}
	for _, e := range events {
		if e.Remote.IsValid() {
			peers[e.Remote] = true
		}
	}
	s.to(s.nWidth+len(gap)+s.timeWidth+len(gap), 0)
	s.say(dim, first.Stack)
	s.to(s.nWidth+len(gap)+s.timeWidth+len(gap)+s.labelWidth+len(gap), 0)
	if len(peers) > 1 {
		s.put(dim, s.o.Lang.F("… %d more, with %d peers, #%d to #%d: ", len(events), len(peers), first.N, last.N))
	} else {
		s.put(dim, s.o.Lang.F("… %d more, #%d to #%d: ", len(events), first.N, last.N))
	}
	s.say(plain, strings.TrimPrefix(kind, first.Stack+" "))
	s.end()
}
