package ladder

import (
	"fmt"
	"io"
	"strings"

	"appliance/tracer"
	"appliance/tracer/view/draw"
)

// The picture's measures, in the SVG's units.
const (
	textSize  = 13.0
	smallSize = 11.0
	headSize  = 15.0
	lineHigh  = 16.0 // of lines of text
	barWide   = 12.0
	beside    = 10.0 // between a lane and what stands beside it
	border    = 16.0
	sideMost  = 250.0 // what is said at an end is broken beyond
	midLeast  = 320.0
	midMost   = 480.0
)

// HeadHigh is how high a ladder's head is, in the picture's units: the lanes' names, which
// a page keeps in sight while the rest is scrolled.
const HeadHigh = 58.0

// SVG writes the ladder as a picture of its own.
func (l *Ladder) SVG(w io.Writer) error {
	if _, err := l.Canvas().WriteTo(w); err != nil {
		return fmt.Errorf("write the ladder: %w", err)
	}
	return nil
}

// Inline writes the ladder as an svg element for a page that has the style sheet
// ([draw.CSS]).
func (l *Ladder) Inline(w io.Writer) error {
	if _, err := l.Canvas().WriteInline(w); err != nil {
		return fmt.Errorf("write the ladder: %w", err)
	}
	return nil
}

// picture draws one ladder.
type picture struct {
	*Ladder
	c *draw.Canvas

	timeX  float64    // where the times end
	laneX  [2]float64 // the lanes' middles
	sideW  [2]float64 // how wide what is said beside them may be
	y      []float64  // of each row
	bottom float64    // where the lanes end
	labels map[*Arrow][][]Piece
	places map[*Arrow]place // of the labels
	lines  bands            // of the arrows
	texts  bands            // between the lanes, and what else no text may lie on
	marks  [][2][]string    // by row: what is said, in lines
}

// SVG writes ladders as one picture, one below the other.
func SVG(w io.Writer, ladders []*Ladder) error {
	if len(ladders) == 1 {
		return ladders[0].SVG(w)
	}
	var names []string
	all := draw.New(0, 0, "")
	for _, l := range ladders {
		p := l.picture()
		all.Place(0, all.H, p.c)
		all.W, all.H = max(all.W, p.c.W), all.H+p.c.H+border
		names = append(names, p.title())
	}
	all.Title = strings.Join(names, "; ")
	if _, err := all.WriteTo(w); err != nil {
		return fmt.Errorf("write the ladders: %w", err)
	}
	return nil
}

// Canvas draws the ladder.
func (l *Ladder) Canvas() *draw.Canvas { return l.picture().c }

func (l *Ladder) picture() *picture {
	p := &picture{Ladder: l, labels: map[*Arrow][][]Piece{}, places: map[*Arrow]place{}}
	p.columns()
	p.bottom = p.heights()
	p.placeLabels()
	foot := p.legend()
	width := p.laneX[1] + barWide/2 + beside + p.sideW[1] + border
	p.c = draw.New(width, p.bottom+float64(len(foot))*lineHigh+border*1.5, p.title())
	p.heads()
	p.lanes()
	for i := range l.Rows {
		p.arrow(i)
	}
	for i := range l.Rows {
		p.row(i)
	}
	for i, s := range foot {
		p.c.Text(border, p.bottom+border+float64(i)*lineHigh, s, smallSize, draw.Start, draw.Attr{Class: draw.Muted})
	}
	return p
}

// title tells what the picture shows to those who do not see it.
func (p *picture) title() string {
	var names [2]string
	for i := range names {
		names[i] = p.Lanes[i].Name + " " + p.Lanes[i].Addr
	}
	return p.o.Lang.F("Segments between %s and %s", strings.TrimSpace(names[0]), strings.TrimSpace(names[1]))
}

// fall is how much an arrow that does not arrive goes down.
const fall = 12.0

// heads names the lanes.
func (p *picture) heads() {
	p.c.Text(p.timeX, HeadHigh-8, "ms", smallSize, draw.End, draw.Attr{Class: draw.Muted})
	for end := range p.Lanes {
		lane := &p.Lanes[end]
		x := p.laneX[end]
		var conn uint32
		if lane.Conn != nil {
			conn = lane.Conn.ID
		}
		p.c.Text(x, border+headSize, lane.title(), headSize, draw.Middle, draw.Attr{Class: draw.Ink + " " + draw.Bold, Conn: conn})
		p.c.Text(x, border+headSize+lineHigh, lane.Addr, smallSize, draw.Middle, draw.Attr{Class: draw.Muted})
	}
}

// lanes draws the lanes: a thin line, and a bar in the colour of each state.
func (p *picture) lanes() {
	top := HeadHigh + 4
	for end := range p.Lanes {
		x := p.laneX[end]
		p.c.Line(x, top, x, p.bottom, draw.Attr{Class: draw.Axis, Width: 1.5})
		now, from, n := p.Lanes[end].First, top, uint64(0)
		for i := range p.Rows {
			m := p.Rows[i].Marks[end]
			if m == nil || m.Kind != MarkState {
				continue
			}
			p.bar(end, now, from, p.y[i], n)
			now, from, n = Phase{m.State, true}, p.y[i], m.N
		}
		p.bar(end, now, from, p.bottom, n)
	}
}

// bar draws the time that an end spent in a state. CLOSED is no bar: there is no
// connection.
func (p *picture) bar(end int, s Phase, from, to float64, n uint64) {
	if !s.Known || s.State == tracer.Closed || to <= from {
		return
	}
	a := draw.Attr{Class: draw.StateClass(s.State), N: n, Title: s.State.String(), Round: 3}
	p.c.Rect(p.laneX[end]-barWide/2, from+1, barWide, to-from-2, a)
}

// legend are the lines below the picture: what its signs mean, as far as it has them.
func (p *picture) legend() []string {
	lang := p.o.Lang
	parts := []string{lang.T("Time runs down; distances grow with it but are not to scale.")}
	var repeat, lost bool
	for _, a := range p.Arrows {
		repeat = repeat || a.Repeat
		lost = lost || a.Fate == Lost || a.Fate == Unseen || a.Fate == Refused
	}
	if repeat {
		parts = append(parts, lang.T("Dashed: a retransmission."))
	}
	if lost {
		parts = append(parts, lang.T("✗: lost on its way."))
	}
	for i := range p.Lanes {
		switch lane := &p.Lanes[i]; lane.Inferred {
		case 0:
		case lane.States:
			parts = append(parts, lang.F("All states of %s are inferred from segments.", lane.title()))
		default:
			parts = append(parts, lang.F("Some states of %s are inferred from segments.", lane.title()))
		}
	}
	width := p.laneX[1] + beside + p.sideW[1] - border
	return breakText(strings.Join(parts, " "), smallSize, width)
}
