package netstack

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// packet is an inbound packet that the stack has not parsed yet, as far as the
// trace needs it.
type packet struct {
	proto    tcpip.TransportProtocolNumber
	src, dst tcpip.Address
	body     []byte // from the transport header on: all of it for ICMP and dropped TCP
	size     int    // of the transport header and payload
	v6       bool
	quoted   tuple // the TCP connection that an ICMP error is about
}

// isPlain tells whether an inbound packet is a TCP segment that the protocol hook sees,
// and that there is nothing to tell of before.
func (o *observer) isPlain(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) bool {
	var dst tcpip.Address
	switch proto {
	case header.IPv4ProtocolNumber:
		b, ok := pkt.Data().PullUp(header.IPv4MinimumSize)
		if !ok || header.IPv4(b).TransportProtocol() != header.TCPProtocolNumber {
			return false
		}
		dst = header.IPv4(b).DestinationAddress()
	case header.IPv6ProtocolNumber:
		b, ok := pkt.Data().PullUp(header.IPv6MinimumSize)
		if !ok || header.IPv6(b).NextHeader() != uint8(header.TCPProtocolNumber) {
			return false
		}
		dst = header.IPv6(b).DestinationAddress()
	default:
		return false
	}
	return o.level < tracer.LevelSegments || o.isUnicast(dst)
}

// peek reads an inbound packet's IP header. What does not hold together is the
// stack's to reject: the packet is then the zero one.
func peek(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) packet {
	switch proto {
	case header.IPv4ProtocolNumber:
		b, ok := pkt.Data().PullUp(header.IPv4MinimumSize)
		if !ok {
			return packet{}
		}
		return peek4(header.IPv4(b), pkt)
	case header.IPv6ProtocolNumber:
		b, ok := pkt.Data().PullUp(header.IPv6MinimumSize)
		if !ok {
			return packet{}
		}
		return peek6(header.IPv6(b), pkt)
	default:
		return packet{}
	}
}

func peek4(ip header.IPv4, pkt *stack.PacketBuffer) packet {
	hl := int(ip.HeaderLength())
	if hl < header.IPv4MinimumSize || ip.FragmentOffset() != 0 || int(ip.TotalLength()) > pkt.Data().Size() || int(ip.TotalLength()) < hl {
		return packet{}
	}
	p := packet{proto: ip.TransportProtocol(), src: ip.SourceAddress(), dst: ip.DestinationAddress(), size: int(ip.TotalLength()) - hl}
	p.load(pkt, hl)
	if p.proto == header.ICMPv4ProtocolNumber {
		p.quoteOf4()
	}
	return p
}

func peek6(ip header.IPv6, pkt *stack.PacketBuffer) packet {
	size := int(ip.PayloadLength())
	if header.IPv6MinimumSize+size > pkt.Data().Size() {
		return packet{}
	}
	p := packet{proto: tcpip.TransportProtocolNumber(ip.NextHeader()), src: ip.SourceAddress(), dst: ip.DestinationAddress(), size: size, v6: true}
	p.load(pkt, header.IPv6MinimumSize)
	if p.proto == header.ICMPv6ProtocolNumber {
		p.quoteOf6()
	}
	return p
}

// load reads as much of the packet as its protocol needs.
func (p *packet) load(pkt *stack.PacketBuffer, at int) {
	need := 0
	switch p.proto {
	case header.ICMPv4ProtocolNumber, header.ICMPv6ProtocolNumber:
		need = min(p.size, 8+header.IPv6MinimumSize+header.IPv4MaximumHeaderSize+8)
	case header.UDPProtocolNumber:
		need = min(p.size, header.UDPMinimumSize)
	case header.TCPProtocolNumber:
		need = min(p.size, header.TCPHeaderMaximumSize)
	default:
		return
	}
	if b, ok := pkt.Data().PullUp(at + need); ok {
		p.body = b[at:]
	}
}

// quoteOf4 finds the connection that an ICMP error quotes a segment of (RFC 792:
// the IP header and 8 bytes).
func (p *packet) quoteOf4() {
	if len(p.body) < header.ICMPv4MinimumSize+header.IPv4MinimumSize {
		return
	}
	switch header.ICMPv4(p.body).Type() {
	case header.ICMPv4DstUnreachable, header.ICMPv4TimeExceeded, header.ICMPv4ParamProblem:
	default:
		return
	}
	ip := header.IPv4(p.body[header.ICMPv4MinimumSize:])
	hl := int(ip.HeaderLength())
	if hl < header.IPv4MinimumSize || ip.TransportProtocol() != header.TCPProtocolNumber || len(ip) < hl+4 {
		return
	}
	p.quote(ip.SourceAddress(), ip.DestinationAddress(), header.TCP(ip[hl:]))
}

// quoteOf6 does the same for ICMPv6 (RFC 4443: as much of the packet as fits).
func (p *packet) quoteOf6() {
	const head = 8
	if len(p.body) < head+header.IPv6MinimumSize+4 {
		return
	}
	switch header.ICMPv6(p.body).Type() {
	case header.ICMPv6DstUnreachable, header.ICMPv6PacketTooBig, header.ICMPv6TimeExceeded, header.ICMPv6ParamProblem:
	default:
		return
	}
	ip := header.IPv6(p.body[head:])
	if ip.NextHeader() != uint8(header.TCPProtocolNumber) {
		return
	}
	p.quote(ip.SourceAddress(), ip.DestinationAddress(), header.TCP(ip[header.IPv6MinimumSize:]))
}

// quote sets the connection: the quoted segment was ours, so its source is local.
func (p *packet) quote(src, dst tcpip.Address, h header.TCP) {
	p.quoted = tuple{LocalAddress: src, RemoteAddress: dst, LocalPort: h.SourcePort(), RemotePort: h.DestinationPort()}
}

// segment parses a TCP segment that never reaches the stack.
func (p *packet) segment() segment {
	h := header.TCP(p.body)
	if len(h) < header.TCPMinimumSize || int(h.DataOffset()) < header.TCPMinimumSize || int(h.DataOffset()) > len(h) {
		return segment{}
	}
	s := segment{
		ok: true, dir: tracer.In, flags: tracer.Flags(h.Flags()), seq: h.SequenceNumber(), ack: h.AckNumber(),
		win: h.WindowSize(), len: p.size - int(h.DataOffset()),
		id: tuple{LocalAddress: p.dst, RemoteAddress: p.src, LocalPort: h.DestinationPort(), RemotePort: h.SourcePort()},
	}
	parseOptions(&s.opts, h[header.TCPMinimumSize:h.DataOffset()])
	return s
}

// notUnicast is why TCP takes no segment for a broadcast or multicast address (RFC 9293, 3.9.2.3).
const notUnicast = "not for a unicast address"

// receiving records an inbound packet that TCP never sees: another protocol's, or a
// segment for a broadcast or multicast address, which the stack passes over.
func (o *observer) receiving(p packet, v verdict) {
	if o.level < tracer.LevelSegments {
		return
	}
	switch p.proto {
	case header.TCPProtocolNumber:
		if s := p.segment(); s.ok && !o.isUnicast(p.dst) {
			s.dropped = notUnicast
			o.recordStray(&s, &v)
		}
	case header.UDPProtocolNumber:
		o.datagram(tracer.In, p.dst, p.src, p.body, p.size, v)
	case header.ICMPv4ProtocolNumber, header.ICMPv6ProtocolNumber:
		if body := p.icmp(tracer.In); body != nil {
			o.rec.Record(tracer.Event{Stack: o.name, Local: hostOf(p.dst), Remote: hostOf(p.src), Body: body})
		}
	}
}

// isUnicast tells whether an address is of one host: no multicast address, and not the
// broadcast address of all networks or of one of the stack's own.
func (o *observer) isUnicast(a tcpip.Address) bool {
	if header.IsV4MulticastAddress(a) || header.IsV6MulticastAddress(a) || a == header.IPv4Broadcast {
		return false
	}
	for _, s := range o.subnets {
		if s.IsBroadcast(a) {
			return false
		}
	}
	return true
}

// icmpError records an ICMP error and marks the connection that it may end. c is
// nil where the stack has no such connection.
func (o *observer) icmpError(c *tracked, p packet) {
	body := p.icmp(tracer.In)
	if c == nil {
		if o.level >= tracer.LevelSegments {
			o.rec.Record(tracer.Event{Stack: o.name, Local: localOf(p.quoted), Remote: remoteOf(p.quoted), Body: body})
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.icmp = tracer.Cause{Kind: tracer.CauseICMP, What: "ICMP " + body.Name}
	if o.level >= tracer.LevelSegments {
		c.icmp.N = c.emit(body)
	}
}

// sendingOther records an outbound packet that is not TCP's.
func (o *observer) sendingOther(pkt *stack.PacketBuffer, v verdict) {
	p := packet{proto: pkt.TransportProtocolNumber, size: pkt.Data().Size() + len(pkt.TransportHeader().Slice()), body: pkt.TransportHeader().Slice()}
	switch pkt.NetworkProtocolNumber {
	case header.IPv4ProtocolNumber:
		ip := header.IPv4(pkt.NetworkHeader().Slice())
		p.src, p.dst = ip.SourceAddress(), ip.DestinationAddress()
	case header.IPv6ProtocolNumber:
		ip := header.IPv6(pkt.NetworkHeader().Slice())
		p.src, p.dst, p.v6 = ip.SourceAddress(), ip.DestinationAddress(), true
	default:
		return
	}
	switch p.proto {
	case header.UDPProtocolNumber:
		o.datagram(tracer.Out, p.src, p.dst, p.body, p.size, v)
	case header.ICMPv4ProtocolNumber, header.ICMPv6ProtocolNumber:
		if body := p.icmp(tracer.Out); body != nil {
			o.rec.Record(tracer.Event{Stack: o.name, Local: hostOf(p.src), Remote: hostOf(p.dst), Body: body})
		}
	}
}

// datagram records a UDP datagram.
func (o *observer) datagram(dir tracer.Direction, local, remote tcpip.Address, h header.UDP, size int, v verdict) {
	if len(h) < header.UDPMinimumSize {
		return
	}
	lp, rp := h.DestinationPort(), h.SourcePort()
	if dir == tracer.Out {
		lp, rp = rp, lp
	}
	o.rec.Record(tracer.Event{
		Stack: o.name,
		Local: netip.AddrPortFrom(toAddr(local), lp), Remote: netip.AddrPortFrom(toAddr(remote), rp),
		Body: &tracer.Datagram{Dir: dir, Len: size - header.UDPMinimumSize, Notes: v.Notes(), Dropped: v.Drop},
	})
}

func hostOf(a tcpip.Address) netip.AddrPort { return netip.AddrPortFrom(toAddr(a), 0) }

// icmp is the message as the trace tells it; nil for neighbour discovery and
// multicast listener reports, which are the link's business, and for a fragment.
func (p *packet) icmp(dir tracer.Direction) *tracer.ICMP {
	if len(p.body) < header.ICMPv4MinimumSize {
		return nil
	}
	m := &tracer.ICMP{Dir: dir, Kind: p.body[0], Code: p.body[1], Len: p.size}
	if p.v6 {
		if t := header.ICMPv6(p.body).Type(); t >= header.ICMPv6MulticastListenerQuery && t != header.ICMPv6EchoReply && t != header.ICMPv6EchoRequest {
			return nil
		}
		m.Name = icmp6Name(m.Kind, m.Code)
		return m
	}
	m.Name = icmp4Name(m.Kind, m.Code)
	return m
}

var unreachable4 = map[uint8]string{
	0: "net", 1: "host", 2: "protocol", 3: "port", 4: "fragmentation needed", 5: "source route failed",
	6: "net unknown", 7: "host unknown", 8: "source host isolated", 9: "net prohibited", 10: "host prohibited", 13: "administratively prohibited",
}

// icmp4Name names an ICMP message (RFC 792, RFC 1122 3.2.2).
func icmp4Name(kind, code uint8) string {
	switch header.ICMPv4Type(kind) {
	case header.ICMPv4EchoReply:
		return "echo reply"
	case header.ICMPv4Echo:
		return "echo request"
	case header.ICMPv4DstUnreachable:
		return "destination unreachable: " + named(unreachable4, code)
	case header.ICMPv4TimeExceeded:
		return "time exceeded"
	case header.ICMPv4ParamProblem:
		return "parameter problem"
	default:
		return fmt.Sprintf("type %d", kind)
	}
}

var unreachable6 = map[uint8]string{
	0: "no route", 1: "administratively prohibited", 2: "beyond scope", 3: "address", 4: "port", 5: "source address failed policy", 6: "reject route",
}

// icmp6Name names an ICMPv6 message (RFC 4443).
func icmp6Name(kind, code uint8) string {
	switch header.ICMPv6Type(kind) {
	case header.ICMPv6EchoReply:
		return "echo reply"
	case header.ICMPv6EchoRequest:
		return "echo request"
	case header.ICMPv6DstUnreachable:
		return "destination unreachable: " + named(unreachable6, code)
	case header.ICMPv6PacketTooBig:
		return "packet too big"
	case header.ICMPv6TimeExceeded:
		return "time exceeded"
	case header.ICMPv6ParamProblem:
		return "parameter problem"
	default:
		return fmt.Sprintf("type %d", kind)
	}
}

func named(names map[uint8]string, code uint8) string {
	if n, ok := names[code]; ok {
		return n
	}
	return fmt.Sprintf("code %d", code)
}
