package ladder

import (
	"math"
	"strings"

	"appliance/tracer"
	"appliance/tracer/view/draw"
)

// row draws a row's texts, which lie on top of all arrows: its time, what is said at the
// ends, and the label of the arrow that leaves in it.
func (p *picture) row(i int) {
	r := &p.Rows[i]
	y := p.y[i]
	if r.Kind != Moment {
		p.pause(i)
		return
	}
	if i == 0 || millis(r.T) != millis(p.Rows[i-1].T) || p.Rows[i-1].Kind != Moment {
		p.c.Text(p.timeX, y+4, millis(r.T), smallSize, draw.End, draw.Attr{Class: draw.Muted})
	}
	for end, m := range r.Marks {
		if m != nil {
			p.mark(m, end, y, p.marks[i][end])
		}
	}
	if p.begins(r) {
		p.label(r.Arrow)
	}
}

// pause draws a silence, or a place where events are missing: the lanes are broken.
func (p *picture) pause(i int) {
	r, y := &p.Rows[i], p.y[i]
	class, ink := draw.Gap, draw.Muted
	if r.Kind == Missing {
		class, ink = draw.Bad, draw.Bad
	}
	p.c.Open(draw.Attr{Class: "ev", N: r.N})
	defer p.c.Close()
	for _, x := range p.laneX {
		p.c.Rect(x-barWide/2-2, y-4, barWide+4, 8, draw.Attr{Class: draw.Background})
		for _, dy := range []float64{-4, 4} {
			p.c.Polyline(
				[]draw.Point{{X: x - 11, Y: y + dy + 2}, {X: x - 4, Y: y + dy - 2}, {X: x + 4, Y: y + dy + 2}, {X: x + 11, Y: y + dy - 2}},
				draw.Attr{Class: class, Width: 1.5},
			)
		}
	}
	at := p.pauseAt(i)
	if box := p.pauseBox(r, at); p.lines.meeting(box, draw.Quad{}) > 0 {
		p.c.Polygon(box[:], draw.Attr{Class: draw.Background})
	}
	for k, s := range p.pauseLines(r) {
		p.c.Text(at.X, at.Y+float64(k)*lineHigh, s, textSize, draw.Middle, draw.Attr{Class: draw.Halo + " " + ink})
	}
}

// pauseLines are what a silence, or a place where events are missing, says.
func (p *picture) pauseLines(r *Row) []string {
	text := r.Text
	if r.Kind == Silence {
		text = p.o.Lang.F("%s of silence", span(r.For))
	}
	return breakText(text, textSize, p.laneX[1]-p.laneX[0]-60)
}

// pauseAt is the middle of its first line: between the lanes where no arrow goes through it,
// else halfway.
func (p *picture) pauseAt(i int) draw.Point {
	left, wide := p.laneX[0], p.laneX[1]-p.laneX[0]
	for _, part := range []float64{0.5, 0.25, 0.75} {
		at := draw.Point{X: left + wide*part, Y: p.y[i] + 4}
		if box := p.pauseBox(&p.Rows[i], at); p.between(box) && p.lines.meeting(box, draw.Quad{}) == 0 {
			return at
		}
	}
	return draw.Point{X: left + wide/2, Y: p.y[i] + 4}
}

// pauseBox is the room that it takes there.
func (p *picture) pauseBox(r *Row, at draw.Point) draw.Quad {
	wide, lines := 0.0, p.pauseLines(r)
	for _, s := range lines {
		wide = max(wide, draw.TextWidth(s, textSize))
	}
	return draw.Around(at, -wide/2, -ascent*textSize, wide/2, descent*textSize+lineHigh*float64(len(lines)-1), 0)
}

// mark draws what is said at an end, in lines that begin at the lane.
func (p *picture) mark(m *Mark, end int, y float64, lines []string) {
	class := map[MarkKind]draw.Class{
		MarkCall: draw.Call, MarkState: draw.Ink + " " + draw.Bold, MarkTimer: draw.Timer, MarkEnd: draw.Ink,
	}[m.Kind]
	if m.Bad {
		class = draw.Bad
		if m.Kind == MarkState {
			class += " " + draw.Bold
		}
	}
	p.c.Open(draw.Attr{Class: "ev", N: m.N, Conn: m.Conn, Title: p.hint(m)})
	defer p.c.Close()
	x, anchor, way := p.laneX[0]-barWide/2-beside, draw.End, -1.0
	if end == 1 {
		x, anchor, way = p.laneX[1]+barWide/2+beside, draw.Start, 1
	}
	from := p.laneX[end] + way*barWide/2
	p.c.Line(from, y, from+way*(beside-4), y, draw.Attr{Class: draw.Grid, Width: 1.5})
	if m.Kind == MarkTimer || m.Kind == MarkEnd {
		p.icon(m, x+way*6, y, class)
		x += way * iconWide
	}
	for k, line := range lines {
		runs := markRuns(m, line, k == len(lines)-1)
		runs[0].Class = class
		p.c.Runs(x, y+4.5+float64(k)*lineHigh, runs, textSize, anchor, draw.Attr{})
	}
}

// markRuns are one line of a mark: behind a state, how long the end stays in it.
func markRuns(m *Mark, line string, last bool) []draw.Run {
	runs := []draw.Run{{Text: line}}
	if m.Kind == MarkState {
		runs[0].Class = draw.Bold
		if last && m.Dwell > 0 {
			runs = append(runs, draw.Run{Text: stay(m.Dwell), Class: draw.Muted, Size: smallSize, Gap: 6})
		}
	}
	return runs
}

// hint is what a pointer over a mark shows.
func (p *picture) hint(m *Mark) string {
	e := p.trace.ByN(m.N)
	s := ref(&Arrow{Sent: e}) + "  " + millis(e.T) + " ms  " + m.Text
	if m.Data != "" {
		s += ` "` + m.Data + `"`
	}
	if c, ok := e.Body.(*tracer.StateChange); ok {
		s = ref(&Arrow{Sent: e}) + "  " + millis(e.T) + " ms  " + c.From.String() + " → " + c.To.String()
		if c.Cause.What != "" {
			s += "  " + p.o.Lang.F("by %s", clean(p.o.Lang.T(c.Cause.What)))
		}
	}
	return s
}

// icon draws a timer's clock, or an end's square.
func (p *picture) icon(m *Mark, x, y float64, class draw.Class) {
	if m.Kind == MarkEnd {
		p.c.Rect(x-4, y-4, 8, 8, draw.Attr{Class: class})
		return
	}
	p.c.Circle(x, y, 6, draw.Attr{Class: class})
	p.c.Circle(x, y, 4.6, draw.Attr{Class: draw.Background})
	p.c.Polyline([]draw.Point{{X: x, Y: y - 3.2}, {X: x, Y: y}, {X: x + 2.6, Y: y + 1.4}}, draw.Attr{Class: class, Width: 1.2})
}

// course is the line of the arrow that begins in a row.
func (p *picture) course(i int) course {
	a, y := p.Rows[i].Arrow, p.y[i]
	way := 1.0
	if a.From == 1 {
		way = -1
	}
	c := course{p.laneX[a.From] + way*(barWide/2+1), y, p.laneX[a.To] - way*(barWide/2+1), p.arrival(a, y)}
	switch a.Fate {
	case Strayed:
		c.x1, c.y2 = c.x1+(c.x2-c.x1)*0.3, y
	case Lost, Unseen, UnderWay:
		c.x2, c.y2 = c.x1+(c.x2-c.x1)*0.72, y+fall
	case Refused:
		c.x2 -= way * 14
	case Arrived:
	}
	return c
}

// arrow draws the arrow that leaves in a row.
func (p *picture) arrow(i int) {
	if !p.begins(&p.Rows[i]) {
		return
	}
	a, c := p.Rows[i].Arrow, p.course(i)
	p.c.Open(p.group(a))
	defer p.c.Close()
	style := draw.Attr{Class: arrowClass(a), Width: 1.6}
	if a.Repeat {
		style.Dash = "6 3"
	}
	if a.Fate == Refused {
		style.N, style.Conn = a.Received.N, a.Received.Conn
	}
	if a.crossed() {
		p.cross(c, style)
		return
	}
	p.c.Arrow(c.x1, c.y1, c.x2, c.y2, style)
	if a.Received != nil && a.Sent != nil {
		// The arrival is an event of its own.
		p.c.Circle(c.x2, c.y2, 2.2, draw.Attr{Class: style.Class, N: a.Received.N, Conn: a.Received.Conn})
	}
}

// crossed tells whether an arrow ends in a ✗.
func (a *Arrow) crossed() bool { return a.Fate == Lost || a.Fate == Unseen || a.Fate == Refused }

// group are the attributes of what shows an arrow.
func (p *picture) group(a *Arrow) draw.Attr {
	e := a.event()
	return draw.Attr{Class: "ev", N: e.N, Conn: e.Conn, Title: p.arrowHint(a)}
}

// arrival is the height at which an arrow arrives.
func (p *picture) arrival(a *Arrow, y float64) float64 {
	if a.Arrives >= 0 && a.Leaves >= 0 {
		return p.y[a.Arrives]
	}
	return y
}

// cross draws a line that ends in a ✗.
func (p *picture) cross(c course, a draw.Attr) {
	p.c.Line(c.x1, c.y1, c.x2, c.y2, a)
	a.Dash, a.Width = "", 2.2
	p.c.Line(c.x2-5, c.y2-5, c.x2+5, c.y2+5, a)
	p.c.Line(c.x2-5, c.y2+5, c.x2+5, c.y2-5, a)
}

func arrowClass(a *Arrow) draw.Class {
	switch {
	case a.Fate == Lost || a.Fate == Unseen || a.Fate == Refused:
		return draw.Bad
	case a.Repeat:
		return draw.Repeat
	case a.From == 0:
		return draw.Sent
	default:
		return draw.Reply
	}
}

// label draws an arrow's label.
func (p *picture) label(a *Arrow) {
	p.c.Open(p.group(a))
	defer p.c.Close()
	at := p.places[a]
	lines := p.linesOf(a, at)
	if at.ground || at.turn != 0 {
		box := p.labelBox(a, at)
		p.c.Polygon(box[:], draw.Attr{Class: draw.Background})
	}
	anchor := draw.Start
	if a.From == 1 {
		anchor = draw.End
	}
	sin, cos := math.Sincos(at.turn * math.Pi / 180)
	for k, line := range lines {
		runs := labelRuns(line)
		for i := range runs {
			if runs[i].Class == draw.Bold {
				runs[i].Class += " " + arrowClass(a)
			}
		}
		up := lineHigh * float64(len(lines)-1-k)
		p.c.Runs(at.at.X+up*sin, at.at.Y-up*cos, runs, textSize, anchor, draw.Attr{Class: draw.Halo, Turn: at.turn})
	}
}

// labelRuns are one line of an arrow's label.
func labelRuns(line []Piece) []draw.Run {
	var runs []draw.Run
	for i, piece := range line {
		r := draw.Run{Text: piece.Text}
		if i > 0 {
			r.Gap = pieceGap
		}
		switch piece.Kind {
		case PieceFlags:
			r.Class = draw.Bold
		case PieceNumbers:
			r.Class = draw.Ink
		case PieceOptions:
			r.Class = draw.Muted
		case PieceNote:
			r.Class = draw.Note
		case PieceDropped:
			r.Class = draw.Bad
		}
		runs = append(runs, r)
	}
	return runs
}

// arrowHint is what a pointer over an arrow shows.
func (p *picture) arrowHint(a *Arrow) string {
	var parts []string
	for _, piece := range a.Label {
		parts = append(parts, piece.Text)
	}
	s := strings.Join(parts, "  ")
	if a.Sent != nil {
		s += "\n#" + ref(a)[1:] + "  " + millis(a.Sent.T) + " ms  " + p.o.Lang.T("sent")
	}
	if a.Received != nil {
		s += "\n" + ref(&Arrow{Received: a.Received}) + "  " + millis(a.Received.T) + " ms  " + p.o.Lang.T("received")
	}
	return s
}
