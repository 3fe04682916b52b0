package netstack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
)

// arrival is an inbound segment that its endpoint has not processed yet, as far as
// the hooks have shown.
type arrival struct {
	id       *tuple // whom it came from, and to; never changed
	n        uint64 // its event; 0 when segments are not recorded
	mark     uint64 // tells it from another of the same numbers
	seq, ack uint32
	len      uint32 // payload
	win      uint16
	flags    tracer.Flags
	ws       uint8
	hasWS    bool
	ts       bool // it bears the timestamps option
	moved    bool // it was queued to the listener, which will pass it on in its turn
	late     bool // it came in TIME-WAIT, and may have been processed
	full     bool // the listener's accept queue was full when it came
}

// isOf tells whether it is one of the connection id's.
func (a *arrival) isOf(id tuple) bool { return a.id != nil && *a.id == id }

// tracked is the record of one endpoint: a listener or one end of a connection.
// Its fields are guarded by mu, but for those that are said to be otherwise. With
// mu held nothing of gVisor's is called but EndpointState and its counters.
type tracked struct {
	o       *observer
	ep      *tcp.Endpoint
	conn    uint32
	passive bool
	parent  *tracked // the listener that spawned it

	id            tuple
	local, remote netip.AddrPort

	named   atomic.Bool   // id, local and remote are known
	last    atomic.Uint32 // the gVisor state of the last look; written with mu held
	watched atomic.Bool   // a goroutine waits for its death
	queue   *waiter.Queue // once the program owns it; written with mu held

	mu         sync.Mutex
	state      tracer.State
	early      tcp.EndpointState // what the clock hook read before the ends were known
	cookie     bool              // a child of a SYN cookie's: ESTABLISHED from the start
	since      time.Duration     // when it entered state
	hasOpened  bool              // its first change is recorded
	opened     time.Duration
	arrivals   uint32    // how many have come
	inbox      []arrival // oldest first
	room       []arrival // what inbox is a part of, when it is
	current    arrival   // the segment processed last
	rcvNxt     uint32    // RCV.NXT after it
	sndUna     uint32    // SND.UNA after it
	sentRST    bool
	again      *arrival // what completed the handshake and is queued once more, for its data or FIN
	doom       bool     // current is a RST that the endpoint is about to die of
	opening    arrival  // a child's SYN
	icmp       tracer.Cause
	calls      []*call // in progress
	closing    *call   // close, in progress or over
	firing     *timer  // a timer of its own that is firing
	isAccepted bool
	isListener bool
	ended      bool
	waitErr    tcpip.Error       // why a child that was never accepted died
	backlog    int               // a listener's
	overflows  uint64            // ACKs that it has dropped, as far as it was asked
	halfOpen   map[*tracked]bool // a listener's children that are in SYN-RECEIVED
	children   map[*tracked]bool // a listener's children that are not accepted yet
	dead       map[*tracked]bool // those that have ended and still wait to be accepted
	entry      waiter.Entry
	flow       flow
	body       tracer.Segment // of the segment that is being recorded
	tcb        map[string]tracer.TCBVar
}

func newTracked(o *observer, ep *tcp.Endpoint) *tracked {
	c := &tracked{o: o, ep: ep, conn: o.rec.NewConn()}
	c.last.Store(uint32(tcp.StateInitial))
	return c
}

// now is the trace's own time.
func (c *tracked) now() time.Duration { return c.o.rec.Now() }

func (c *tracked) connID() uint32 {
	if c == nil {
		return 0
	}
	return c.conn
}

func (c *tracked) setTuple(id tuple) {
	c.id = id
	c.local, c.remote = localOf(id), remoteOf(id)
	c.named.Store(true)
}

// learnTuple tells an opening connection's ends, which are known once the stack has
// chosen the local one.
func (c *tracked) learnTuple(id tuple) {
	if id.LocalPort == 0 || id.RemotePort == 0 {
		return
	}
	c.mu.Lock()
	if c.isListener || c.id != (tuple{}) {
		c.mu.Unlock()
		return
	}
	c.setTuple(id)
	c.mu.Unlock()
	c.o.mu.Lock()
	c.o.byTuple.put(id, c)
	c.o.mu.Unlock()
}

// emit records an event of this connection's and returns its number.
func (c *tracked) emit(body tracer.Body) uint64 {
	e := tracer.Event{Stack: c.o.name, Conn: c.conn, Local: c.local, Remote: c.remote, Body: body}
	if c.parent != nil {
		e.Parent = c.parent.conn
	}
	return c.o.rec.Record(e)
}

// synchronized tells whether both ends know each other's sequence numbers, as far
// as the last look has shown (RFC 9293, 3.3.2).
func (c *tracked) synchronized() bool {
	switch c.state {
	case tracer.Closed, tracer.Listen, tracer.SynSent, tracer.SynReceived:
		return false
	default:
		return true
	}
}

// lookNow is look for a hook that does not hold mu.
func (c *tracked) lookNow(via string) {
	if c.last.Load() == uint32(c.ep.EndpointState()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(via)
}

// look reads the endpoint's state and records the change since the last look.
func (c *tracked) look(via string) {
	if c.ep == nil {
		return // a UDP socket: it has no state
	}
	st := c.ep.EndpointState()
	if c.last.Load() == uint32(st) {
		return
	}
	c.last.Store(uint32(st))
	to := rfcState(st)
	if early := c.early; early != 0 && c.state == tracer.Closed {
		c.early = 0
		if rfcState(early) != to {
			c.change(rfcState(early), early, viaClock)
		}
	}
	if to == c.state {
		return // names of gVisor's own within CLOSED
	}
	if c.passive && !c.hasOpened { // a child is born of LISTEN
		c.state, c.since = tracer.Listen, c.now()
	}
	mids := between(c.state, to)
	if c.state == tracer.Listen && c.passive && to == tracer.Established && !c.cookie {
		mids = []tracer.State{tracer.SynReceived} // only a SYN cookie's child skips it
	}
	for _, mid := range mids {
		c.o.filled.Add(1)
		c.change(mid, st, viaFilled)
	}
	c.change(to, st, via)
}

// change records one change of state.
func (c *tracked) change(to tracer.State, st tcp.EndpointState, via string) {
	now := c.now()
	if !c.hasOpened {
		c.hasOpened, c.opened = true, now
		if c.since == 0 {
			c.since = now
		}
	}
	from := c.state
	var done arrival // the segment that completed the handshake
	if to == tracer.Established {
		done = c.establishing()
	}
	cause := c.causeOf(from, to, via)
	body := &tracer.StateChange{
		From: from, To: to, Cause: cause, Via: via, Dwell: now - c.since,
		RFC: tcpstate.Clause(from, to, cause.Kind),
	}
	if via != viaFilled {
		body.StackState = stackState(st)
	}
	if to == tracer.Closed {
		body.Error = errorOf(from, cause)
	}
	c.state, c.since = to, now
	c.emit(body)
	if to == tracer.Established {
		c.establishedBy(done)
	}
	c.entered(from, to, cause)
}

// entered keeps the books after a change.
func (c *tracked) entered(from, to tracer.State, cause tracer.Cause) {
	if p := c.parent; p != nil {
		p.childEntered(c, to)
	}
	switch to {
	case tracer.TimeWait:
		c.keepLate() // what comes now is answered without the probe
	case tracer.Closed:
		c.redeliver(from, cause)
		c.inbox = nil
		c.finish(from, cause)
	case tracer.Listen, tracer.SynSent, tracer.SynReceived, tracer.Established, tracer.FinWait1, tracer.FinWait2,
		tracer.CloseWait, tracer.Closing, tracer.LastAck:
	}
}

// finish writes the end of a connection and forgets it.
func (c *tracked) finish(from tracer.State, cause tracer.Cause) {
	if c.ended {
		return
	}
	c.ended = true
	if !c.isListener {
		role := tracer.Active
		if c.passive {
			role = tracer.Passive
		}
		end := &tracer.End{Role: role, How: howEnded(from, cause), Opened: c.opened, Duration: c.now() - c.opened}
		c.flow.summarize(end)
		c.emit(end)
	}
	if p := c.parent; p != nil && !c.isAccepted && from != tracer.SynReceived {
		p.mu.Lock()
		waits := p.state == tracer.Listen
		if waits { // dead in the accept queue: the program may still get it
			p.dead[c] = true
		}
		p.mu.Unlock()
		if waits {
			c.o.forgetTuple(c)
			return
		}
	}
	for child := range c.dead {
		c.o.forgetTracked(child)
	}
	c.o.forgetTracked(c)
}

// forget ends the record of a socket that failed before it was a connection.
func (c *tracked) forget() {
	if c == nil || !isDead(c.ep.EndpointState()) {
		return // it connected in the moment when it was given up: its death forgets it
	}
	c.o.forgetTracked(c)
}

// ---- what the socket layer tells ----

// listenOn tells a listener's bound address and queue, before it listens.
func (c *tracked) listenOn(local netip.AddrPort, backlog int, wq *waiter.Queue) {
	if c == nil {
		return
	}
	id := tuple{LocalPort: local.Port(), LocalAddress: fromAddr(local.Addr())}
	c.mu.Lock()
	c.setTuple(id)
	c.local = local
	if !local.Addr().IsValid() {
		c.local = netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())
		if c.ep.NetProto == header.IPv4ProtocolNumber {
			c.local = netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())
		}
	}
	c.isListener, c.queue, c.backlog = true, wq, backlog
	c.halfOpen, c.children, c.dead = map[*tracked]bool{}, map[*tracked]bool{}, map[*tracked]bool{}
	c.mu.Unlock()
	c.o.mu.Lock()
	c.o.listeners[c] = struct{}{}
	c.o.mu.Unlock()
	c.entry = waiter.NewFunctionEntry(waiter.AllEvents, func(waiter.EventMask) { c.listenerNotified() })
	wq.EventRegister(&c.entry)
}

// connecting tells that an endpoint is about to connect: the clock hook looks at
// it until it has left CLOSED.
func (c *tracked) connecting(wq *waiter.Queue, remote netip.AddrPort) {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.remote, c.queue = remote, wq
	c.mu.Unlock()
	c.listenTo(wq)
	c.o.addNewborn(c)
}

// connectStarted tells that Connect has returned: whatever it was to become, it is.
func (c *tracked) connectStarted() {
	if c == nil {
		return
	}
	info := c.ep.Info().(*stack.TransportEndpointInfo) //nolint:forcetypeassert // the only type it returns
	c.learnTuple(info.ID)
	c.lookNow(viaCall)
	c.o.dropNewborn(c)
}

// listenTo hears a connection's queue. gVisor calls it with the endpoint's lock
// held, or not.
func (c *tracked) listenTo(wq *waiter.Queue) {
	c.entry = waiter.NewFunctionEntry(waiter.AllEvents, func(waiter.EventMask) { c.lookNow(viaWaiter) })
	wq.EventRegister(&c.entry)
}

// acceptedWith tells that the program has accepted the connection: from now on its
// queue tells of its death, and the goroutine that waited for it is let go.
func (c *tracked) acceptedWith(wq *waiter.Queue) {
	c.mu.Lock()
	c.isAccepted, c.queue = true, wq
	p, ended := c.parent, c.ended
	c.mu.Unlock()
	if ended {
		c.o.forgetTracked(c)
	}
	c.listenTo(wq)
	c.lookNow(viaCall)
	if p != nil {
		p.mu.Lock()
		delete(p.children, c)
		delete(p.dead, c)
		p.mu.Unlock()
	}
	wq.Notify(waiter.EventHUp)
}

// diedUnaccepted is the wait hook: a child's death, or the word that it was accepted.
func (c *tracked) diedUnaccepted(via string) {
	c.mu.Lock()
	mine := c.passive && !c.isAccepted && !c.ended && isDead(c.ep.EndpointState())
	handshaking := c.state == tracer.SynReceived
	c.mu.Unlock()
	if !mine {
		return
	}
	var terr tcpip.Error
	if handshaking { // nobody else will ever ask for the error of one that no program gets
		terr = c.ep.LastError()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if terr != nil {
		c.waitErr = terr
	}
	c.look(via)
}
