package states

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"appliance/tracer/view/draw"
)

// badges writes the numbers on one of the figure's arrows: where its label is.
func (s *sheet) badges(i int) {
	d, r := s.d, routeOf(i)
	if d.Taken[i] == 0 {
		return
	}
	level := r.label.side == onLine
	p := at(cell{r.label.x, r.label.y})
	if !level {
		p.X = at(cell{r.upright(), 0}).X
	}
	if d.Many {
		text := compact(d.Taken[i])
		s.badge(p.X+r.aside(text), p.Y, 0, text, draw.Sent)
		return
	}
	var ends []int
	for end := range d.Paths {
		if len(d.numbers(end, i)) > 0 {
			ends = append(ends, end)
		}
	}
	x, y := p.X, p.Y-float64(len(ends)-1)*(badgeR+0.5)
	if level {
		for _, end := range ends {
			x -= badgeHalf(d.short(end, i)) + 0.5
		}
		y = p.Y
	}
	for _, end := range ends {
		text := d.short(end, i)
		if level {
			x += badgeHalf(text) + 0.5
		}
		s.badge(x+r.aside(text), y, end, text, d.endClass(end))
		if level {
			x += badgeHalf(text) + 0.5
		} else {
			y += 2*badgeR + 1
		}
	}
}

// short is what stands on an arrow for one end: its steps, or only the first of them where
// there is no room.
func (d *Diagram) short(end, i int) string {
	numbers := d.numbers(end, i)
	text := strings.Join(numbers, ",")
	if badgeHalf(text) > 18 {
		return numbers[0] + "…"
	}
	return text
}

// aside is how far a number must go to the side so that it does not lie on the label.
func (r *route) aside(text string) float64 {
	far := max(badgeHalf(text)-1.1*cellW, 0)
	switch r.label.side {
	case leftOf:
		return far
	case rightOf:
		return -far
	default:
		return 0
	}
}

// badgeHalf is half of a number's width.
func badgeHalf(text string) float64 { return max(badgeR, draw.BoldWidth(text, 11)/2+4) }

// upright is the column of the line that a label stands beside.
func (r *route) upright() int {
	best, near := r.way[0].x, math.MaxInt
	for i := 1; i < len(r.way); i++ {
		a, b := r.way[i-1], r.way[i]
		if a.x != b.x {
			continue
		}
		if off := max(r.label.x-a.x, a.x-r.label.x); off < near {
			best, near = a.x, off
		}
	}
	return best
}

// badge draws a number in a disc, for the opener, or in a square with round corners.
func (s *sheet) badge(x, y float64, end int, text string, class draw.Class) {
	half := badgeHalf(text)
	round := badgeR
	if end == 1 {
		round = 3
	}
	s.Rect(x-half, y-badgeR, 2*half, 2*badgeR, draw.Attr{Class: class, Round: round})
	s.Text(x, y+4, text, 11, draw.Middle, draw.Attr{Class: "bg b"})
}

// compact is a count in at most four characters.
func compact(n int) string {
	switch {
	case n < 1000:
		return strconv.Itoa(n)
	case n < 9_950:
		return fmt.Sprintf("%.1fk", float64(n)/1000)
	case n < 999_500:
		return fmt.Sprintf("%.0fk", float64(n)/1000)
	default:
		return fmt.Sprintf("%.0fM", float64(n)/1_000_000)
	}
}
