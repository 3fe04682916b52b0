package netstack

import (
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// TestDropOverflowed: the ACKs that a listener has counted as dropped are the oldest of its
// inbox, but for one that made the child which is being born.
func TestDropOverflowed(t *testing.T) {
	one, two := tuple{RemotePort: 1}, tuple{RemotePort: 2}
	inbox := []arrival{
		{n: 1, id: &one, flags: tracer.SYN},
		{n: 2, id: &one, flags: tracer.ACK},
		{n: 3, id: &two, flags: tracer.ACK},
		{n: 4, id: &two, flags: tracer.ACK, late: true},
		{n: 5, id: &one, flags: tracer.ACK | tracer.FIN},
		{n: 6, id: &two, flags: tracer.RST},
	}
	for name, tc := range map[string]struct {
		drops   int
		newborn *tuple
		want    []uint64
	}{
		"none":                        {0, nil, []uint64{1, 2, 3, 4, 5, 6}},
		"the oldest":                  {1, nil, []uint64{1, 3, 4, 5, 6}},
		"all":                         {3, nil, []uint64{1, 4, 6}},
		"more than there are":         {9, nil, []uint64{1, 4, 6}},
		"one of two of the child's":   {1, &one, []uint64{1, 3, 4, 5, 6}},
		"all but one of the child's":  {3, &one, []uint64{1, 4, 5, 6}},
		"not the only of the child's": {2, &two, []uint64{1, 3, 4, 6}},
	} {
		c := &tracked{ep: new(tcp.Endpoint), inbox: slices.Clone(inbox)}
		for range tc.drops {
			c.ep.Stats().(*tcp.Stats).ReceiveErrors.ListenOverflowAckDrop.Increment() //nolint:forcetypeassert // the only type it returns
		}
		var child *tracked
		if tc.newborn != nil {
			child = &tracked{id: *tc.newborn}
		}
		c.dropOverflowed(child)
		if got := numbers(c.inbox); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %d left, want %d", name, got, tc.want)
		}
	}
}

// TestDropLate: what an earlier connection has left in TIME-WAIT made a child only where
// nothing else can have.
func TestDropLate(t *testing.T) {
	one, two := tuple{RemotePort: 1}, tuple{RemotePort: 2}
	late := []arrival{
		{n: 1, id: &one, flags: tracer.ACK, late: true},
		{n: 2, id: &two, flags: tracer.ACK, late: true},
		{n: 3, id: &one, flags: tracer.ACK | tracer.FIN, late: true},
	}
	sure := append(slices.Clone(late), arrival{n: 4, id: &one, flags: tracer.ACK})
	for name, tc := range map[string]struct {
		inbox []arrival
		want  []uint64
	}{
		"nothing else":      {late, []uint64{2, 3}},
		"an ACK of its own": {sure, []uint64{2, 4}},
	} {
		c := &tracked{inbox: slices.Clone(tc.inbox)}
		c.dropLate(&tracked{id: one, ep: new(tcp.Endpoint)})
		if got := numbers(c.inbox); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %d left, want %d", name, got, tc.want)
		}
	}
}

// TestLate: of what comes in TIME-WAIT, what may yet reach the listener is remembered, the
// newest of it, until an answer shows that it was processed.
func TestLate(t *testing.T) {
	ack, fin := tracer.ACK, tracer.FIN|tracer.ACK
	c := &tracked{parent: new(tracked)}
	c.inbox = []arrival{{n: 1, flags: ack}, {n: 2, flags: tracer.RST}, {n: 3, flags: tracer.SYN}}
	c.keepLate()
	if got := numbers(c.inbox); !slices.Equal(got, []uint64{1, 3}) {
		t.Errorf("on entering, %d were kept", got)
	}
	for n := range uint64(maxLate) {
		c.expectLate(arrival{n: 10 + n, flags: fin})
	}
	if len(c.inbox) != maxLate || c.inbox[maxLate-1].n != 9+maxLate {
		t.Errorf("%d were kept", numbers(c.inbox))
	}
	first := slices.IndexFunc(c.inbox, func(a arrival) bool { return a.flags == fin })
	want := numbers(c.inbox[first+1:])
	if c.answeredLate(); !slices.Equal(numbers(c.inbox), want) {
		t.Errorf("after an answer %d are left, want %d", numbers(c.inbox), want)
	}
	active := &tracked{inbox: []arrival{{n: 1, flags: ack}}}
	if active.keepLate(); len(active.inbox) != 0 {
		t.Errorf("%d were kept for a listener that there is not", numbers(active.inbox))
	}
}

func numbers(list []arrival) []uint64 {
	var n []uint64
	for _, a := range list {
		n = append(n, a.n)
	}
	return n
}
