package summary

import (
	"slices"
	"sort"
	"time"

	"appliance/tracer"
)

// RoundTrips measures round-trip times at the end that sends. An ACK, also a selective one
// (RFC 2018), gives one time at most: since the newest of the segments was sent which no
// earlier ACK has covered. It gives none where one of those was sent more than once: then
// nobody knows what the ACK answers (Karn's algorithm, RFC 6298, 3), and where a lost
// segment was sent again it had to wait for that. Timestamps are not asked. The zero value
// is ready.
type RoundTrips struct {
	sent  []timed // not acknowledged; in order, apart from each other
	gone  int     // how many at sent's front are acknowledged
	begun bool
	high  uint32 // the number behind the highest sent
	room  *int   // how many more may be kept here and elsewhere; nil: any number
}

// timed is [from, to) in sequence space.
type timed struct {
	from, to uint32
	again    bool // sent more than once, or not all of it at one time
	at       time.Duration
	n        uint64
}

// RoundTrip is a time, and the number of the segment that it was measured with.
type RoundTrip struct {
	Time time.Duration
	N    uint64
}

// maxTimed is how many segments of one connection are timed at once; of what is on its way
// behind them there are no times.
const maxTimed = 1 << 13

// maxLength is more than any segment takes up of the sequence space.
const maxLength = 1 << 24

func before(a, b uint32) bool { return int32(a-b) < 0 }

// Sent takes note of segment n, which was sent at a time and takes up length numbers from
// seq on: its payload, SYN and FIN. again says that it is known to be sent once more; by
// its numbers that is seen here.
func (r *RoundTrips) Sent(at time.Duration, n uint64, seq uint32, length int, again bool) {
	if length <= 0 || length >= maxLength {
		return
	}
	from, to := seq, seq+uint32(length)
	if r.begun && before(seq, r.high) {
		r.repeated(seq, to)
		if from, again = r.high, true; !before(from, to) {
			return
		}
	}
	r.begun, r.high = true, to
	switch {
	case len(r.sent)-r.gone < maxTimed && (r.room == nil || *r.room > 0):
		r.sent = append(r.sent, timed{from, to, again, at, n})
		r.free(-1)
	case len(r.sent) > r.gone: // it goes with the last one, of which nothing is known any more
		last := &r.sent[len(r.sent)-1]
		last.to, last.again = to, true
	}
}

// repeated marks what is sent once more.
func (r *RoundTrips) repeated(from, to uint32) {
	for i := r.find(func(s *timed) bool { return before(from, s.to) }); i < len(r.sent) && before(r.sent[i].from, to); i++ {
		r.sent[i].again = true
	}
}

// find returns the first place in sent for which ok, as for all behind it, holds.
func (r *RoundTrips) find(ok func(s *timed) bool) int {
	return r.gone + sort.Search(len(r.sent)-r.gone, func(i int) bool { return ok(&r.sent[r.gone+i]) })
}

// Acked takes note of an ACK that came at a time, and returns what it measures.
func (r *RoundTrips) Acked(at time.Duration, ack uint32, sack []tracer.SACKBlock) (t RoundTrip, ok bool) {
	if r.gone == len(r.sent) {
		return RoundTrip{}, false
	}
	m := covered{doubt: before(r.high, ack)} // the trace lacks a segment that it covers
	for i := r.gone; i < len(r.sent) && !before(ack, r.sent[i].to); i++ {
		m.add(&r.sent[i])
		r.gone++
		r.free(1)
	}
	for _, b := range sack {
		i := r.find(func(s *timed) bool { return !before(s.from, b.Left) })
		k := i
		for ; k < len(r.sent) && !before(b.Right, r.sent[k].to); k++ {
			m.add(&r.sent[k])
		}
		r.sent = slices.Delete(r.sent, i, k)
		r.free(k - i)
	}
	r.tidy()
	if !m.some || m.doubt {
		return RoundTrip{}, false
	}
	return RoundTrip{max(at-m.newest.at, 0), m.newest.n}, true
}

// covered is what an ACK is the first to cover.
type covered struct {
	some, doubt bool
	newest      timed
}

func (m *covered) add(s *timed) {
	m.doubt = m.doubt || s.again
	if !m.some || before(m.newest.to, s.to) {
		m.some, m.newest = true, *s
	}
}

// keptTimed is for how many segments a connection keeps memory when none is on its way.
const keptTimed = 8

// tidy gives back the memory of what is acknowledged, once it is most.
func (r *RoundTrips) tidy() {
	switch {
	case r.gone == len(r.sent) && cap(r.sent) > keptTimed:
		r.sent, r.gone = nil, 0
	case 2*r.gone >= len(r.sent):
		r.sent, r.gone = r.sent[:copy(r.sent, r.sent[r.gone:])], 0
	}
}

// free gives back the room of n segments.
func (r *RoundTrips) free(n int) {
	if r.room != nil {
		*r.room += n
	}
}

// drop forgets all.
func (r *RoundTrips) drop() {
	r.free(len(r.sent) - r.gone)
	r.sent, r.gone = nil, 0
}
