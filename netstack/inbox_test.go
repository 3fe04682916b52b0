package netstack

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"pgregory.net/rapid"

	"appliance/tracer"
)

// TestInbox: the inbox is a queue, whatever room it has and however it was set aside.
func TestInbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c tracked
		var want []uint64
		n := uint64(0)
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 9).Draw(t, "step"); {
			case step == 0:
				c.inbox, want = nil, nil
			case step == 1 && len(want) > 0: // as what establishes a connection does
				c.inbox, want = append([]arrival(nil), c.inbox[1:]...), want[1:]
			case step < 5 && len(want) > 0:
				c.dropFirst()
				want = want[1:]
			default:
				n++
				c.expect(arrival{n: n})
				want = append(want, n)
			}
			if len(c.inbox) != len(want) {
				t.Fatalf("%d in the inbox, want %d", len(c.inbox), len(want))
			}
			for i := range want {
				if c.inbox[i].n != want[i] {
					t.Fatalf("number %d is %d, want %d", i, c.inbox[i].n, want[i])
				}
			}
		}
	})
}

// TestInboxAllocatesNothing: segments that come and are processed take no memory.
func TestInboxAllocatesNothing(t *testing.T) {
	var c tracked
	for range 20 {
		c.expect(arrival{})
	}
	if n := testing.AllocsPerRun(1000, func() {
		c.expect(arrival{})
		c.dropFirst()
	}); n != 0 {
		t.Errorf("%v allocations a segment", n)
	}
}

// TestTurn: of two equal ACKs of a SYN cookie that met a listener, one may never reach
// the child. What the child does tells whether it was its turn.
func TestTurn(t *testing.T) {
	again := arrival{n: 1, moved: true, flags: tracer.ACK, seq: 101, ack: 201}
	data := arrival{n: 1, moved: true, flags: tracer.ACK, seq: 101, ack: 201, len: 10}
	fin := arrival{n: 2, flags: tracer.FIN | tracer.ACK, seq: 101, ack: 201}
	ack := arrival{n: 3, flags: tracer.ACK, seq: 102, ack: 301}
	for name, tc := range map[string]struct {
		inbox          []arrival
		rcvNxt, sndUna uint32
		want           uint64
	}{
		"nothing was done":                {[]arrival{again, fin}, 101, 201, 1},
		"a number was taken":              {[]arrival{again, fin, ack}, 102, 201, 2},
		"bytes were acknowledged":         {[]arrival{again, fin, ack}, 101, 301, 3},
		"the data was taken":              {[]arrival{data, fin}, 111, 201, 1},
		"the data was not taken":          {[]arrival{data, ack}, 101, 301, 3},
		"all in order where none is late": {[]arrival{fin, ack}, 101, 301, 2},
	} {
		c := tracked{ep: new(tcp.Endpoint), inbox: tc.inbox, rcvNxt: tc.rcvNxt, sndUna: tc.sndUna}
		c.flow.in.isn, c.flow.out.isn = 100, 200
		if got := c.inbox[c.turn(progress{})].n; got != tc.want {
			t.Errorf("%s: it was the turn of %d, want %d", name, got, tc.want)
		}
	}
}

// TestDropStale: what is known to have been dropped does not stand in the way of the cause
// of a change. What may have been processed stays.
func TestDropStale(t *testing.T) {
	stale := arrival{n: 1, flags: tracer.ACK, seq: 101, ack: 201}
	data := arrival{n: 2, flags: tracer.ACK, seq: 101, ack: 201, len: 10}
	fin := arrival{n: 3, flags: tracer.FIN | tracer.ACK, seq: 111, ack: 301}
	moved := arrival{n: 4, flags: tracer.ACK, seq: 101, ack: 201, moved: true}
	for name, tc := range map[string]struct {
		inbox          []arrival
		was            progress
		rcvNxt, sndUna uint32
		want           uint64
	}{
		"nothing was done":              {[]arrival{stale, data}, progress{101, 201}, 101, 201, 1},
		"bytes were taken":              {[]arrival{stale, data, fin}, progress{101, 201}, 111, 201, 2},
		"bytes were acknowledged":       {[]arrival{stale, data, fin}, progress{101, 201}, 101, 301, 3},
		"both":                          {[]arrival{stale, data, fin}, progress{101, 201}, 112, 301, 3},
		"none of them can have done it": {[]arrival{stale, data}, progress{101, 201}, 101, 301, 1},
		"the first one processed":       {[]arrival{stale, data}, progress{}, 111, 201, 1},
		"one that may be passed on yet": {[]arrival{moved, data}, progress{101, 201}, 111, 201, 4},
	} {
		c := tracked{ep: new(tcp.Endpoint), inbox: tc.inbox, rcvNxt: tc.rcvNxt, sndUna: tc.sndUna}
		c.dropStale(tc.was)
		if got := c.inbox[0].n; got != tc.want {
			t.Errorf("%s: %d is the first, want %d", name, got, tc.want)
		}
	}
}
