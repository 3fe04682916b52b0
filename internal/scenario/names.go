package scenario

import (
	"net/netip"
	"sync"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// tuple is a connection's addresses, C's first.
type tuple struct{ c, s netip.AddrPort }

// of returns an end's own and the other end's address.
func (t tuple) of(e sequence.End) (local, remote netip.AddrPort) {
	if e == sequence.Client {
		return t.c, t.s
	}
	return t.s, t.c
}

// names are the connections that programs have made, by the names that their steps give
// them.
type names struct {
	changed func() // is called when there is one more

	mu     sync.Mutex
	tuples map[string]tuple
}

func newNames(changed func()) *names { return &names{changed: changed, tuples: map[string]tuple{}} }

// bind names the connection between an end's own address and the other's. The first of
// the two ends that knows it says it.
func (n *names) bind(name string, e sequence.End, local, remote netip.AddrPort) {
	t := tuple{c: local, s: remote}
	if e == sequence.Server {
		t = tuple{c: remote, s: local}
	}
	n.mu.Lock()
	n.tuples[name] = t
	n.mu.Unlock()
	n.changed()
}

// has tells whether an event of end e may be of the connection name: it is, or the name
// has no connection yet.
func (n *names) has(name string, e sequence.End, ev *tracer.Event) bool {
	n.mu.Lock()
	t, known := n.tuples[name]
	n.mu.Unlock()
	if !known {
		return true
	}
	local, remote := t.of(e)
	return ev.Local == local && ev.Remote == remote
}
