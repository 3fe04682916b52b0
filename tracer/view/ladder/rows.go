package ladder

import (
	"slices"
	"time"

	"appliance/tracer"
	"appliance/tracer/view"
)

// builder lays a ladder out, item by item.
type builder struct {
	*Ladder
	crowd   bool              // of a listener, with all its clients
	listens [2]bool           // the end's way to LISTEN is among the items
	arrows  map[uint64]*Arrow // by the event that is an end of it
	results map[int]*tracer.Call
	folded  map[int]bool  // returns that their enter shows
	quiet   time.Duration // what is a silence
	gaps    map[int]*tracer.Event
	items   []view.Item
	latest  [2]int // by lane: the row of what happened there last
	isns    [2]isn // by lane: as of the arrow that is labelled
}

// together is how close what stands in one row happened.
const together = 50 * time.Microsecond

// leastSilence is the shortest silence that gets a row.
const leastSilence = 10 * time.Millisecond

// silence is from what time on nothing happening is a silence: much longer than most
// distances between two events.
func silence(t *view.Trace, items []view.Item) time.Duration {
	var gaps []time.Duration
	for k := 1; k < len(items); k++ {
		gaps = append(gaps, t.Events[items[k].Index].T-t.Events[items[k-1].Index].T)
	}
	if len(gaps) == 0 {
		return leastSilence
	}
	slices.Sort(gaps)
	return max(leastSilence, 6*gaps[len(gaps)*8/10])
}

// fold finds the calls that came back with nothing in between but what they did themselves:
// one mark shows the call and its result.
func (b *builder) fold(items []view.Item) {
	b.items = items
	b.results, b.folded = map[int]*tracer.Call{}, map[int]bool{}
	enters := map[uint64]int{}
	for k, it := range items {
		e := &b.trace.Events[it.Index]
		c, ok := e.Body.(*tracer.Call)
		if !ok {
			continue
		}
		if c.Phase == tracer.PhaseEnter {
			enters[e.N] = k
			continue
		}
		from, ok := enters[c.Of]
		if ok && b.undisturbed(from, k) {
			b.results[from] = c
			b.folded[k] = true
		}
	}
}

// undisturbed tells whether between two items nothing but the end's own doing lies.
func (b *builder) undisturbed(from, to int) bool {
	if to-from > maxFold {
		return false
	}
	end := b.items[from].End
	for k := from + 1; k < to; k++ {
		it := b.items[k]
		if it.End != end {
			return false
		}
		switch m := b.trace.Events[it.Index].Body.(type) {
		case *tracer.Segment:
			if m.Dir == tracer.In {
				return false
			}
		case *tracer.Datagram, *tracer.StateChange, *tracer.TCB:
		default:
			return false
		}
	}
	return b.trace.Events[b.items[to].Index].T-b.trace.Events[b.items[from].Index].T < leastSilence
}

// maxFold is over how many events a call and its return are one.
const maxFold = 8

// missing finds where in the story events are missing from the trace.
func (b *builder) missing(items []view.Item) {
	b.gaps = map[int]*tracer.Event{}
	if len(items) == 0 {
		return
	}
	events := b.trace.Events
	at := 0
	for i := items[0].Index; i <= items[len(items)-1].Index; i++ {
		if _, ok := events[i].Body.(*tracer.Lost); !ok {
			continue
		}
		for at < len(items) && items[at].Index < i {
			at++
		}
		b.gaps[at] = &events[i]
	}
}

// next puts the k-th item into the rows.
func (b *builder) next(k int, it view.Item) {
	e := &b.trace.Events[it.Index]
	if b.o.First != 0 && e.N < b.o.First || b.o.Last != 0 && e.N > b.o.Last {
		return
	}
	if g := b.gaps[k]; g != nil {
		lost, _ := g.Body.(*tracer.Lost)
		at := len(b.Rows)
		b.latest = [2]int{at, at} // what may be missing there is at either end
		b.Rows = append(b.Rows, Row{
			Kind: Missing, T: g.T, N: g.N,
			Text: b.o.Lang.F("%d events are missing here: the trace's writer fell behind", lost.Missed),
		})
	}
	if a := b.arrows[e.N]; a != nil {
		b.arrow(a, it.End, e)
		return
	}
	if m := b.mark(k, e); m != nil {
		b.place(m, it.End, e)
	}
}

// row begins a new row for e, after a silence where there was one.
func (b *builder) row(e *tracer.Event) *Row {
	if n := len(b.Rows); n > 0 {
		if d := e.T - b.Rows[n-1].T; d >= b.quiet {
			b.Rows = append(b.Rows, Row{Kind: Silence, T: e.T, For: d, N: e.N})
		}
	}
	b.Rows = append(b.Rows, Row{Kind: Moment, T: e.T, N: e.N})
	return &b.Rows[len(b.Rows)-1]
}

// last is the row that e may still be put into, or nil.
func (b *builder) last(e *tracer.Event) *Row {
	if len(b.Rows) == 0 {
		return nil
	}
	r := &b.Rows[len(b.Rows)-1]
	if r.Kind != Moment || e.T-r.T > together {
		return nil
	}
	return r
}

// place puts a mark beside the arrow that it comes of, else into a row of its own.
func (b *builder) place(m *Mark, end int, e *tracer.Event) {
	at := b.origin(end, e)
	if at < 0 || b.Rows[at].Marks[end] != nil {
		b.row(e)
		at = len(b.Rows) - 1
	}
	b.Rows[at].Marks[end] = m
	b.latest[end] = at
}

// origin is the row of the arrow that an event at an end comes of, -1 where there is none.
// A call that returns comes of the packet that its end saw arrive right before it.
func (b *builder) origin(end int, e *tracer.Event) int {
	switch body := e.Body.(type) {
	case *tracer.StateChange:
		return b.causeOf(end, body)
	case *tracer.Call:
		r := b.last(e)
		if body.Phase == tracer.PhaseReturn && r != nil && r.Part != Leaves && r.Arrow.arrivedAt(end) {
			return len(b.Rows) - 1
		}
	default:
	}
	return -1
}

// causeOf is the row in which a lane has its end of the packet that changed its state, -1
// where something else changed it or where the lane has come further since. When a change
// was seen does not matter: the kernel tells of it later than of the packet.
func (b *builder) causeOf(end int, s *tracer.StateChange) int {
	a := b.arrows[s.Cause.N]
	if a == nil || !ofPacket(s.Cause) {
		return -1
	}
	at := a.Arrives
	if a.From == end {
		at = a.Leaves
	}
	if at < b.latest[end] {
		return -1
	}
	return at
}

// ofPacket tells whether a packet is the cause.
func ofPacket(c tracer.Cause) bool {
	return c.Kind == tracer.CauseSegment || c.Kind == tracer.CauseICMP
}

// arrow puts one end of an arrow, as the lane end saw it, into the rows. One that leaves
// goes beside the mark before it at the same end.
func (b *builder) arrow(a *Arrow, end int, e *tracer.Event) {
	leaves := e == a.Sent
	both := a.Sent != nil && a.Received != nil
	part := Whole
	switch {
	case both && leaves, a.Fate == Lost, a.Fate == Unseen, a.Fate == UnderWay:
		part = Leaves
	case both, a.Fate == Strayed:
		part = Arrives
	}
	r := b.last(e)
	if !leaves || r == nil || r.Arrow != nil || r.Marks[1-end] != nil || r.Marks[end] != nil && !r.Marks[end].sends {
		r = b.row(e)
	}
	r.Arrow, r.Part = a, part
	at := len(b.Rows) - 1
	if part != Arrives {
		a.Leaves = at
	}
	if part != Leaves {
		a.Arrives = at
	}
	b.latest[end] = at
}

// mark is what an event shows at its end, or nil.
func (b *builder) mark(k int, e *tracer.Event) *Mark {
	m := &Mark{N: e.N, Conn: e.Conn, sends: true}
	switch body := e.Body.(type) {
	case *tracer.Call:
		result := b.results[k]
		if body.Phase != tracer.PhaseEnter {
			result = body
		}
		if b.folded[k] {
			return nil
		}
		m.Text, m.Data, m.Bad = b.callText(body, result)
		m.sends = body.Phase == tracer.PhaseEnter && body.Name != "recv" && body.Name != "accept"
	case *tracer.StateChange:
		if body.From == body.To {
			return nil
		}
		m.Kind, m.State, m.Text = MarkState, body.To, body.To.String()
		m.Dwell = b.dwell(e, body.To)
		m.sends = !ofPacket(body.Cause)
		if body.Error != "" {
			m.Text, m.Bad = m.Text+" ✗ "+clean(body.Error), true
		}
		if body.Via == "filled" {
			m.Text += " (" + b.o.Lang.T("filled in") + ")"
		}
	case *tracer.Timer:
		m.Kind, m.Text = MarkTimer, clean(b.o.Lang.T(body.Name))
		if body.RTO > 0 {
			m.Text += " " + span(body.RTO)
		}
	case *tracer.End:
		m.sends = false
		m.Kind, m.Bad = MarkEnd, body.How != tracer.HowFIN
		m.Text = view.How(b.o.Lang, body.How)
	default:
		return nil
	}
	return m
}

// dwell is how long the connection stays in the state that e begins: as the trace says of
// the change that ends it, else as long as the connection goes on.
func (b *builder) dwell(e *tracer.Event, state tracer.State) time.Duration {
	c := b.trace.Conn(e.Conn)
	if c == nil || c.Listener || state == tracer.Closed {
		return 0
	}
	if d := b.told(c, e, state); d > 0 {
		return d
	}
	for _, s := range c.Spans {
		if s.N == e.N && !s.Open {
			return s.To - s.From
		}
	}
	return 0
}

// told is the time in a state that e began, by the changes behind it: 0 where they do not
// tell. The stack may give the state another name meanwhile.
func (b *builder) told(c *view.Conn, e *tracer.Event, state tracer.State) time.Duration {
	var stay time.Duration
	at, _ := slices.BinarySearch(c.Events, b.trace.Index(e.N))
	for _, i := range c.Events[at+1:] {
		s, ok := b.trace.Events[i].Body.(*tracer.StateChange)
		if !ok {
			continue
		}
		stay += s.Dwell
		if s.To != state {
			return stay
		}
	}
	return 0
}
