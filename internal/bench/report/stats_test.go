package report

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSummarize(t *testing.T) {
	for _, tt := range []struct {
		name    string
		figures []float64
		want    Summary
	}{
		{"none", nil, Summary{}},
		{"one", []float64{7}, Summary{1, 7, 7, 7, 7, 7}},
		{"two", []float64{4, 2}, Summary{2, 2, 2.5, 3, 3.5, 4}},
		{"odd", []float64{5, 1, 9}, Summary{3, 1, 3, 5, 7, 9}},
		{"five", []float64{1, 2, 3, 4, 100}, Summary{5, 1, 2, 3, 4, 100}},
		{"equal", []float64{3, 3, 3, 3}, Summary{4, 3, 3, 3, 3, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Summarize(tt.figures)); diff != "" {
				t.Errorf("Summarize(%v): (-want +got)\n%s", tt.figures, diff)
			}
		})
	}
}

// TestSummarizeAny: the five figures are in order, between the extremes, the same in
// whatever order the figures come, and the figures are left as they were.
func TestSummarizeAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		figures := rapid.SliceOfN(rapid.Float64Range(-1e12, 1e12), 1, 30).Draw(t, "figures")
		before := slices.Clone(figures)
		s := Summarize(figures)
		if !slices.Equal(before, figures) {
			t.Fatal("the figures were changed")
		}
		if !slices.IsSorted([]float64{s.Min, s.Q1, s.Median, s.Q3, s.Max}) {
			t.Fatalf("out of order: %+v", s)
		}
		if s.Min != slices.Min(figures) || s.Max != slices.Max(figures) || s.N != len(figures) {
			t.Fatalf("wrong extremes: %+v of %v", s, figures)
		}
		below, above := 0, 0
		for _, f := range figures {
			if f < s.Median {
				below++
			}
			if f > s.Median {
				above++
			}
		}
		if 2*below > len(figures) || 2*above > len(figures) {
			t.Fatalf("%v has %d figures below and %d above, of %d", s.Median, below, above, len(figures))
		}
		other := Summarize(rapid.Permutation(figures).Draw(t, "other order"))
		if s != other {
			t.Fatalf("the order counts: %+v, %+v", s, other)
		}
		if math.IsNaN(s.Median) {
			t.Fatal("no number")
		}
	})
}
