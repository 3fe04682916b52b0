package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/netstack/link"
	"appliance/tracer"
)

// queuedProtocol is TCP as the stack's demultiplexer knows it: a protocol with a
// queue of its own.
type queuedProtocol interface {
	stack.TransportProtocol
	stack.SendBufSizeProto // the stack asserts it when a send buffer grows
	QueuePacket(stack.TransportEndpoint, stack.TransportEndpointID, *stack.PacketBuffer)
}

// tcpFactory returns TCP, observed unless tracing is off.
func (o *observer) tcpFactory() stack.TransportProtocolFactory {
	if o == nil {
		return plainTCP
	}
	probed := newTrustingTCP(tcp.NewProtocolProbe(o.probe))
	return func(s *stack.Stack) stack.TransportProtocol {
		return &observedTCP{queuedProtocol: probed(s), o: o}
	}
}

// observedTCP is the protocol hook.
type observedTCP struct {
	queuedProtocol
	o *observer
}

// QueuePacket sees an inbound segment on its way to the endpoint's queue. The
// endpoint's record is locked meanwhile, so that no hook tells what the segment
// did before the segment itself is told.
func (p *observedTCP) QueuePacket(tep stack.TransportEndpoint, id stack.TransportEndpointID, pkt *stack.PacketBuffer) {
	ep, ok := tep.(*tcp.Endpoint)
	if !ok {
		p.queuedProtocol.QueuePacket(tep, id, pkt)
		return
	}
	verdict := p.o.link.inboundVerdict()
	var seg segment
	seg.parse(pkt, pkt.TransportHeader().Slice(), id, tracer.In)
	c := p.o.of(ep, id, viaProtocol)
	if c == nil || !seg.ok {
		p.queuedProtocol.QueuePacket(tep, id, pkt)
		if seg.ok {
			p.o.recordStray(&seg, &verdict)
		}
		return
	}
	if c.isListener { // its children are born with its record locked: queue with it free
		link.TrustVouched(pkt)
		seg.dropped = checksumOf(pkt, id)
		c.arrivedToListen(&seg, &verdict)
		p.queuedProtocol.QueuePacket(tep, id, pkt)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.synchronized() {
		c.look(viaProtocol)
	}
	before := queueDrops(ep)
	p.queuedProtocol.QueuePacket(tep, id, pkt)
	seg.dropped = queueDrops(ep).since(before)
	c.arrived(&seg, &verdict, nil)
	if !c.synchronized() {
		c.look(viaProtocol)
	}
}

// HandleUnknownDestinationPacket sees a segment that no endpoint is there for.
func (p *observedTCP) HandleUnknownDestinationPacket(id stack.TransportEndpointID, pkt *stack.PacketBuffer) stack.UnknownDestinationPacketDisposition {
	if seg := parseSegment(pkt, id, tracer.In); seg.ok {
		link.TrustVouched(pkt)
		seg.dropped = checksumOf(pkt, id)
		v := p.o.link.inboundVerdict()
		p.o.recordStray(&seg, &v)
	}
	return p.queuedProtocol.HandleUnknownDestinationPacket(id, pkt)
}

// drops are an endpoint's own counters of segments that it did not queue.
type drops struct{ checksum, malformed, full uint64 }

func queueDrops(ep *tcp.Endpoint) drops {
	st, ok := ep.Stats().(*tcp.Stats)
	if !ok {
		return drops{}
	}
	e := &st.ReceiveErrors
	return drops{e.ChecksumErrors.Value(), e.MalformedPacketsReceived.Value(), e.SegmentQueueDropped.Value()}
}

// since tells, in the trace's words, what was dropped since; "" for nothing. One
// goroutine at a time queues segments to an endpoint whose record is locked; gVisor
// itself may requeue one meanwhile, which the checksum and form tests have passed.
func (d drops) since(before drops) string {
	switch {
	case d.checksum > before.checksum:
		return "bad checksum"
	case d.malformed > before.malformed:
		return "malformed header"
	case d.full > before.full:
		return "receive queue full"
	default:
		return ""
	}
}

// probe is the probe hook: under the endpoint's lock, after a segment that a
// synchronized endpoint processed.
func (o *observer) probe(s *tcp.TCPEndpointState) {
	c := o.find(tuple(s.ID), viaProbe)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isShownBy(s) {
		return
	}
	c.processed(s)
	c.look(viaProbe)
	if o.level >= tracer.LevelFull && !c.ended {
		c.recordTCB(c.current.n, tcbOfProbe(s))
	}
}

// isShownBy tells whether the probe's snapshot is of this endpoint. It has the ends'
// addresses and not the endpoint: a connection that has just died, and whose last probe
// is on its way, may have a successor of the same ends by now, or only the listener stands
// for it, which may be closing itself. Its death is told by who finds it dead. mu is held.
func (c *tracked) isShownBy(s *tcp.TCPEndpointState) bool {
	if c.isListener {
		return false
	}
	switch c.ep.EndpointState() {
	case tcp.StateInitial, tcp.StateBound, tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
		return false // these the probe does not show
	default:
	}
	return c.flow.out.reached(uint32(s.Sender.SndUna))
}
