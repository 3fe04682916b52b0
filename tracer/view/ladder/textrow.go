package ladder

import (
	"appliance/tracer/view/words"
)

// row writes the i-th row: as many lines as the longest of its three parts needs.
func (t *texter) row(i int) {
	r := &t.rows[i]
	switch r.Kind {
	case Silence:
		t.note(r, "⋮", t.Ladder.o.Lang.F("%s of silence", span(r.For)), dim)
		return
	case Missing:
		t.note(r, "⋮", "… "+r.Text, red)
		return
	case Moment:
	}
	var sides [2][]string
	for end, m := range r.marks {
		if m != nil {
			sides[end] = t.sayIn(m, [2]int{t.side0, t.side}[end])
		}
	}
	middle := t.between(r)
	for k := 0; k < max(len(sides[0]), len(sides[1]), len(middle), 1); k++ {
		if k == 0 {
			if at := millis(r.T); at != t.clock {
				t.to(t.time - len(at))
				t.put(dim, at)
				t.clock = at
			}
		}
		if k < len(sides[0]) {
			t.to(t.lane0 - 1 - words.Width(sides[0][k]))
			t.put(markStyle(r.marks[0]), sides[0][k])
		}
		t.to(t.lane0)
		t.lane(r, 0, k)
		if k < len(middle) {
			for _, run := range middle[k] {
				t.put(run.style, run.text)
			}
		} else {
			t.goesOn(r)
		}
		t.to(t.lane1)
		t.lane(r, 1, k)
		if k < len(sides[1]) {
			t.put(plain, " ")
			t.put(markStyle(r.marks[1]), sides[1][k])
		}
		t.end()
	}
}

// note writes a row that breaks both lanes.
func (t *texter) note(r *textRow, lane, text string, st style) {
	room := t.middle - 2
	if r.through != nil {
		bend := t.bendAt(r.through)
		room = max(bend-1, t.middle-bend-2)
	}
	for _, s := range wrap(text, room) {
		t.to(t.lane0)
		t.put(dim, lane)
		t.noteLine(r, s, st)
		t.to(t.lane1)
		t.put(dim, lane)
		t.end()
	}
}

// noteLine writes one line of a note between the lanes. An arrow that is on its way meanwhile
// goes on beside the text.
func (t *texter) noteLine(r *textRow, s string, st style) {
	at := t.lane0 + 1 + (t.middle-words.Width(s))/2
	if r.through == nil {
		t.to(at)
		t.put(st, s)
		return
	}
	bend := t.lane0 + 1 + t.bendAt(r.through)
	if at = min(at, bend-1-words.Width(s)); at <= t.lane0 {
		at = bend + 2
	}
	if bend < at {
		t.to(bend)
		t.put(dim, "┊")
	}
	t.to(at)
	t.put(st, s)
	if bend > at {
		t.to(bend)
		t.put(dim, "┊")
	}
}

// lane writes the lane itself: a mark where the state changes.
func (t *texter) lane(r *textRow, end, k int) {
	p := r.Phases[end]
	if m := r.marks[end]; m != nil && m.Kind == MarkState {
		p = Phase{m.State, true}
		if k == 0 {
			t.put(stateStyle(p.State), "●")
			return
		}
	}
	st := dim
	if p.Known {
		st = stateStyle(p.State)
	}
	t.put(st, laneGlyph(p))
}

// markStyle is the style of what is said at an end.
func markStyle(m *Mark) style {
	switch {
	case m.Bad:
		return red
	case m.Kind == MarkState:
		return stateStyle(m.State)
	case m.Kind == MarkTimer:
		return amber
	case m.Kind == MarkEnd:
		return bold
	default:
		return violet
	}
}
