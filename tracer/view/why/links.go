package why

import (
	"net/netip"
	"slices"

	"appliance/tracer"
	"appliance/tracer/view"
)

// Link says how it is known that one event caused another.
type Link string

// The links.
const (
	Recorded Link = "recorded" // the trace names it
	Wire     Link = "wire"     // both are the same packet, at its two ends
	Deduced  Link = "deduced"  // it follows from what the segment is
)

// cause is what caused an event: 0 where nothing is known to have.
type cause struct {
	n    uint64
	link Link
}

// laneKey tells lanes apart: a listener has one for each peer, and so has what has no
// connection.
type laneKey struct {
	stack         string
	conn          uint32
	local, remote netip.AddrPort
}

// hostKey is two hosts, as one stack sees them.
type hostKey struct {
	stack         string
	local, remote netip.Addr
}

// packetKey is what two ends see of one packet.
type packetKey struct {
	from, to netip.AddrPort
	what     string // for one of UDP's or ICMP's
	seq, ack uint32
	flags    tracer.Flags
	length   int
	ts       [2]uint32
}

// linker goes through a trace and finds what caused what.
type linker struct {
	t      *view.Trace
	open   map[string]bool // the stacks whose every timer is in the trace
	lanes  map[laneKey]*lane
	asked  map[hostKey][]uint64   // packets that an ICMP message may answer
	wire   map[packetKey][]uint64 // sent and not yet seen to arrive
	causes []cause                // by place in the trace
}

// link returns each event's cause, by its place in the trace.
func link(t *view.Trace) []cause {
	l := &linker{t: t, open: opened(t.Events), causes: make([]cause, len(t.Events))}
	l.forget()
	for i := range t.Events {
		l.set(i, l.event(&t.Events[i]))
	}
	return l.causes
}

// forget begins anew: what was known is not, as events are missing.
func (l *linker) forget() {
	l.lanes, l.asked, l.wire = map[laneKey]*lane{}, map[hostKey][]uint64{}, map[packetKey][]uint64{}
}

// set takes note of a cause that the trace has, and has before its effect.
func (l *linker) set(place int, c cause) {
	if c.n != 0 && c.n < l.t.Events[place].N && l.t.ByN(c.n) != nil {
		l.causes[place] = c
	}
}

// opened returns the stacks that are traced from inside, so that a timer that fired is in the
// trace: of an end that is only seen on the wire there are no variables, and its states are
// inferred.
func opened(events []tracer.Event) map[string]bool {
	open := map[string]bool{}
	for i := range events {
		switch b := events[i].Body.(type) {
		case *tracer.StateChange:
			if b.Via != "inferred" {
				open[events[i].Stack] = true
			}
		case *tracer.TCB, *tracer.Timer:
			open[events[i].Stack] = true
		default:
		}
	}
	return open
}

func (l *linker) lane(e *tracer.Event) *lane {
	k := laneKey{stack: e.Stack, conn: e.Conn}
	if c := l.t.Conn(e.Conn); c == nil || c.Listener {
		k.local, k.remote = e.Local, e.Remote
	}
	a := l.lanes[k]
	if a == nil {
		a = &lane{open: l.open[e.Stack], in: arrivals{onWire: !l.open[e.Stack]}}
		l.lanes[k] = a
	}
	return a
}

// event returns what caused e, and takes note of it.
func (l *linker) event(e *tracer.Event) cause {
	if _, ok := e.Body.(*tracer.Lost); ok {
		l.forget()
		return cause{}
	}
	a := l.lane(e)
	if _, ok := e.Body.(*tracer.Segment); !ok {
		defer func() { a.rst = 0 }()
	}
	switch b := e.Body.(type) {
	case *tracer.StateChange:
		if a.rst != 0 && b.To == tracer.Closed { // the segment went out first
			l.set(l.t.Index(a.rst), cause{b.Cause.N, Deduced})
		}
		a.changed(e.N, b)
		return cause{b.Cause.N, Recorded}
	case *tracer.Call:
		a.called(e.N, b)
		return cause{b.Of, Recorded}
	case *tracer.TCB:
		a.read(b.After)
		return cause{b.After, Recorded}
	case *tracer.Timer:
		a.fired, a.timer, a.spent = e.N, b.Name, false
	case *tracer.End:
		return cause{a.state, Deduced}
	case *tracer.Segment:
		return l.segment(a, e, b)
	case *tracer.Datagram:
		return l.datagram(a, e, b)
	case *tracer.ICMP:
		return l.icmp(e, b)
	default:
	}
	return cause{}
}

// segment returns what caused a segment, and takes note of it.
func (l *linker) segment(a *lane, e *tracer.Event, g *tracer.Segment) cause {
	key := packetKey{seq: g.Seq, ack: g.Ack, flags: g.Flags, length: g.Len, ts: [2]uint32{g.Opts.TSVal, g.Opts.TSEcr}}
	if g.Dir == tracer.Out {
		l.send(e, key, g.Dropped != "", g.Notes)
		c := cause{l.reason(a, g), Deduced}
		a.sent(e.N, g)
		return c
	}
	c := l.arrive(e, key)
	if g.Dropped == "" {
		a.got(e.N, g)
	}
	return c
}

// datagram returns what caused a datagram, and takes note of it. One that went out is that of
// the only send of its length that waits for one.
func (l *linker) datagram(a *lane, e *tracer.Event, b *tracer.Datagram) cause {
	key := packetKey{what: "datagram", length: b.Len}
	if b.Dir != tracer.Out {
		if b.Dropped == "" && e.Conn == 0 { // nobody has it
			h := hostOf(e)
			l.asked[h] = append(l.asked[h], e.N)
		}
		return l.arrive(e, key)
	}
	l.send(e, key, b.Dropped != "", b.Notes)
	fits := func(s send) bool { return s.to-s.from == uint64(max(b.Len, 0)) }
	i := slices.IndexFunc(a.sends, fits)
	if i < 0 {
		return cause{}
	}
	n, only := a.sends[i].n, !slices.ContainsFunc(a.sends[i+1:], fits)
	a.sends = slices.Delete(a.sends, i, i+1)
	if !only {
		return cause{}
	}
	return cause{n, Deduced}
}

func hostOf(e *tracer.Event) hostKey { return hostKey{e.Stack, e.Local.Addr(), e.Remote.Addr()} }

// icmp returns what caused an ICMP message, and takes note of it: a reply is to the only echo
// request, and an error about the only datagram for nobody, that waits for one.
func (l *linker) icmp(e *tracer.Event, b *tracer.ICMP) cause {
	key := packetKey{what: b.Name, length: b.Len, seq: uint32(b.Kind), ack: uint32(b.Code)}
	h := hostOf(e)
	if b.Dir != tracer.Out {
		if b.Name == echoRequest {
			l.asked[h] = append(l.asked[h], e.N)
		}
		return l.arrive(e, key)
	}
	l.send(e, key, false, nil)
	fits := func(n uint64) bool {
		m, isICMP := l.t.ByN(n).Body.(*tracer.ICMP)
		return isICMP == (b.Name == echoReply) && (!isICMP || m.Len == b.Len)
	}
	i := slices.IndexFunc(l.asked[h], fits)
	if i < 0 || b.Name == echoRequest {
		return cause{}
	}
	n, only := l.asked[h][i], !slices.ContainsFunc(l.asked[h][i+1:], fits)
	l.asked[h] = slices.Delete(l.asked[h], i, i+1)
	if !only {
		return cause{}
	}
	return cause{n, Deduced}
}

const echoRequest, echoReply = "echo request", "echo reply"

// send puts a packet on the wire, once for each copy that arrives.
func (l *linker) send(e *tracer.Event, key packetKey, dropped bool, notes []string) {
	if dropped {
		return
	}
	key.from, key.to = e.Local, e.Remote
	l.wire[key] = append(l.wire[key], e.N)
	if slices.Contains(notes, "duplicated") {
		l.wire[key] = append(l.wire[key], e.N)
	}
}

// arrive takes a packet off the wire: of several that look the same, the first.
func (l *linker) arrive(e *tracer.Event, key packetKey) cause {
	key.from, key.to = e.Remote, e.Local
	sent := l.wire[key]
	for i, n := range sent {
		if from := l.t.ByN(n); from.Stack != e.Stack {
			l.wire[key] = slices.Delete(sent, i, i+1)
			return cause{n, Wire}
		}
	}
	return cause{}
}
