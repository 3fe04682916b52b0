package graph

import (
	"math"
	"slices"
	"time"

	"appliance/tracer/view/draw"
	"appliance/tracer/view/words"
)

// chart draws one graph from y on and returns where it ends.
func (p *page) chart(k Kind, y, h float64) float64 {
	var c chart
	switch k {
	case Sequence:
		c = p.sequence()
	case Window:
		c = p.window()
	case RTT:
		c = p.rtt()
	case Throughput:
		c = p.throughput()
	}
	if c.nothing == "" && len(p.points(k)) == 0 {
		c.legend, c.draw = nil, nil
		c.nothing = p.lang.T("nothing to draw: no data went this way, and no ACK of any came back")
	}
	if c.nothing != "" {
		h = 80
	}
	y = p.legend(y+18, c.legend)
	pl := &plot{page: p, top: y + 34, bottom: y + 34 + h}
	pl.y = scale{lo: c.lo, hi: c.hi, log: c.log, a: pl.bottom - 4, b: pl.top + 6}
	p.Open(draw.Attr{Class: draw.Class("graph " + string(k))})
	pl.frame(c.title, c.units)
	if c.draw != nil {
		c.draw(pl)
	}
	if c.nothing != "" {
		p.Text((left+width-right)/2, (pl.top+pl.bottom)/2, c.nothing, 13, draw.Middle, draw.Attr{Class: draw.Muted})
	}
	p.Close()
	return pl.bottom + 52
}

// chart is one graph before it has its place.
type chart struct {
	title   string // of the upright axis
	units   []unit
	lo, hi  float64
	log     bool
	legend  []entry
	draw    func(*plot)
	nothing string // what to say where there is nothing to draw
}

// roof is how far a line may reach above the data before it is left out: a window of
// megabytes would press a few kilobytes of data to the ground.
const roof = 1.6

// sequence is the time-sequence graph.
func (p *page) sequence() chart {
	c := chart{title: p.lang.T("sequence number"), units: byteUnits, hi: 1}
	var has [numKind]bool
	lost := false
	for i := range p.segs {
		s := &p.segs[i]
		c.hi = max(c.hi, float64(s.to))
		has[s.kind] = true
		lost = lost || s.lost
	}
	var edges []float64
	sack, dup := false, false
	for i := range p.acks {
		a := &p.acks[i]
		sack, dup = sack || len(a.sack) > 0, dup || a.dup
		edges = append(edges, float64(a.ack+a.win))
	}
	c.hi = headroom(c.hi, edges) * 1.04
	c.add(has[fresh], draw.Sent, asBar, p.lang.T("segment|a bar"))
	c.add(has[repeat], draw.Repeat, asBar, p.lang.T("retransmission (R)"))
	c.add(has[late], draw.Call, asBar, p.lang.T("out of order"))
	c.add(has[probe], draw.Timer, asBar, p.lang.T("window probe, keep-alive (P)"))
	c.add(has[copied], draw.Muted, asBar, p.lang.T("duplicate made by the link"))
	c.add(lost, draw.Bad, asCross, p.lang.T("lost"))
	c.add(len(p.acks) > 0, draw.Reply, asLine, p.lang.T("acknowledged"))
	c.add(dup, draw.Reply, asTick, p.lang.T("duplicate ACK"))
	c.add(sack, draw.Call, asBar, p.lang.T("SACK block"))
	c.line(p.lang, draw.Timer, p.lang.T("the window's edge"), edges)
	c.draw = func(pl *plot) {
		pl.ackLine()
		pl.windowEdge()
		pl.sackBlocks()
		pl.segments()
		pl.expiries(false)
	}
	return c
}

// headroom is how high a graph of data up to hi should reach for the values of a line: to
// their top, within roof, where at least half of them are so low; else they do not count.
func headroom(hi float64, values []float64) float64 {
	inside, top := 0, 0.0
	for _, v := range values {
		if v <= roof*hi {
			inside++
			top = max(top, v)
		}
	}
	if 2*inside < len(values) {
		return hi
	}
	return max(hi, top)
}

// line adds a line to the legend, and says there where it goes when that is above the frame.
func (c *chart) line(l words.Lang, class draw.Class, name string, values []float64) {
	if len(values) == 0 {
		return
	}
	lo, hi := slices.Min(values), slices.Max(values)
	switch {
	case lo > c.hi:
		name = l.F("%s: above, at %s and more", name, bytesText(lo))
	case hi > c.hi:
		name = l.F("%s: up to %s", name, bytesText(hi))
	}
	c.add(true, class, asDashes, name)
}

func (c *chart) add(shown bool, class draw.Class, f form, text string) {
	if shown {
		c.legend = append(c.legend, entry{class, f, text})
	}
}

// lastPlace is where the time axis ends.
func (p *page) lastPlace() float64 { return width - right }

func (p *plot) ackLine() {
	var list []step
	high := int64(-1)
	for i := range p.acks {
		a := &p.acks[i]
		if a.ack > high { // an old one says nothing new
			high = a.ack
			list = append(list, step{p.place(a.at, a.n), float64(a.ack)})
		}
	}
	p.steps(list, p.lastPlace(), draw.Attr{Class: draw.Reply, Width: 1.4})
	for _, d := range p.ticksOfDups() {
		p.Line(d.X-3, d.Y, d.X+3, d.Y, draw.Attr{Class: draw.Reply, Width: 1.2})
		p.Line(d.X, d.Y-3, d.X, d.Y+3, draw.Attr{Class: draw.Reply, Width: 1.2})
	}
}

// ticksOfDups are the places of the duplicate ACKs, a pixel once.
func (p *plot) ticksOfDups() []draw.Point {
	seen := map[[2]int]bool{}
	var list []draw.Point
	for i := range p.acks {
		a := &p.acks[i]
		if !a.dup || float64(a.ack) > p.y.hi {
			continue
		}
		q := draw.Point{X: p.place(a.at, a.n), Y: p.yAt(float64(a.ack))}
		key := [2]int{int(q.X), int(q.Y)}
		if !seen[key] {
			seen[key] = true
			list = append(list, q)
		}
	}
	return list
}

func (p *plot) windowEdge() {
	var list []step
	for i := range p.acks {
		a := &p.acks[i]
		list = append(list, step{p.place(a.at, a.n), float64(a.ack + a.win)})
	}
	p.steps(list, p.lastPlace(), draw.Attr{Class: draw.Timer, Width: 1.2, Dash: "5 3"})
}

// bar is an upright line: what is drawn of one or several segments.
type bar struct {
	x, y1, y2 float64 // y1 is below
	n         uint64  // the first event
	count     int
	bytes     int64
	at        time.Duration
}

// merge joins the bars that lie on one column of pixels and touch.
func merge(bars []bar) []bar {
	slices.SortStableFunc(bars, func(a, b bar) int {
		if ax, bx := math.Floor(a.x), math.Floor(b.x); ax != bx {
			return sign(ax - bx)
		}
		return sign(b.y1 - a.y1)
	})
	out := bars[:0:0]
	for _, b := range bars {
		n := len(out)
		if n > 0 && math.Floor(out[n-1].x) == math.Floor(b.x) && b.y1 >= out[n-1].y2-1 {
			last := &out[n-1]
			last.y2 = min(last.y2, b.y2)
			last.y1 = max(last.y1, b.y1)
			last.count += b.count
			last.bytes += b.bytes
			last.n, last.at = min(last.n, b.n), min(last.at, b.at)
			continue
		}
		out = append(out, b)
	}
	return out
}

func sign(f float64) int {
	switch {
	case f < 0:
		return -1
	case f > 0:
		return 1
	default:
		return 0
	}
}

func (p *plot) sackBlocks() {
	var bars []bar
	for i := range p.acks {
		a := &p.acks[i]
		for _, b := range a.sack {
			bars = append(bars, bar{
				x: p.place(a.at, a.n), y1: p.yAt(float64(b[0])), y2: p.yAt(float64(b[1])),
				n: a.n, count: 1, bytes: b[1] - b[0], at: a.at,
			})
		}
	}
	for _, b := range merge(bars) {
		p.Line(b.x, b.y1, b.x, b.y2, draw.Attr{Class: draw.Call, Width: 1, N: b.n})
	}
}

// segments draws the data: what is ordinary merged by pixels, the rest one by one.
func (p *plot) segments() {
	var bars [numKind][]bar
	for i := range p.segs {
		s := &p.segs[i]
		b := bar{x: p.place(s.at, s.n), y1: p.yAt(float64(s.from)), y2: p.yAt(float64(s.to)), n: s.n, count: 1, bytes: int64(s.len), at: s.at}
		if b.y1-b.y2 < 2 { // a byte, or a kilobyte of a gigabyte, is seen all the same
			middle := (b.y1 + b.y2) / 2
			b.y1, b.y2 = middle+1, middle-1
		}
		bars[s.kind] = append(bars[s.kind], b)
	}
	p.bars(merge(bars[copied]), draw.Muted, 1.8)
	p.bars(merge(bars[fresh]), draw.Sent, 1.8)
	p.bars(merge(bars[late]), draw.Call, 1.8)
	p.bars(bars[probe], draw.Timer, 2.4)
	p.bars(bars[repeat], draw.Repeat, 2.6)
	for i := range p.segs {
		if s := &p.segs[i]; s.lost {
			x, y := p.place(s.at, s.n), p.yAt(float64(s.from+s.to)/2)
			p.cross(x, y, p.lang.F("lost: %s", s.why), s.n)
			p.labels = append(p.labels, rect{x - 4, y - 4, x + 4, y + 4})
		}
	}
	for _, b := range bars[repeat] {
		p.label(b.x, b.y2-4, "R", draw.Repeat)
	}
	for _, b := range bars[probe] {
		p.label(b.x, b.y2-4, "P", draw.Timer)
	}
	for i := range p.segs {
		s := &p.segs[i]
		x := p.place(s.at, s.n)
		if s.syn {
			p.label(x+16, p.yAt(float64(s.to))-4, "SYN", draw.Sent)
		}
		if s.fin {
			p.label(x, p.yAt(float64(s.to))-6, "FIN", draw.Sent)
		}
	}
}

// bars draws upright lines, with tcptrace's short bars at the ends of those that are tall.
func (p *plot) bars(list []bar, class draw.Class, wide float64) {
	for _, b := range list {
		title := p.lang.F("#%d at %s: %s", b.n, timeText(b.at-p.start), bytesText(float64(b.bytes)))
		if b.count > 1 {
			title = p.lang.F("%d segments from #%d at %s: %s", b.count, b.n, timeText(b.at-p.start), bytesText(float64(b.bytes)))
		}
		p.Line(b.x, b.y1, b.x, b.y2, draw.Attr{Class: class + " data", Width: wide, N: b.n, Title: title})
		if b.count == 1 && b.y1-b.y2 >= 9 {
			for _, y := range []float64{b.y1, b.y2} {
				p.Line(b.x-2.5, y, b.x+2.5, y, draw.Attr{Class: class, Width: 1.4})
			}
		}
	}
}

// expiries marks the retransmission timers that fired: at the foot of the graph, or at its
// top where something else stands there.
func (p *plot) expiries(atTop bool) {
	for _, t := range p.timers {
		x := p.place(t.at, t.n)
		name := "RTO"
		if t.name == "tail-loss-probe" {
			name = "TLP"
		}
		y, dy, text := p.bottom, -9.0, p.bottom-11
		if atTop {
			y, dy, text = p.top, 9, p.top+20
		}
		p.Open(draw.Attr{Class: "expiry", N: t.n, Title: p.lang.F("the timer %s fired at %s", t.name, timeText(t.at-p.start))})
		p.Polygon([]draw.Point{{X: x, Y: y + dy}, {X: x - 4.5, Y: y}, {X: x + 4.5, Y: y}}, draw.Attr{Class: draw.Timer})
		p.Close()
		p.label(x, text, name, draw.Timer)
	}
}
