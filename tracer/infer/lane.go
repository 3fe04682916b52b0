package infer

import (
	"time"

	"appliance/tracer"
)

// arrival is a segment on its way to an end.
type arrival struct {
	n    uint64
	t    time.Duration
	conn uint32 // its event's
	s    *tracer.Segment
}

// maxHeld bounds what waits for an acknowledgment that never comes.
const maxHeld = 4096

// lane is one end of one pair of sockets: its machine, and what is on its way to it.
type lane struct {
	i    *Inferrer
	key  laneKey
	m    *Machine // nil before there is a connection
	held []arrival

	conn, parent uint32
	child        *listener // whose child it is
	socket       *socket   // what its calls are known by
	accepted     bool
	data, fin    arrival // received last
	last         place   // of the newest change, also of a connection before this one
	told         bool    // a change of this one
}

// received takes a segment that goes to the end.
func (l *lane) received(a arrival) {
	if a.s.Flags.Has(tracer.RST) {
		l.settle()
		l.deliver(a)
		return
	}
	if l.m == nil && !a.s.Flags.Has(tracer.SYN) {
		l.renew(MachineOptions{})
	}
	if len(l.held) > 0 && l.stale(l.held[0], a.s) {
		l.held = l.held[1:]
	}
	l.held = append(l.held, a)
	l.drain()
	if len(l.held) > maxHeld {
		l.settle()
	}
}

// stale tells whether a SYN that waits was sent by an end that has given up on it:
// it sends something else to a connection that was there before.
func (l *lane) stale(h arrival, s *tracer.Segment) bool {
	return h.s.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN && !s.Flags.Has(tracer.SYN) && l.m != nil &&
		l.m.synchronized() && s.Seq != h.s.Seq+1
}

// settle delivers what is on its way: a RST brings it all.
func (l *lane) settle() {
	for len(l.held) > 0 {
		a := l.held[0]
		l.held = l.held[1:]
		l.deliver(a)
	}
}

// drain delivers what nothing will ever show to be received, up to a segment that
// something will.
func (l *lane) drain() {
	for len(l.held) > 0 && !l.shows(l.held[0].s) {
		a := l.held[0]
		l.held = l.held[1:]
		l.deliver(a)
	}
}

// shows tells whether the end will show that it has received the segment, by
// acknowledging a SYN or FIN that is new to it.
func (l *lane) shows(s *tracer.Segment) bool {
	syn := s.Flags.Has(tracer.SYN)
	if !syn && !s.Flags.Has(tracer.FIN) {
		return false
	}
	if l.m == nil {
		return syn
	}
	switch l.m.state {
	case tracer.Closed, tracer.TimeWait, tracer.Listen, tracer.SynSent:
		return syn // perhaps of another connection
	case tracer.SynReceived, tracer.Established, tracer.FinWait1, tracer.FinWait2, tracer.CloseWait, tracer.Closing,
		tracer.LastAck:
	}
	if syn {
		return !l.m.hasRcv || s.Seq != l.m.irs
	}
	return before(l.m.rcv.next, s.Seq+size(s))
}

// prove delivers what an acknowledgment of the end's shows to be received, and what
// waited behind it.
func (l *lane) prove(ack uint32) {
	for len(l.held) > 0 && covers(ack, l.held[0].s) {
		a := l.held[0]
		l.held = l.held[1:]
		l.deliver(a)
		l.drain()
	}
}

// covers tells whether an acknowledgment covers a segment's SYN, or its FIN.
func covers(ack uint32, s *tracer.Segment) bool {
	if s.Flags.Has(tracer.SYN) {
		return ack-s.Seq-1 <= size(s)-1
	}
	return !before(ack, s.Seq+size(s))
}

// deliver tells the machine.
func (l *lane) deliver(a arrival) {
	if l.m == nil {
		return
	}
	if a.s.Len > 0 {
		l.data = a
	}
	if a.s.Flags.Has(tracer.FIN) {
		l.fin = a
	}
	l.tell(l.m.Received(a.n, a.s), place{n: a.n, t: a.t})
}

// sent takes a segment that came from the end.
func (l *lane) sent(s *tracer.Segment) {
	now := place{n: l.i.now.N, t: l.i.now.T, ahead: true}
	switch {
	case s.Flags.Has(tracer.RST):
		l.reset(s)
	case s.Flags.Has(tracer.SYN | tracer.ACK):
		l.answers(s)
	case s.Flags.Has(tracer.SYN):
		l.opens(s)
	default:
		if l.m == nil {
			l.renew(MachineOptions{})
		}
	}
	if l.m == nil {
		return
	}
	if s.Flags.Has(tracer.ACK) && !s.Flags.Has(tracer.RST) {
		l.prove(s.Ack)
	}
	if s.Flags&(tracer.SYN|tracer.FIN|tracer.RST) != 0 {
		l.adoptCalls(s.Flags.Has(tracer.RST))
	}
	l.tell(l.m.Sent(s), now)
	if l.m.state == tracer.SynReceived || l.m.synchronized() {
		l.drain()
	}
}

// reset prepares for a RST from the end.
func (l *lane) reset(s *tracer.Segment) {
	if l.m != nil && (l.m.synchronized() || l.m.state == tracer.SynSent || l.m.state == tracer.SynReceived) {
		if s.Flags.Has(tracer.ACK) {
			l.prove(s.Ack)
		}
		return
	}
	// A SYN that it answers opened nothing.
	for len(l.held) > 0 && l.held[0].s.Flags.Has(tracer.SYN) && (!s.Flags.Has(tracer.ACK) || covers(s.Ack, l.held[0].s)) {
		l.held = l.held[1:]
	}
}

// opens prepares for a SYN from the end.
func (l *lane) opens(s *tracer.Segment) {
	if l.m != nil && l.m.hasISS && l.m.iss == s.Seq {
		return // again
	}
	l.renew(MachineOptions{})
	l.socket = l.i.connecting(l.key)
}

// answers prepares for a SYN+ACK from the end.
func (l *lane) answers(s *tracer.Segment) {
	if l.m != nil && l.m.hasISS && l.m.iss == s.Seq {
		return // again, or in a simultaneous open
	}
	var syn *arrival
	for len(l.held) > 0 && syn == nil {
		if a := l.held[0]; a.s.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN && covers(s.Ack, a.s) {
			syn = &a
		}
		l.held = l.held[1:]
	}
	rest := l.held
	l.renew(MachineOptions{Listening: true})
	l.held = rest
	l.born(syn)
	if syn != nil {
		l.deliver(*syn)
	}
	l.drain()
}

// renew begins another connection of the same pair of sockets. What waits is kept
// if it is a SYN: an end that opens may get it.
func (l *lane) renew(o MachineOptions) {
	var syns []arrival
	for _, a := range l.held {
		if a.s.Flags.Has(tracer.SYN) {
			syns = append(syns, a)
		}
	}
	o.OpensOnACK = l.i.opts.OpensOnACK
	*l = lane{i: l.i, key: l.key, held: syns, last: l.last, m: NewMachine(o)}
}

// tell gives out the machine's changes. at is the place where they belong unless
// their cause has another.
func (l *lane) tell(changes []Change, at place) {
	for _, c := range changes {
		p := at
		if c.Cause.N != 0 && c.Cause.N != at.n {
			p = place{n: c.Cause.N, t: l.timeOf(c.Cause.N, at.t)}
		}
		if p.before(l.last) {
			p = l.last
		}
		if l.conn == 0 {
			l.conn = l.newConn()
		}
		dwell := p.t - l.last.t
		if !l.told {
			dwell = 0
		}
		l.last, l.told = p, true
		l.i.emit(l.identity(), c, p, dwell)
	}
}

// timeOf is the time of a change's cause.
func (l *lane) timeOf(n uint64, otherwise time.Duration) time.Duration {
	switch n {
	case l.fin.n:
		return l.fin.t
	case l.data.n:
		return l.data.t
	}
	if t, ok := l.i.times[n]; ok {
		return t
	}
	return otherwise
}

func (l *lane) identity() identity {
	return identity{stack: l.key.stack, conn: l.conn, parent: l.parent, local: l.key.local, remote: l.key.remote}
}

// newConn is the connection's id: on the wire its segments', else that of the calls
// on it, else a new one.
func (l *lane) newConn() uint32 {
	switch {
	case l.i.opts.Vantage == "":
		l.parent = l.i.now.Parent
		return l.i.now.Conn
	case l.socket != nil:
		return l.socket.conn
	default:
		return l.i.newConn()
	}
}

// adoptCalls tells the machine of the calls that its next segment may come from.
func (l *lane) adoptCalls(rst bool) {
	if l.socket == nil {
		l.socket = l.i.named[l.key]
	}
	if l.socket != nil {
		for _, c := range l.socket.calls {
			l.m.Called(c.n, c.name)
		}
		l.socket.calls = nil
	}
	if rst && l.child != nil && l.child.closing != 0 && !l.accepted {
		l.m.Called(l.child.closing, closeOfListener)
	}
}

// born makes the lane a child of the listener that took its SYN.
func (l *lane) born(syn *arrival) {
	l.child = l.i.listenerOf(l.key, syn)
	if l.child == nil {
		return
	}
	l.conn, l.parent = l.newConn(), l.child.conn
}
