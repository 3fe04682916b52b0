package graph

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/draw"
	"appliance/tracer/view/words"
)

// Kind is a sort of graph.
type Kind string

// The graphs.
const (
	// Sequence has each segment as a bar over the sequence numbers that it bears, the line
	// of what is acknowledged and that of what the window allows, SACK blocks,
	// retransmissions and losses: tcptrace's time-sequence graph.
	Sequence Kind = "sequence"
	// Window has the congestion window, the slow start threshold, what is in flight and the
	// peer's window.
	Window Kind = "window"
	// RTT has the smoothed round-trip time with its variation, the retransmission time-out,
	// and the times that the segments themselves show.
	RTT Kind = "rtt"
	// Throughput has the bytes of payload per interval, both ways.
	Throughput Kind = "throughput"
)

// Kinds returns every kind, in the order in which they are drawn under one another.
func Kinds() []Kind { return []Kind{Sequence, Window, RTT, Throughput} }

// Options say what is drawn; the zero value is ready.
type Options struct {
	Lang words.Lang
	// Dir is which way's data is drawn, as the connection sees it: what it sends (out) or
	// what it gets (in). "" is the one with more payload.
	Dir tracer.Direction
	// Kinds are drawn under one another, on one time axis; nil means every kind.
	Kinds []Kind
}

// The picture's measures, in its user units.
const (
	width     = 1000.0
	aloneH    = 520.0 // a graph's height, where it is the only one
	firstH    = 380.0 // of the first of several
	lowerH    = 240.0 // of each further one
	left      = 84.0
	right     = 28.0
	titleSize = 18.0
	fontSize  = 12.0
)

// Busiest returns the connection that sent most payload among the trace's, or of these
// stacks; nil where there is none of TCP.
func Busiest(t *view.Trace, stacks []string) *view.Conn {
	sent := map[uint32]int{}
	for i := range t.Events {
		e := &t.Events[i]
		b, ok := e.Body.(*tracer.Segment)
		if !ok {
			continue
		}
		if b.Dir == tracer.Out {
			sent[e.Conn] += b.Len
			continue
		}
		if p, ok := t.PairOf(e.Conn); ok {
			// What an end without segments of its own sent is known where it came to.
			if peer := p.Other(t.Conn(e.Conn)); peer != nil && !peer.Segments {
				sent[peer.ID] += b.Len
			}
		}
	}
	var best *view.Conn
	for _, c := range t.Conns {
		if c.Listener || c.UDP || len(stacks) > 0 && !slices.Contains(stacks, c.Stack) {
			continue
		}
		if best == nil || sent[c.ID] > sent[best.ID] {
			best = c
		}
	}
	return best
}

// SVG writes the graphs of a connection as one SVG file.
func SVG(w io.Writer, t *view.Trace, c *view.Conn, o Options) error {
	canvas, err := Draw(t, c, o)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("write the graph: %w", err)
	}
	return nil
}

// Draw draws the graphs of a connection. It errs where the trace has no segment of it.
func Draw(t *view.Trace, c *view.Conn, o Options) (*draw.Canvas, error) {
	f := choose(t, c, o.Dir)
	if len(f.segs)+len(f.acks)+len(f.back) == 0 {
		return nil, fmt.Errorf("connection %d has no segments in this trace: level states writes none, and a Linux peer shows its states alone", c.ID)
	}
	if len(o.Kinds) == 0 {
		o.Kinds = Kinds()
	}
	p := &page{flow: f, lang: o.Lang}
	p.Canvas = draw.New(width, 0, p.title(c))
	p.clock(o.Kinds)
	p.Text(24, 34, draw.FitBold(p.title(c), titleSize, width-48), titleSize, draw.Start, draw.Attr{Class: "ink b"})
	p.Text(24, 54, p.source(), fontSize, draw.Start, draw.Attr{Class: draw.Muted})
	y := 70.0
	for i, k := range o.Kinds {
		h := lowerH
		switch {
		case len(o.Kinds) == 1:
			h = aloneH
		case i == 0:
			h = firstH
		}
		y = p.chart(k, y, h)
	}
	p.H = y
	return p.Canvas, nil
}

// choose finds the flow of one direction of a connection. An end without segments shows no
// data: it counts as one that is not traced.
func choose(t *view.Trace, c *view.Conn, dir tracer.Direction) *flow {
	var peer *view.Conn
	if p, ok := t.PairOf(c.ID); ok {
		peer = p.Other(c)
	}
	switch {
	case peer == nil:
	case !peer.Segments:
		peer = nil
	case !c.Segments:
		c = nil
	}
	switch dir {
	case tracer.Out:
		return newFlow(t, c, peer)
	case tracer.In:
		return newFlow(t, peer, c)
	default:
		out := newFlow(t, c, peer)
		if payload(out.segs) >= payload(out.back) {
			return out
		}
		return newFlow(t, peer, c)
	}
}

// page is the picture while it is drawn.
type page struct {
	*draw.Canvas
	*flow
	lang words.Lang
	x    scale // seconds since the connection began, or places in order
	// still says that the clock stood still: the events stand in their order.
	still bool
	order []uint64 // their numbers, ascending
}

// title names the connection and the direction.
func (p *page) title(c *view.Conn) string {
	from, to := p.end.Local, p.end.Remote
	if !p.sender {
		from, to = to, from
	}
	return p.lang.F("%s, connection %d: data from %s to %s", strings.ToValidUTF8(c.Stack, "?"), c.ID, from, to)
}

// source says who saw what is drawn.
func (p *page) source() string {
	if p.sender {
		return p.lang.F("as the data's sender saw it, on its own clock (%s)", p.end.Name())
	}
	return p.lang.F("as the data's receiver saw it (%s): no segments of the sender are in this trace", p.end.Name())
}

// clock makes the time axis: all that is drawn lies on it.
func (p *page) clock(kinds []Kind) {
	var list []point
	for _, k := range kinds {
		list = append(list, p.points(k)...)
	}
	if len(list) == 0 { // of the direction there is nothing: the other one gives the axis
		list = p.points(Throughput)
	}
	lo, hi := list[0].at, list[0].at
	for _, q := range list {
		lo, hi = min(lo, q.at), max(hi, q.at)
	}
	p.start = min(p.start, lo)
	p.x = scale{lo: 0, hi: p.since(hi), a: left + 22, b: width - right - 22}
	if lo == hi {
		p.still = true
		for _, q := range p.points(Throughput) { // the segments
			p.order = append(p.order, q.n)
		}
		slices.Sort(p.order)
		p.order = slices.Compact(p.order)
		p.x.hi = float64(max(len(p.order)-1, 1))
	}
}

// since is the time since the connection began, in seconds.
func (p *page) since(at time.Duration) float64 { return at.Seconds() - p.start.Seconds() }
