package ladder

import (
	"fmt"
	"io"
	"time"

	"appliance/tracer/view/words"
)

// TextOptions are the settings of a ladder in text; the zero value is ready.
type TextOptions struct {
	// Width is how many columns no line is wider than; 0 means 100, and less than 60 means
	// 60.
	Width int
	// ASCII draws with ASCII characters only.
	ASCII bool
	// Color marks states, arrows and calls with the terminal's own 8 colours.
	Color bool
}

// The least and the usual width of a ladder in text, in columns.
const (
	LeastWidth = 60
	usualWidth = 100
)

// quick is how fast an arrow must be, and alone, to be drawn in one row of text.
const quick = time.Millisecond

// Text writes the ladder for a terminal.
func (l *Ladder) Text(w io.Writer, o TextOptions) error {
	if o.Width == 0 {
		o.Width = usualWidth
	}
	t := texter{Ladder: l, o: o, rows: l.joined()}
	t.color, t.ascii = o.Color, o.ASCII
	t.layout(max(o.Width, LeastWidth))
	t.head()
	for i := range t.rows {
		t.row(i)
		if len(t.buf) > 64<<10 {
			if err := t.flush(w); err != nil {
				return err
			}
		}
	}
	return t.flush(w)
}

// Text writes ladders one below the other.
func Text(w io.Writer, ladders []*Ladder, o TextOptions) error {
	for i, l := range ladders {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return fmt.Errorf("write the ladders: %w", err)
			}
		}
		if err := l.Text(w, o); err != nil {
			return err
		}
	}
	return nil
}

// texter writes one ladder.
type texter struct {
	*Ladder
	line
	o    TextOptions
	rows []textRow

	// The columns: the time's last, the lanes', and the widths of what is beside and
	// between them.
	time, lane0, lane1  int
	side0, middle, side int
	width               int
	clock               string // the time that was written last
}

// textRow is a row; of an arrow that arrives at once, both ends.
type textRow struct {
	*Row
	marks [2]*Mark
	part  Part
	// bend is where an arrow that is alone on its way goes down: it left in a row above,
	// or goes on below.
	bend, through *Arrow
}

func (t *texter) flush(w io.Writer) error {
	_, err := w.Write(t.buf)
	t.buf = t.buf[:0]
	if err != nil {
		return fmt.Errorf("write the ladder: %w", err)
	}
	return nil
}

// joined returns the rows with the arrows that arrive at once in one row, and finds out
// which of the others are alone on their way.
func (l *Ladder) joined() []textRow {
	skip := map[int]bool{}
	rows := make([]textRow, 0, len(l.Rows))
	for i := range l.Rows {
		if skip[i] {
			continue
		}
		r := &l.Rows[i]
		tr := textRow{Row: r, marks: r.Marks, part: r.Part}
		if a := r.Arrow; a != nil && r.Part == Leaves && a.Arrives > i && l.atOnce(i, a) {
			tr.part = Whole
			tr.marks[a.To] = l.Rows[a.Arrives].Marks[a.To]
			skip[a.Arrives] = true
		}
		rows = append(rows, tr)
	}
	bends(rows)
	return rows
}

// atOnce tells whether an arrow that leaves in the i-th row can be drawn in it: until it
// arrives nothing happens but at its own end, and that soon.
func (l *Ladder) atOnce(i int, a *Arrow) bool {
	if l.Rows[a.Arrives].T-l.Rows[i].T > quick {
		return false
	}
	for k := i + 1; k < a.Arrives; k++ {
		r := &l.Rows[k]
		if r.Kind != Moment || r.Arrow != nil || r.Marks[a.To] != nil {
			return false
		}
	}
	return true
}

// bends marks the rows through which an arrow goes down that is alone on its way.
func bends(rows []textRow) {
	for i := range rows {
		a := rows[i].Arrow
		if a == nil || rows[i].part != Leaves || a.Arrives < 0 {
			continue
		}
		for k := i + 1; k < len(rows); k++ {
			r := &rows[k]
			if r.Arrow == a {
				rows[i].bend, r.bend = a, a
				for j := i + 1; j < k; j++ {
					rows[j].through = a
				}
			}
			if r.Arrow != nil || r.Kind == Missing {
				break
			}
		}
	}
}

// The columns that the parts have at least.
const (
	leastSide   = 12 // "SYN-RECEIVED"
	leastMiddle = 20
)

// layout finds the columns: the labels of arrows first, then what is said at the ends.
func (t *texter) layout(width int) {
	t.width = width
	t.time = len("0.000")
	need, least, label := [2]int{}, [2]int{leastSide, leastSide}, 0
	for i := range t.rows {
		r := &t.rows[i]
		t.time = max(t.time, len(millis(r.T)))
		for end, m := range r.marks {
			if m != nil {
				need[end] = max(need[end], words.Width(t.say(m)))
				least[end] = max(least[end], longestWord(glyph(m.Kind)+m.Text))
			}
		}
		if r.Arrow != nil {
			label = max(label, words.Width(t.pieces(usual(r.Arrow)))+ornament(r.Arrow))
		}
	}
	room := width - t.time - 5
	for end := range need {
		need[end] = max(need[end], leastSide)
		if t.Lanes[end].Conn == nil && t.Lanes[end].States == 0 && !t.Lanes[end].Traced {
			need[end] = min(need[end], 3)
		}
	}
	for end := range least {
		least[end] = min(least[end], need[end])
	}
	least[0] = min(least[0], max(room-leastMiddle-least[1], (room-leastMiddle)/2))
	least[1] = min(least[1], room-leastMiddle-least[0])
	t.middle = max(min(label, room-least[0]-least[1]), leastMiddle)
	rest := room - t.middle
	t.side0 = min(need[0], max(rest/2, least[0]), rest-least[1])
	t.side = min(need[1], rest-t.side0)
	t.side0 = min(need[0], rest-t.side)
	t.middle = room - t.side0 - t.side
	t.lane0 = t.time + 1 + t.side0 + 1
	t.lane1 = t.lane0 + 1 + t.middle
}

// ornament is how many columns an arrow takes beside its label, at least, where it has no
// reference to its other end.
func ornament(a *Arrow) int {
	if a.Fate == Lost || a.Fate == Unseen || a.Fate == UnderWay {
		return 3 + 3 + 4 // it does not get there
	}
	return 3 + 3 // two dashes and a space; a space, a dash and a head
}

// glyph is what a mark's text begins with.
func glyph(k MarkKind) string {
	switch k {
	case MarkTimer:
		return "⏱ "
	case MarkEnd:
		return "■ "
	default:
		return ""
	}
}

// say is a mark's text in one line.
func (t *texter) say(m *Mark) string {
	s := glyph(m.Kind) + m.Text
	if m.Data != "" {
		s += ` "` + m.Data + `"`
	}
	if m.Dwell > 0 {
		s += " " + stay(m.Dwell)
	}
	if t.ascii {
		s = ascii(s)
	}
	return s
}

// sayIn is a mark's text in lines of a width; a payload's bytes are cut so that they take
// little more than a line.
func (t *texter) sayIn(m *Mark, width int) []string {
	if m.Data == "" {
		return wrap(t.say(m), width)
	}
	short := *m
	room := max(2*width-words.Width(glyph(m.Kind)+m.Text)-4, 8)
	short.Data = cut(m.Data, room, t.ascii)
	return wrap(t.say(&short), width)
}

// head writes the names of the ends, whether their states are inferred, and their addresses.
func (t *texter) head() {
	half := (t.width - t.time - 3) / 2
	var names, addrs, below [2]string
	for end := range names {
		lane := &t.Lanes[end]
		names[end], addrs[end] = clean(lane.title()), lane.Addr
		inferred := t.inferred(lane)
		switch beside := names[end] + " (" + inferred + ")"; {
		case inferred == "":
		case words.Width(beside) <= half:
			names[end] = beside
		default:
			below[end] = inferred
		}
	}
	t.put(dim, fmt.Sprintf("%*s", t.time, "ms"))
	t.heading(names, half, bold)
	t.heading(addrs, half, dim)
	if below != [2]string{} {
		t.heading(below, half, dim)
	}
}

// heading writes one line above the lanes: the left text ends at its lane where it fits,
// the right one begins at its own.
func (t *texter) heading(texts [2]string, half int, st style) {
	a, b := cut(texts[0], half, t.ascii), cut(texts[1], half, t.ascii)
	t.to(max(t.lane0+1-words.Width(a), t.time+1))
	t.put(st, a)
	t.to(min(t.lane1, t.width-words.Width(b)))
	t.put(st, b)
	t.end()
}
