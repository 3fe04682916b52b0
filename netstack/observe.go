package netstack

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"appliance/tracer"
)

// The hooks into an unmodified gVisor, all of them. Each looks at the state of the
// one endpoint it is about; a look that finds a change records it (tracked.look).
//
//	protocol  stack.TransportProtocol wrapped around TCP's own: QueuePacket gets
//	          every inbound segment together with the endpoint that it is for,
//	          before it is queued (observe_protocol.go)
//	probe     tcp.NewProtocolProbe: after each segment that a synchronized endpoint
//	          processed, under its lock (observe_protocol.go)
//	out       the link wrapped: each outbound packet, on the sender's goroutine
//	          and mostly under the endpoint's lock (observe_link.go)
//	icmp      the link wrapped: after an inbound ICMP error was handled
//	timer     tcpip.Clock wrapped: each timer of TCP's, when it fires and after
//	          (observe_clock.go)
//	clock     tcpip.Clock wrapped: NowMonotonic, while an endpoint is being born;
//	          the handshake reads the clock right after it entered SYN-SENT or
//	          SYN-RECEIVED, under the endpoint's lock
//	waiter    the waiter.Queue of listeners, of connections that the program
//	          opened and of those that it accepted: gVisor notifies it of every
//	          death, and under the lock of most other changes
//	wait      (*tcp.Endpoint).Wait, on a goroutine of its own, for a child that is
//	          not accepted yet: its queue is nobody's, but Wait listens to it
//	call      the socket layer, after each call
//
// docs/architecture.md tells which hook sees which change, and why none is missed.
const (
	viaProtocol = "protocol"
	viaProbe    = "probe"
	viaOut      = "out"
	viaICMP     = "icmp"
	viaTimer    = "timer"
	viaClock    = "clock"
	viaWaiter   = "waiter"
	viaWait     = "wait"
	viaCall     = "call"
	viaClose    = "close"  // the stack was closed: a look at all that is left
	viaFilled   = "filled" // a state between two looks that no hook saw; counted
)

// tuple names a connection as the stack's demultiplexer does.
type tuple = stack.TransportEndpointID

// observer is the tracer inside one stack. A nil observer does nothing.
type observer struct {
	rec   tracer.Recorder // takes what the level holds
	all   tracer.Recorder // takes everything: for who has asked for the level
	level tracer.Level
	name  string
	stack *stack.Stack
	link  *observedLink
	// subnets are those of the stack's own addresses.
	subnets []tcpip.Subnet

	mu        sync.RWMutex // guards what follows, but for get; nothing is called with it held
	byEP      *index[*tcp.Endpoint]
	byTuple   *index[tuple]
	listeners map[*tracked]struct{}
	syns      synRing
	newborn   []*tracked

	newborns  atomic.Int32 // len(newborn), for the clock's fast path
	firing    atomic.Pointer[timer]
	firingMu  sync.Mutex // one timer of TCP's fires at a time
	isClosing atomic.Bool
	filled    atomic.Uint64
	watchers  sync.WaitGroup // the goroutines of the wait hook
}

// newObserver returns nil when tracing is off.
func newObserver(opts Options) *observer {
	rec := tracer.AtLevel(opts.Recorder, opts.Level)
	if rec == nil {
		return nil
	}
	return &observer{
		rec: rec, all: opts.Recorder, level: opts.Level, name: opts.Name, subnets: subnetsOf(opts.Addresses),
		byEP:      newIndex(hashEndpoint),
		byTuple:   newIndex(hashTuple),
		listeners: map[*tracked]struct{}{},
		syns:      newSYNRing(),
	}
}

func subnetsOf(prefixes []netip.Prefix) []tcpip.Subnet {
	subnets := make([]tcpip.Subnet, len(prefixes))
	for i, p := range prefixes {
		subnets[i] = tcpip.AddressWithPrefix{Address: fromAddr(p.Addr()), PrefixLen: p.Bits()}.Subnet()
	}
	return subnets
}

func (o *observer) attach(s *stack.Stack) {
	if o != nil {
		o.stack = s
	}
}

// track starts the record of a socket that the program made.
func (o *observer) track(ep *tcp.Endpoint) *tracked {
	if o == nil {
		return nil
	}
	c := newTracked(o, ep)
	o.mu.Lock()
	o.byEP.put(ep, c)
	o.mu.Unlock()
	return c
}

// trackUDP starts the record of a UDP socket, of which the calls are told.
func (o *observer) trackUDP() *tracked {
	if o == nil {
		return nil
	}
	return newTracked(o, nil)
}

// bound tells a UDP socket's addresses.
func (c *tracked) bound(local, remote netip.AddrPort) {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.local, c.remote = local, remote
	c.mu.Unlock()
}

// of returns the record of an endpoint that a segment of id is for. An endpoint
// that is not known yet is a listener's child; it is nil for one that is dead.
func (o *observer) of(ep *tcp.Endpoint, id tuple, via string) *tracked {
	if c := o.byEP.get(ep); c != nil {
		if !c.named.Load() {
			c.learnTuple(id)
		}
		return c
	}
	if isDead(ep.EndpointState()) {
		return nil
	}
	return o.child(ep, id, via)
}

// find returns the record of a connection, looking the endpoint up in the stack
// when the observer does not know it, or knows a dead one of the same ends. The
// listener stands for a connection that has no endpoint of its own. Nothing may be
// locked: the demultiplexer is asked.
func (o *observer) find(id tuple, via string) *tracked {
	c := o.byTuple.get(id)
	if c != nil && !isDead(c.ep.EndpointState()) {
		return c
	}
	ep := o.endpoint(id)
	if ep == nil {
		return c // of a dead one, this is the hook that sees it die
	}
	if st := ep.EndpointState(); c != nil && (st == tcp.StateListen || isDead(st)) {
		return c // what the stack has is the listener, which may be closing, and no successor
	}
	return o.of(ep, id, via)
}

// endpoint asks the stack which endpoint gets segments of id; nil for none.
func (o *observer) endpoint(id tuple) *tcp.Endpoint {
	proto := header.IPv4ProtocolNumber
	if id.LocalAddress.Len() == header.IPv6AddressSize {
		proto = header.IPv6ProtocolNumber
	}
	ep, _ := o.stack.FindTransportEndpoint(proto, tcp.ProtocolNumber, id, nicID).(*tcp.Endpoint)
	return ep
}

// child starts the record of a listener's child. It is locked until it has what is its own
// of the listener's inbox: who finds it meanwhile waits (awaitRecord) before the listener goes on.
func (o *observer) child(ep *tcp.Endpoint, id tuple, via string) *tracked {
	c := newTracked(o, ep)
	c.setTuple(id)
	c.mu.Lock()
	o.mu.Lock()
	if known := o.byEP.get(ep); known != nil {
		o.mu.Unlock()
		known.awaitRecord()
		return known
	}
	c.parent = o.listenerOf(id)
	c.passive = true
	if syn, ok := o.syns.byID[id]; ok {
		c.adoptSYN(syn)
	}
	old := o.byTuple.get(id)
	o.byEP.put(ep, c)
	o.byTuple.put(id, c)
	o.mu.Unlock()
	if old != nil {
		// An earlier connection of the same ends: it is dead, say so first. Wait for who
		// is saying so already: what it has left to the listener may have made the child.
		old.mu.Lock()
		old.look(viaProtocol)
		old.mu.Unlock()
	}
	c.adopt()
	c.mu.Unlock()
	o.watch(c)
	c.lookNow(via)
	return c
}

// listenerOf returns the listener that id's segments belong to. o.mu is held.
func (o *observer) listenerOf(id tuple) *tracked {
	var anyAddr *tracked
	for l := range o.listeners {
		if l.id.LocalPort != id.LocalPort || !l.takes(id) {
			continue
		}
		if l.id.LocalAddress == id.LocalAddress {
			return l
		}
		if l.id.LocalAddress == (tcpip.Address{}) {
			anyAddr = l
		}
	}
	return anyAddr
}

// takes tells whether a listener gets segments of id's family. Both options are
// fixed before it listens.
func (c *tracked) takes(id tuple) bool {
	is4 := id.LocalAddress.Len() == header.IPv4AddressSize
	if c.ep.NetProto == header.IPv4ProtocolNumber {
		return is4
	}
	return !is4 || !c.ep.SocketOptions().GetV6Only()
}

// forgetTracked drops a dead endpoint's record from the maps.
func (o *observer) forgetTracked(c *tracked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byEP.remove(c.ep)
	delete(o.listeners, c)
	if o.byTuple.get(c.id) == c {
		o.byTuple.remove(c.id)
	}
}

// forgetTuple makes way for a new connection of the same ends.
func (o *observer) forgetTuple(c *tracked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byTuple.get(c.id) == c {
		o.byTuple.remove(c.id)
	}
}

// watch waits, on a goroutine of its own, for the death of a child that the
// program has not accepted yet.
func (o *observer) watch(c *tracked) {
	o.watchers.Add(1)
	c.watched.Store(true)
	go func() {
		defer o.watchers.Done()
		defer c.watched.Store(false)
		c.ep.Wait()
		c.diedUnaccepted(viaWait)
	}()
}

// accepted tells that the program got a child, and whose queue its is.
func (o *observer) accepted(ep *tcp.Endpoint, wq *waiter.Queue, listener *tracked) *tracked {
	if o == nil {
		return nil
	}
	info := ep.Info().(*stack.TransportEndpointInfo) //nolint:forcetypeassert // the only type it returns
	c := o.of(ep, info.ID, viaCall)
	if c == nil { // dead, and its end recorded: what the program still does is its own
		c = newTracked(o, ep)
		c.setTuple(info.ID)
		c.parent, c.passive = listener, true
		return c
	}
	c.acceptedWith(wq)
	return c
}

// closing tells that the stack is about to abort what is left.
func (o *observer) closing() {
	if o != nil {
		o.isClosing.Store(true)
	}
}

// settle looks at every endpoint that is left, after the stack aborted them.
func (o *observer) settle() {
	if o == nil {
		return
	}
	o.mu.RLock()
	left := o.byEP.all()
	o.mu.RUnlock()
	for _, c := range left {
		c.diedUnaccepted(viaClose)
		c.lookNow(viaClose)
	}
}

// wait waits for the observer's goroutines.
func (o *observer) wait() {
	if o != nil {
		o.watchers.Wait()
	}
}

// FilledStates returns how many state changes the trace holds that no hook saw
// (via "filled"). It is 0: the exactness tests hold it to that.
func (s *Stack) FilledStates() uint64 {
	if s.obs == nil {
		return 0
	}
	return s.obs.filled.Load()
}
