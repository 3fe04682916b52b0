package summary

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
)

// TestRoundTrips: what is measured, and what is not.
func TestRoundTrips(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	out := func(seq uint32, n int, flags tracer.Flags, notes ...string) *tracer.Segment {
		return &tracer.Segment{Dir: tracer.Out, Seq: seq, Len: n, Flags: flags | tracer.ACK, Notes: notes}
	}
	in := func(ack uint32, sack ...tracer.SACKBlock) *tracer.Segment {
		return &tracer.Segment{Dir: tracer.In, Ack: ack, Flags: tracer.ACK, Opts: tracer.Options{SACK: sack}}
	}
	reset := in(111)
	reset.Flags |= tracer.RST
	lost := out(111, 10, 0)
	lost.Dropped = "impairment: loss"
	missed := in(111)
	missed.Dropped = "impairment: loss"
	type step struct {
		at int
		g  *tracer.Segment
	}
	for name, c := range map[string]struct {
		steps []step
		want  []time.Duration
	}{
		"SYN":               {[]step{{0, out(100, 0, tracer.SYN)}, {7, in(101)}}, []time.Duration{ms(7)}},
		"data":              {[]step{{0, out(101, 10, 0)}, {5, in(111)}}, []time.Duration{ms(5)}},
		"FIN":               {[]step{{0, out(111, 0, tracer.FIN)}, {9, in(112)}}, []time.Duration{ms(9)}},
		"a pure ACK":        {[]step{{0, out(101, 0, 0)}, {5, in(101)}}, nil},
		"the newest of 2":   {[]step{{0, out(101, 10, 0)}, {2, out(111, 10, 0)}, {5, in(121)}}, []time.Duration{ms(3)}},
		"one after other":   {[]step{{0, out(101, 10, 0)}, {2, out(111, 10, 0)}, {5, in(111)}, {6, in(121)}}, []time.Duration{ms(5), ms(4)}},
		"half":              {[]step{{0, out(101, 10, 0)}, {5, in(105)}}, nil},
		"half, then all":    {[]step{{0, out(101, 10, 0)}, {5, in(105)}, {6, in(111)}}, []time.Duration{ms(6)}},
		"sent again":        {[]step{{0, out(101, 10, 0)}, {2, out(101, 10, 0, "retransmission")}, {5, in(111)}}, nil},
		"the same again":    {[]step{{0, out(101, 10, 0)}, {2, out(101, 10, 0)}, {5, in(111)}}, nil},
		"a part again":      {[]step{{0, out(101, 10, 0)}, {2, out(105, 3, 0)}, {5, in(111)}}, nil},
		"with more":         {[]step{{0, out(101, 10, 0)}, {2, out(106, 10, 0)}, {5, in(116)}}, nil},
		"known to be again": {[]step{{0, out(101, 10, 0, "retransmission")}, {5, in(111)}}, nil},
		"numbers wrap":      {[]step{{0, out(1<<32-5, 10, 0)}, {5, in(5)}}, []time.Duration{ms(5)}},
		"acked only once":   {[]step{{0, out(101, 10, 0)}, {5, in(111)}, {9, in(111)}}, []time.Duration{ms(5)}},
		"after all of ours": {[]step{{0, out(101, 10, 0)}, {5, in(101)}, {9, in(111)}}, []time.Duration{ms(9)}},
		"RST":               {[]step{{0, out(101, 10, 0)}, {5, reset}}, nil},
		"an ACK that is lost": {
			[]step{{0, out(101, 10, 0)}, {5, missed}, {9, in(111)}}, []time.Duration{ms(9)},
		},
		"an ACK of what the trace lacks": {[]step{{0, out(101, 10, 0)}, {5, in(131)}}, nil},
		// The one before it is not touched by it.
		"again behind it": {
			[]step{{0, out(101, 10, 0)}, {1, out(111, 10, 0)}, {2, out(111, 10, 0)}, {5, in(111)}, {6, in(121)}}, []time.Duration{ms(5)},
		},
		// What stays behind a hole is measured by the SACK, not by the repair.
		"SACK": {
			[]step{
				{0, out(101, 10, 0)},
				{1, lost},
				{2, out(121, 10, 0)},
				{3, out(131, 10, 0)},
				{10, in(111)},
				{12, in(111, tracer.SACKBlock{Left: 121, Right: 131})},
				{13, in(111, tracer.SACKBlock{Left: 121, Right: 141})},
				{13, out(111, 10, 0, "retransmission")},
				{23, in(141)},
			},
			[]time.Duration{ms(10), ms(10), ms(10)},
		},
		"no SACK": {
			[]step{
				{0, out(101, 10, 0)},
				{1, lost},
				{2, out(121, 10, 0)},
				{10, in(111)},
				{12, in(111)},
				{13, out(111, 10, 0, "retransmission")},
				{23, in(131)},
				{30, out(131, 10, 0)},
				{38, in(141)},
			},
			[]time.Duration{ms(10), ms(8)},
		},
		"a duplicate's SACK": {
			[]step{{0, out(101, 10, 0)}, {5, in(111)}, {9, in(111, tracer.SACKBlock{Left: 101, Right: 111})}}, []time.Duration{ms(5)},
		},
	} {
		var got []time.Duration
		var k conn
		for _, s := range c.steps {
			before := k.rtt.n
			k.segment(&tracer.Event{T: ms(s.at)}, s.g)
			if k.rtt.n > before {
				got = append(got, k.rtt.max)
				k.rtt = times{}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestManyOnTheirWay: what is kept is bounded, what could not be kept measures nothing, and
// the room is given back.
func TestManyOnTheirWay(t *testing.T) {
	for _, c := range []struct{ room, want int }{{1 << 20, maxTimed - 1}, {100, 99}, {0, 0}} {
		room := c.room
		r := RoundTrips{room: &room}
		const n = 2 * maxTimed
		for i := range n {
			r.Sent(time.Duration(i), uint64(i), uint32(i), 1, false)
		}
		if len(r.sent) > maxTimed || room != c.room-len(r.sent) {
			t.Errorf("room %d: %d kept, room for %d", c.room, len(r.sent), room)
		}
		got := 0
		for i := range n {
			if trip, ok := r.Acked(n+time.Duration(i), uint32(i+1), nil); ok {
				got++
				if trip != (RoundTrip{n, uint64(i)}) {
					t.Fatalf("room %d: %d: %+v", c.room, i, trip)
				}
			}
		}
		if got != c.want || room != c.room || cap(r.sent) > keptTimed {
			t.Errorf("room %d: %d measured, want %d; room for %d, memory for %d", c.room, got, c.want, room, cap(r.sent))
		}
		r.Sent(n, n, n, 1, false)
		if r.drop(); room != c.room {
			t.Errorf("room %d: %d afterwards", c.room, room)
		}
	}
}

// TestTimedAreInOrder: whatever is sent and acknowledged, what is kept is in order.
func TestTimedAreInOrder(t *testing.T) {
	var r RoundTrips
	x := uint32(1)
	for i := range 20_000 {
		x = x*1664525 + 1013904223
		seq, n := r.high-x>>8%50, int(x>>16%30)
		switch x >> 28 {
		case 0, 1:
			r.Acked(time.Duration(i), seq, nil)
		case 2, 3:
			r.Acked(time.Duration(i), r.high-100, []tracer.SACKBlock{{Left: seq, Right: seq + uint32(n)}})
		case 4:
			r.Sent(time.Duration(i), 1, seq, n, false)
		default:
			r.Sent(time.Duration(i), 1, r.high, n, false)
		}
		if r.gone > len(r.sent) || !slices.IsSortedFunc(r.sent[r.gone:], func(a, b timed) int { return int(int32(a.from - b.to)) }) {
			t.Fatalf("after %d: %+v", i, r)
		}
	}
}
