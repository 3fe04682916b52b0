package ladder

import (
	"math"
	"slices"

	"appliance/tracer/view/draw"
)

// place is where an arrow's label stands: its last line begins, or of an arrow from the
// right ends, at a point, and runs from there turned by some degrees.
type place struct {
	at     draw.Point
	turn   float64
	narrow bool // in shorter lines, and more
	ground bool // arrows run through it: the page's colour is behind the text
}

// The distances of a label from the lane and from the line of its arrow.
const (
	labelIn    = 12.0
	labelAbove = 5.0
)

// The heights of a text above and below its line, in its size.
const (
	ascent  = 0.8
	descent = 0.25
)

// steep is from what slope on a label runs along its arrow rather than level.
const steep = 0.1

// placeLabels gives each label the place where the fewest arrows run through it. Level above
// the arrow's beginning it has room of its own, which no other label may enter; elsewhere it
// goes where there is room.
func (p *picture) placeLabels() {
	p.lines, p.texts = bands{}, bands{}
	for i := range p.Rows {
		if !p.begins(&p.Rows[i]) {
			continue
		}
		a, c := p.Rows[i].Arrow, p.course(i)
		p.lines.add(c.quad())
		if a.crossed() {
			p.texts.add(draw.Around(draw.Point{X: c.x2, Y: c.y2}, -6, -6, 6, 6, 0))
		}
		p.places[a] = p.level(i)
		p.texts.add(p.labelBox(a, p.places[a]))
	}
	for i := range p.Rows {
		if r := &p.Rows[i]; r.Kind != Moment {
			p.texts.add(p.pauseBox(r, p.pauseAt(i)))
		}
	}
	for range passes {
		moved := false
		for i := len(p.Rows) - 1; i >= 0; i-- {
			if p.begins(&p.Rows[i]) && p.move(i) {
				moved = true
			}
		}
		if !moved {
			return
		}
	}
}

// passes is how often labels are moved, at most: one that goes makes room for others.
const passes = 6

// begins tells whether a row has an arrow's beginning, and so its label.
func (p *picture) begins(r *Row) bool {
	return r.Arrow != nil && (r.Part != Arrives || r.Arrow.Fate == Strayed)
}

// level is the place that every label has room for: above the arrow's beginning.
func (p *picture) level(i int) place {
	x := p.laneX[0] + barWide/2 + 1 + labelIn
	if p.Rows[i].Arrow.From == 1 {
		x = p.laneX[1] - barWide/2 - 1 - labelIn
	}
	return place{at: draw.Point{X: x, Y: p.y[i] - labelAbove}}
}

// move brings the label of the arrow that begins in a row to the best place that is free,
// which may be its own, and tells whether that is another.
func (p *picture) move(i int) bool {
	a, c := p.Rows[i].Arrow, p.course(i)
	was := p.places[a]
	mine := p.labelBox(a, was)
	if was == p.level(i) && c.slope() < steep && p.lines.meeting(mine, c.quad()) == 0 {
		return false
	}
	best, least := was, math.Inf(1)
	for k, at := range append([]place{p.level(i)}, p.along(i)...) {
		box := p.labelBox(a, at)
		if k > 0 && !p.between(box) || p.texts.meeting(box, mine) > 0 {
			continue
		}
		crossings := p.lines.meeting(box, c.quad())
		cost := float64(crossings) + 0.01*float64(k)
		if k == 0 && c.slope() >= steep {
			cost += 0.9 // rather along the arrow, where that is not worse
		}
		if cost < least {
			at.ground = crossings > 0
			best, least = at, cost
		}
	}
	p.places[a] = best
	p.texts.remove(mine)
	p.texts.add(p.labelBox(a, best))
	return best != was
}

// linesOf are a label's lines in a place.
func (p *picture) linesOf(a *Arrow, at place) [][]Piece {
	if at.narrow {
		return breakLabel(a.Label, labelWidth(p.labels[a])*narrower)
	}
	return p.labels[a]
}

// narrower is how wide a narrow label is, as a part of its usual width.
const narrower = 0.7

// along are the places for a label that runs along its arrow: above and below, the one near
// the sender first, and then the same in shorter lines.
func (p *picture) along(i int) []place {
	return append(p.alongIn(i, false), p.alongIn(i, true)...)
}

func (p *picture) alongIn(i int, narrow bool) []place {
	c, lines := p.course(i), p.linesOf(p.Rows[i].Arrow, place{narrow: narrow})
	long := math.Hypot(c.x2-c.x1, c.y2-c.y1)
	turn := math.Atan2((c.y2-c.y1)*c.way(), math.Abs(c.x2-c.x1))
	sin, cos := math.Sincos(turn)
	under := labelAbove + ascent*textSize + lineHigh*float64(len(lines)-1)
	room := long - labelWidth(lines) - 2*labelIn
	var list []place
	for _, off := range []float64{-labelAbove, under} {
		for k := range places {
			in := labelIn + room*float64(k)/float64(places-1)
			list = append(list, place{
				at:   draw.Point{X: c.x1 + c.way()*in*cos - off*sin, Y: c.y1 + c.way()*in*sin + off*cos},
				turn: turn * 180 / math.Pi, narrow: narrow,
			})
		}
	}
	return list
}

// places is how many places along its arrow, on either side, a label may have.
const places = 7

// between tells whether a box is between the lanes.
func (p *picture) between(q draw.Quad) bool {
	x1, y1, x2, y2 := q.Bounds()
	edge := barWide/2 + 4
	return x1 >= p.laneX[0]+edge && x2 <= p.laneX[1]-edge && y1 >= HeadHigh && y2 <= p.bottom
}

// labelBox is the room that an arrow's label takes in a place.
func (p *picture) labelBox(a *Arrow, at place) draw.Quad {
	lines := p.linesOf(a, at)
	x1, x2 := 0.0, labelWidth(lines)
	if a.From == 1 {
		x1, x2 = -x2, x1
	}
	top := ascent*textSize + lineHigh*float64(len(lines)-1)
	return draw.Around(at.at, x1, -top, x2, descent*textSize, at.turn)
}

// labelWidth is how wide a label's lines are.
func labelWidth(lines [][]Piece) float64 {
	wide := 0.0
	for _, line := range lines {
		wide = max(wide, piecesWidth(line))
	}
	return wide
}

// course is an arrow's line.
type course struct{ x1, y1, x2, y2 float64 }

func (c course) quad() draw.Quad { return draw.Segment(c.x1, c.y1, c.x2, c.y2) }

// way is 1 for an arrow to the right, -1 for one to the left.
func (c course) way() float64 { return math.Copysign(1, c.x2-c.x1) }

func (c course) slope() float64 { return (c.y2 - c.y1) / math.Abs(c.x2-c.x1) }

// bands are boxes and lines, by the heights that they span.
type bands map[int][]*draw.Quad

// bandHigh is how high a band is.
const bandHigh = 128

// crowded is from how many things in a band on nothing is free there: they are not looked
// through.
const crowded = 200

func (b bands) span(q draw.Quad) (from, to int) {
	_, y1, _, y2 := q.Bounds()
	return int(y1 / bandHigh), int(y2 / bandHigh)
}

func (b bands) add(q draw.Quad) {
	from, to := b.span(q)
	for k := from; k <= to; k++ {
		if len(b[k]) <= crowded {
			b[k] = append(b[k], &q)
		}
	}
}

func (b bands) remove(q draw.Quad) {
	from, to := b.span(q)
	for k := from; k <= to; k++ {
		if len(b[k]) > crowded {
			continue // it does not have all of them
		}
		b[k] = slices.DeleteFunc(b[k], func(o *draw.Quad) bool { return *o == q })
	}
}

// meeting is how many things meet q, but for one.
func (b bands) meeting(q, but draw.Quad) int {
	from, to := b.span(q)
	n := 0
	for k := from; k <= to; k++ {
		if len(b[k]) > crowded {
			return crowded
		}
		for _, o := range b[k] {
			first, _ := b.span(*o)
			if max(first, from) == k && *o != but && q.Meets(*o) {
				n++
			}
		}
	}
	return n
}
