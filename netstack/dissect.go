package netstack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/header/parse"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// Packet is a TCP segment or a UDP datagram that an Ethernet frame carried, read as a
// stack's own are.
type Packet struct {
	// From and To are its source and its destination.
	From, To netip.AddrPort
	// TCP says that it is a segment; else it is a datagram.
	TCP bool
	// Flags and Seq are a segment's, Len is the payload's length, bytes.
	Flags tracer.Flags
	Seq   uint32
	Len   int
	// Problem is why a receiver discards a segment: "bad checksum", "malformed
	// header"; "" where nothing is wrong with it.
	Problem string

	seg segment
}

// Dissect reads an Ethernet frame, with or without VLAN tags. ok is false where it
// carries no TCP or UDP header, or one that does not hold together. Of what was
// cut off at its end the length is known, and the checksum is not verified.
func Dissect(frame []byte) (p Packet, ok bool) {
	proto, payload, ok := etherPayload(frame)
	if !ok {
		return Packet{}, false
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(payload)})
	defer pkt.DecRef()
	id, transport, declared, ok := dissectIP(proto, pkt)
	if !ok {
		return Packet{}, false
	}
	switch transport {
	case header.TCPProtocolNumber:
		return dissectTCP(pkt, id, declared)
	case header.UDPProtocolNumber:
		return dissectUDP(pkt, id)
	default:
		return Packet{}, false
	}
}

// etherPayload strips the Ethernet header and what VLAN tags there are.
func etherPayload(frame []byte) (tcpip.NetworkProtocolNumber, []byte, bool) {
	const tag, stag, tagSize = 0x8100, 0x88a8, 4 // IEEE 802.1Q
	at := header.EthernetMinimumSize
	for len(frame) >= at {
		switch proto := binary.BigEndian.Uint16(frame[at-2:]); proto {
		case tag, stag:
			at += tagSize
		default:
			return tcpip.NetworkProtocolNumber(proto), frame[at:], true
		}
	}
	return 0, nil, false
}

// dissectIP reads the IP header. declared is how many bytes it says to follow.
func dissectIP(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) (id tuple, transport tcpip.TransportProtocolNumber, declared int, ok bool) {
	switch proto {
	case header.IPv4ProtocolNumber:
		if !parse.IPv4(pkt) {
			return tuple{}, 0, 0, false
		}
		ip := header.IPv4(pkt.NetworkHeader().Slice())
		id.LocalAddress, id.RemoteAddress = ip.SourceAddress(), ip.DestinationAddress()
		whole := ip.FragmentOffset() == 0 && !ip.More()
		return id, ip.TransportProtocol(), int(ip.TotalLength()) - len(ip), whole
	case header.IPv6ProtocolNumber:
		transport, _, offset, more, ok := parse.IPv6(pkt)
		if !ok || offset != 0 || more {
			return tuple{}, 0, 0, false
		}
		ip := header.IPv6(pkt.NetworkHeader().Slice())
		id.LocalAddress, id.RemoteAddress = ip.SourceAddress(), ip.DestinationAddress()
		extensions := len(ip) - header.IPv6MinimumSize
		declared = int(ip.PayloadLength()) - extensions
		return id, transport, declared, declared >= 0
	default:
		return tuple{}, 0, 0, false
	}
}

func dissectTCP(pkt *stack.PacketBuffer, id tuple, declared int) (Packet, bool) {
	pkt.Data().CapLength(declared) // Ethernet's padding
	missing := declared - pkt.Data().Size()
	if !parse.TCP(pkt) {
		return Packet{}, false
	}
	h := header.TCP(pkt.TransportHeader().Slice())
	id.LocalPort, id.RemotePort = h.SourcePort(), h.DestinationPort()
	s := parseSegment(pkt, id, tracer.Out)
	if !s.ok {
		return Packet{}, false
	}
	p := Packet{From: localOf(id), To: remoteOf(id), TCP: true, Flags: s.flags, Seq: s.seq}
	if missing > 0 {
		s.len += missing
	} else {
		p.Problem = checksumOf(pkt, id)
	}
	p.Len, p.seg = s.len, s
	return p, true
}

func dissectUDP(pkt *stack.PacketBuffer, id tuple) (Packet, bool) {
	if !parse.UDP(pkt) {
		return Packet{}, false
	}
	h := header.UDP(pkt.TransportHeader().Slice())
	id.LocalPort, id.RemotePort = h.SourcePort(), h.DestinationPort()
	return Packet{From: localOf(id), To: remoteOf(id), Len: max(int(h.Length())-header.UDPMinimumSize, 0)}, true
}

// Flow is what the segments of one connection have shown, seen from one of its ends:
// it gives a segment the relative numbers, the window in bytes and the notes that a
// stack's trace has. The connection may have been open before: relative numbers are then not
// known, and a repeat is one of what was seen. The zero Flow is ready.
type Flow struct{ f flow }

// Segment returns the event of the connection's next segment: p must be TCP. dropped
// says why it is discarded, "" when it is not.
func (f *Flow) Segment(p Packet, dir tracer.Direction, dropped string) *tracer.Segment {
	s := p.seg
	s.dir, s.dropped = dir, dropped
	body := new(tracer.Segment)
	s.describe(body)
	f.f.joins = true
	f.f.tell(&s, body, "")
	return body
}
