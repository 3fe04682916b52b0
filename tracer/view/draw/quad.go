package draw

import "math"

// Quad are the four corners of a rectangle that may be turned, in order; a line is one whose
// corners are its two ends.
type Quad [4]Point

// Around returns the rectangle from x1, y1 to x2, y2, as seen from a place, turned around it
// by degrees as [Attr.Turn] turns a text.
func Around(at Point, x1, y1, x2, y2, turn float64) Quad {
	sin, cos := math.Sincos(turn * math.Pi / 180)
	var q Quad
	for i, p := range [4]Point{{x1, y1}, {x2, y1}, {x2, y2}, {x1, y2}} {
		q[i] = Point{at.X + p.X*cos - p.Y*sin, at.Y + p.X*sin + p.Y*cos}
	}
	return q
}

// Segment returns a line as a Quad.
func Segment(x1, y1, x2, y2 float64) Quad {
	return Quad{{x1, y1}, {x2, y2}, {x2, y2}, {x1, y1}}
}

// Bounds returns the upright rectangle that holds q.
func (q Quad) Bounds() (x1, y1, x2, y2 float64) {
	x1, y1, x2, y2 = q[0].X, q[0].Y, q[0].X, q[0].Y
	for _, p := range q[1:] {
		x1, y1, x2, y2 = min(x1, p.X), min(y1, p.Y), max(x2, p.X), max(y2, p.Y)
	}
	return x1, y1, x2, y2
}

// Meets tells whether two have more in common than a border: no side of either has all of
// one before it and all of the other behind it.
func (q Quad) Meets(o Quad) bool { return !q.apart(o) && !o.apart(q) }

// apart tells whether a side of q is between the two.
func (q Quad) apart(o Quad) bool {
	for i, p := range q {
		next := q[(i+1)%len(q)]
		dx, dy := next.X-p.X, next.Y-p.Y
		if dx == 0 && dy == 0 {
			continue
		}
		least, most := q.along(-dy, dx)
		from, to := o.along(-dy, dx)
		if to <= least || most <= from {
			return true
		}
	}
	return false
}

// along is from where to where q reaches in a direction.
func (q Quad) along(dx, dy float64) (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, p := range q {
		at := p.X*dx + p.Y*dy
		least, most = min(least, at), max(most, at)
	}
	return least, most
}
