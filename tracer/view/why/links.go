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

// cause is what caused an event: 0 where nothing did.
type cause struct {
	n    uint64
	link Link
}

// lane is what is known of one end while its events go by: the numbers of the last ones of
// each sort, 0 where there was none.
type lane struct {
	inbound, timer, connect, closing, recv, state uint64

	born   uint64            // what caused its first state change
	ends   map[uint32]uint64 // the last inbound segment that an acknowledgment covers to the byte
	acked  uint32            // the last acknowledgment that went out
	sends  []send
	stream uint64 // how many bytes the program has sent

	hasAcked bool
}

// send is a call that sent bytes of the stream.
type send struct {
	n        uint64
	from, to uint64 // the place behind its last byte
}

// laneKey tells lanes apart: a listener has one for each peer, and so has what has no
// connection.
type laneKey struct {
	stack         string
	conn          uint32
	local, remote netip.AddrPort
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
	lanes  map[laneKey]*lane
	wire   map[packetKey][]uint64 // sent and not yet seen to arrive
	causes []cause                // by place in the trace
}

// link returns each event's cause, by its place in the trace.
func link(t *view.Trace) []cause {
	l := &linker{t: t, lanes: map[laneKey]*lane{}, wire: map[packetKey][]uint64{}, causes: make([]cause, len(t.Events))}
	for i := range t.Events {
		e := &t.Events[i]
		c := l.event(e)
		if c.n != 0 && c.n < e.N && t.ByN(c.n) != nil {
			l.causes[i] = c
		}
	}
	return l.causes
}

func (l *linker) lane(e *tracer.Event) *lane {
	k := laneKey{stack: e.Stack, conn: e.Conn}
	if c := l.t.Conn(e.Conn); c == nil || c.Listener {
		k.local, k.remote = e.Local, e.Remote
	}
	a := l.lanes[k]
	if a == nil {
		a = &lane{}
		l.lanes[k] = a
	}
	return a
}

// event returns what caused e, and takes note of it.
func (l *linker) event(e *tracer.Event) cause {
	a := l.lane(e)
	switch b := e.Body.(type) {
	case *tracer.StateChange:
		a.state = e.N
		if a.born == 0 {
			a.born = b.Cause.N
		}
		return cause{b.Cause.N, Recorded}
	case *tracer.Call:
		a.call(e.N, b)
		return cause{b.Of, Recorded}
	case *tracer.TCB:
		return cause{b.After, Recorded}
	case *tracer.Timer:
		a.timer = e.N
	case *tracer.End:
		return cause{a.state, Deduced}
	case *tracer.Segment:
		return l.segment(a, e, b)
	case *tracer.Datagram:
		return l.packet(a, e, b.Dir, packetKey{what: "datagram", length: b.Len}, b.Dropped != "", b.Notes)
	case *tracer.ICMP:
		return l.packet(a, e, b.Dir, packetKey{what: b.Name, length: b.Len, seq: uint32(b.Kind), ack: uint32(b.Code)}, false, nil)
	default:
	}
	return cause{}
}

// call takes note of a call.
func (a *lane) call(n uint64, b *tracer.Call) {
	if b.Phase == tracer.PhaseReturn {
		if i := len(a.sends) - 1; b.Name == "send" && i >= 0 && a.sends[i].n == b.Of && b.Bytes >= 0 {
			a.sends[i].to = a.sends[i].from + uint64(b.Bytes) // it took fewer
			a.stream = a.sends[i].to
		}
		return
	}
	switch b.Name {
	case "connect":
		a.connect = n
	case "close", "shutdown":
		a.closing = n
	case "recv":
		a.recv = n
	case "send":
		s := send{n: n, from: a.stream, to: a.stream}
		for _, arg := range b.Args {
			if v, ok := arg.Value.(int64); ok && arg.Name == "bytes" && v > 0 {
				s.to += uint64(v)
			}
		}
		if b.Phase == tracer.PhaseDone && b.Bytes >= 0 {
			s.to = s.from + uint64(b.Bytes)
		}
		a.sends = append(a.sends, s)
		a.stream = s.to
	}
}

// segment returns what caused a segment, and takes note of it.
func (l *linker) segment(a *lane, e *tracer.Event, g *tracer.Segment) cause {
	key := packetKey{seq: g.Seq, ack: g.Ack, flags: g.Flags, length: g.Len, ts: [2]uint32{g.Opts.TSVal, g.Opts.TSEcr}}
	if g.Dir == tracer.Out {
		l.send(e, key, g.Dropped != "", g.Notes)
		c := cause{a.reason(g), Deduced}
		a.acked, a.hasAcked = g.Ack, a.hasAcked || g.Flags.Has(tracer.ACK)
		return c
	}
	c := l.arrive(e, key)
	if g.Dropped == "" {
		a.inbound = e.N
		if a.ends == nil {
			a.ends = map[uint32]uint64{}
		}
		if end := behind(g); end != g.Seq { // else there is nothing in it to acknowledge
			a.ends[end] = e.N
		}
	}
	return c
}

// behind is the acknowledgment number that covers a segment.
func behind(g *tracer.Segment) uint32 {
	n := g.Seq + uint32(g.Len)
	for _, f := range []tracer.Flags{tracer.SYN, tracer.FIN} {
		if g.Flags.Has(f) {
			n++
		}
	}
	return n
}

// reason returns the event for which a segment went out, 0 where none is known.
func (a *lane) reason(g *tracer.Segment) uint64 {
	noted := func(names ...string) bool {
		return slices.ContainsFunc(g.Notes, func(n string) bool { return slices.Contains(names, n) })
	}
	switch {
	case g.Flags.Has(tracer.RST):
		return max(a.closing, a.inbound)
	case noted("retransmission", "fast-retransmit", "tail-loss-probe", "keepalive", "window-probe"):
		return max(a.timer, a.inbound)
	case g.Flags.Has(tracer.SYN | tracer.ACK):
		return max(a.born, a.inbound)
	case g.Flags.Has(tracer.SYN):
		return a.connect
	case g.Len > 0:
		return a.sender(g)
	case g.Flags.Has(tracer.FIN):
		return a.closing
	case noted("window-update"):
		return max(a.recv, a.inbound)
	default:
		n := a.ends[g.Ack]
		if n == 0 || a.hasAcked && g.Ack == a.acked {
			return a.inbound // it says once more what it said before: of another segment
		}
		return n
	}
}

// sender returns the call whose bytes a segment begins with.
func (a *lane) sender(g *tracer.Segment) uint64 {
	if len(a.sends) == 0 {
		return 0
	}
	last := a.sends[len(a.sends)-1].n
	if !g.HasRel || g.RelSeq == 0 {
		return last
	}
	at := uint64(g.RelSeq - 1)
	// A long stream's numbers wrap: the place is the last one before what has been sent.
	for at+1<<32 < a.stream {
		at += 1 << 32
	}
	i, _ := slices.BinarySearchFunc(a.sends, at, func(s send, at uint64) int {
		if s.to <= at {
			return -1
		}
		return 1
	})
	if i == len(a.sends) {
		return last
	}
	return a.sends[i].n
}

// packet is segment for what is no TCP.
func (l *linker) packet(a *lane, e *tracer.Event, dir tracer.Direction, key packetKey, dropped bool, notes []string) cause {
	if dir == tracer.Out {
		l.send(e, key, dropped, notes)
		if _, ok := e.Body.(*tracer.ICMP); ok {
			return cause{a.inbound, Deduced}
		}
		if n := len(a.sends); n > 0 {
			return cause{a.sends[n-1].n, Deduced}
		}
		return cause{}
	}
	a.inbound = e.N
	return l.arrive(e, key)
}

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
