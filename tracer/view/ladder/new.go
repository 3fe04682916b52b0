package ladder

import (
	"appliance/tracer"
	"appliance/tracer/view"
)

// New lays out what happened between the two ends of a pair: of a connection
// ([view.Trace.Pairs]), of a flow ([view.Trace.Flows]), or of a listener alone.
func New(t *view.Trace, pair view.Pair, o Options) *Ladder {
	l := &Ladder{trace: t, o: o}
	b := builder{Ladder: l}
	var items []view.Item
	if pair.A.Listener {
		items = t.Whole(pair.A)
		b.crowd = true
	} else {
		items = t.Story(pair)
	}
	items = b.lanes(pair, items)
	b.match(items)
	b.fold(items)
	b.quiet = silence(t, items)
	b.missing(items)
	for k, it := range items {
		b.next(k, it)
	}
	b.phases()
	return l
}

// begin brings a lane to the state that it is in when the part that is drawn begins.
func (b *builder) begin(it view.Item) {
	e := &b.trace.Events[it.Index]
	if s, ok := e.Body.(*tracer.StateChange); ok && e.N < b.o.First {
		b.Lanes[it.End].First = Phase{s.To, true}
	}
}

// lanes finds out which end is on which side, and returns the items, with the ends of those
// that are swapped for it.
func (b *builder) lanes(p view.Pair, items []view.Item) []view.Item {
	conns := [2]*view.Conn{p.A, p.B}
	swap := p.B == nil && (p.A.Role() == tracer.Passive || p.A.Listener || p.A.Role() == "" && b.answers(items))
	if swap {
		conns[0], conns[1] = nil, p.A
		for i := range items {
			items[i].End = 1 - items[i].End
		}
	}
	for end, c := range conns {
		lane := &b.Lanes[end]
		lane.Conn = c
		if c == nil {
			continue
		}
		lane.Name = c.Stack
		if c.Local.IsValid() {
			lane.Addr = c.Local.String()
		}
	}
	for _, it := range items {
		b.learn(it)
	}
	for end := range b.Lanes {
		lane, other := &b.Lanes[end], &b.Lanes[1-end]
		if lane.Name == "" {
			lane.Name = b.o.Lang.T("other end")
		}
		if lane.Addr == "" && other.Conn != nil && other.Conn.Remote.IsValid() {
			lane.Addr = other.Conn.Remote.String()
		}
		if !b.listens[end] { // else the rows tell how it came to listen
			lane.First = b.firstPhase(lane.Conn)
		}
	}
	if b.crowd {
		b.Lanes[0].Name = b.o.Lang.T("clients")
	}
	for _, it := range items {
		b.begin(it)
	}
	return items
}

// learn takes from an item what its lane has.
func (b *builder) learn(it view.Item) {
	e := &b.trace.Events[it.Index]
	lane := &b.Lanes[it.End]
	if lane.Name == "" {
		lane.Name = e.Stack
		if e.Local.IsValid() {
			lane.Addr = e.Local.String()
		}
	}
	switch s := e.Body.(type) {
	case *tracer.StateChange:
		b.TCP = true
		if s.From != s.To {
			lane.States++
			if s.Via == "inferred" {
				lane.Inferred++
			}
		}
		if s.To == tracer.Listen {
			b.listens[it.End] = true
		}
	case *tracer.Segment:
		b.TCP = true
		lane.Traced = true
	case *tracer.Datagram, *tracer.ICMP:
		lane.Traced = true
	default:
	}
}

// answers tells whether the first packet comes in: then the other end began.
func (b *builder) answers(items []view.Item) bool {
	for _, it := range items {
		if dir, ok := direction(b.trace.Events[it.Index].Body); ok {
			return dir == tracer.In
		}
	}
	return false
}

// firstPhase is the state that an end was in before its first change: a connection that a
// listener made was in LISTEN, as that part of the story is the listener's.
func (b *builder) firstPhase(c *view.Conn) Phase {
	if c == nil || len(c.Spans) == 0 || c.Spans[0].N == 0 {
		return Phase{}
	}
	s, ok := b.trace.ByN(c.Spans[0].N).Body.(*tracer.StateChange)
	if !ok || s.From == tracer.Closed {
		return Phase{}
	}
	return Phase{s.From, true}
}

// phases fills in the states after each row.
func (b *builder) phases() {
	now := [2]Phase{b.Lanes[0].First, b.Lanes[1].First}
	for i := range b.Rows {
		r := &b.Rows[i]
		for end, m := range r.Marks {
			if m != nil && m.Kind == MarkState {
				now[end] = Phase{m.State, true}
			}
		}
		r.Phases = now
	}
}

// direction is an event's way, where it is a packet.
func direction(b tracer.Body) (tracer.Direction, bool) {
	switch b := b.(type) {
	case *tracer.Segment:
		return b.Dir, true
	case *tracer.Datagram:
		return b.Dir, true
	case *tracer.ICMP:
		return b.Dir, true
	default:
		return "", false
	}
}
