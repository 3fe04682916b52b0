package graph

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRanges holds the ranges to a set of numbers.
func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64Range(0, 40)
		var r ranges
		set := map[int64]bool{}
		for range rapid.IntRange(0, 12).Draw(t, "ranges") {
			from, to := number.Draw(t, "from"), number.Draw(t, "to")
			r.add(from, to)
			for n := from; n < to; n++ {
				set[n] = true
			}
		}
		for i := 1; i < len(r); i++ {
			if r[i-1][1] >= r[i][0] {
				t.Errorf("%v and %v touch", r[i-1], r[i])
			}
		}
		from, to := number.Draw(t, "asked from"), number.Draw(t, "asked to")
		want := from < to
		for n := from; n < to; n++ {
			want = want && set[n]
		}
		if got := r.cover(from, to); got != want {
			t.Errorf("%v cover [%d, %d): %v, want %v", r, from, to, got, want)
		}
	})
}
