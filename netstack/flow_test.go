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
