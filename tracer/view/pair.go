package view

import (
	"net/netip"
	"slices"

	"appliance/tracer"
)

// Pair is the two ends of one connection. A is the opener (the client) where that is known;
// B is nil where only one end is traced. A single end that was opened by its peer is A too.
type Pair struct{ A, B *Conn }

// Other returns the pair's end that is not c, nil where that is not traced.
func (p Pair) Other(c *Conn) *Conn {
	if p.A == c {
		return p.B
	}
	return p.A
}

// ends are a connection's two ends, as seen from one of them.
type ends struct{ local, remote netip.AddrPort }

func (e ends) mirrored() ends { return ends{e.remote, e.local} }

// maxWaiting is among how many connections of the same two addresses the other end is
// looked for: more wait only in a trace that is made to be slow to read.
const maxWaiting = 64

// pairUp finds which connections are two ends of one.
func pairUp(conns []*Conn) []Pair {
	var pairs []Pair
	single := map[ends][]int{} // places in pairs of those that lack their other end
	for _, c := range conns {
		if c.Listener || c.UDP {
			continue
		}
		here := ends{c.Local, c.Remote}
		if !c.Local.IsValid() || !c.Remote.IsValid() {
			pairs = append(pairs, Pair{A: c})
			continue
		}
		waiting := single[here.mirrored()]
		waiting = waiting[max(len(waiting)-maxWaiting, 0):]
		at := slices.IndexFunc(waiting, func(i int) bool { return pairs[i].A.meets(c) })
		if at < 0 {
			single[here] = append(single[here], len(pairs))
			pairs = append(pairs, Pair{A: c})
			continue
		}
		i := waiting[at]
		single[here.mirrored()] = slices.Delete(waiting, at, at+1)
		pairs[i].B = c
		if c.opened() && !pairs[i].A.opened() {
			pairs[i].A, pairs[i].B = c, pairs[i].A
		}
	}
	return pairs
}

func (c *Conn) opened() bool { return c.role == tracer.Active }

// meets tells whether the two, whose addresses match, can be ends of one connection: no
// sequence number says otherwise. A port that is used again makes several of them.
func (c *Conn) meets(d *Conn) bool {
	same := func(a, b isn) bool { return !a.known || !b.known || a.n == b.n }
	return same(c.seen[0], d.seen[1]) && same(c.seen[1], d.seen[0])
}
