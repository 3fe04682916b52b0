package summary

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
)

// TestAfterTheEnd: segments that come after a connection's end count, besides what the end
// itself has counted, and nothing else that comes then does.
func TestAfterTheEnd(t *testing.T) {
	data := func(dir tracer.Direction, seq uint32, n int, notes ...string) *tracer.Segment {
		return &tracer.Segment{Dir: dir, Flags: tracer.ACK | tracer.PSH, Seq: 1000 + seq, HasRel: true, RelSeq: seq, Len: n, Notes: notes}
	}
	fin := &tracer.Segment{Dir: tracer.Out, Flags: tracer.FIN | tracer.ACK, Seq: 1021, HasRel: true, RelSeq: 21}
	again := *fin
	again.Notes = []string{"retransmission"}
	reset := &tracer.Segment{Dir: tracer.Out, Flags: tracer.RST, Seq: 1021}
	missed := data(tracer.In, 1, 5)
	missed.Dropped = "checksum"
	end := func(n counts) *tracer.End {
		return &tracer.End{
			BytesOut: n.bytesOut, BytesIn: n.bytesIn, SegmentsOut: n.segmentsOut, SegmentsIn: n.segmentsIn,
			Retransmits: n.retransmits, How: tracer.HowFIN,
		}
	}
	for name, c := range map[string]struct {
		before []tracer.Body
		end    counts
		after  []tracer.Body
		want   counts
	}{
		"nothing":           {[]tracer.Body{data(tracer.Out, 1, 20), fin}, counts{20, 0, 2, 0, 0}, nil, counts{20, 0, 2, 0, 0}},
		"a FIN, again":      {[]tracer.Body{data(tracer.Out, 1, 20), fin}, counts{20, 0, 2, 0, 0}, []tracer.Body{&again, &again}, counts{20, 0, 4, 0, 2}},
		"an abort's RST":    {[]tracer.Body{data(tracer.Out, 1, 20)}, counts{20, 0, 1, 0, 0}, []tracer.Body{reset}, counts{20, 0, 2, 0, 0}},
		"it never came in":  {nil, counts{0, 0, 1, 1, 0}, []tracer.Body{missed}, counts{0, 0, 1, 1, 0}},
		"no segments":       {nil, counts{20, 30, 4, 5, 1}, nil, counts{20, 30, 4, 5, 1}},
		"no other segments": {nil, counts{20, 30, 4, 5, 1}, []tracer.Body{&again}, counts{20, 30, 5, 5, 2}},
		"the trace lacks some": {
			[]tracer.Body{data(tracer.Out, 1, 10)}, counts{20, 0, 3, 2, 1}, []tracer.Body{&again}, counts{20, 0, 4, 2, 2},
		},
		"more data": {
			[]tracer.Body{data(tracer.In, 1, 10)}, counts{0, 10, 0, 1, 0}, []tracer.Body{data(tracer.In, 11, 5)}, counts{0, 15, 0, 2, 0},
		},
		"data again": {
			[]tracer.Body{data(tracer.Out, 1, 10)},
			counts{10, 0, 1, 0, 0},
			[]tracer.Body{data(tracer.Out, 1, 10, "retransmission")},
			counts{10, 0, 2, 0, 1},
		},
		"data again that the trace lacks": {
			[]tracer.Body{data(tracer.Out, 1, 10)},
			counts{20, 0, 2, 0, 0},
			[]tracer.Body{data(tracer.Out, 11, 10, "retransmission")},
			counts{20, 0, 3, 0, 1},
		},
		"data behind a hole": { // the end knows of no hole's bytes
			[]tracer.Body{data(tracer.In, 1, 10), data(tracer.In, 21, 10)},
			counts{0, 20, 0, 2, 0},
			[]tracer.Body{data(tracer.In, 31, 5)},
			counts{0, 25, 0, 3, 0},
		},
		"no segment": {
			[]tracer.Body{fin},
			counts{0, 0, 1, 0, 0},
			[]tracer.Body{
				&tracer.StateChange{From: tracer.Closed, To: tracer.SynSent}, &tracer.Call{Name: "accept"}, end(counts{9, 9, 9, 9, 9}),
			},
			counts{0, 0, 1, 0, 0},
		},
	} {
		var s script
		for _, b := range c.before {
			s.add(2, 0, peer(0), b)
		}
		s.add(2, 0, peer(0), end(c.end))
		for _, b := range c.after {
			s.add(2, 0, peer(0), b)
		}
		conns, all := summarize(t, s)
		if len(conns) != 1 || conns[0].Open || len(conns[0].States) != 0 || len(all.Stacks) != 1 {
			t.Errorf("%s: %+v, %+v", name, conns, all)
			continue
		}
		l, st := conns[0], &all.Stacks[0]
		for what, got := range map[string]counts{
			"the connection": {l.BytesOut, l.BytesIn, l.SegmentsOut, l.SegmentsIn, l.Retransmits},
			"the total":      {st.BytesOut, st.BytesIn, st.SegmentsOut, st.SegmentsIn, st.Retransmits},
		} {
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(counts{})); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", name, what, diff)
			}
		}
	}
}

// TestWaitingForLateSegments: connections that have ended are told in the order of their
// ends: at the trace's end, or as soon as too many wait or there is no more room for the
// round-trip times of others. What comes for one that has been told is not looked at.
func TestWaitingForLateSegments(t *testing.T) {
	for name, c := range map[string]struct {
		limit func(s *Summary)
		want  []uint32 // told before Finish
		late  uint64   // segments of connection 3, which ended first
	}{
		"few":            {func(*Summary) {}, nil, 1},
		"too many":       {func(s *Summary) { s.maxEnded = 2 }, []uint32{3}, 0},
		"none may wait":  {func(s *Summary) { s.maxEnded = 0 }, []uint32{3, 2, 1}, 0},
		"no exact times": {func(s *Summary) { s.exactRoom = 0 }, []uint32{3, 2, 1}, 0},
		"no more timed":  {func(s *Summary) { s.timedRoom = 0 }, []uint32{3, 2, 1}, 0},
	} {
		var told []uint32
		segments := map[uint32]uint64{}
		s := New(Options{}, func(l *Conn) error {
			told = append(told, l.ID)
			segments[l.ID] = l.SegmentsOut
			return nil
		})
		c.limit(s)
		var k script
		for id := uint32(1); id <= 3; id++ {
			k.add(id, 0, peer(int(id)), &tracer.StateChange{From: tracer.Closed, To: tracer.SynSent})
		}
		for id := uint32(3); id >= 1; id-- {
			k.add(id, 0, peer(int(id)), &tracer.End{})
		}
		k.add(3, 0, peer(3), &tracer.Segment{Dir: tracer.Out, Flags: tracer.RST})
		for i := range k {
			if err := s.Add(&k[i]); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(c.want, told); diff != "" {
			t.Errorf("%s: told (-want +got):\n%s", name, diff)
		}
		if _, err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]uint32{3, 2, 1}, told); diff != "" || segments[3] != c.late {
			t.Errorf("%s: %d segments of the first; told in the end (-want +got):\n%s", name, segments[3], diff)
		}
	}
}
