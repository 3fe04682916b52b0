package graph

import (
	"maps"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"appliance/tracer/view/draw"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		wanted int
		want   []float64
	}{
		{0, 10, 5, []float64{0, 2, 4, 6, 8, 10}},
		{0, 0.0237, 10, []float64{0, 0.005, 0.01, 0.015, 0.02}},
		{0, 1.3e6, 7, []float64{0, 2e5, 4e5, 6e5, 8e5, 1e6, 1.2e6}},
		{3, 3, 5, []float64{3}},
		{0, math.Inf(1), 5, []float64{0}},
	} {
		got := ticks(c.lo, c.hi, c.wanted)
		ok := len(got) == len(c.want)
		for i := range got {
			ok = ok && math.Abs(got[i]-c.want[i]) < 1e-9*math.Max(1, c.hi)
		}
		if !ok {
			t.Errorf("ticks(%v, %v, %d) = %v, want %v", c.lo, c.hi, c.wanted, got, c.want)
		}
	}
}

// TestTicksAreRound: whatever the range, there are few ticks, within it, in equal steps of
// 1, 2 or 5 times a power of ten.
func TestTicksAreRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hi := math.Pow(10, rapid.Float64Range(-9, 15).Draw(t, "log hi"))
		lo := hi * rapid.Float64Range(0, 0.9).Draw(t, "lo")
		wanted := rapid.IntRange(2, 12).Draw(t, "wanted")
		list := ticks(lo, hi, wanted)
		if len(list) == 0 && hi-lo > nice((hi-lo)/float64(wanted))*2 || len(list) > wanted+1 {
			t.Fatalf("%d ticks of %d: %v", len(list), wanted, list)
		}
		for i, v := range list {
			if v < lo-hi*1e-9 || v > hi*(1+1e-9) || math.Signbit(v) {
				t.Errorf("%v is not within %v … %v", v, lo, hi)
			}
			if i > 0 {
				m := (v - list[i-1]) / math.Pow(10, math.Floor(math.Log10((v-list[i-1])*(1+1e-6))))
				if d := math.Min(math.Abs(m-1), math.Min(math.Abs(m-2), math.Abs(m-5))); d > 1e-3 {
					t.Errorf("a step of %v (%v)", v-list[i-1], m)
				}
			}
		}
	})
}

func TestLogTicks(t *testing.T) {
	if got := logTicks(0.015, 0.3); len(got) != 4 || math.Abs(got[0]-0.02) > 1e-9 || math.Abs(got[3]-0.2) > 1e-9 {
		t.Errorf("15 ms … 300 ms: %v", got)
	}
	if got := logTicks(1e-6, 1e3); len(got) != 10 {
		t.Errorf("nine decades: %v", got)
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[float64]string{0: "0 B", 20: "20 B", 999: "999 B", 1460: "1.46 kB", 21_340: "21.3 kB", 2e6: "2 MB", 4_194_304: "4.19 MB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%v) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 ms", 300: "300 ns", 20_400 * time.Microsecond: "20.4 ms", time.Second: "1 s", 64 * time.Second: "64 s",
	} {
		if got := timeText(d); got != want {
			t.Errorf("timeText(%v) = %q, want %q", d, got, want)
		}
	}
	if got := tickText(0.30000000000000004, 1e-3); got != "300" {
		t.Errorf("tickText = %q", got)
	}
}

func TestScale(t *testing.T) {
	s := scale{lo: 0, hi: 10, a: 100, b: 0}
	if s.at(0) != 100 || s.at(10) != 0 || s.at(5) != 50 {
		t.Errorf("even: %v %v %v", s.at(0), s.at(10), s.at(5))
	}
	s = scale{lo: 1, hi: 100, a: 0, b: 2, log: true}
	if s.at(1) != 0 || math.Abs(s.at(10)-1) > 1e-9 || s.at(0) != 0 {
		t.Errorf("in decades: %v %v %v", s.at(1), s.at(10), s.at(0))
	}
	s = scale{a: 3, b: 5}
	if s.at(7) != 4 {
		t.Errorf("of no extent: %v", s.at(7))
	}
}

// TestThin: what is left of a line keeps, in each column of pixels, its ends and extremes.
func TestThin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := 0.0
		var line []draw.Point
		for range rapid.IntRange(1, 60).Draw(t, "points") {
			x += rapid.Float64Range(0, 1.5).Draw(t, "dx")
			line = append(line, draw.Point{X: x, Y: float64(rapid.IntRange(0, 5).Draw(t, "y"))})
		}
		type column struct{ lo, hi float64 }
		columns := func(points []draw.Point) map[float64]column {
			m := map[float64]column{}
			for _, p := range points {
				c, ok := m[math.Floor(p.X)]
				if !ok {
					c = column{p.Y, p.Y}
				}
				m[math.Floor(p.X)] = column{min(c.lo, p.Y), max(c.hi, p.Y)}
			}
			return m
		}
		thinned := thin(line)
		if thinned[0] != line[0] || thinned[len(thinned)-1] != line[len(line)-1] {
			t.Fatalf("the ends are gone: %v of %v", thinned, line)
		}
		want := columns(line)
		for at, c := range columns(thinned) {
			if c.lo < want[at].lo || c.hi > want[at].hi {
				t.Errorf("column %v: %v of %v", at, c, want[at])
			}
		}
		// A column may go only where the line is level through it.
		got := columns(thinned)
		for at, c := range want {
			if g, ok := got[at]; ok && g != c && c.lo != c.hi || !ok && c.lo != c.hi {
				t.Errorf("column %v: %v, want %v", at, g, c)
			}
		}
	})
}

// TestMerge: merged bars cover exactly what the bars covered, a column of pixels each, and
// count the same bytes.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var bars []bar
		var bytes int64
		covered := map[[2]int]bool{}
		for i := range rapid.IntRange(1, 40).Draw(t, "bars") {
			x, y := rapid.IntRange(0, 4).Draw(t, "x"), rapid.IntRange(0, 50).Draw(t, "y")
			long := rapid.IntRange(2, 12).Draw(t, "long")
			bars = append(bars, bar{x: float64(x), y1: float64(y + long), y2: float64(y), n: uint64(i + 1), count: 1, bytes: int64(long)})
			bytes += int64(long)
			for at := y; at < y+long; at++ {
				covered[[2]int{x, at}] = true
			}
		}
		was, count := maps.Clone(covered), 0
		for _, b := range merge(bars) {
			count += b.count
			bytes -= b.bytes
			for at := int(b.y2); at < int(b.y1); at++ {
				// A gap of a pixel between two is closed.
				if !was[[2]int{int(b.x), at}] && !(was[[2]int{int(b.x), at - 1}] && was[[2]int{int(b.x), at + 1}]) {
					t.Errorf("pixel %v,%d was never covered", b.x, at)
				}
				delete(covered, [2]int{int(b.x), at})
			}
		}
		if count != len(bars) || bytes != 0 {
			t.Errorf("%d of %d bars, %d bytes missing", count, len(bars), bytes)
		}
		if len(covered) > 0 {
			t.Errorf("no longer covered: %v", covered)
		}
	})
}
