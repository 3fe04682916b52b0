package importpcap_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"appliance/tracer"
)

// TestMidway: of a connection that was open before the first packet, repeats of what the
// capture has are told, at both ends, and nothing is told of what it has not.
func TestMidway(t *testing.T) {
	data := func(seq uint32, n int) packet { return packet{"B", "A", seq, 101, n} }
	ack := func(n uint32) packet { return packet{"A", "A", 101, n, 0} }
	for name, c := range map[string]struct {
		packets []packet
		want    [][]string // where it arrives
	}{
		"a repeat": {[]packet{data(1000, 10), ack(1010), data(1000, 10), ack(1010)}, [][]string{nil, nil, {"retransmission"}, nil}},
		"a part":   {[]packet{data(1000, 10), data(1005, 5)}, [][]string{nil, {"retransmission"}}},
		"a FIN":    {[]packet{{"B", "FA", 1000, 101, 0}, {"B", "FA", 1000, 101, 0}}, [][]string{nil, {"retransmission"}}},
		"a hole":   {[]packet{data(1000, 10), data(1020, 10), data(1010, 10)}, [][]string{nil, {"out-of-order"}, nil}},
		"a hole that arrived all the same": {
			[]packet{data(1000, 10), data(1020, 10), ack(1030), data(1030, 10), data(1010, 10)}, [][]string{nil, {"out-of-order"}, nil, nil, {"retransmission"}},
		},
		"from before the first":         {[]packet{data(1000, 10), data(980, 10)}, [][]string{nil, nil}},
		"and then the next":             {[]packet{data(1000, 10), data(980, 10), data(1010, 10)}, [][]string{nil, nil, nil}},
		"and what was between them":     {[]packet{data(1000, 10), data(980, 10), data(990, 10), data(990, 10)}, [][]string{nil, nil, nil, {"retransmission"}}},
		"over the first number":         {[]packet{data(1000, 10), data(995, 10), data(995, 5)}, [][]string{nil, {"retransmission"}, {"retransmission"}}},
		"over the end of the numbers":   {[]packet{data(1<<32-5, 10), data(5, 10), data(1<<32-5, 10)}, [][]string{nil, nil, {"retransmission"}}},
		"ACKs that say the same":        {[]packet{ack(1000), data(1010, 10), ack(1000), ack(1000)}, [][]string{nil, nil, {"dup-ack"}, {"dup-ack"}}},
		"a keepalive":                   {[]packet{data(1000, 10), ack(1010), {"B", "A", 1010, 101, 0}, {"B", "A", 1009, 101, 0}}, [][]string{nil, nil, nil, {"keepalive"}}},
		"an ACK, and another's data":    {[]packet{ack(1000), ack(1000), ack(1000)}, [][]string{nil, nil, nil}},
		"an ACK before the first bytes": {[]packet{{"B", "A", 1000, 101, 0}, data(1001, 10)}, [][]string{nil, nil}},
	} {
		events, _, _, err := read(pcapOf(layers.LinkTypeRaw, packets(wire{}, c.packets)...))
		if err != nil {
			t.Fatal(err)
		}
		var got [][]string
		for _, e := range events {
			if s, ok := e.Body.(*tracer.Segment); ok && s.Dir == tracer.In {
				got = append(got, s.Notes)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}
