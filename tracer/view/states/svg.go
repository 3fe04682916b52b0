package states

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
	"appliance/tracer/view/draw"
)

// The SVG's measures, in its user units.
const (
	cellW, cellH = 12.0, 15.0
	margin       = 24.0
	headH        = 92.0 // the title and the key
	svgW         = 2*margin + gridW*cellW
	fontName     = 14.0
	fontLabel    = 12.0
	badgeR       = 9.5
	bend         = 9.0 // the radius of a line's corners
)

// endClass is the colour of one end's lines and numbers: the opener's, or the other's.
func (d *Diagram) endClass(end int) draw.Class {
	if end == 1 || len(d.Paths) == 1 && d.Paths[0].Conn.Role() == tracer.Passive {
		return draw.Reply
	}
	return draw.Sent
}

// SVG writes the diagram as one SVG file: what was taken in colour, with the numbers of the
// steps, and under it the steps or the counts.
func (d *Diagram) SVG(w io.Writer) error {
	if _, err := d.Canvas().WriteTo(w); err != nil {
		return fmt.Errorf("write the state diagram: %w", err)
	}
	return nil
}

// Canvas draws the diagram, for a page that has several pictures.
func (d *Diagram) Canvas() *draw.Canvas {
	s := &sheet{Canvas: draw.New(svgW, 0, d.Title()), d: d}
	s.head()
	for _, taken := range []bool{false, true} { // what was taken lies on top
		for i := range figure {
			if (d.Taken[i] > 0) == taken {
				s.arrow(i)
			}
		}
	}
	for i := range boxes {
		s.box(&boxes[i])
	}
	for i := range figure {
		s.badges(i)
	}
	s.H = s.panels(headH+gridH*cellH+20) + margin
	return s.Canvas
}

// sheet is the picture while it is drawn.
type sheet struct {
	*draw.Canvas
	d *Diagram
}

// at is the middle of a cell.
func at(c cell) draw.Point {
	return draw.Point{X: margin + (float64(c.x)+0.5)*cellW, Y: headH + (float64(c.y)+0.5)*cellH}
}

// head writes the title and the key.
func (s *sheet) head() {
	l := s.d.opts.Lang
	title := draw.FitBold(s.d.Title(), 18, svgW-2*margin)
	s.Text(margin, 34, title, 18, draw.Start, draw.Attr{Class: "ink b"})
	x := margin
	word := func(text string) {
		s.Text(x, 62, text, fontLabel, draw.Start, draw.Attr{Class: draw.Ink})
		x += draw.TextWidth(text, fontLabel) + 22
	}
	line := func(width float64, class draw.Class) {
		s.Line(x, 58, x+26, 58, draw.Attr{Class: class, Width: width})
		x += 32
	}
	switch {
	case s.d.Many:
		line(3, draw.Sent)
		word(l.T("taken, and how often"))
	default:
		for end := range s.d.Paths {
			line(3, s.d.endClass(end))
			s.badge(x+2, 58, end, "1", s.d.endClass(end))
			x += 16
			word(draw.Fit(s.d.Paths[end].who(l), fontLabel, 330))
		}
	}
	line(1, draw.Axis)
	word(l.T("not taken"))
	if len(s.d.Others) > 0 {
		s.badge(x+6, 58, 0, "1", draw.Bad)
		x += 20
		word(l.T("left by no arrow of the figure"))
	}
	notes := l.T("note 1: only after a passive OPEN · note 2: the RFC names it but does not draw it")
	s.Text(margin, 80, notes, 11, draw.Start, draw.Attr{Class: draw.Muted})
}

// colour is an arrow's class and width.
func (s *sheet) colour(i int) (draw.Class, float64) {
	d := s.d
	switch n := d.Taken[i]; {
	case n == 0:
		return draw.Axis, 1
	case d.Many:
		return draw.Sent, min(2+math.Log10(float64(n)), 6)
	case len(d.Paths) == 1 || len(d.numbers(1, i)) == 0:
		return d.endClass(0), 3
	case len(d.numbers(0, i)) == 0:
		return d.endClass(1), 3
	default:
		return draw.Ink, 3 // both ends took it
	}
}

// arrow draws one of the figure's arrows with its words.
func (s *sheet) arrow(i int) {
	r, a := routeOf(i), figure[i]
	class, width := s.colour(i)
	s.Open(draw.Attr{Class: draw.Class("arrow " + arrowID(a)), Title: s.hint(i)})
	s.way(r, class, width)
	text := draw.Muted
	if s.d.Taken[i] > 0 {
		text = draw.Ink
	}
	s.words(r, a, text)
	s.Close()
}

// arrowID names an arrow for a page's script: "closed-to-listen".
func arrowID(a Arrow) string {
	return strings.ToLower(a.From.String() + "-to-" + a.To.String())
}

// hint says of an arrow what the RFC does.
func (s *sheet) hint(i int) string {
	a := figure[i]
	text := a.From.String() + " → " + a.To.String()
	if t, ok := tcpstate.Lookup(a.From, a.To, a.Kind); ok {
		text += "\n" + t.Sentence + " (RFC 9293, " + t.Clause + ")"
	}
	return text + "\n" + s.d.opts.Lang.F("taken: %d", s.d.Taken[i])
}

// way draws a line with rounded corners and a head.
func (s *sheet) way(r *route, class draw.Class, width float64) {
	points := make([]draw.Point, len(r.way))
	for i, c := range r.way {
		points[i] = at(c)
	}
	n := len(points)
	// The cells at the ends are beside the boxes; the lines reach their borders.
	points[0] = toward(points[0], points[1], -cellOf(r.way[0], r.way[1]))
	tip := toward(points[n-1], points[n-2], -cellOf(r.way[n-1], r.way[n-2]))
	long, wide := 8+width, 3+width
	points[n-1] = toward(tip, points[n-2], long-1)
	var b strings.Builder
	fmt.Fprintf(&b, "M%.1f %.1f", points[0].X, points[0].Y)
	for i := 1; i < n-1; i++ {
		p, q := toward(points[i], points[i-1], bend), toward(points[i], points[i+1], bend)
		fmt.Fprintf(&b, "L%.1f %.1fQ%.1f %.1f %.1f %.1f", p.X, p.Y, points[i].X, points[i].Y, q.X, q.Y)
	}
	fmt.Fprintf(&b, "L%.1f %.1f", points[n-1].X, points[n-1].Y)
	s.Path(b.String(), draw.Attr{Class: class, Width: width})
	dx, dy := r.end()
	fx, fy := float64(dx), float64(dy)
	base := draw.Point{X: tip.X - fx*long, Y: tip.Y - fy*long}
	s.Polygon([]draw.Point{
		tip,
		{X: base.X - fy*wide, Y: base.Y + fx*wide},
		{X: base.X + fy*wide, Y: base.Y - fx*wide},
	}, draw.Attr{Class: class})
}

// toward is the place that lies by from p on the way to q; where by is negative, beyond p.
func toward(p, q draw.Point, by float64) draw.Point {
	long := math.Hypot(q.X-p.X, q.Y-p.Y)
	if long == 0 {
		return p
	}
	return draw.Point{X: p.X + (q.X-p.X)/long*by, Y: p.Y + (q.Y-p.Y)/long*by}
}

// cellOf is a cell's extent along the line between two.
func cellOf(a, b cell) float64 {
	if a.y == b.y {
		return cellW
	}
	return cellH
}

// words writes an arrow's label: the event, a rule and the action.
func (s *sheet) words(r *route, a Arrow, class draw.Class) {
	above, below := r.words(a)
	l := &r.label
	wide := 0.0
	for _, t := range append(append([]string{}, above...), below...) {
		wide = max(wide, draw.TextWidth(t, fontLabel))
	}
	p := at(cell{l.x, l.y})
	gap := 4.5
	switch l.side {
	case leftOf:
		p.X += cellW/2 - wide/2
	case rightOf:
		p.X += wide/2 - cellW/2
	case onLine:
		gap = badgeR + 4
	}
	put := func(y float64, t string) { s.Text(p.X, y, t, fontLabel, draw.Middle, draw.Attr{Class: class}) }
	for i, t := range above {
		put(p.Y-gap-float64(len(above)-1-i)*cellH, t)
	}
	for i, t := range below {
		put(p.Y+gap+fontLabel*0.8+float64(i)*cellH, t)
	}
	if l.side != onLine && len(below) > 0 {
		s.Line(p.X-wide/2, p.Y, p.X+wide/2, p.Y, draw.Attr{Class: class, Width: 0.8})
	}
}

// box draws a state.
func (s *sheet) box(b *box) {
	p := at(cell{b.x, b.y})
	w, h := float64(boxW-1)*cellW, float64(b.h-1)*cellH
	reached := s.d.reached(b)
	s.Open(draw.Attr{Class: draw.Class("state " + strings.ToLower(b.state.String())), Title: s.d.story(b)})
	fill, text := draw.Panel, draw.Muted
	if reached {
		fill, text = draw.StateClass(b.state), draw.OnState(b.state)
	}
	s.Rect(p.X, p.Y, w, h, draw.Attr{Class: fill, Round: 8})
	var lines []string
	count := 0
	if reached {
		lines = s.d.visits(b)
		for _, line := range lines {
			count += min(len(line), 1)
		}
	}
	top := p.Y + h/2 + 5 - 8*float64(count)
	s.Text(p.X+w/2, top, b.state.String(), fontName, draw.Middle, draw.Attr{Class: text + " b"})
	for end, line := range lines {
		if line != "" {
			top += 16
			s.visit(p.X+w/2, top, end, line, text)
		}
	}
	s.left(b, p.X+6, p.Y+h)
	s.Close()
}

// visit writes a line in a box, with the end's mark before it where there are two.
func (s *sheet) visit(x, y float64, end int, line string, class draw.Class) {
	if len(s.d.Paths) != 2 || s.d.Many {
		s.Text(x, y, line, fontLabel, draw.Middle, draw.Attr{Class: class})
		return
	}
	line = strings.Trim(line, "[]()")
	wide := draw.TextWidth(line, fontLabel) + 14
	round := 4.5
	if end == 1 {
		round = 1
	}
	s.Rect(x-wide/2, y-8.5, 9, 9, draw.Attr{Class: class, Round: round})
	s.Text(x-wide/2+14, y, line, fontLabel, draw.Start, draw.Attr{Class: class})
}

// left marks, at a box's lower border, the steps that left it by no arrow of the figure.
func (s *sheet) left(b *box, x, y float64) {
	if b.below {
		return
	}
	if s.d.Many {
		if n := s.d.leavers(b.state); n > 0 {
			s.badge(x+badgeHalf(compact(n)), y, 0, compact(n), draw.Bad)
		}
		return
	}
	for end, p := range s.d.Paths {
		for k, step := range p.Steps {
			if step.From == b.state && step.Arrow < 0 {
				s.badge(x+badgeR, y, end, strconv.Itoa(k+1), draw.Bad)
				x += 2*badgeR + 2
			}
		}
	}
}

// story is what a pointer over a state shows.
func (d *Diagram) story(b *box) string {
	text := b.state.String()
	t := d.States[b.state]
	if b.state == tracer.Closed || !t.Reached {
		return text
	}
	text += "\n" + d.opts.Lang.F("visits: %d", t.Visits)
	if n := len(t.Dwells); n > 0 {
		text += "\n" + d.opts.Lang.F("%s … %s, median %s", shortDuration(t.Dwells[0]), shortDuration(t.Dwells[n-1]), shortDuration(t.Dwells[n/2]))
	}
	return text
}
