package infer

import (
	"sort"

	"appliance/tracer"
)

// MergeWindow is how many events a [Merger] keeps back where its maker names no number.
const MergeWindow = 1 << 16

// maxSteps bounds what a Merger remembers to tell an event's new number from its old one.
const maxSteps = 1 << 20

// Merger does what [Merge] does while the trace comes, in bounded memory: it keeps back the
// newest events, among which a change can still be put in its place. A change that belongs
// further back stands before all that are kept. It is for one goroutine.
type Merger struct {
	i      *Inferrer
	window int
	after  func([]tracer.Event) []tracer.Event
	kept   []kept
	out    []tracer.Event
	next   uint64 // the number of the next event that is given out, less 1
	steps  []step
}

// kept is an event that is kept back, with the changes around it.
type kept struct {
	e             tracer.Event
	ahead, behind []derived
}

// step says that from the old number on the new ones are larger by delta.
type step struct{ old, delta uint64 }

// MergerOptions are a Merger's own settings; the zero value is ready.
type MergerOptions struct {
	// Window is how many events are kept back; 0 means [MergeWindow].
	Window int
	// After, where it is not nil, is called with each event of the trace and the changes
	// around it, in order and in their final form. What it returns is put in behind them,
	// and numbered. It must not keep the slice.
	After func([]tracer.Event) []tracer.Event
}

// NewMerger returns a Merger.
func NewMerger(o Options, own MergerOptions) *Merger {
	if own.Window <= 0 {
		own.Window = MergeWindow
	}
	return &Merger{i: New(o), window: own.Window, after: own.After}
}

// Add takes the next event of the trace, which is numbered from 1 on. It returns those that
// are in their final place, in order and numbered anew; the slice is valid until the next
// call. What was given to Add must not be changed.
func (m *Merger) Add(e tracer.Event) []tracer.Event {
	m.kept = append(m.kept, kept{e: e})
	for _, d := range m.i.feed(e) {
		m.place(d)
	}
	m.out = m.out[:0]
	if len(m.kept) > m.window {
		m.release(max(len(m.kept)/4, 1))
	}
	return m.out
}

// Close returns the events that are left.
func (m *Merger) Close() []tracer.Event {
	m.out = m.out[:0]
	m.release(len(m.kept))
	return m.out
}

// place puts a change where it belongs among the events that are kept.
func (m *Merger) place(d derived) {
	at := sort.Search(len(m.kept), func(i int) bool { return m.kept[i].e.N >= d.anchor })
	switch {
	case at == len(m.kept):
		k := &m.kept[at-1]
		k.behind = append(k.behind, d)
	case m.kept[at].e.N > d.anchor || d.ahead:
		m.kept[at].ahead = append(m.kept[at].ahead, d)
	default:
		m.kept[at].behind = append(m.kept[at].behind, d)
	}
}

// release gives out the first n of the events that are kept.
func (m *Merger) release(n int) {
	for i := range m.kept[:n] {
		k, first := &m.kept[i], len(m.out)
		for _, d := range k.ahead {
			m.give(placed(d, k.e))
			m.step(k.e.N)
		}
		m.give(k.e)
		if l, ok := k.e.Body.(*tracer.Lost); ok && l.Missed > 1 {
			m.next += l.Missed - 1
		}
		for _, d := range k.behind {
			m.give(placed(d, k.e))
			m.step(k.e.N + 1)
		}
		if m.after == nil {
			continue
		}
		for _, e := range m.after(m.out[first:]) {
			m.next++
			e.N = m.next
			m.out = append(m.out, e)
			m.step(k.e.N + 1)
		}
	}
	rest := copy(m.kept, m.kept[n:])
	clear(m.kept[rest:])
	m.kept = m.kept[:rest]
}

// give numbers an event and gives it out.
func (m *Merger) give(e tracer.Event) {
	m.next++
	e.N = m.next
	if c, ok := m.i.aliases[e.Conn]; ok {
		e.Conn = c
	}
	if c, ok := m.i.aliases[e.Parent]; ok {
		e.Parent = c
	}
	e.Body = renamed(e.Body, m.number)
	m.out = append(m.out, e)
}

// step takes note that a change was put in before the event that had the number old.
func (m *Merger) step(old uint64) {
	last := len(m.steps) - 1
	delta := uint64(1)
	if last >= 0 {
		delta += m.steps[last].delta
		if m.steps[last].old == old {
			m.steps[last].delta = delta
			return
		}
	}
	if len(m.steps) >= maxSteps {
		m.steps = append(m.steps[:0], m.steps[maxSteps/2:]...)
	}
	m.steps = append(m.steps, step{old, delta})
}

// number is an event's new number; 0 where that is forgotten, or where it has none.
func (m *Merger) number(old uint64) uint64 {
	if old == 0 {
		return 0
	}
	at := sort.Search(len(m.steps), func(i int) bool { return m.steps[i].old > old })
	switch {
	case at > 0:
		return old + m.steps[at-1].delta
	case len(m.steps) > 0 && m.steps[0].delta > 1: // the first steps are forgotten
		return 0
	default:
		return old
	}
}
