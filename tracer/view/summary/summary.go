// Package summary tells a trace in a line a connection, and its totals. It reads the trace
// once, event by event, in bounded memory.
package summary

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"appliance/tracer"
)

// maxOpen is how many connections are followed at a time: where more are open, the one that
// began first is told as far as it is known, and what it does afterwards is not looked at.
const maxOpen = 1 << 17

// maxEnded is how many connections that have ended wait for segments after their end: where
// more have, the one that ended first is told, and what comes of it afterwards is not
// looked at.
const maxEnded = 1 << 13

// These bound, over all connections, the segments that are timed and the times that are kept
// each by itself.
const (
	maxAllTimed = 1 << 19
	maxAllExact = 1 << 20
)

// maxDone bounds the memory of which connections are done with: 64 a word.
const maxDone = 1 << 20

// These bound the totals: no trace of ours has as many stacks or ways to end, nor names as
// long, in bytes.
const (
	maxStacks = 64
	maxHow    = 32
	maxName   = 256
)

// others stands for what is too much.
const others = "…"

// Options are a Summary's settings; the zero value is ready.
type Options struct {
	// Conns and Stacks are the connections and stacks to tell of; none means all.
	Conns  []uint32
	Stacks []string
}

// Summary reads a trace and tells each connection.
type Summary struct {
	o      Options
	tell   func(*Conn) error
	open   *queue // in the order in which they began
	ended  *queue // in the order in which they ended: segments may still come
	done   ids    // they have been told, or are listeners
	accept ids    // they are other connections' listeners
	parent uint32 // the one of the last event that had any
	syns   syns
	stacks map[string]*totals
	order  []string // of stacks, as they came
	end    time.Duration
	err    error

	maxOpen, maxEnded, maxDone int

	timedRoom int // how many more segments may be timed
	exactRoom int // how many more times may be kept each by itself
}

// queue holds connections in an order, and finds them by id.
type queue struct {
	byID        map[uint32]*conn
	first, last *conn
}

func newQueue() *queue { return &queue{byID: map[uint32]*conn{}} }

// add puts a connection behind the others.
func (q *queue) add(c *conn) {
	c.before, c.after = q.last, nil
	if q.last != nil {
		q.last.after = c
	} else {
		q.first = c
	}
	q.last = c
	q.byID[c.id] = c
}

// remove takes out a connection, where it is in the queue.
func (q *queue) remove(c *conn) {
	if q.byID[c.id] != c {
		return
	}
	delete(q.byID, c.id)
	if c.before != nil {
		c.before.after = c.after
	} else {
		q.first = c.after
	}
	if c.after != nil {
		c.after.before = c.before
	} else {
		q.last = c.before
	}
}

// ids is a set of connections' ids: bit id%64 of word id/64.
type ids map[uint32]uint64

func (s ids) has(id uint32) bool { return s[id/64]&(1<<(id%64)) != 0 }

// add adds an id; where there are too many it forgets the others.
func (s ids) add(id uint32, words int) {
	if len(s) >= words {
		clear(s)
	}
	s[id/64] |= 1 << (id % 64)
}

// New returns a Summary that calls tell with each connection: with those that have ended, in
// the order of their ends; then with those that had not, in the order in which they began.
// What has ended is told once many others have too, and by Finish, for segments of it may
// come after its end. The Conn is tell's to keep.
func New(o Options, tell func(*Conn) error) *Summary {
	return &Summary{
		o: o, tell: tell, maxOpen: maxOpen, maxEnded: maxEnded, maxDone: maxDone, timedRoom: maxAllTimed, exactRoom: maxAllExact,
		open: newQueue(), ended: newQueue(), done: ids{}, accept: ids{}, stacks: map[string]*totals{},
	}
}

// Add takes the next event, of which it keeps nothing. It errs with what tell erred with.
func (s *Summary) Add(e *tracer.Event) error {
	s.end = max(s.end, e.T)
	if e.Parent != 0 && e.Parent != s.parent {
		s.accepts(e.Parent)
	}
	if (len(s.o.Stacks) == 0 || slices.Contains(s.o.Stacks, e.Stack)) &&
		(len(s.o.Conns) == 0 || slices.Contains(s.o.Conns, e.Conn)) {
		s.take(e)
	}
	if g, ok := e.Body.(*tracer.Segment); ok {
		s.syns.note(e, g)
	}
	return s.err
}

// accepts takes note of a listener, by a connection that it made.
func (s *Summary) accepts(id uint32) {
	s.parent = id
	s.accept.add(id, s.maxDone)
	if c := s.open.byID[id]; c != nil {
		s.listener(c)
	}
}

// take takes an event that is asked for.
func (s *Summary) take(e *tracer.Event) {
	t := s.totals(e)
	t.event(e)
	if e.Conn == 0 || s.done.has(e.Conn) {
		return
	}
	if c := s.ended.byID[e.Conn]; c != nil {
		c.late(e)
	} else {
		s.event(s.conn(e, t), e)
	}
	s.tellEnded()
}

// event takes an event of a connection that has not ended.
func (s *Summary) event(c *conn, e *tracer.Event) {
	c.event(e)
	switch {
	case c.listener:
		s.listener(c)
	case c.end != nil:
		s.open.remove(c)
		s.ended.add(c)
	}
}

// tellEnded tells those that ended first, where too many wait or where they take up the room
// of those that are open.
func (s *Summary) tellEnded() {
	for s.ended.first != nil && (len(s.ended.byID) > s.maxEnded || s.timedRoom <= 0 || s.exactRoom <= 0) {
		s.finish(s.ended.first, s.end)
	}
}

// Finish tells what has not ended and returns the totals, a stack each.
func (s *Summary) Finish() (Totals, error) {
	for _, q := range []*queue{s.ended, s.open} {
		for q.first != nil {
			s.finish(q.first, s.end)
		}
	}
	all := Totals{Duration: s.end, Stacks: []Stack{}}
	for _, name := range s.order {
		all.Stacks = append(all.Stacks, s.stacks[name].stack())
	}
	return all, s.err
}

// conn returns the event's connection, a new one where it is the first of it.
func (s *Summary) conn(e *tracer.Event, t *totals) *conn {
	if c := s.open.byID[e.Conn]; c != nil {
		return c
	}
	if len(s.open.byID) >= s.maxOpen {
		s.finish(s.open.first, s.end)
	}
	c := &conn{id: e.Conn, stack: t.Name, opened: e.T, totals: t, listener: s.accept.has(e.Conn)}
	c.roundTrips.room, c.rtt.room = &s.timedRoom, &s.exactRoom
	if e.Parent != 0 {
		c.in = s.syns.take(e)
	}
	s.open.add(c)
	return c
}

// finish tells a connection and forgets it.
func (s *Summary) finish(c *conn, at time.Duration) {
	if c.isListener() {
		s.listener(c)
		return
	}
	s.forget(c)
	if !c.connected() || s.err != nil {
		return // a socket that did nothing, or one for datagrams
	}
	line := c.line(at)
	c.totals.conn(line, c)
	s.err = s.tell(line)
}

// listener counts a listener, of which nothing else is told.
func (s *Summary) listener(c *conn) {
	c.totals.Listeners++
	s.forget(c)
}

// forget takes a connection off those that are kept.
func (s *Summary) forget(c *conn) {
	s.open.remove(c)
	s.ended.remove(c)
	s.done.add(c.id, s.maxDone)
	c.roundTrips.drop()
	c.rtt.drop()
}

// totals returns the totals of the event's stack.
func (s *Summary) totals(e *tracer.Event) *totals {
	if t := s.stacks[e.Stack]; t != nil {
		return t
	}
	name := e.Stack
	if len(s.order) >= maxStacks || len(name) > maxName {
		name = others
	}
	t := s.stacks[name]
	if t == nil {
		t = &totals{Stack: Stack{Name: name, How: map[string]uint64{}}}
		s.stacks[name] = t
		s.order = append(s.order, name)
	}
	return t
}

// Totals are a whole trace's.
type Totals struct {
	Duration time.Duration `json:"duration_ns"` // until the last event
	Stacks   []Stack       `json:"stacks"`      // in the order in which they appear
}

// Stack is what one stack did. Two ends that are both traced are two stacks, each with all
// that it saw: their totals are not added.
type Stack struct {
	Name        string            `json:"stack"`
	Events      uint64            `json:"events"`
	Lost        uint64            `json:"lost"` // events that the trace's writer had to drop
	Listeners   uint64            `json:"listeners"`
	Connections uint64            `json:"connections"`
	Active      uint64            `json:"active"`  // that it opened
	Passive     uint64            `json:"passive"` // that its peers opened
	Open        uint64            `json:"open"`    // that had not ended
	How         map[string]uint64 `json:"how"`     // how those that had ended did
	States      []string          `json:"states"`  // that any was in, in RFC 9293's order
	BytesOut    uint64            `json:"bytes_out"`
	BytesIn     uint64            `json:"bytes_in"`
	SegmentsOut uint64            `json:"segments_out"`
	SegmentsIn  uint64            `json:"segments_in"`
	Retransmits uint64            `json:"retransmits"`
	RTT         *RTT              `json:"rtt,omitempty"`
	Datagrams   uint64            `json:"datagrams"` // of UDP, both ways
	ICMP        uint64            `json:"icmp"`      // both ways
}

// totals gathers a Stack.
type totals struct {
	Stack
	states reached
	rtt    times
}

// event counts one.
func (t *totals) event(e *tracer.Event) {
	switch b := e.Body.(type) {
	case *tracer.Lost:
		t.Lost += b.Missed
		return
	case *tracer.Datagram:
		t.Datagrams++
	case *tracer.ICMP:
		t.ICMP++
	default:
	}
	t.Events++
}

// conn adds a connection.
func (t *totals) conn(l *Conn, c *conn) {
	t.Connections++
	switch l.Role {
	case tracer.Active:
		t.Active++
	case tracer.Passive:
		t.Passive++
	}
	if l.Open {
		t.Open++
	} else {
		t.How[t.howName(string(l.How))]++
	}
	t.BytesOut += l.BytesOut
	t.BytesIn += l.BytesIn
	t.SegmentsOut += l.SegmentsOut
	t.SegmentsIn += l.SegmentsIn
	t.Retransmits += l.Retransmits
	t.states.mask |= c.states.mask
	t.rtt.merge(&c.rtt)
}

// howName is under what a way to end is counted.
func (t *totals) howName(how string) string {
	if _, ok := t.How[how]; !ok && len(t.How) >= maxHow || len(how) > maxName {
		return others
	}
	return how
}

// stack returns what was gathered.
func (t *totals) stack() Stack {
	t.RTT = t.rtt.summary()
	t.States = t.states.sorted()
	return t.Stack
}

// HowNames returns the ways in which connections ended, the most frequent first.
func (s *Stack) HowNames() []string {
	return slices.SortedFunc(maps.Keys(s.How), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.How[b], s.How[a]), cmp.Compare(a, b))
	})
}
