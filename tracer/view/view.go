package view

import (
	"net/netip"
	"slices"
	"sort"
	"time"

	"appliance/tracer"
)

// Trace is a trace in memory, indexed for the views.
type Trace struct {
	Header tracer.Header
	Events []tracer.Event // in order of N
	Conns  []*Conn        // in order of first appearance

	conns   map[uint32]*Conn
	effects map[uint64][]uint64
	pairs   []Pair
	pairOf  map[uint32]int
	flows   []Pair

	// What Story looks up.
	accepted map[uint32]int // by connection: the accept that returned it, an index in Events
	loose    map[ends][]int // by addresses: the segments that no connection has
	between  map[ends][]int // by addresses, in normal order: places in pairs
	children map[uint32]int // by listener: how many connections it made
}

// Conn is one connection of one stack, or a listener, or a UDP socket.
type Conn struct {
	ID            uint32 // 0: no connection of its own (see [Trace.Flows])
	Stack         string
	Local, Remote netip.AddrPort // Remote is zero for a listener
	Parent        uint32         // its listener; 0: none
	Listener      bool
	UDP           bool        // a socket for datagrams
	Segments      bool        // the trace has segments of it: not so of a Linux peer, whose kernel tells its states alone
	Events        []int       // indices into Trace.Events, ascending
	Spans         []Span      // the states it was in, in order
	End           *tracer.End // nil where it had not ended

	role tracer.Role
	seen [2]isn // the initial sequence numbers: its own, its peer's
}

// isn is an initial sequence number, where it is known.
type isn struct {
	n     uint32
	known bool
}

// Span is a time that a connection spent in one state: from the event of the change that
// began it to that of the change that ended it. How long it was says the latter change's
// own Dwell, which was measured at the change, a little before there was an event.
type Span struct {
	State    tracer.State
	From, To time.Duration // since the trace started
	N        uint64        // the state event that began it; 0: none
	Open     bool          // it lasted until the trace's end
}

// New indexes the events, which it keeps and, where they are not in the order of N, sorts.
func New(h tracer.Header, events []tracer.Event) *Trace {
	byN := func(i, j int) bool { return events[i].N < events[j].N }
	if !sort.SliceIsSorted(events, byN) {
		sort.SliceStable(events, byN)
	}
	t := &Trace{
		Header: h, Events: events, conns: map[uint32]*Conn{}, effects: map[uint64][]uint64{},
		accepted: map[uint32]int{}, loose: map[ends][]int{}, between: map[ends][]int{}, children: map[uint32]int{},
	}
	for i := range events {
		e := &events[i]
		t.effect(e)
		if e.Conn != 0 {
			t.conn(e).add(i, e)
		}
	}
	for i := range events {
		t.index(i, &events[i])
	}
	for _, c := range t.Conns {
		c.close(t)
		if c.Parent != 0 {
			t.children[c.Parent]++
		}
	}
	t.findPairs()
	t.flows = t.findFlows()
	return t
}

// findPairs makes pairs of the connections, and finds them by id and by address.
func (t *Trace) findPairs() {
	t.pairs = pairUp(t.Conns)
	t.pairOf = make(map[uint32]int, len(t.Conns))
	for i, p := range t.pairs {
		t.pairOf[p.A.ID] = i
		key := normal(ends{p.A.Local, p.A.Remote})
		t.between[key] = append(t.between[key], i)
		if p.B != nil {
			t.pairOf[p.B.ID] = i
		}
	}
}

// conn returns the event's connection, a new one where it is the first of it.
func (t *Trace) conn(e *tracer.Event) *Conn {
	c := t.conns[e.Conn]
	if c == nil {
		c = &Conn{ID: e.Conn, Stack: e.Stack}
		t.conns[e.Conn] = c
		t.Conns = append(t.Conns, c)
	}
	return c
}

// effect notes what caused e.
func (t *Trace) effect(e *tracer.Event) {
	var cause uint64
	switch b := e.Body.(type) {
	case *tracer.StateChange:
		cause = b.Cause.N
	case *tracer.Call:
		cause = b.Of
	case *tracer.TCB:
		cause = b.After
	default:
	}
	if cause != 0 {
		t.effects[cause] = append(t.effects[cause], e.N)
	}
}

// ByN returns the event of that number, nil where there is none.
func (t *Trace) ByN(n uint64) *tracer.Event {
	if i := t.Index(n); i >= 0 {
		return &t.Events[i]
	}
	return nil
}

// Index returns the place in Events of the event of that number, -1 where there is none.
func (t *Trace) Index(n uint64) int {
	i, ok := slices.BinarySearchFunc(t.Events, n, func(e tracer.Event, n uint64) int {
		switch {
		case e.N < n:
			return -1
		case e.N > n:
			return 1
		default:
			return 0
		}
	})
	if !ok {
		return -1
	}
	return i
}

// Conn returns the connection of that id, nil where there is none.
func (t *Trace) Conn(id uint32) *Conn { return t.conns[id] }

// Effects returns the events whose cause, or whose call's enter, or which a tcb event came
// after, is n, ascending. The slice is the Trace's own.
func (t *Trace) Effects(n uint64) []uint64 { return t.effects[n] }

// Pairs returns every connection, with both its ends where both are traced, in order of
// first appearance. Listeners and UDP sockets are none; what has no connection is in
// [Trace.Flows]. The slice is the Trace's own.
func (t *Trace) Pairs() []Pair { return t.pairs }

// PairOf returns the pair that has the connection as one of its ends; ok is false for a
// listener, a UDP socket and an id that there is not.
func (t *Trace) PairOf(id uint32) (p Pair, ok bool) {
	i, ok := t.pairOf[id]
	if !ok {
		return Pair{}, false
	}
	return t.pairs[i], true
}

// End returns when the trace's last event was.
func (t *Trace) End() time.Duration {
	if len(t.Events) == 0 {
		return 0
	}
	return t.Events[len(t.Events)-1].T
}
