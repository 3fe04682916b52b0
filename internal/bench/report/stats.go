package report

import "slices"

// Summary tells how a figure came out over the rounds.
type Summary struct {
	N      int     `json:"n"`
	Min    float64 `json:"min"`
	Q1     float64 `json:"q1"`
	Median float64 `json:"median"`
	Q3     float64 `json:"q3"`
	Max    float64 `json:"max"`
}

// Summarize sums figures up; the zero Summary is that of none.
func Summarize(figures []float64) Summary {
	if len(figures) == 0 {
		return Summary{}
	}
	s := slices.Sorted(slices.Values(figures))
	return Summary{
		N: len(s), Min: s[0], Max: s[len(s)-1],
		Q1: quantile(s, 0.25), Median: quantile(s, 0.5), Q3: quantile(s, 0.75),
	}
}

// quantile is the value below which a share q of the sorted figures lies, by linear
// interpolation between the two nearest.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
