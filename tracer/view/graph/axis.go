package graph

import (
	"math"
	"strconv"
	"time"

	"appliance/tracer/view/words"
)

// scale maps values to places on the picture.
type scale struct {
	lo, hi float64 // values
	a, b   float64 // their places
	log    bool
}

func (s *scale) at(v float64) float64 {
	lo, hi := s.lo, s.hi
	if s.log {
		lo, hi, v = math.Log(lo), math.Log(hi), math.Log(math.Max(v, s.lo))
	}
	if hi == lo {
		return (s.a + s.b) / 2
	}
	return s.a + (v-lo)/(hi-lo)*(s.b-s.a)
}

// unit is what a scale's numbers are called.
type unit struct {
	name string
	per  float64 // how many of the scale's own are one of it
}

// The scales' own units are bytes and seconds.
var (
	byteUnits = []unit{{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}}
	timeUnits = []unit{{"ns", 1e-9}, {"µs", 1e-6}, {"ms", 1e-3}, {"s", 1}}
	rateUnits = []unit{{"B/s", 1}, {"kB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9}, {"TB/s", 1e12}}
)

// unitFor is the largest unit of which hi has two or more, else the smallest.
func unitFor(units []unit, hi float64) unit {
	best := units[0]
	for _, u := range units {
		if hi >= 2*u.per {
			best = u
		}
	}
	return best
}

// ticks are round values from lo to hi, about as many as wanted.
func ticks(lo, hi float64, wanted int) []float64 {
	if !(hi > lo) || math.IsInf(hi-lo, 0) {
		return []float64{lo}
	}
	step := nice((hi - lo) / float64(max(wanted, 1)))
	var list []float64
	for k := math.Ceil(lo/step - 1e-9); ; k++ {
		v := k*step + 0 // never -0
		if v > hi+step*1e-9 {
			return list
		}
		list = append(list, v)
	}
}

// nice is the smallest of 1, 2, 5, 10, 20, 50, … that is not less than v.
func nice(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks are 1, 2, 5, 10, … between lo and hi, or only the powers of ten where there would
// be too many.
func logTicks(lo, hi float64) []float64 {
	steps := []float64{1, 2, 5}
	if hi/lo > 1e4 {
		steps = steps[:1]
	}
	var list []float64
	for p := math.Floor(math.Log10(lo)); p <= math.Ceil(math.Log10(hi)); p++ {
		for _, m := range steps {
			if v := m * math.Pow(10, p); v >= lo*(1-1e-9) && v <= hi*(1+1e-9) {
				list = append(list, v)
			}
		}
	}
	return list
}

// tickText is a tick's number in a unit, with no more decimals than the ticks need.
func tickText(v, per float64) string {
	return strconv.FormatFloat(math.Round(v/per*1e6)/1e6, 'f', -1, 64)
}

// bytesText is an amount of bytes in three digits: "1.46 kB".
func bytesText(n float64) string {
	u := unitFor(byteUnits, 2*math.Abs(n)) // from one of it on
	return digits(n/u.per) + " " + u.name
}

// timeText is a time in three digits: "20.4 ms".
func timeText(d time.Duration) string {
	if d == 0 {
		return "0 ms"
	}
	u := unitFor(timeUnits, 2*math.Abs(d.Seconds()))
	return digits(d.Seconds()/u.per) + " " + u.name
}

// digits is a number with three digits or, where it has more before the point, those.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a == math.Trunc(a):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case a < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
}

// timeTitle names the time axis.
func timeTitle(l words.Lang, u unit) string {
	return l.F("time since the connection began (%s)", u.name)
}

// seconds is a time of so many.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
