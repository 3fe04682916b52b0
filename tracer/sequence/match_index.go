package sequence

import (
	"net/netip"
	"slices"

	"appliance/tracer"
)

// slot is a connection as the judge knows it: a pair of addresses, whoever saw it. Each end's
// listeners are one slot, and so is a socket that never got two addresses.
type slot struct {
	udp      bool
	listener bool
	c, s     netip.AddrPort // the client's and the server's; zero where they are not known
	name     string
	named    bool
	anyName  bool // a UDP socket that is not connected: rows of any datagram connection mean it
	flood    bool // one of a flood's
	stray    bool // nothing at S but arrivals, and the run's check no-answer speaks of it
	first    int  // the event that it appears with: the first segment, or where none is, the first event
	packets  bool // it has segments or datagrams
	alive    bool // it has states, or S sends something: it is more than a stray
}

// callRecord is one call: its enter and its return, or both in one.
type callRecord struct {
	end, slot  int
	child      int // accept: the slot of the connection that it returned; -1 for none
	enter, ret int // events; ret is -1 while it waits
	name       string
	bytes      int
	err        string
}

// socketID is a connection's id within the trace.
type socketID struct {
	stack string
	conn  uint32
}

// indexer finds out which connection each event is of.
type indexer struct {
	j         *judge
	listeners map[socketID]bool
	udp       map[socketID]bool
	byAddr    map[slot]int // by udp, listener, c and s alone
	byConn    map[socketID]int
}

// index fills seen, slots and calls.
func (j *judge) index() {
	j.seen = make([]seenEvent, len(j.in.Events))
	x := &indexer{
		j: j, listeners: map[socketID]bool{}, udp: map[socketID]bool{}, byAddr: map[slot]int{}, byConn: map[socketID]int{},
	}
	for i := range j.in.Events {
		x.classify(&j.in.Events[i])
	}
	for i := range j.in.Events {
		x.learn(&j.in.Events[i])
	}
	for i := range j.in.Events {
		s := &j.seen[i]
		*s = seenEvent{end: j.endOf(j.in.Events[i].Stack), slot: -1, call: -1}
		if s.end != noEnd {
			s.slot = x.slotOf(&j.in.Events[i], s.end)
		}
		if s.slot >= 0 {
			j.slots[s.slot].appears(i, s.end, &j.in.Events[i])
		}
	}
	j.reckon()
	x.pairCalls()
}

// classify finds the listeners and the UDP sockets.
func (x *indexer) classify(e *tracer.Event) {
	id := socketID{e.Stack, e.Conn}
	if e.Conn == 0 {
		return
	}
	switch b := e.Body.(type) {
	case *tracer.Call:
		if b.Name == "listen" || b.Name == "accept" {
			x.listeners[id] = true
		}
		for _, a := range b.Args {
			if b.Name == "socket" && a.Value == "SOCK_DGRAM" {
				x.udp[id] = true
			}
		}
	case *tracer.StateChange:
		if b.To == tracer.Listen {
			x.listeners[id] = true
		}
	default:
	}
}

// learn takes note of the addresses of a connection's id: some of its events come before them.
func (x *indexer) learn(e *tracer.Event) {
	end, id := x.j.endOf(e.Stack), socketID{e.Stack, e.Conn}
	if end == noEnd || e.Conn == 0 || x.listeners[id] || e.Local.Port() == 0 || e.Remote.Port() == 0 {
		return
	}
	if _, known := x.byConn[id]; !known {
		x.byConn[id] = x.bySides(e, end, x.udp[id])
	}
}

// bySides returns the slot of an event's addresses.
func (x *indexer) bySides(e *tracer.Event, end int, udp bool) int {
	key := slot{udp: udp, c: unmap(e.Local), s: unmap(e.Remote)}
	if end == endS {
		key.c, key.s = key.s, key.c
	}
	return x.slot(key)
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// slot returns the slot of a key, a new one where there is none yet.
func (x *indexer) slot(key slot) int {
	if i, known := x.byAddr[key]; known {
		return i
	}
	i := x.add(key)
	x.byAddr[key] = i
	return i
}

func (x *indexer) add(s slot) int {
	s.first = -1
	x.j.slots = append(x.j.slots, s)
	return len(x.j.slots) - 1
}

// slotOf returns the slot of an event; -1 for one that is of no connection.
func (x *indexer) slotOf(e *tracer.Event, end int) int {
	id := socketID{e.Stack, e.Conn}
	switch e.Body.(type) {
	case *tracer.Segment:
		return x.bySides(e, end, false)
	case *tracer.Datagram:
		return x.bySides(e, end, true)
	case *tracer.Lost:
		return -1
	default:
	}
	switch {
	case e.Conn == 0 && e.Local.Port() != 0 && e.Remote.Port() != 0:
		return x.bySides(e, end, false)
	case e.Conn == 0:
		return -1
	case x.listeners[id]:
		return x.slot(slot{listener: true, c: netip.AddrPortFrom(netip.Addr{}, uint16(end))}) //nolint:gosec // 0 or 1
	}
	i, known := x.byConn[id]
	if !known { // it never got both addresses
		i = x.add(slot{udp: x.udp[id], anyName: x.udp[id]})
		x.byConn[id] = i
	}
	return i
}

// appears takes note of an event of the slot.
func (s *slot) appears(i, end int, e *tracer.Event) {
	packet, out := false, false
	switch b := e.Body.(type) {
	case *tracer.Segment:
		packet, out = true, b.Dir == tracer.Out
	case *tracer.Datagram:
		packet, out = true, b.Dir == tracer.Out
	case *tracer.StateChange:
		s.alive = true
	default:
	}
	s.alive = s.alive || out && end == endS
	if s.first < 0 || packet && !s.packets {
		s.first = i
	}
	s.packets = s.packets || packet
}

// reckon gives each segment numbers relative to the initial ones: the trace's own, or what the
// SYNs of the connection tell. Where nothing does, such as for a RST's from a port that is
// closed, the number is the wire's.
func (j *judge) reckon() {
	type half struct {
		slot int
		dir  tracer.Direction
		end  int
	}
	isn := map[half]uint32{}
	lastIn := map[half]bool{}
	for i := range j.in.Events {
		g, ok := j.in.Events[i].Body.(*tracer.Segment)
		s := &j.seen[i]
		if !ok || s.slot < 0 {
			continue
		}
		own, other := half{s.slot, g.Dir, s.end}, half{s.slot, opposite(g.Dir), s.end}
		if g.Flags.Has(tracer.SYN) {
			isn[own] = g.Seq
		}
		s.seq, s.ack = reckd{g.Seq, false}, reckd{g.Ack, false}
		if first, known := isn[own]; known {
			s.seq = reckd{g.Seq - first, true}
		}
		if first, known := isn[other]; known {
			s.ack = reckd{g.Ack - first, true}
		}
		if g.HasRel {
			s.seq = reckd{g.RelSeq, true}
		}
		if g.HasRelAck {
			s.ack = reckd{g.RelAck, true}
		}
		s.answersProbe = lastIn[other]
		lastIn[own], lastIn[other] = isProbe(g), false
	}
}

func opposite(d tracer.Direction) tracer.Direction {
	if d == tracer.In {
		return tracer.Out
	}
	return tracer.In
}

// pairCalls makes a record of each call, in order of their enters.
func (x *indexer) pairCalls() {
	j := x.j
	for i := range j.in.Events {
		e := &j.in.Events[i]
		c, ok := e.Body.(*tracer.Call)
		s := &j.seen[i]
		if !ok || s.end == noEnd {
			continue
		}
		if c.Phase == tracer.PhaseReturn {
			k := j.byN(c.Of)
			if k < 0 || k >= i || j.seen[k].call < 0 || j.calls[j.seen[k].call].ret >= 0 {
				continue // checkCalls says so
			}
			s.call = j.seen[k].call
			r := &j.calls[s.call]
			r.ret, r.bytes, r.err = i, c.Bytes, c.Error
			if child, known := x.byConn[socketID{e.Stack, c.Conn}]; known && c.Conn != 0 {
				r.child = child
			}
			continue
		}
		s.call = len(j.calls)
		r := callRecord{end: s.end, slot: s.slot, child: -1, enter: i, ret: -1, name: c.Name, bytes: -1}
		if c.Phase == tracer.PhaseDone {
			r.ret, r.bytes, r.err = i, c.Bytes, c.Error
		}
		j.calls = append(j.calls, r)
	}
}

// connections gives the slots their names: each protocol's names, in the order in which the rows
// have them, go to its connections in the order of their first packets.
func (j *judge) connections() *Mismatch {
	tcp, udp := connNames(j.expect)
	flood := hasFlood(j.in.Run)
	for i := range j.slots {
		s := &j.slots[i]
		s.flood = flood && isFloodSource(s.c.Addr())
		s.stray = j.in.Run.Check.NoAnswer && !s.alive && s.packets && !s.udp
	}
	j.bind(tcp, false)
	j.bind(udp, true)
	for i := range j.slots {
		s := &j.slots[i]
		if s.named || s.listener || s.flood || s.stray || s.first < 0 || s.anyName || s.udp && j.foreign(s) {
			continue
		}
		m := j.amiss(s.first, "only the connections that rows name", "this is another connection: "+s.words())
		m.At = string(endNames[j.seen[s.first].end])
		return m
	}
	return nil
}

// foreign tells whether a UDP exchange is of no concern: it is not with the sequence's port.
func (j *judge) foreign(s *slot) bool { return s.s.Port() != j.port }

func (s *slot) words() string {
	if !s.c.IsValid() || !s.s.IsValid() {
		return "a socket that never got both addresses"
	}
	return s.c.String() + " with " + s.s.String()
}

// bind gives names to the slots of one protocol.
func (j *judge) bind(names []string, udp bool) {
	var order, strays []int
	for i := range j.slots {
		s := &j.slots[i]
		switch {
		case s.udp != udp || s.listener || s.flood || s.anyName || s.first < 0 || udp && j.foreign(s):
		case s.stray:
			strays = append(strays, i)
		default:
			order = append(order, i)
		}
	}
	if len(order) < len(names) { // rows speak of the strays too
		order = append(order, strays...)
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := &j.slots[a], &j.slots[b]
		if x.packets != y.packets { // those without packets come last
			if x.packets {
				return -1
			}
			return 1
		}
		return x.first - y.first
	})
	for i, k := range order {
		if i < len(names) {
			j.slots[k].name, j.slots[k].named = names[i], true
		}
	}
}

// names tells whether a row's connection name means the slot.
func (s *slot) isNamed(name string) bool {
	return s.anyName || s.named && s.name == name
}
