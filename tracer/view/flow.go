package view

import (
	"cmp"
	"slices"

	"appliance/tracer"
)

// Flows returns what two addresses said to each other without a connection, in order of
// first appearance: UDP datagrams, ICMP messages, and TCP segments that no connection took
// (nobody listened, or a listener answered with a SYN cookie that came to nothing). A sent
// first. The Conns of a flow are made here: they have the id, and the calls, of the UDP
// socket or the listener where there is one, else 0. The slice is the Trace's own.
func (t *Trace) Flows() []Pair { return t.flows }

// flow gathers one end's events.
type flow struct {
	conn  *Conn
	first tracer.Direction
}

// flowKey tells one end's flow from another's.
type flowKey struct {
	stack string
	udp   bool
	ends
}

func (t *Trace) findFlows() []Pair {
	paired := t.pairedEnds()
	found := map[flowKey]*flow{}
	var order []*flow
	for i := range t.Events {
		e := &t.Events[i]
		dir, udp, ok := packet(e.Body)
		if !ok || e.Conn != 0 && !t.Conn(e.Conn).Listener && !t.Conn(e.Conn).UDP || !e.Remote.IsValid() {
			continue
		}
		here := ends{e.Local, e.Remote}
		if !udp && (paired[here] || paired[here.mirrored()]) {
			continue // it belongs to a connection's story
		}
		key := flowKey{e.Stack, udp, here}
		f := found[key]
		if f == nil {
			f = &flow{first: dir, conn: &Conn{Stack: e.Stack, Local: e.Local, Remote: e.Remote, UDP: udp, ID: e.Conn}}
			found[key] = f
			order = append(order, f)
		}
		f.conn.Events = append(f.conn.Events, i)
	}
	t.findSockets(order)
	return joinFlows(order)
}

// pairedEnds are the addresses of every connection.
func (t *Trace) pairedEnds() map[ends]bool {
	set := map[ends]bool{}
	for _, p := range t.pairs {
		set[ends{p.A.Local, p.A.Remote}] = true
	}
	return set
}

// packet tells of an event whether it is one that goes over the wire.
func packet(b tracer.Body) (dir tracer.Direction, udp, ok bool) {
	switch b := b.(type) {
	case *tracer.Segment:
		return b.Dir, false, true
	case *tracer.Datagram:
		return b.Dir, true, true
	case *tracer.ICMP:
		return b.Dir, true, true
	default:
		return "", false, false
	}
}

// socket is where a UDP socket may be found by its addresses; remote is zero for one that
// is only bound.
type socket struct {
	stack string
	ends
}

// findSockets gives each flow of datagrams the id and the calls of its UDP socket: the
// connected one, or a bound one that has no other flow.
func (t *Trace) findSockets(flows []*flow) {
	sockets := map[socket]*Conn{}
	for _, c := range t.Conns {
		if c.UDP {
			sockets[socket{c.Stack, ends{c.Local, c.Remote}}] = c
		}
	}
	bound := map[socket]int{} // how many flows
	for _, f := range flows {
		if f.conn.UDP {
			bound[socket{f.conn.Stack, ends{local: f.conn.Local}}]++
		}
	}
	for _, f := range flows {
		c := f.conn
		if !c.UDP {
			continue
		}
		s := sockets[socket{c.Stack, ends{c.Local, c.Remote}}]
		onlyBound := socket{c.Stack, ends{local: c.Local}}
		if s == nil && bound[onlyBound] == 1 {
			s = sockets[onlyBound]
		}
		if s != nil {
			t.lend(c, s)
		}
	}
}

// lend gives a flow the id and the calls of its socket.
func (t *Trace) lend(f, socket *Conn) {
	f.ID = socket.ID
	for _, i := range socket.Events {
		if _, _, isPacket := packet(t.Events[i].Body); !isPacket {
			f.Events = append(f.Events, i)
		}
	}
	slices.Sort(f.Events)
}

// joinFlows puts the two ends of each flow together.
func joinFlows(order []*flow) []Pair {
	slices.SortStableFunc(order, func(a, b *flow) int { return cmp.Compare(a.conn.Events[0], b.conn.Events[0]) })
	type end struct {
		place int // in pairs
		first tracer.Direction
	}
	var pairs []Pair
	single := map[flowKey]end{}
	for _, f := range order {
		c := f.conn
		key := flowKey{"", c.UDP, ends{c.Local, c.Remote}}
		other := flowKey{"", c.UDP, key.mirrored()}
		a, ok := single[other]
		if !ok {
			single[key] = end{len(pairs), f.first}
			pairs = append(pairs, Pair{A: c})
			continue
		}
		delete(single, other)
		p := &pairs[a.place]
		p.B = c
		if f.first == tracer.Out && a.first == tracer.In {
			p.A, p.B = c, p.A
		}
	}
	return pairs
}
