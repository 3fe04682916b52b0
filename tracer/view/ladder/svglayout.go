package ladder

import (
	"math"
	"slices"
	"strings"
	"time"

	"appliance/tracer/view/draw"
)

// columns finds where the lanes are.
func (p *picture) columns() {
	var clock, mid float64
	var side [2]float64
	p.marks = make([][2][]string, len(p.Rows))
	for i := range p.Rows {
		r := &p.Rows[i]
		clock = max(clock, draw.TextWidth(millis(r.T), smallSize))
		for end, m := range r.Marks {
			if m == nil {
				continue
			}
			lines := markLines(m)
			p.marks[i][end] = lines
			for k, s := range lines {
				side[end] = max(side[end], markWidth(m, s, k == len(lines)-1))
			}
		}
		if a := r.Arrow; a != nil {
			mid = max(mid, piecesWidth(mostly(a)))
		}
	}
	middle := min(max(mid+90, midLeast), midMost)
	for _, a := range p.Arrows {
		p.labels[a] = breakLabel(a.Label, middle-60)
	}
	for end, lane := range p.Lanes {
		// The names above the lanes need their half.
		half := max(draw.BoldWidth(lane.title(), headSize), draw.TextWidth(lane.Addr, smallSize)) / 2
		side[end] = max(side[end], half-beside-barWide/2, 10)
	}
	p.sideW = side
	p.timeX = border + max(clock, draw.TextWidth("ms", smallSize))
	p.laneX[0] = p.timeX + beside*1.5 + side[0] + beside + barWide/2
	p.laneX[1] = p.laneX[0] + barWide + middle
}

// mostly are the pieces of a label that are of no particular event: the picture makes room
// for them in one line.
func mostly(a *Arrow) []Piece {
	for i, p := range a.Label {
		if p.Kind > PieceOptions {
			return a.Label[:i]
		}
	}
	return a.Label
}

// markLines are what a mark says, in lines that are not too wide.
func markLines(m *Mark) []string {
	text := m.Text
	lines := breakText(text, textSize, sideMost)
	if m.Data != "" {
		rest := `"` + m.Data
		rest = draw.Fit(rest, textSize, sideMost-draw.TextWidth(`"`, textSize)) + `"`
		last := lines[len(lines)-1] + " " + rest
		if draw.TextWidth(last, textSize) <= sideMost {
			lines[len(lines)-1] = last
		} else {
			lines = append(lines, rest)
		}
	}
	return lines
}

// markWidth is how wide one line of a mark is.
func markWidth(m *Mark, line string, last bool) float64 {
	w := draw.RunsWidth(markRuns(m, line, last), textSize)
	if m.Kind == MarkTimer || m.Kind == MarkEnd {
		w += iconWide
	}
	return w
}

// iconWide is how much room a timer's clock takes.
const iconWide = 18.0

// breakText breaks a text at spaces into lines of at most width.
func breakText(s string, size, width float64) []string {
	var lines []string
	now := ""
	for _, word := range strings.Fields(s) {
		for draw.TextWidth(word, size) > width {
			head := draw.Fit(word, size, width)
			head = strings.TrimSuffix(head, "…")
			if head == "" {
				break
			}
			if now != "" {
				lines, now = append(lines, now), ""
			}
			lines = append(lines, head)
			word = word[len(head):]
		}
		next := word
		if now != "" {
			next = now + " " + word
		}
		if now != "" && draw.TextWidth(next, size) > width {
			lines, next = append(lines, now), word
		}
		now = next
	}
	return append(lines, now)
}

// pieceGap is between two pieces of a label.
const pieceGap = 9.0

func piecesWidth(ps []Piece) float64 { return draw.RunsWidth(labelRuns(ps), textSize) }

// breakLabel puts a label's pieces into lines of at most width.
func breakLabel(ps []Piece, width float64) [][]Piece {
	lines := [][]Piece{nil}
	for _, p := range ps {
		texts := []string{p.Text}
		if piecesWidth([]Piece{p}) > width {
			texts = breakText(p.Text, textSize, width)
		}
		for _, s := range texts {
			piece := Piece{p.Kind, s}
			last := len(lines) - 1
			if len(lines[last]) > 0 && piecesWidth(slices.Concat(lines[last], []Piece{piece})) > width {
				lines = append(lines, nil)
				last++
			}
			lines[last] = append(lines[last], piece)
		}
	}
	return lines
}

// heights finds the rows' places, and returns where the lanes end.
func (p *picture) heights() float64 {
	p.y = make([]float64, len(p.Rows))
	y, below := HeadHigh+border, 0.0
	var before time.Duration
	for i := range p.Rows {
		r := &p.Rows[i]
		above, under := lineHigh/2, lineHigh/2
		for _, lines := range p.marks[i] {
			under = max(under, lineHigh/2+lineHigh*float64(len(lines)-1))
		}
		switch {
		case r.Kind != Moment:
			above, under = 17, 17
			if r.Kind == Missing {
				under += lineHigh * float64(len(p.pauseLines(r))-1)
			}
		case p.begins(r):
			above = max(above, lineHigh*float64(len(p.labels[r.Arrow]))+4)
		}
		if r.Part == Leaves && r.Arrow.Arrives < 0 {
			under = max(under, fall+6)
		}
		y += below + above + 3
		if i > 0 {
			y += stretch(r.T - before)
		}
		p.y[i], below, before = y, under, r.T
	}
	return y + below + border
}

// stretch is how much further down something is for having happened later: as the
// logarithm, up to a line.
func stretch(d time.Duration) float64 {
	return min(5*math.Log10(1+float64(d)/float64(10*time.Microsecond)), lineHigh)
}
