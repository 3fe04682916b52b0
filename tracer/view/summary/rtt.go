package summary

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// RTT are round-trip times, as [RoundTrips] measures them. Of an even number the median is
// the upper of the two in the middle; p99 is the smallest that 99 % do not exceed.
type RTT struct {
	Samples uint64        `json:"samples"`
	Min     time.Duration `json:"min_ns"`
	Median  time.Duration `json:"median_ns"`
	P99     time.Duration `json:"p99_ns"`
	Max     time.Duration `json:"max_ns"`
	// Approximate says that Median and P99 may be off by 1.6 %: there were too many times
	// to keep each.
	Approximate bool `json:"approximate,omitempty"`
}

// maxExact is how many different times are kept each by itself.
const maxExact = 1024

// times counts times: each by itself while they are few, then in buckets whose width is a
// thirty-second of their values.
type times struct {
	n        uint64
	min, max time.Duration
	counts   []count // in order
	coarse   bool
	room     *int // how many more may be kept each by itself, here and elsewhere; nil: any number
}

// count is how often there was a time, or one of the bucket that begins with it.
type count struct {
	at time.Duration
	n  uint64
}

// subBits says into how many buckets a doubling is divided.
const subBits = 5

// shiftOf returns the logarithm of the width of a time's bucket.
func shiftOf(d time.Duration) int { return max(bits.Len64(uint64(d))-subBits-1, 0) }

// bucketOf returns with which time a time's bucket begins.
func bucketOf(d time.Duration) time.Duration { return d >> shiftOf(d) << shiftOf(d) }

// middleOf returns the middle of the bucket that begins with a time.
func middleOf(d time.Duration) time.Duration { return d + 1<<shiftOf(d)>>1 }

func (h *times) add(d time.Duration) { h.addTo(d, 1) }

// addTo counts a time n times more.
func (h *times) addTo(d time.Duration, n uint64) {
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.n += n
	h.count(d, n)
}

func (h *times) count(d time.Duration, n uint64) {
	if h.coarse {
		d = bucketOf(d)
	}
	i, ok := slices.BinarySearchFunc(h.counts, d, func(c count, d time.Duration) int { return cmp.Compare(c.at, d) })
	switch {
	case ok:
		h.counts[i].n += n
	case h.coarse:
		h.counts = slices.Insert(h.counts, i, count{d, n})
	case len(h.counts) == maxExact || h.room != nil && *h.room == 0:
		h.coarsen()
		h.count(d, n)
	default:
		h.counts = slices.Insert(h.counts, i, count{d, n})
		h.free(-1)
	}
}

// coarsen puts the times that are kept into buckets.
func (h *times) coarsen() {
	h.drop()
	exact := h.counts
	h.coarse, h.counts = true, nil
	for _, c := range exact {
		h.count(c.at, c.n)
	}
}

// merge adds another's times.
func (h *times) merge(o *times) {
	if o.n == 0 {
		return
	}
	if o.coarse && !h.coarse {
		h.coarsen()
	}
	if h.n == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.n += o.n
	for _, c := range o.counts {
		h.count(c.at, c.n)
	}
}

// nth returns the time with i below it.
func (h *times) nth(i uint64) time.Duration {
	for _, c := range h.counts {
		if i < c.n {
			if !h.coarse {
				return c.at
			}
			return min(max(middleOf(c.at), h.min), h.max)
		}
		i -= c.n
	}
	return h.max
}

// summary returns what is told of them, nil where there are none.
func (h *times) summary() *RTT {
	if h.n == 0 {
		return nil
	}
	return &RTT{
		Samples: h.n, Min: h.min, Median: h.nth(h.n / 2), P99: h.nth(h.n - 1 - h.n/100), Max: h.max,
		Approximate: h.coarse && h.min < h.max,
	}
}

// free gives back the room of n times.
func (h *times) free(n int) {
	if h.room != nil {
		*h.room += n
	}
}

// drop gives back the room of all that are kept each by itself.
func (h *times) drop() {
	if !h.coarse {
		h.free(len(h.counts))
	}
}
