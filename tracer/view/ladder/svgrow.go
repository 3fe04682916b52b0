package ladder

import (
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
		p.pause(r, y)
		return
	}
	if i == 0 || millis(r.T) != millis(p.Rows[i-1].T) || p.Rows[i-1].Kind != Moment {
		p.text(p.timeX, y+4, millis(r.T), smallSize, draw.End, draw.Attr{Class: draw.Muted})
	}
	for end, m := range r.Marks {
		if m != nil {
			p.mark(m, end, y, p.marks[i][end])
		}
	}
	if a := r.Arrow; a != nil && (r.Part != Arrives || a.Fate == Strayed) {
		p.label(a, y-5)
	}
}

// pause draws a silence, or a place where events are missing: the lanes are broken.
func (p *picture) pause(r *Row, y float64) {
	class, text := draw.Gap, p.o.Lang.F("%s of silence", span(r.For))
	ink := draw.Muted
	if r.Kind == Missing {
		class, ink, text = draw.Bad, draw.Bad, r.Text
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
	middle := (p.laneX[0] + p.laneX[1]) / 2
	for k, s := range breakText(text, textSize, p.laneX[1]-p.laneX[0]-60) {
		p.text(middle, y+4+float64(k)*lineHigh, s, textSize, draw.Middle, draw.Attr{Class: draw.Halo + " " + ink})
	}
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
		p.runs(x, y+4.5+float64(k)*lineHigh, runs, anchor, "")
	}
}

// markRuns are one line of a mark: behind a state, how long the end stays in it.
func markRuns(m *Mark, line string, last bool) []draw.Run {
	runs := []draw.Run{{Text: line}}
	if m.Kind == MarkState {
		runs[0].Class = draw.Bold
		if last && m.Dwell > 0 {
			runs = append(runs, draw.Run{Text: span(m.Dwell), Class: draw.Muted, Size: smallSize, Gap: 6})
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

// arrow draws the arrow that leaves in a row.
func (p *picture) arrow(i int) {
	a, y := p.Rows[i].Arrow, p.y[i]
	if a == nil || p.Rows[i].Part == Arrives && a.Fate != Strayed {
		return
	}
	class := arrowClass(a)
	p.c.Open(p.group(a))
	defer p.c.Close()
	way := 1.0
	if a.From == 1 {
		way = -1
	}
	x1 := p.leavesAt(a)
	x2 := p.laneX[a.To] - way*(barWide/2+1)
	style := draw.Attr{Class: class, Width: 1.6}
	if a.Repeat {
		style.Dash = "6 3"
	}
	switch a.Fate {
	case Strayed:
		p.c.Arrow(x1+(x2-x1)*0.3, y, x2, y, style)
	case Lost, Unseen:
		p.cross(x1, y, x1+(x2-x1)*0.72, y+fall, style)
	case UnderWay:
		p.c.Arrow(x1, y, x1+(x2-x1)*0.72, y+fall, style)
	case Refused:
		style.N, style.Conn = a.Received.N, a.Received.Conn
		p.cross(x1, y, x2-way*14, p.arrival(a, y), style)
	case Arrived:
		p.c.Arrow(x1, y, x2, p.arrival(a, y), style)
		if a.Received != nil && a.Sent != nil {
			// The arrival is an event of its own.
			p.c.Circle(x2, p.arrival(a, y), 2.2, draw.Attr{Class: class, N: a.Received.N, Conn: a.Received.Conn})
		}
	}
}

// leavesAt is where an arrow begins.
func (p *picture) leavesAt(a *Arrow) float64 {
	if a.From == 1 {
		return p.laneX[1] - barWide/2 - 1
	}
	return p.laneX[0] + barWide/2 + 1
}

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
func (p *picture) cross(x1, y1, x2, y2 float64, a draw.Attr) {
	p.c.Line(x1, y1, x2, y2, a)
	a.Dash, a.Width = "", 2.2
	p.c.Line(x2-5, y2-5, x2+5, y2+5, a)
	p.c.Line(x2-5, y2+5, x2+5, y2-5, a)
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

// label draws an arrow's label, its last line at y, beside the lane that the arrow leaves.
func (p *picture) label(a *Arrow, y float64) {
	p.c.Open(p.group(a))
	defer p.c.Close()
	x := p.leavesAt(a) + 12
	if a.From == 1 {
		x -= 24
	}
	anchor := draw.Start
	if a.From == 1 {
		anchor = draw.End
	}
	lines := p.labels[a]
	for k, line := range lines {
		runs := labelRuns(line)
		for i := range runs {
			if runs[i].Class == draw.Bold {
				runs[i].Class += " " + arrowClass(a)
			}
		}
		p.runs(x, y-lineHigh*float64(len(lines)-1-k), runs, anchor, draw.Halo)
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
