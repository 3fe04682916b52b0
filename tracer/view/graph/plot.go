package graph

import (
	"math"
	"slices"
	"time"

	"appliance/tracer/view/draw"
)

// point is a moment that is drawn.
type point struct {
	at time.Duration
	n  uint64
}

// points are the moments that a graph of that kind shows.
func (p *page) points(k Kind) []point {
	var list []point
	for i := range p.segs {
		list = append(list, point{p.segs[i].at, p.segs[i].n})
	}
	for i := range p.acks {
		list = append(list, point{p.acks[i].at, p.acks[i].n})
	}
	switch k {
	case Throughput:
		for i := range p.back {
			list = append(list, point{p.back[i].at, p.back[i].n})
		}
		return list
	case Window, RTT:
		for i := range p.vars {
			list = append(list, point{p.vars[i].at, p.vars[i].n})
		}
	case Sequence:
	}
	for _, t := range p.timers {
		list = append(list, point{t.at, t.n})
	}
	return list
}

// place is where a moment stands on the time axis.
func (p *page) place(at time.Duration, n uint64) float64 {
	if !p.still {
		return p.x.at(p.since(at))
	}
	// An event that is no segment stands with the last segment before it.
	i, found := slices.BinarySearch(p.order, n)
	if !found {
		i = max(i-1, 0)
	}
	return p.x.at(float64(i))
}

// plot is one graph: its frame and its scales.
type plot struct {
	*page
	y           scale
	top, bottom float64
	labels      []rect // of the texts within the frame
}

// rect is a text's room.
type rect struct{ x1, y1, x2, y2 float64 }

// entry is a line of a graph's legend.
type entry struct {
	class draw.Class
	form  form
	text  string
}

// form is what a legend's sign looks like.
type form uint8

const (
	asLine form = iota
	asDashes
	asBar
	asCross
	asDot
	asArea
	asTick
)

// legend writes the legend from y on, above the frame, and returns where it ends.
func (p *page) legend(y float64, list []entry) float64 {
	x := left
	for _, e := range list {
		wide := 24 + draw.TextWidth(e.text, fontSize)
		if x+wide > width-right && x > left {
			x, y = left, y+18
		}
		p.sign(x, y-4, e)
		p.Text(x+24, y, draw.Fit(e.text, fontSize, width-right-x-24), fontSize, draw.Start, draw.Attr{Class: draw.Ink})
		x += wide + 20
	}
	return y
}

func (p *page) sign(x, y float64, e entry) {
	switch e.form {
	case asLine:
		p.Line(x, y, x+18, y, draw.Attr{Class: e.class, Width: 2})
	case asDashes:
		p.Line(x, y, x+18, y, draw.Attr{Class: e.class, Width: 1.6, Dash: "5 3"})
	case asBar:
		p.Line(x+9, y-6, x+9, y+6, draw.Attr{Class: e.class, Width: 2.4})
	case asCross:
		p.cross(x+9, y, "", 0)
	case asDot:
		p.Circle(x+9, y, 2.2, draw.Attr{Class: e.class})
	case asArea:
		p.Rect(x+1, y-5, 16, 10, draw.Attr{Class: e.class})
	case asTick:
		p.Line(x+4, y, x+14, y, draw.Attr{Class: e.class, Width: 1.6})
		p.Line(x+9, y-4, x+9, y+4, draw.Attr{Class: e.class, Width: 1.6})
	}
}

// cross marks a loss.
func (p *page) cross(x, y float64, title string, n uint64) {
	const r = 3.6
	p.Open(draw.Attr{Class: "lost", Title: title, N: n})
	p.Line(x-r, y-r, x+r, y+r, draw.Attr{Class: draw.Bad, Width: 1.8})
	p.Line(x-r, y+r, x+r, y-r, draw.Attr{Class: draw.Bad, Width: 1.8})
	p.Close()
}

// frame draws the graph's ground, grid and axes. units are those of the upright axis.
func (p *plot) frame(title string, units []unit) {
	p.Rect(left, p.top, width-left-right, p.bottom-p.top, draw.Attr{Class: draw.Panel})
	if len(units) == 0 {
		p.Text(left, p.top-8, title, fontSize, draw.Start, draw.Attr{Class: draw.Muted})
		return
	}
	u := unitFor(units, p.y.hi)
	list := ticks(p.y.lo, p.y.hi, int((p.bottom-p.top)/52)+1)
	if p.y.log {
		list = logTicks(p.y.lo, p.y.hi)
	}
	if u.name == "B" { // there is no half of a byte
		list = slices.DeleteFunc(list, func(v float64) bool { return v != math.Trunc(v) })
	}
	last := math.Inf(1)
	for _, v := range list {
		y := p.y.at(v)
		p.Line(left, y, width-right, y, draw.Attr{Class: draw.Grid, Width: 1})
		if last-y < 15 {
			continue // no room for the number: the line alone
		}
		last = y
		p.Text(left-8, y+4, tickText(v, u.per), fontSize, draw.End, draw.Attr{Class: draw.Muted})
	}
	p.Text(left, p.top-8, title+" ("+u.name+")", fontSize, draw.Start, draw.Attr{Class: draw.Muted})
	p.timeAxis()
	p.Line(left, p.top, left, p.bottom, draw.Attr{Class: draw.Axis, Width: 1})
	p.Line(left, p.bottom, width-right, p.bottom, draw.Attr{Class: draw.Axis, Width: 1})
}

// timeAxis draws the level axis.
func (p *plot) timeAxis() {
	middle := (left + width - right) / 2
	if p.still {
		p.Text(middle, p.bottom+34, p.lang.T("the events in order: the clock stood still"), fontSize, draw.Middle, draw.Attr{Class: draw.Muted})
		return
	}
	u := unitFor(timeUnits, p.x.hi)
	for _, v := range ticks(0, p.x.hi, 10) {
		x := p.x.at(v)
		p.Line(x, p.top, x, p.bottom, draw.Attr{Class: draw.Grid, Width: 1})
		p.Line(x, p.bottom, x, p.bottom+4, draw.Attr{Class: draw.Axis, Width: 1})
		p.Text(x, p.bottom+17, tickText(v, u.per), fontSize, draw.Middle, draw.Attr{Class: draw.Muted})
	}
	p.Text(middle, p.bottom+34, timeTitle(p.lang, u), fontSize, draw.Middle, draw.Attr{Class: draw.Muted})
}

// label writes a short text within the frame where there is room for it.
func (p *plot) label(x, y float64, s string, class draw.Class) {
	const size = 10.0
	wide := draw.BoldWidth(s, size)
	r := rect{x - wide/2 - 1, y - size, x + wide/2 + 1, y + 2}
	if r.x1 < left+2 || r.x2 > width-right-2 || r.y1 < p.top+2 || r.y2 > p.bottom-2 {
		return
	}
	for _, q := range p.labels {
		if r.x1 < q.x2 && q.x1 < r.x2 && r.y1 < q.y2 && q.y1 < r.y2 {
			return
		}
	}
	p.labels = append(p.labels, r)
	p.Text(x, y, s, size, draw.Middle, draw.Attr{Class: class + " b"})
}

// yAt is where a value stands: what is beyond the frame, at its edge.
func (p *plot) yAt(v float64) float64 { return p.y.at(min(max(v, p.y.lo), p.y.hi)) }

// step is a value from a moment on.
type step struct {
	x float64 // a place
	v float64 // a value
}

// steps draws a line that goes level from each value to the next, and to the place end.
// Where it is above the frame it is left out.
func (p *plot) steps(list []step, end float64, a draw.Attr) {
	var run []draw.Point
	flush := func() {
		if len(run) > 1 {
			p.Polyline(thin(run), a)
		}
		run = nil
	}
	for i, s := range list {
		to := end
		if i+1 < len(list) {
			to = list[i+1].x
		}
		if s.v > p.y.hi || p.y.log && s.v <= 0 {
			flush()
			continue
		}
		y := p.yAt(s.v)
		run = append(run, draw.Point{X: s.x, Y: y}, draw.Point{X: to, Y: y})
	}
	flush()
}

// thin leaves out the points of a line that fall on the same column of pixels, but for the
// first and last of each and its highest and lowest.
func thin(points []draw.Point) []draw.Point {
	out := points[:0:0]
	for i := 0; i < len(points); {
		j := i
		lo, hi := i, i
		for j < len(points) && math.Floor(points[j].X) == math.Floor(points[i].X) {
			if points[j].Y < points[lo].Y {
				lo = j
			}
			if points[j].Y > points[hi].Y {
				hi = j
			}
			j++
		}
		last := -1
		for _, k := range []int{i, min(lo, hi), max(lo, hi), j - 1} {
			if k > last {
				out = append(out, points[k])
				last = k
			}
		}
		i = j
	}
	return collinear(out)
}

// collinear leaves out the points that lie on the level line between their neighbours.
func collinear(points []draw.Point) []draw.Point {
	out := points[:0:0]
	for i, q := range points {
		n := len(out)
		if n > 1 && out[n-1].Y == q.Y && out[n-2].Y == q.Y {
			out[n-1] = points[i]
			continue
		}
		out = append(out, q)
	}
	return out
}
