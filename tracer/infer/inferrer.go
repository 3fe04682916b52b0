package infer

import (
	"net/netip"
	"time"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
)

// Via is what StateChange.Via says of a change that was inferred.
const Via = "inferred"

// firstOwnConn is where an Inferrer's own connection ids begin.
const firstOwnConn = 1 << 20

// Options are an Inferrer's settings.
type Options struct {
	// Vantage is the traced stack whose segments are the evidence, "server". Empty
	// means that the segments were taken on the wire and stand in the trace twice: as
	// sent by one stack and as received by the other. Then each of them is inferred
	// from the segments under its own name.
	Vantage string
	// Stack is the name of the end that is inferred, "peer": its calls are looked for
	// under this name. With no Vantage it restricts what is inferred to this one; ""
	// means all.
	Stack string
	// NewConn gives ids to connections that no call has named; nil means numbers of
	// its own, from 1048576. With no Vantage it is not used: the segments bear ids.
	NewConn func() uint32
	// OpensOnACK is as in [MachineOptions].
	OpensOnACK bool
}

// Inferrer infers the states of ends from a trace's events. It is for one goroutine.
type Inferrer struct {
	opts      Options
	lanes     map[laneKey]*lane
	sockets   map[socketKey]*socket
	named     map[laneKey]*socket // those whose both ends are known
	listeners map[listenerKey]*listener
	connects  []*socket                // those whose SYN has not been seen, oldest first
	times     map[uint64]time.Duration // of the calls that may be causes
	aliases   map[uint32]uint32
	conns     uint32
	seq       int
	out       []derived     // of the Feed in progress
	now       *tracer.Event // that it was given
}

// laneKey names one end of a connection.
type laneKey struct {
	stack         string
	local, remote netip.AddrPort
}

// derived is an event that was inferred, and its place: after the event anchor, or
// right before it.
type derived struct {
	tracer.Event
	anchor uint64
	ahead  bool
	seq    int // the order in which they were inferred
}

// New returns an Inferrer.
func New(o Options) *Inferrer {
	return &Inferrer{
		opts: o, lanes: map[laneKey]*lane{}, sockets: map[socketKey]*socket{}, named: map[laneKey]*socket{},
		listeners: map[listenerKey]*listener{}, times: map[uint64]time.Duration{}, aliases: map[uint32]uint32{},
	}
}

// Feed takes the next event of the trace, numbered and in order, and returns the
// state changes that it shows. They bear no number. Their T is that of the event
// after, or right before, which they belong, so that it may be earlier than e's: the
// cause, where the cause is a segment or a call that is known, and else e itself;
// but never earlier than the change before it of the same connection. Of those
// with equal T, the cause's number and the order in which they were returned decide.
func (i *Inferrer) Feed(e tracer.Event) []tracer.Event {
	var events []tracer.Event
	for _, d := range i.feed(e) {
		events = append(events, d.Event)
	}
	return events
}

func (i *Inferrer) feed(e tracer.Event) []derived {
	i.out, i.now = nil, &e
	e.Local, e.Remote = unmap(e.Local), unmap(e.Remote)
	switch body := e.Body.(type) {
	case *tracer.Call:
		if i.infers(e.Stack) {
			i.called(&e, body)
		}
	case *tracer.Segment:
		i.segment(&e, body)
	default:
	}
	i.now = nil
	return i.out
}

// infers tells whether a stack's events are those of an end that is inferred.
func (i *Inferrer) infers(stack string) bool {
	if i.opts.Vantage == "" && i.opts.Stack == "" {
		return true
	}
	return stack == i.opts.Stack
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// unreadable tells whether a segment's fields may be others than those that were
// sent, or will be others than those that arrive.
func unreadable(s *tracer.Segment) bool {
	for _, n := range s.Notes {
		if n == "corrupted" {
			return true
		}
	}
	return s.Dropped == "bad checksum" || s.Dropped == "malformed header"
}

func (i *Inferrer) segment(e *tracer.Event, s *tracer.Segment) {
	k := laneKey{e.Stack, e.Local, e.Remote}
	sent := s.Dir == tracer.Out
	switch {
	case i.opts.Vantage == "":
		if !i.infers(e.Stack) {
			return
		}
	case e.Stack != i.opts.Vantage:
		return
	default:
		k = laneKey{i.opts.Stack, e.Remote, e.Local}
		sent = !sent
	}
	if unreadable(s) || !sent && s.Dropped != "" {
		return
	}
	l := i.lanes[k]
	if l == nil {
		l = &lane{i: i, key: k}
		i.lanes[k] = l
	}
	if sent {
		l.sent(s)
	} else {
		l.received(arrival{n: e.N, t: e.T, conn: e.Conn, s: s})
	}
}

// newConn returns a connection's id.
func (i *Inferrer) newConn() uint32 {
	if i.opts.NewConn != nil {
		return i.opts.NewConn()
	}
	i.conns++
	return firstOwnConn + i.conns - 1
}

// emit gives out one change.
func (i *Inferrer) emit(id identity, c Change, at place, dwell time.Duration) {
	i.seq++
	i.out = append(i.out, derived{
		Event: tracer.Event{
			T: at.t, Stack: id.stack, Conn: id.conn, Parent: id.parent, Local: id.local, Remote: id.remote,
			Body: &tracer.StateChange{
				From: c.From, To: c.To, Cause: c.Cause, Via: Via, Dwell: dwell,
				RFC: tcpstate.Clause(c.From, c.To, c.Cause.Kind), Error: errorOf(c),
			},
		},
		anchor: at.n, ahead: at.ahead, seq: i.seq,
	})
}

// errorOf is the error that a change leaves the program with, in Linux's words.
func errorOf(c Change) string {
	switch {
	case c.To != tracer.Closed || c.Cause.What != "RST":
		return ""
	case c.From == tracer.SynSent:
		return "connection refused"
	case c.From == tracer.CloseWait: // the program has read to the end; it learns on sending
		return "broken pipe"
	default:
		return "connection reset by peer"
	}
}

// identity is what a change's event says of whose it is.
type identity struct {
	stack         string
	conn, parent  uint32
	local, remote netip.AddrPort
}

// place is where a change stands in the trace: after the event n, or right before it.
type place struct {
	n     uint64
	t     time.Duration
	ahead bool
}

// before tells whether a place comes before another.
func (p place) before(q place) bool {
	if p.n != q.n {
		return p.n < q.n
	}
	return p.ahead && !q.ahead
}
