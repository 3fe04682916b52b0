package netstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/netstack/link"
	"appliance/tracer"
)

// verdict is what the impairment did to a packet: the zero one is nothing.
type verdict struct{ link.Verdict }

// annotate writes the verdict into the event of the segment that it befell.
func (v *verdict) annotate(body *tracer.Segment) {
	if v.Zero() {
		return
	}
	body.Notes = append(body.Notes, v.Notes()...)
	if v.Drop != "" {
		body.Dropped = v.Drop
	}
}

// wrapLink returns l, observed unless tracing is off.
func (o *observer) wrapLink(l stack.LinkEndpoint) stack.LinkEndpoint {
	if o == nil {
		return l
	}
	e := &observedLink{o: o}
	e.Init(l, e)
	if im, ok := l.(*link.Impair); ok {
		e.impair = im
		im.SetWatcher(e)
	}
	o.link = e
	return e
}

// observedLink is the out and icmp hooks, and the impairment's watcher.
type observedLink struct {
	nested.Endpoint
	o       *observer
	impair  *link.Impair
	inbound link.Verdict // of the packet that the impairment is delivering: it delivers one at a time
}

// WritePackets is the out hook.
func (e *observedLink) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	if e.impair != nil {
		return e.writeImpaired(pkts)
	}
	var none verdict
	for _, pkt := range pkts.AsSlice() {
		e.o.sending(pkt, &none)
	}
	return e.Endpoint.WritePackets(pkts)
}

func (e *observedLink) writeImpaired(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for i, pkt := range pkts.AsSlice() {
		e.o.lookBefore(pkt) // the rules may ask for the endpoint's state
		v := e.impair.Plan(tracer.Out, pkt)
		e.o.sending(pkt, &verdict{v})
		if err := e.impair.WritePlanned(pkt, v); err != nil {
			return i, err
		}
	}
	return pkts.Len(), nil
}

// DeliverNetworkPacket sees what comes in; TCP's segments are seen again, with their
// endpoint, by the protocol hook.
func (e *observedLink) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if e.impair == nil && e.o.isPlain(proto, pkt) {
		e.Endpoint.DeliverNetworkPacket(proto, pkt)
		keep.Add(1)
		return
	}
	in := peek(proto, pkt)
	if in.quoted == (tuple{}) {
		e.o.receiving(in, verdict{e.inbound})
		e.Endpoint.DeliverNetworkPacket(proto, pkt)
		keep.Add(1) // DeliverNetworkPacket must stay on the stack: whose looks for it
		return
	}
	c := e.o.find(in.quoted, viaICMP)
	e.o.icmpError(c, in)
	e.Endpoint.DeliverNetworkPacket(proto, pkt)
	if c != nil {
		c.diedUnaccepted(viaICMP)
		c.lookNow(viaICMP)
		c.mu.Lock()
		c.icmp = tracer.Cause{}
		c.mu.Unlock()
	}
}

// inboundVerdict returns what the impairment did to the packet being delivered.
func (e *observedLink) inboundVerdict() verdict {
	if e == nil || e.impair == nil {
		return verdict{}
	}
	return verdict{e.inbound}
}

// DeliverIn implements link.Watcher.
func (e *observedLink) DeliverIn(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, v link.Verdict) {
	e.inbound = v
	e.DeliverNetworkPacket(proto, pkt)
	e.inbound = link.Verdict{}
}

// DroppedIn implements link.Watcher: an inbound packet that the stack never sees.
func (e *observedLink) DroppedIn(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, v link.Verdict) {
	in := peek(proto, pkt)
	if in.proto != header.TCPProtocolNumber {
		e.o.receiving(in, verdict{v})
		return
	}
	s := in.segment()
	if !s.ok || e.o.level < tracer.LevelSegments {
		return
	}
	s.dropped = v.Drop
	if c := e.o.find(s.id, viaProtocol); c != nil {
		c.mu.Lock()
		c.emitSegment(&s, &verdict{v}, "")
		c.mu.Unlock()
		return
	}
	e.o.recordStray(&s, &verdict{v})
}

// StateOf implements link.Watcher.
func (e *observedLink) StateOf(local, remote netip.AddrPort) (tracer.State, bool) {
	id := tuple{
		LocalAddress: fromAddr(local.Addr()), LocalPort: local.Port(),
		RemoteAddress: fromAddr(remote.Addr()), RemotePort: remote.Port(),
	}
	c := e.o.find(id, viaProtocol)
	if c == nil {
		return tracer.Closed, false
	}
	return rfcState(c.ep.EndpointState()), true
}

// outbound tells which connection an outbound TCP segment belongs to, and returns its
// header: that is found but once, as gVisor searches the packet's buffers for it.
func outbound(pkt *stack.PacketBuffer) (tuple, header.TCP, bool) {
	if pkt.TransportProtocolNumber != header.TCPProtocolNumber {
		return tuple{}, nil, false
	}
	h := header.TCP(pkt.TransportHeader().Slice())
	if len(h) < header.TCPMinimumSize {
		return tuple{}, nil, false
	}
	id := tuple{LocalPort: h.SourcePort(), RemotePort: h.DestinationPort()}
	if r := &pkt.EgressRoute; r.LocalAddress.Len() != 0 { // it is what the header was made of
		id.LocalAddress, id.RemoteAddress = r.LocalAddress, r.RemoteAddress
		return id, h, true
	}
	switch pkt.NetworkProtocolNumber {
	case header.IPv4ProtocolNumber:
		ip := header.IPv4(pkt.NetworkHeader().Slice())
		id.LocalAddress, id.RemoteAddress = ip.SourceAddress(), ip.DestinationAddress()
	case header.IPv6ProtocolNumber:
		ip := header.IPv6(pkt.NetworkHeader().Slice())
		id.LocalAddress, id.RemoteAddress = ip.SourceAddress(), ip.DestinationAddress()
	default:
		return tuple{}, nil, false
	}
	return id, h, true
}

// lookBefore looks at an endpoint that is about to send.
func (o *observer) lookBefore(pkt *stack.PacketBuffer) {
	if id, _, ok := outbound(pkt); ok {
		if c := o.find(id, viaOut); c != nil {
			c.lookNow(viaOut)
		}
	}
}

// sending records an outbound packet and, first, what its endpoint has become.
func (o *observer) sending(pkt *stack.PacketBuffer, v *verdict) {
	id, h, isTCP := outbound(pkt)
	if !isTCP {
		if o.level >= tracer.LevelSegments {
			o.sendingOther(pkt, *v)
		}
		return
	}
	var s segment
	if s.parse(pkt, h, id, tracer.Out); !s.ok {
		return
	}
	c := o.find(id, viaOut)
	if c == nil {
		o.recordStray(&s, v)
		return
	}
	t := o.timerHere()
	c.mu.Lock()
	defer c.mu.Unlock()
	why := ""
	if t != nil {
		why = t.name
		t.tell(c)
	}
	c.look(viaOut)
	if c.ended { // an answer to what came too late: it is no connection's
		o.recordStray(&s, v)
		return
	}
	c.sent(&s, v, why)
}
