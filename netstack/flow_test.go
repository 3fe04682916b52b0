package netstack

import (
	"slices"
	"testing"

	"appliance/tracer"
)

// TestKeepalive: an ACK of the number before the next is a probe, unless it was sent before
// what has been seen and was overtaken on its way.
func TestKeepalive(t *testing.T) {
	for _, c := range []struct {
		name string
		opts tracer.Options
		want []string
	}{
		{"later", tracer.Options{HasTS: true, TSVal: 13}, []string{noteKeepalive}},
		{"in the same tick", tracer.Options{HasTS: true, TSVal: 12}, []string{noteKeepalive}},
		{"overtaken", tracer.Options{HasTS: true, TSVal: 11}, nil},
		{"without a timestamp", tracer.Options{}, []string{noteKeepalive}},
	} {
		var f flow
		tell := func(s segment) []string {
			var body tracer.Segment
			s.ok, s.dir, s.win = true, tracer.In, 1000
			f.tell(&s, &body, "")
			return body.Notes
		}
		tell(segment{flags: tracer.SYN, seq: 100, opts: tracer.Options{HasTS: true, TSVal: 10}})
		tell(segment{flags: tracer.ACK, seq: 101, ack: 500, opts: tracer.Options{HasTS: true, TSVal: 11}})
		tell(segment{flags: tracer.FIN | tracer.ACK, seq: 101, ack: 500, opts: tracer.Options{HasTS: true, TSVal: 12}})
		if got := tell(segment{flags: tracer.ACK, seq: 101, ack: 500, opts: c.opts}); !slices.Equal(got, c.want) {
			t.Errorf("%s: notes %q, want %q", c.name, got, c.want)
		}
	}
}

// TestKeepaliveSent: what an end sends is its keepalive timer's, or in a capture what looks so.
func TestKeepaliveSent(t *testing.T) {
	for _, c := range []struct {
		captured bool
		why      string
		want     []string
	}{
		{true, "", []string{noteKeepalive}},
		{false, timerKeepalive, []string{noteKeepalive}},
		{false, "", nil},
	} {
		f := flow{joins: c.captured}
		tell := func(s segment, why string) []string {
			var body tracer.Segment
			s.ok, s.dir, s.win = true, tracer.Out, 1000
			f.tell(&s, &body, why)
			return body.Notes
		}
		tell(segment{flags: tracer.SYN, seq: 100}, "")
		tell(segment{flags: tracer.ACK, seq: 101, ack: 500}, "")
		if got := tell(segment{flags: tracer.ACK, seq: 100, ack: 500}, c.why); !slices.Equal(got, c.want) {
			t.Errorf("captured %t, timer %q: notes %q, want %q", c.captured, c.why, got, c.want)
		}
	}
}

// TestReached: the probe of an earlier connection of the same ends is not taken for one's own.
func TestReached(t *testing.T) {
	for name, tc := range map[string]struct {
		h    half
		una  uint32
		want bool
	}{
		"nothing known":          {half{}, 77, true},
		"SYN not acknowledged":   {half{hasISN: true, isn: 1000, next: 1001}, 1000, true},
		"all acknowledged":       {half{hasISN: true, isn: 1000, next: 1001}, 1001, true},
		"an earlier connection":  {half{hasISN: true, isn: 1000, next: 1001}, 999, false},
		"a later number":         {half{hasISN: true, isn: 1000, next: 1101, bytes: 100}, 1102, false},
		"beyond 2^32":            {half{hasISN: true, isn: 1<<32 - 10, next: 90, bytes: 100}, 50, true},
		"before, beyond 2^32":    {half{hasISN: true, isn: 1<<32 - 10, next: 90, bytes: 100}, 1<<32 - 11, false},
		"4 GB and more are sent": {half{hasISN: true, isn: 1000, next: 1100, bytes: 1<<32 + 99}, 900, true},
	} {
		if got := tc.h.reached(tc.una); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
