package states

import (
	"strings"
	"unicode/utf8"
)

// weight is how strongly a line is drawn.
type weight uint8

const (
	light weight = iota // not reached, not taken
	heavy
)

// pen has the characters of one weight, by the sides of a cell that a line leaves it at.
type pen struct {
	level, upright rune
	corners        [4]rune // ┌ ┐ └ ┘
}

var (
	pens      = [2]pen{{'─', '│', [4]rune{'┌', '┐', '└', '┘'}}, {'━', '┃', [4]rune{'┏', '┓', '┗', '┛'}}}
	asciiPens = [2]pen{{'-', '|', [4]rune{'+', '+', '+', '+'}}, {'=', '#', [4]rune{'#', '#', '#', '#'}}}
	heads     = [4]rune{'▶', '◀', '▼', '▲'}
	asciiHead = [4]rune{'>', '<', 'v', '^'}
)

// grid is a page of characters.
type grid struct {
	cells [gridH][gridW]rune
	ascii bool
}

func (g *grid) pen(w weight) pen {
	if g.ascii {
		return asciiPens[w]
	}
	return pens[w]
}

func (g *grid) set(x, y int, r rune) {
	if x >= 0 && x < gridW && y >= 0 && y < gridH {
		g.cells[y][x] = r
	}
}

// text writes s from x on.
func (g *grid) text(x, y int, s string) {
	for _, r := range s {
		g.set(x, y, r)
		x++
	}
}

// box draws a box with centred lines in it; tag stands in its lower border.
func (g *grid) box(b *box, w weight, lines []string, tag string) {
	p := g.pen(w)
	x2, y2 := b.x+boxW-1, b.y+b.h-1
	for x := b.x + 1; x < x2; x++ {
		g.set(x, b.y, p.level)
		g.set(x, y2, p.level)
	}
	for y := b.y + 1; y < y2; y++ {
		g.set(b.x, y, p.upright)
		g.set(x2, y, p.upright)
	}
	for i, at := range []cell{{b.x, b.y}, {x2, b.y}, {b.x, y2}, {x2, y2}} {
		g.set(at.x, at.y, p.corners[i])
	}
	top := b.y + 1 + (b.h-2-len(lines))/2
	for i, s := range lines {
		g.text(b.x+(boxW-width(s))/2, top+i, s)
	}
	g.text(x2-1-width(tag), y2, tag)
}

// way draws a line through the corners, with a head at its end.
func (g *grid) way(r *route, w weight) {
	p := g.pen(w)
	for i := 1; i < len(r.way); i++ {
		from, to := r.way[i-1], r.way[i]
		dx, dy := sign(to.x-from.x), sign(to.y-from.y)
		c := p.level
		if dy != 0 {
			c = p.upright
		}
		for at := from; at != to; at.x, at.y = at.x+dx, at.y+dy {
			g.set(at.x, at.y, c)
		}
		if i > 1 {
			before := r.way[i-2]
			g.set(from.x, from.y, p.corners[corner(sign(from.x-before.x), sign(from.y-before.y), dx, dy)])
		}
	}
	end := r.way[len(r.way)-1]
	dx, dy := r.end()
	set := heads
	if g.ascii {
		set = asciiHead
	}
	g.set(end.x, end.y, set[head(dx, dy)])
}

// corner returns which of pen.corners turns from one direction to another.
func corner(dx1, dy1, dx2, dy2 int) int {
	right := dx1 < 0 || dx2 > 0 // the corner is open to the right
	down := dy1 < 0 || dy2 > 0
	switch {
	case right && down:
		return 0
	case down:
		return 1
	case right:
		return 2
	default:
		return 3
	}
}

func head(dx, dy int) int {
	switch {
	case dx > 0:
		return 0
	case dx < 0:
		return 1
	case dy > 0:
		return 2
	default:
		return 3
	}
}

// label writes an arrow's words; badge stands in the rule.
func (g *grid) label(l *label, above, below []string, badge string, w weight) {
	rule := width(badge)
	for _, s := range append(above, below...) {
		rule = max(rule, width(s))
	}
	if l.side == onLine {
		g.stack(l, above, below, 0)
		g.text(l.x-(width(badge)-1)/2, l.y, badge)
		return
	}
	g.stack(l, above, below, rule)
	level := string(g.pen(w).level)
	left := (rule - width(badge)) / 2
	line := strings.Repeat(level, left) + badge + strings.Repeat(level, rule-width(badge)-left)
	x := l.x
	if l.side == leftOf {
		x -= rule - 1
	}
	g.text(x, l.y, line)
}

// stack writes lines above and below a rule of that width, centred along it.
func (g *grid) stack(l *label, above, below []string, rule int) {
	put := func(y int, s string) {
		x := l.x + (rule-width(s))/2
		switch l.side {
		case leftOf:
			x = l.x - rule + 1 + (rule-width(s)+1)/2
		case onLine:
			x = l.x - (width(s)-1)/2
		case rightOf:
		}
		g.text(x, y, s)
	}
	for i, s := range above {
		put(l.y-len(above)+i, s)
	}
	for i, s := range below {
		put(l.y+1+i, s)
	}
}

// String returns the page, without blanks at the lines' ends.
func (g *grid) String() string {
	var b strings.Builder
	for y := range g.cells {
		line := make([]rune, 0, gridW)
		for _, r := range g.cells[y] {
			if r == 0 {
				r = ' '
			}
			line = append(line, r)
		}
		b.WriteString(strings.TrimRight(string(line), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// width is how many cells a text takes up; those in the grid have no wide characters.
func width(s string) int { return utf8.RuneCountInString(s) }
