package draw

import "testing"

func TestQuadMeets(t *testing.T) {
	unit := Around(Point{100, 100}, 0, -10, 50, 0, 0)
	for name, c := range map[string]struct {
		other Quad
		want  bool
	}{
		"itself":                   {unit, true},
		"beside it":                {Around(Point{150, 100}, 0, -10, 50, 0, 0), false},
		"a line across":            {Segment(90, 80, 140, 110), true},
		"a line past its corner":   {Segment(90, 100, 110, 120), false},
		"a line far along it":      {Segment(0, 95, 90, 95), false},
		"turned away":              {Around(Point{100, 102}, 0, -10, 50, 0, 60), true},
		"turned, only bounds meet": {Around(Point{160, 100}, 0, -8, 50, 0, 45), false},
		"turned, on its corner":    {Around(Point{120, 60}, 0, -8, 80, 0, 60), true},
	} {
		if got := unit.Meets(c.other); got != c.want || c.other.Meets(unit) != got {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestQuadBounds(t *testing.T) {
	x1, y1, x2, y2 := Around(Point{10, 20}, 0, -4, 30, 0, 90).Bounds()
	for i, d := range []float64{x1 - 10, y1 - 20, x2 - 14, y2 - 50} {
		if d > 1e-9 || d < -1e-9 {
			t.Errorf("bound %d is off by %v: %v %v %v %v", i, d, x1, y1, x2, y2)
		}
	}
}
