package states

import (
	"fmt"
	"time"

	"appliance/tracer/view/draw"
	"appliance/tracer/view/words"
)

const (
	lineH = 19.0
	fontS = 12.0
)

// who is an end's name in the key.
func (p *Path) who(l words.Lang) string {
	c := p.Conn
	if c.Listener {
		return l.F("%s, listener %d at %s", c.Stack, c.ID, c.Local)
	}
	return fmt.Sprintf("%s.%d %s", c.Stack, c.ID, c.Local)
}

// panels draws what stands under the diagram, from y on, and returns where it ends.
func (s *sheet) panels(y float64) float64 {
	s.Line(margin, y, svgW-margin, y, draw.Attr{Class: draw.Grid, Width: 1})
	y += 26
	bottom := s.bars(y) + 16
	if s.d.Many {
		left := s.counts(margin, bottom)
		right := s.changes(svgW/2+50, bottom)
		return max(left, right)
	}
	end := bottom
	wide := (svgW - 2*margin - 30) / float64(len(s.d.Paths))
	for i := range s.d.Paths {
		end = max(end, s.steps(i, margin+float64(i)*(wide+30), bottom, wide))
	}
	return end
}

// bars tells how much of the figure was covered, with a bar each.
func (s *sheet) bars(y float64) float64 {
	l := s.d.opts.Lang
	states, transitions := s.d.Coverage()
	const wide = 160.0
	bar := func(x float64, n, of int, text string) {
		s.Rect(x, y-10, wide, 11, draw.Attr{Class: draw.Grid, Round: 3})
		s.Rect(x, y-10, wide*float64(n)/float64(of), 11, draw.Attr{Class: draw.Sent, Round: 3})
		s.Text(x+wide+10, y, text, fontS, draw.Start, draw.Attr{Class: draw.Ink})
	}
	bar(margin, states, len(allStates), l.F("%d of %d states reached", states, len(allStates)))
	bar(svgW/2, transitions, len(figure), l.F("%d of %d transitions of the figure taken", transitions, len(figure)))
	for _, text := range s.d.coverageWords()[1:] {
		for _, line := range wrap(text, 128) {
			y += lineH
			s.Text(margin, y, draw.Fit(line, fontS, svgW-2*margin), fontS, draw.Start, draw.Attr{Class: draw.Muted})
		}
	}
	return y
}

// steps lists an end's steps.
func (s *sheet) steps(end int, x, y, wide float64) float64 {
	p := &s.d.Paths[end]
	l := s.d.opts.Lang
	y += lineH
	s.Text(x, y, draw.FitBold(p.who(l), fontS, wide), fontS, draw.Start, draw.Attr{Class: "ink b"})
	for k := range p.Steps {
		step := &p.Steps[k]
		y += lineH + 3
		class := s.d.endClass(end)
		if step.Arrow < 0 {
			class = draw.Bad
		}
		s.Open(draw.Attr{Class: "step", N: step.N, Conn: p.Conn.ID})
		s.badge(x+badgeR, y-4, end, fmt.Sprint(k+1), class)
		s.Text(x+26, y, step.From.String()+" → "+step.To.String(), fontS, draw.Start, draw.Attr{Class: draw.Ink})
		at := since(step.At)
		s.Text(x+312, y, at, 11, draw.End, draw.Attr{Class: draw.Muted})
		s.Text(x+322, y, draw.Fit(step.why(l), 11, wide-322), 11, draw.Start, draw.Attr{Class: draw.Muted})
		s.Close()
	}
	if p.Open >= 0 {
		y += lineH + 3
		text := l.F("still in %s when the trace ended, after %s", p.Steps[len(p.Steps)-1].To, shortDuration(p.Open))
		s.Text(x+26, y, draw.Fit(text, 11, wide-26), 11, draw.Start, draw.Attr{Class: draw.Muted})
	}
	return y
}

// since is a time since the trace started, to the microsecond where there is room for it.
func since(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return milliseconds(d) + " ms"
	case d < 1e6*time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	default:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
}

// counts is the table of the states' visits.
func (s *sheet) counts(x, y float64) float64 {
	l := s.d.opts.Lang
	right := []float64{180, 262, 344, 426, 510}
	row := func(class draw.Class, first string, values ...string) {
		s.Text(x+24, y, first, fontS, draw.Start, draw.Attr{Class: class})
		for i, v := range values {
			s.Text(x+right[i], y, v, fontS, draw.End, draw.Attr{Class: class})
		}
	}
	y += lineH
	row(draw.Muted, l.T("state"), l.T("visits"), l.T("shortest"), l.T("median"), l.T("longest"), l.T("at the end"))
	for _, st := range allStates {
		t := s.d.States[st]
		if !t.Reached {
			continue
		}
		y += lineH
		s.Rect(x, y-10, 14, 12, draw.Attr{Class: draw.StateClass(st), Round: 3})
		short, median, long, open := "", "", "", ""
		if n := len(t.Dwells); n > 0 {
			short, median, long = shortDuration(t.Dwells[0]), shortDuration(t.Dwells[n/2]), shortDuration(t.Dwells[n-1])
		}
		if t.Open > 0 {
			open = fmt.Sprint(t.Open)
		}
		row(draw.Ink, st.String(), fmt.Sprint(t.Visits), short, median, long, open)
	}
	return y
}

// changes lists what the figure does not draw.
func (s *sheet) changes(x, y float64) float64 {
	l := s.d.opts.Lang
	if len(s.d.Others) == 0 {
		return y
	}
	y += lineH
	s.Text(x, y, l.T("changes that the figure does not draw:"), fontS, draw.Start, draw.Attr{Class: draw.Muted})
	for i := range s.d.Others {
		o := &s.d.Others[i]
		y += lineH
		text := fmt.Sprintf("%s× %s → %s: %s", compact(o.Count), o.From, o.To, o.reason(l))
		s.Text(x, y, draw.Fit(text, fontS, svgW-margin-x), fontS, draw.Start, draw.Attr{Class: draw.Ink})
	}
	return y
}
