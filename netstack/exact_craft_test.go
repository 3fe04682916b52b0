//go:build exactness

package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func exactSum(b []byte, initial uint16) uint16 { return checksum.Checksum(b, initial) }

// exactIP makes an IP packet with room for n bytes of proto, and returns that room.
func exactIP(src, dst tcpip.Address, proto tcpip.TransportProtocolNumber, n int) (packet, body []byte) {
	if src.Len() == header.IPv6AddressSize {
		packet = make([]byte, header.IPv6MinimumSize+n)
		header.IPv6(packet).Encode(&header.IPv6Fields{
			PayloadLength: uint16(n), TransportProtocol: proto, HopLimit: 64, SrcAddr: src, DstAddr: dst, //nolint:gosec // small
		})
		return packet, packet[header.IPv6MinimumSize:]
	}
	packet = make([]byte, header.IPv4MinimumSize+n)
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(packet)), TTL: 64, Protocol: uint8(proto), SrcAddr: src, DstAddr: dst, //nolint:gosec // small
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	return packet, packet[header.IPv4MinimumSize:]
}

// exactUnreachable is the ICMP error that answers a segment: code is of type 3 for
// IPv4 (RFC 792), of type 1 for IPv6 (RFC 4443).
func exactUnreachable(seg exactOut, code uint8) []byte {
	h := seg.h[:min(len(seg.h), header.TCPMinimumSize)]
	quote, body := exactIP(seg.local.Addr, seg.remote.Addr, header.TCPProtocolNumber, len(h))
	copy(body, h)
	if seg.local.Addr.Len() == header.IPv6AddressSize {
		n := header.ICMPv6DstUnreachableMinimumSize + len(quote)
		packet, b := exactIP(seg.remote.Addr, seg.local.Addr, header.ICMPv6ProtocolNumber, n)
		m := header.ICMPv6(b)
		m.SetType(header.ICMPv6DstUnreachable)
		m.SetCode(header.ICMPv6Code(code))
		copy(b[header.ICMPv6DstUnreachableMinimumSize:], quote)
		m.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: seg.remote.Addr, Dst: seg.local.Addr}))
		return packet
	}
	packet, b := exactIP(seg.remote.Addr, seg.local.Addr, header.ICMPv4ProtocolNumber, header.ICMPv4MinimumSize+len(quote))
	m := header.ICMPv4(b)
	m.SetType(header.ICMPv4DstUnreachable)
	m.SetCode(header.ICMPv4Code(code))
	copy(b[header.ICMPv4MinimumSize:], quote)
	m.SetChecksum(header.ICMPv4Checksum(m, 0))
	return packet
}
