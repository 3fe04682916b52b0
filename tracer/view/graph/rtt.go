package graph

import (
	"math"
	"slices"
	"time"

	"appliance/tracer"
	"appliance/tracer/view/draw"
	"appliance/tracer/view/summary"
)

// sample is a round-trip time that a segment and its acknowledgment show.
type sample struct {
	at    time.Duration // when it was acknowledged
	rtt   time.Duration
	n     uint64 // the acknowledgment
	first uint64 // the segment
}

// samples measures round-trip times at the sender, as the summary does.
func (f *flow) samples() []sample {
	if !f.sender {
		return nil
	}
	var (
		list  []sample
		trips summary.RoundTrips
		sack  []tracer.SACKBlock
	)
	i := 0
	for k := range f.acks {
		a := &f.acks[k]
		for ; i < len(f.segs) && f.segs[i].n < a.n; i++ {
			s := &f.segs[i]
			trips.Sent(s.at, s.n, uint32(s.from), int(s.to-s.from), s.kind == repeat)
		}
		sack = sack[:0]
		for _, b := range a.sack {
			sack = append(sack, tracer.SACKBlock{Left: uint32(b[0]), Right: uint32(b[1])})
		}
		if t, ok := trips.Acked(a.at, uint32(a.ack), sack); ok {
			list = append(list, sample{a.at, t.Time, a.n, t.N})
		}
	}
	return list
}

// rtt is the graph of round-trip times.
func (p *page) rtt() chart {
	c := chart{title: p.lang.T("time|an axis"), units: timeUnits}
	measured := p.samples()
	srtt, _ := p.values("srtt_ns", 1e9)
	rto, _ := p.values("rto_ns", 1e9)
	srtt = slices.DeleteFunc(srtt, func(s step) bool { return s.v == 0 }) // none yet
	low, high := p.band()
	var all []float64
	for _, s := range measured {
		all = append(all, s.rtt.Seconds())
	}
	for _, list := range [][]step{srtt, rto, high} {
		for _, s := range list {
			all = append(all, s.v)
		}
	}
	all = slices.DeleteFunc(all, func(v float64) bool { return v <= 0 })
	if len(all) == 0 {
		c.hi, c.units = 1, nil
		c.nothing = p.lang.T("no round-trip time is known here")
		if !p.sender {
			c.nothing = p.lang.T("the round-trip time is known at the sender, whose segments are not in this trace")
		}
		return c
	}
	c.limits(slices.Min(all), slices.Max(all))
	c.add(len(low) > 0, draw.Area, asArea, "srtt ± rttvar")
	c.add(len(srtt) > 0, draw.Reply, asLine, "srtt")
	c.add(len(measured) > 0, draw.Sent, asDot, p.lang.T("measured: from a segment to its ACK"))
	c.add(len(rto) > 0, draw.Timer, asDashes, "rto")
	if len(srtt)+len(rto) == 0 {
		c.legend = append(c.legend, entry{draw.Muted, asDot, p.noVariables()})
	}
	c.draw = func(pl *plot) {
		pl.between(low, high)
		pl.steps(rto, pl.lastPlace(), draw.Attr{Class: draw.Timer, Width: 1.6, Dash: "7 4"})
		pl.steps(srtt, pl.lastPlace(), draw.Attr{Class: draw.Reply, Width: 2})
		pl.dots(measured)
		pl.expiries(true)
	}
	return c
}

// limits sets the upright axis for times from lo to hi: in decades where they differ much.
func (c *chart) limits(lo, hi float64) {
	if hi/lo > 8 {
		c.log = true
		c.lo, c.hi = lo/1.5, hi*1.5
		return
	}
	c.hi = hi * 1.15
}

// band is srtt - rttvar and srtt + rttvar over time.
func (p *page) band() (low, high []step) {
	var srtt, rttvar float64
	for i := range p.vars {
		v := &p.vars[i]
		switch v.name {
		case "srtt_ns":
			srtt = v.value / 1e9
		case "rttvar_ns":
			rttvar = v.value / 1e9
		default:
			continue
		}
		if srtt == 0 {
			continue
		}
		x := p.place(v.at, v.n)
		low = append(low, step{x, max(srtt-rttvar, 0)})
		high = append(high, step{x, srtt + rttvar})
	}
	return low, high
}

// between fills what is between two lines of steps.
func (p *plot) between(low, high []step) {
	if len(low) == 0 {
		return
	}
	outline := func(list []step) (points []draw.Point) {
		for i, s := range list {
			to := p.lastPlace()
			if i+1 < len(list) {
				to = list[i+1].x
			}
			y := p.yAt(s.v)
			points = append(points, draw.Point{X: s.x, Y: y}, draw.Point{X: to, Y: y})
		}
		return thin(points)
	}
	shape := outline(high)
	below := outline(low)
	slices.Reverse(below)
	p.Polygon(append(shape, below...), draw.Attr{Class: draw.Area})
}

// dots draws the measured times, a pixel once.
func (p *plot) dots(list []sample) {
	seen := map[[2]int]bool{}
	for _, s := range list {
		x, y := p.place(s.at, s.n), p.yAt(s.rtt.Seconds())
		key := [2]int{int(math.Floor(x)), int(math.Floor(y))}
		if seen[key] {
			continue
		}
		seen[key] = true
		p.Circle(x, y, 1.8, draw.Attr{
			Class: draw.Sent, N: s.n,
			Title: p.lang.F("%s: #%d acknowledges #%d", timeText(s.rtt), s.n, s.first),
		})
	}
}
