package script

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

var _ stack.NetworkDispatcher = (*Script)(nil)

// DeliverNetworkPacket implements stack.NetworkDispatcher: the link calls it with what comes.
func (s *Script) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	view := stack.PayloadSince(pkt.NetworkHeader())
	if view == nil {
		return // nothing follows the Ethernet header
	}
	defer view.Release()
	b := view.AsSlice()
	var from tcpip.LinkAddress
	if h := pkt.LinkHeader().Slice(); len(h) >= header.EthernetMinimumSize {
		from = header.Ethernet(h).SourceAddress()
	}
	switch proto {
	case header.ARPProtocolNumber:
		s.arp(b)
	case header.IPv4ProtocolNumber:
		s.ip4(b, from)
	case header.IPv6ProtocolNumber:
		s.ip6(b, from)
	}
}

// DeliverLinkPacket implements stack.NetworkDispatcher; it is for packet sockets.
func (*Script) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// ip4 takes an IPv4 packet; fragments are not put together, as TCP's segments are none.
func (s *Script) ip4(b []byte, from tcpip.LinkAddress) {
	ip := header.IPv4(b)
	if !ip.IsValid(len(b)) || !ip.IsChecksumValid() || ip.More() || ip.FragmentOffset() != 0 {
		return
	}
	if ip.TransportProtocol() == header.TCPProtocolNumber {
		s.tcp(ip.SourceAddress(), ip.DestinationAddress(), b[ip.HeaderLength():ip.TotalLength()], from)
	}
}

func (s *Script) ip6(b []byte, from tcpip.LinkAddress) {
	ip := header.IPv6(b)
	if !ip.IsValid(len(b)) {
		return
	}
	body := b[header.IPv6MinimumSize:][:ip.PayloadLength()]
	switch tcpip.TransportProtocolNumber(ip.NextHeader()) { // before extension headers: TCP has none here
	case header.TCPProtocolNumber:
		s.tcp(ip.SourceAddress(), ip.DestinationAddress(), body, from)
	case header.ICMPv6ProtocolNumber:
		s.icmp6(ip, body, from)
	}
}

// tcp takes a segment that is for the script, if its checksum holds.
func (s *Script) tcp(src, dst tcpip.Address, b []byte, from tcpip.LinkAddress) {
	h := header.TCP(b)
	if len(b) < header.TCPMinimumSize || int(h.DataOffset()) < header.TCPMinimumSize || int(h.DataOffset()) > len(b) {
		return
	}
	payload := b[h.DataOffset():]
	n := uint16(len(payload)) //nolint:gosec // an IP packet's length has 16 bits
	if !h.IsChecksumValid(src, dst, checksum.Checksum(payload, 0), n) {
		return
	}
	to, by := fromAddress(dst), fromAddress(src)
	if !s.answersFor(to) {
		return
	}
	s.learn(by, from)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived(&Segment{
		At:    s.o.Clock.NowMonotonic().Sub(s.start),
		Local: netip.AddrPortFrom(to, h.DestinationPort()), Remote: netip.AddrPortFrom(by, h.SourcePort()),
		Flags: tracer.Flags(h.Flags()), Seq: h.SequenceNumber(), Ack: h.AckNumber(), Win: h.WindowSize(),
		Opts: decodeOptions(b[header.TCPMinimumSize:h.DataOffset()]), Payload: append([]byte(nil), payload...),
	})
}
