package graph

import (
	"slices"
	"sort"
)

// ranges are ranges of sequence numbers, [from, to): ascending, none touches the next.
type ranges [][2]int64

// cover tells whether all of a range that is not empty is among them.
func (r ranges) cover(from, to int64) bool {
	i := r.reaching(to)
	return from < to && i < len(r) && r[i][0] <= from
}

// add joins a range to those that it touches.
func (r *ranges) add(from, to int64) {
	if from >= to {
		return
	}
	i := r.reaching(from)
	j := i
	for ; j < len(*r) && (*r)[j][0] <= to; j++ {
		from, to = min(from, (*r)[j][0]), max(to, (*r)[j][1])
	}
	*r = slices.Replace(*r, i, j, [2]int64{from, to})
}

// reaching is the first place of a range that goes up to a number or beyond it.
func (r ranges) reaching(n int64) int {
	return sort.Search(len(r), func(i int) bool { return r[i][1] >= n })
}
