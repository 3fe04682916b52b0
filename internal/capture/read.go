package capture

import (
	"net/netip"
	"slices"
	"time"

	"appliance/netstack"
	"appliance/tracer"
	"appliance/tracer/infer"
)

// Frame is an Ethernet frame as it was seen on a link.
type Frame struct {
	// T is when, since the trace started.
	T time.Duration
	// Data begins with the Ethernet header; the frame check sequence is not part of it.
	Data []byte
}

// The stacks' names in the trace.
const (
	Client = "client"
	Server = "server"
)

// ReadOptions are Read's settings; the zero value is ready.
type ReadOptions struct {
	// Names are the stacks' names by address. An end that is not in it is "client" if it
	// sent the connection's first SYN, else "server". Where the capture began later, the
	// end with the lower port is "server".
	Names map[netip.Addr]string
	// Verify has segments with a wrong checksum discarded by their receiver, as it
	// would do. Without it checksums are not looked at: where one captures on the
	// sender itself they are often unfinished.
	Verify bool
	// NoStates leaves the states out.
	NoStates bool
	// TCPOnly leaves the datagrams out.
	TCPOnly bool
}

// Read makes a trace of frames, in the order in which they were seen. What is
// neither TCP nor UDP over IP is passed over, and so are fragments.
func Read(frames []Frame, o ReadOptions) []tracer.Event {
	r := newReader(o)
	for _, f := range frames {
		r.frame(f)
	}
	if o.NoStates {
		return r.events
	}
	return infer.Merge(r.events, infer.Options{})
}

// reader makes a trace of frames.
type reader struct {
	opts      ReadOptions
	lanes     map[laneKey]*lane
	listeners map[listenerKey]uint32 // their conns
	conns     uint32
	last      time.Duration
	events    []tracer.Event // but the first gone, which were given out
	gone      int
}

func newReader(o ReadOptions) *reader {
	return &reader{opts: o, lanes: map[laneKey]*lane{}, listeners: map[listenerKey]uint32{}}
}

// count is how many events there were so far.
func (r *reader) count() int { return r.gone + len(r.events) }

// laneKey is one end of a pair of sockets.
type laneKey struct {
	udp           bool
	local, remote netip.AddrPort
}

func (k laneKey) other() laneKey { return laneKey{k.udp, k.remote, k.local} }

type listenerKey struct {
	stack string
	local netip.AddrPort
}

// lane is what is known of one end of a pair of sockets: of the connection that it
// has now, and of what came for one that it may have next.
type lane struct {
	stack        string
	conn, parent uint32
	flow         *netstack.Flow // nil before there is a connection
	hasISN       bool
	isn          uint32 // of the SYN that it sent
	hasPeer      bool
	peerISN      uint32 // of the SYN that it took

	early    *netstack.Flow // of what waits: a SYN not answered yet, or segments for no connection
	earlySYN bool
	earlySeq uint32 // the SYN's
	waiting  []int  // their events, counted from the first of all
}

func (r *reader) frame(f Frame) {
	p, ok := netstack.Dissect(f.Data)
	if !ok || !p.TCP && r.opts.TCPOnly {
		return
	}
	r.packet(f, p)
}

// packet takes what a frame carries.
func (r *reader) packet(f Frame, p netstack.Packet) {
	r.last = max(r.last, f.T) // a clock that is set must not turn the trace back
	k := laneKey{!p.TCP, p.From, p.To}
	own, other := r.ends(k, p)
	if !p.TCP {
		r.datagram(k, own, tracer.Out, p)
		r.datagram(k.other(), other, tracer.In, p)
		return
	}
	r.sent(k, own, p)
	r.received(k.other(), other, p)
}

// ends returns the sender's lane and the receiver's.
func (r *reader) ends(k laneKey, p netstack.Packet) (own, other *lane) {
	own, other = r.lanes[k], r.lanes[k.other()]
	if own == nil {
		own, other = &lane{}, &lane{}
		r.lanes[k], r.lanes[k.other()] = own, other
	}
	opens := p.TCP && p.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN
	if own.stack == "" || opens && !own.hasISN && !other.hasISN { // before, it was a guess
		own.stack, other.stack = r.names(k, p, opens)
	}
	return own, other
}

// names tells which stack sends and which receives.
func (r *reader) names(k laneKey, p netstack.Packet, opens bool) (own, other string) {
	own, other = Client, Server
	answers := p.TCP && p.Flags.Has(tracer.SYN|tracer.ACK)
	if answers || !opens && k.local.Port() < k.remote.Port() {
		own, other = Server, Client
	}
	if name, ok := r.opts.Names[k.local.Addr()]; ok {
		own = name
	}
	if name, ok := r.opts.Names[k.remote.Addr()]; ok {
		other = name
	}
	return own, other
}

func (r *reader) newConn() uint32 {
	r.conns++
	return r.conns
}

// add appends an event.
func (r *reader) add(k laneKey, stack string, conn, parent uint32, body tracer.Body) {
	r.events = append(r.events, tracer.Event{
		N: uint64(r.count() + 1), T: r.last, Stack: stack, Conn: conn, Parent: parent,
		Local: k.local, Remote: k.remote, Body: body,
	})
}

func (r *reader) datagram(k laneKey, l *lane, dir tracer.Direction, p netstack.Packet) {
	if l.conn == 0 {
		l.conn = r.newConn()
	}
	r.add(k, l.stack, l.conn, 0, &tracer.Datagram{Dir: dir, Len: p.Len})
}

// sent records a segment at its sender's end.
func (r *reader) sent(k laneKey, l *lane, p netstack.Packet) {
	syn, ack := p.Flags.Has(tracer.SYN), p.Flags.Has(tracer.ACK)
	switch {
	case syn && l.hasISN && l.isn == p.Seq: // again, or the answer in a simultaneous open
	case syn && !ack:
		if !l.earlySYN {
			l.early, l.waiting = nil, nil
		}
		r.adopt(l, r.newConn(), 0) // a SYN that waits crosses this one
		l.hasISN, l.isn = true, p.Seq
	case syn:
		r.born(k, l)
		l.hasISN, l.isn = true, p.Seq
	case l.flow == nil && !p.Flags.Has(tracer.RST): // open before the first frame
		r.adopt(l, r.newConn(), 0)
	}
	if l.flow == nil { // it refuses what came
		r.record(k, l, 0, &netstack.Flow{}, p)
		l.early, l.earlySYN, l.waiting = nil, false, nil
		return
	}
	r.record(k, l, l.conn, l.flow, p)
}

// record adds a segment that a lane sends. One that arrived damaged may have been
// sent otherwise.
func (r *reader) record(k laneKey, l *lane, conn uint32, flow *netstack.Flow, p netstack.Packet) {
	body := flow.Segment(p, tracer.Out, "")
	if r.opts.Verify && p.Problem != "" {
		body.Notes = append(body.Notes, "corrupted")
	}
	r.add(k, l.stack, conn, l.parent, body)
}

// adopt gives a lane another connection, with what waits for it.
func (r *reader) adopt(l *lane, conn, parent uint32) {
	flow := l.early
	if flow == nil {
		flow = &netstack.Flow{}
	}
	for _, i := range l.waiting {
		if i >= r.gone {
			r.events[i-r.gone].Conn, r.events[i-r.gone].Parent = conn, parent
		}
	}
	*l = lane{stack: l.stack, conn: conn, parent: parent, flow: flow, hasPeer: l.earlySYN, peerISN: l.earlySeq}
}

// born makes a lane the child of its listener, by the SYN+ACK that it sends. The SYNs
// that wait are the listener's.
func (r *reader) born(k laneKey, l *lane) {
	at := listenerKey{l.stack, k.local}
	if r.listeners[at] == 0 {
		r.listeners[at] = r.newConn()
	}
	r.adopt(l, r.listeners[at], 0)
	l.conn, l.parent = r.newConn(), r.listeners[at]
}

// received records a segment at its receiver's end.
func (r *reader) received(k laneKey, l *lane, p netstack.Packet) {
	dropped := ""
	if r.opts.Verify {
		dropped = p.Problem
	}
	syn := p.Flags.Has(tracer.SYN) && dropped == ""
	flow := l.flow
	switch {
	case syn && !p.Flags.Has(tracer.ACK) && l.isNew(p):
		if !l.earlySYN || l.earlySeq != p.Seq {
			l.early, l.earlySYN, l.earlySeq, l.waiting = &netstack.Flow{}, true, p.Seq, nil
		}
		flow = l.early
		r.wait(l)
	case syn && !l.hasPeer:
		l.hasPeer, l.peerISN = true, p.Seq
	}
	if flow == nil {
		if l.early == nil {
			l.early = &netstack.Flow{}
		}
		flow = l.early
		r.wait(l)
	}
	r.add(k, l.stack, l.conn, l.parent, flow.Segment(p, tracer.In, dropped))
}

// wait has the event that comes next wait for a connection of the lane's. One that was given
// out does so no longer.
func (r *reader) wait(l *lane) {
	if n := len(l.waiting); n > 0 && n == cap(l.waiting) {
		l.waiting = slices.DeleteFunc(l.waiting, func(i int) bool { return i < r.gone })
	}
	l.waiting = append(l.waiting, r.count())
}

// isNew tells whether a SYN is not one for the connection that the lane has: not that
// which it took, nor one that crosses its own.
func (l *lane) isNew(p netstack.Packet) bool {
	if l.flow == nil || l.hasPeer {
		return l.flow == nil || l.peerISN != p.Seq
	}
	return !l.hasISN
}
