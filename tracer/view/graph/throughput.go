package graph

import (
	"fmt"
	"math"

	"appliance/tracer/view/draw"
)

// rates are bytes per second, an interval each.
type rates struct {
	total, again []float64
}

// intervals is about how many intervals the time is cut into.
const intervals = 100

// interval is how long an interval of the throughput is, in the time axis's own unit.
func (p *page) interval() float64 { return nice(max(p.x.hi, 1e-9) / intervals) }

// rate sums up payload by intervals.
func (p *page) rate(segs []seg, long float64) rates {
	n := max(int(math.Ceil(p.x.hi/long-1e-9)), 1)
	r := rates{make([]float64, n), make([]float64, n)}
	for i := range segs {
		s := &segs[i]
		if s.len == 0 || s.kind == copied {
			continue
		}
		at := p.since(s.at)
		k := min(max(int(at/long), 0), n-1)
		r.total[k] += float64(s.len) / long
		if s.kind == repeat {
			r.again[k] += float64(s.len) / long
		}
	}
	return r
}

// throughput is the graph of payload per interval.
func (p *page) throughput() chart {
	c := chart{title: p.lang.T("payload per second"), units: rateUnits, hi: 1}
	if p.still {
		c.units = nil
		c.nothing = p.lang.T("the clock stood still: there is no throughput to tell")
		return c
	}
	long := p.interval()
	there, back := p.rate(p.segs, long), p.rate(p.back, long)
	for _, list := range [][]float64{there.total, back.total} {
		for _, v := range list {
			c.hi = max(c.hi, v)
		}
	}
	c.hi *= 1.08
	u := unitFor(timeUnits, 2.001*long)
	c.legend = []entry{
		{draw.Sent, asArea, p.lang.F("sent: %s", bytesText(float64(payload(p.segs))))},
		{draw.Reply, asLine, p.lang.F("the other way: %s", bytesText(float64(payload(p.back))))},
	}
	again := p.again()
	c.add(again > 0, draw.Repeat, asArea, p.lang.F("of it retransmitted: %s", bytesText(float64(again))))
	c.legend = append(c.legend, entry{draw.Muted, asDot, p.lang.F("by intervals of %s", fmt.Sprintf("%s %s", tickText(long, u.per), u.name))})
	c.draw = func(pl *plot) {
		pl.columns(there.total, long, draw.Sent)
		pl.columns(there.again, long, draw.Repeat)
		var line []step
		for k, v := range back.total {
			line = append(line, step{p.x.at(float64(k) * long), v})
		}
		pl.steps(line, p.x.at(float64(len(back.total))*long), draw.Attr{Class: draw.Reply, Width: 1.8})
	}
	return c
}

// again is how many bytes of payload were sent again.
func (p *page) again() (n int64) {
	for i := range p.segs {
		if p.segs[i].kind == repeat {
			n += int64(p.segs[i].len)
		}
	}
	return n
}

// columns draws a bar an interval.
func (p *plot) columns(list []float64, long float64, class draw.Class) {
	for k, v := range list {
		if v == 0 {
			continue
		}
		x1 := p.x.at(float64(k) * long)
		x2 := p.x.at(float64(k+1) * long)
		y := p.yAt(v)
		p.Rect(x1, y, max(x2-x1-0.6, math.SmallestNonzeroFloat32), p.yAt(0)-y, draw.Attr{
			Class: class, Title: p.lang.F("%s: %s/s", timeText(seconds(float64(k)*long)), bytesText(v)),
		})
	}
}
