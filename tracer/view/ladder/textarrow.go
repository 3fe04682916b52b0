package ladder

import (
	"strconv"
	"strings"

	"appliance/tracer/view/words"
)

// run is a text in one style.
type run struct {
	style style
	text  string
}

// between are the lines between the lanes.
func (t *texter) between(r *textRow) [][]run {
	a := r.Arrow
	if a == nil {
		return nil
	}
	if r.part == Arrives && a.Fate != Strayed {
		return [][]run{t.arriving(r)}
	}
	lines := t.labelIn(a, t.middle-t.decoration(r), t.middle-t.beneath(r))
	out := [][]run{t.leaving(r, lines[0])}
	for _, l := range lines[1:] {
		out = append(out, t.more(r, l))
	}
	return out
}

// more is a further line of a label, under the first.
func (t *texter) more(r *textRow, label []run) []run {
	width := 0
	for _, x := range label {
		width += t.widthOf(x.text)
	}
	a := r.Arrow
	at := t.bendAt(a)
	switch {
	case r.bend == nil && a.From == 0:
		return append([]run{{plain, "   "}}, label...)
	case r.bend == nil:
		return append([]run{{plain, strings.Repeat(" ", max(t.middle-3-width, 0))}}, label...)
	case a.From == 0:
		return append(append([]run{{plain, "   "}}, label...), run{plain, strings.Repeat(" ", max(at-3-width, 0))}, run{arrowStyle(a), "│"})
	default:
		return append([]run{{plain, strings.Repeat(" ", at)}, {arrowStyle(a), "│"}, {plain, strings.Repeat(" ", max(t.middle-at-4-width, 0))}}, label...)
	}
}

// usual are the pieces of a label that the layout makes room for in one line.
func usual(a *Arrow) []Piece {
	for i, p := range a.Label {
		if p.Kind > PieceNumbers {
			return a.Label[:i]
		}
	}
	return a.Label
}

func (t *texter) widthOf(s string) int {
	if t.ascii {
		s = ascii(s)
	}
	return words.Width(s)
}

// decoration is how many columns of the first line are no label.
func (t *texter) decoration(r *textRow) int {
	a, n := r.Arrow, ornament(r.Arrow)
	switch {
	case a.Fate == Lost || a.Fate == Unseen || a.Fate == UnderWay:
		return n
	case r.bend != nil:
		return n + min(t.bendAt(a), t.middle-1-t.bendAt(a)) // it goes down before the other lane
	case r.part == Leaves:
		return n + 2 + len(ref(a))
	default:
		return n
	}
}

// beneath is how many columns of the further lines are no label: as far from their lane as
// the first, and beside an arrow that goes down.
func (t *texter) beneath(r *textRow) int {
	if r.bend == nil {
		return 3 + 1
	}
	return 3 + 1 + min(t.bendAt(r.Arrow)+1, t.middle-t.bendAt(r.Arrow))
}

// ref is how the two ends of an arrow refer to each other: the number of the first event.
func ref(a *Arrow) string { return "#" + strconv.FormatUint(a.N(), 10) }

// labelIn is an arrow's label in lines: the first of at most width columns, the others of
// beneath.
func (t *texter) labelIn(a *Arrow, width, beneath int) [][]run {
	var lines [][]run
	var now []run
	used := 0
	end := func() { lines, now, used, width = append(lines, now), nil, 0, beneath }
	for _, p := range a.Label {
		text := t.plainPiece(p)
		if used > 0 && used+2+words.Width(text) > width {
			end()
		}
		if used > 0 {
			now = append(now, run{plain, "  "})
			used += 2
		}
		for text != "" {
			head, rest := firstLine(text, width-used)
			now = append(now, run{pieceStyle(a, p), head})
			text = rest
			used += words.Width(head)
			if text != "" {
				end()
			}
		}
	}
	return append(lines, now)
}

func (t *texter) plainPiece(p Piece) string {
	s := p.Text
	if p.Kind == PieceDropped {
		s = "✗ " + s
	}
	if t.ascii {
		s = ascii(s)
	}
	return s
}

// pieces is a label's pieces in one line.
func (t *texter) pieces(ps []Piece) string {
	var texts []string
	for _, p := range ps {
		texts = append(texts, t.plainPiece(p))
	}
	return strings.Join(texts, "  ")
}

func arrowStyle(a *Arrow) style {
	switch {
	case a.Fate == Lost || a.Fate == Unseen || a.Fate == Refused:
		return red
	case a.Repeat:
		return amber
	case a.From == 0:
		return right
	default:
		return left
	}
}

func pieceStyle(a *Arrow, p Piece) style {
	switch p.Kind {
	case PieceFlags:
		return style("1;" + string(arrowStyle(a)))
	case PieceNote:
		return amber
	case PieceDropped:
		return red
	case PieceNumbers:
		return plain
	default:
		return dim
	}
}

// leaving is the first line of an arrow: its label beside the lane that it leaves, then the
// line as far as it goes in this row.
func (t *texter) leaving(r *textRow, label []run) []run {
	a := r.Arrow
	st := arrowStyle(a)
	used := 0
	for _, x := range label {
		used += t.widthOf(x.text)
	}
	far := t.middle - used - 3 // what is left beyond the label, its space included
	head := "▶"
	if a.From == 1 {
		head = "◀"
	}
	var tail, gap string
	switch {
	case r.part == Whole && a.Fate == Refused:
		tail = " " + dashes(far-3) + "✗"
		gap = " "
	case r.part == Whole || a.Fate == Strayed:
		tail = " " + dashes(far-2) + head
	case a.Fate == Lost || a.Fate == Unseen || a.Fate == UnderWay:
		if a.Fate != UnderWay {
			head = "✗"
		}
		line := max(min(far*3/5, far-6), 1)
		tail = " " + dashes(line) + head
		gap = strings.Repeat(" ", max(far-2-line, 0))
	case r.bend != nil:
		at := t.bendAt(a)
		line := at - used - 3 - 1
		corner := "╮"
		if a.From == 1 {
			line = t.middle - 1 - at - used - 3 - 1
			corner = "╭"
		}
		if line < 1 {
			line = far - 2
		}
		tail = " " + dashes(line) + corner
		gap = strings.Repeat(" ", max(far-2-line, 0))
	default:
		tail = " " + dashes(far-len(ref(a))-5) + "┈┈ "
		gap = ref(a) + " "
	}
	if a.From == 0 {
		return append(append([]run{{st, "──"}, {plain, " "}}, label...), run{st, tail}, run{dim, gap})
	}
	return append(append([]run{{dim, mirror(gap)}, {st, mirror(tail)}}, label...), run{plain, " "}, run{st, "──"})
}

// arriving is the line of an arrow that left in a row above.
func (t *texter) arriving(r *textRow) []run {
	a := r.Arrow
	st := arrowStyle(a)
	end := "▶"
	if a.From == 1 {
		end = "◀"
	}
	if a.Fate == Refused {
		end = "✗"
	}
	var runs []run
	if r.bend != nil {
		at := t.bendAt(a)
		if a.From == 0 {
			return []run{{plain, strings.Repeat(" ", at)}, {st, "╰" + dashes(t.middle-at-2) + end}}
		}
		return []run{{st, end + dashes(at-1) + "╯"}}
	}
	label := " " + ref(a) + " "
	flags := ""
	if len(a.Label) > 0 {
		flags = " " + a.Label[0].Text + " "
	}
	line := t.middle - len(label) - 2 - len(flags) - 4
	if line < 1 {
		flags, line = "", t.middle-len(label)-2-4
	}
	if a.From == 0 {
		runs = []run{{dim, label}, {st, "┈┈" + dashes(line)}, {st, flags}, {st, "───" + end}}
	} else {
		runs = []run{{st, end + "───"}, {st, flags}, {st, dashes(line) + "┈┈"}, {dim, label}}
	}
	return runs
}

// bendAt is the column, from the left lane on, in which an arrow that is alone on its way
// goes down.
func (t *texter) bendAt(a *Arrow) int {
	beside := 5
	if t.middle < usualWidth/3 {
		beside = 2
	}
	if a.From == 0 {
		return t.middle - 1 - beside
	}
	return beside
}

// goesOn draws the arrow that goes down through a line.
func (t *texter) goesOn(r *textRow) {
	a := r.through
	if a == nil && r.bend != nil && r.part == Leaves {
		a = r.bend
	}
	if a != nil {
		t.to(t.lane0 + 1 + t.bendAt(a))
		t.put(arrowStyle(a), "│")
	}
}

func dashes(n int) string { return strings.Repeat("─", max(n, 0)) }

// mirror is a piece of an arrow, drawn the other way.
func mirror(s string) string {
	if strings.HasPrefix(s, "#") {
		return " " + strings.TrimRight(s, " ")
	}
	rs := []rune(s)
	for i, j := 0, len(rs)-1; i < j; i, j = i+1, j-1 {
		rs[i], rs[j] = rs[j], rs[i]
	}
	return string(rs)
}
