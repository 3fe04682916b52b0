package graph

import (
	"time"

	"appliance/tracer/view/draw"
)

// values are the values of one of the sender's variables over time, as steps.
func (p *page) values(name string, per float64) (list []step, hi float64) {
	for i := range p.vars {
		if v := &p.vars[i]; v.name == name {
			list = append(list, step{p.place(v.at, v.n), v.value / per})
			hi = max(hi, v.value/per)
		}
	}
	return list, hi
}

// inflight is what was sent and not yet acknowledged, by the segments.
func (p *page) inflight() (list []step, hi float64) {
	var sent, acked int64
	i, k := 0, 0
	for i < len(p.segs) || k < len(p.acks) {
		var at time.Duration
		var n uint64
		if k >= len(p.acks) || i < len(p.segs) && p.segs[i].n < p.acks[k].n {
			sent, at, n = max(sent, p.segs[i].to), p.segs[i].at, p.segs[i].n
			i++
		} else {
			acked, at, n = max(acked, p.acks[k].ack), p.acks[k].at, p.acks[k].n
			k++
		}
		v := float64(max(sent-acked, 0))
		list = append(list, step{p.place(at, n), v})
		hi = max(hi, v)
	}
	return list, hi
}

// peerWindow is the window that the data's receiver announced.
func (p *page) peerWindow() (list []step) {
	for i := range p.acks {
		a := &p.acks[i]
		list = append(list, step{p.place(a.at, a.n), float64(a.win)})
	}
	return list
}

// window is the graph of what limits the sender.
func (p *page) window() chart {
	c := chart{title: p.lang.T("bytes"), units: byteUnits}
	cwnd, hiC := p.values("cwnd", 1)
	ssthresh, _ := p.values("ssthresh", 1)
	flight, hiF := p.inflight()
	peer := p.peerWindow()
	data := max(hiC, hiF, 1)
	c.hi = max(headroom(data, valuesOf(ssthresh)), headroom(data, valuesOf(peer))) * 1.08
	fast, hasFast := p.recoveries()
	c.add(hasFast, draw.Mark, asArea, p.lang.T("fast recovery"))
	c.add(len(flight) > 0, draw.Area, asArea, p.lang.T("in flight"))
	c.add(len(cwnd) > 0, draw.Reply, asLine, "cwnd")
	c.line(p.lang, draw.Bad, "ssthresh", valuesOf(ssthresh))
	c.line(p.lang, draw.Timer, p.lang.T("the peer's window"), valuesOf(peer))
	c.add(p.repeats() > 0, draw.Repeat, asBar, p.lang.F("retransmission (%d)", p.repeats()))
	if len(cwnd) == 0 {
		c.legend = append(c.legend, entry{draw.Muted, asDot, p.noVariables()})
	}
	c.draw = func(pl *plot) {
		for _, r := range fast {
			pl.Rect(r[0], pl.top, max(r[1]-r[0], 2), 8, draw.Attr{Class: draw.Mark})
		}
		pl.area(flight, draw.Area)
		pl.steps(peer, pl.lastPlace(), draw.Attr{Class: draw.Timer, Width: 1.4, Dash: "5 3"})
		pl.steps(ssthresh, pl.lastPlace(), draw.Attr{Class: draw.Bad, Width: 1.6, Dash: "7 4"})
		pl.steps(cwnd, pl.lastPlace(), draw.Attr{Class: draw.Reply, Width: 2.2})
		pl.repeatTicks()
		pl.expiries(true)
	}
	return c
}

// noVariables says why there is no cwnd, ssthresh, srtt and rto.
func (p *page) noVariables() string {
	if !p.sender {
		return p.lang.T("only the sender knows the rest")
	}
	return p.lang.T("no more is known: the trace has no tcb events (run with --level full)")
}

func valuesOf(list []step) []float64 {
	values := make([]float64, len(list))
	for i, s := range list {
		values[i] = s.v
	}
	return values
}

func (p *page) repeats() (n int) {
	for i := range p.segs {
		if p.segs[i].kind == repeat {
			n++
		}
	}
	return n
}

// recoveries are the stretches of fast recovery, from place to place.
func (p *page) recoveries() (list [][2]float64, found bool) {
	begun := -1.0
	for i := range p.vars {
		v := &p.vars[i]
		if v.name != "recovery" {
			continue
		}
		x := p.place(v.at, v.n)
		switch {
		case v.word == "fast" && begun < 0:
			begun = x
		case v.word != "fast" && begun >= 0:
			list = append(list, [2]float64{begun, x})
			begun = -1
		}
	}
	if begun >= 0 {
		list = append(list, [2]float64{begun, p.lastPlace()})
	}
	return list, len(list) > 0
}

// area fills what is under a line of steps.
func (p *plot) area(list []step, class draw.Class) {
	if len(list) == 0 {
		return
	}
	var top []draw.Point
	for i, s := range list {
		to := p.lastPlace()
		if i+1 < len(list) {
			to = list[i+1].x
		}
		y := p.yAt(s.v)
		top = append(top, draw.Point{X: s.x, Y: y}, draw.Point{X: to, Y: y})
	}
	top = thin(top)
	shape := append(top, draw.Point{X: top[len(top)-1].X, Y: p.yAt(0)}, draw.Point{X: top[0].X, Y: p.yAt(0)})
	p.Open(draw.Attr{Class: "flight"})
	p.Polygon(shape, draw.Attr{Class: class})
	p.Close()
}

// repeatTicks marks each retransmission at the foot of the graph.
func (p *plot) repeatTicks() {
	for i := range p.segs {
		if s := &p.segs[i]; s.kind == repeat {
			x := p.place(s.at, s.n)
			p.Line(x, p.bottom-14, x, p.bottom, draw.Attr{
				Class: draw.Repeat + " data", Width: 2.4, N: s.n,
				Title: p.lang.F("retransmission #%d at %s", s.n, timeText(s.at-p.start)),
			})
		}
	}
}
