package link

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// maxIPv6Extensions bounds the walk through IPv6 extension headers.
const maxIPv6Extensions = 16

// transportSegment says where a TCP segment or UDP datagram lies in a frame.
type transportSegment struct {
	start, end int // offsets in the frame; end leaves Ethernet padding out
	field      int // offset of the checksum
	udp        bool
	src, dst   tcpip.Address
}

// pseudo is the sum over the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1).
func (s *transportSegment) pseudo() uint16 {
	proto := header.TCPProtocolNumber
	if s.udp {
		proto = header.UDPProtocolNumber
	}
	return header.PseudoHeaderChecksum(proto, s.src, s.dst, uint16(s.end-s.start))
}

// CompleteChecksum finishes the TCP or UDP checksum of an Ethernet frame whose sender
// left it to hardware, in place. It tells whether there was one to finish.
func CompleteChecksum(frame []byte) bool { return completeChecksum([][]byte{frame}) }

// completeChecksum finishes the TCP or UDP checksum of an Ethernet frame whose
// sender left it to hardware (Linux's CHECKSUM_PARTIAL), in place. The frame lies
// in parts, its headers within the first. It tells whether there was one to finish.
func completeChecksum(parts [][]byte) bool {
	if len(parts) == 0 {
		return false
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	seg, ok := findSegment(parts[0], size)
	if !ok {
		return false
	}
	head := parts[0]
	binary.BigEndian.PutUint16(head[seg.field:], 0)
	value := ^checksum.Combine(sumOver(parts, seg.start, seg.end), seg.pseudo())
	if seg.udp && value == 0 {
		value = 0xffff // RFC 768: zero means that there is no checksum.
	}
	binary.BigEndian.PutUint16(head[seg.field:], value)
	return true
}

// completeChecksumAt finishes any checksum as a virtio header asks for it: the sum
// from start to the frame's end goes into the field, which holds that of the
// pseudo-header. It is false, and nothing changed, where the two do not lie in the
// frame, behind an Ethernet and an IP header.
func completeChecksumAt(parts [][]byte, start, offset int) bool {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	field := start + offset
	if len(parts) == 0 || start < header.EthernetMinimumSize+header.IPv4MinimumSize || field+2 > min(size, len(parts[0])) {
		return false
	}
	value := ^sumOver(parts, start, size)
	if value == 0 {
		value = 0xffff // the same number, and to UDP not "none"
	}
	binary.BigEndian.PutUint16(parts[0][field:], value)
	return true
}

// sumOver is the ones' complement sum over the bytes from start to end.
func sumOver(parts [][]byte, start, end int) uint16 {
	var sum checksum.Checksumer
	at := 0
	for _, p := range parts {
		from, to := max(start-at, 0), min(end-at, len(p))
		if from < to {
			sum.Add(p[from:to])
		}
		at += len(p)
	}
	return sum.Checksum()
}

// findSegment locates the segment in a frame of size bytes that begins with head.
func findSegment(head []byte, size int) (transportSegment, bool) {
	if len(head) < header.EthernetMinimumSize {
		return transportSegment{}, false
	}
	switch header.Ethernet(head).Type() {
	case header.IPv4ProtocolNumber:
		return findIPv4Segment(head, size)
	case header.IPv6ProtocolNumber:
		return findIPv6Segment(head, size)
	}
	return transportSegment{}, false
}

func findIPv4Segment(head []byte, size int) (transportSegment, bool) {
	ip := header.IPv4(head[header.EthernetMinimumSize:])
	if len(ip) < header.IPv4MinimumSize {
		return transportSegment{}, false
	}
	hlen, total := int(ip.HeaderLength()), int(ip.TotalLength())
	if hlen < header.IPv4MinimumSize || len(ip) < hlen || total < hlen ||
		header.EthernetMinimumSize+total > size || ip.More() || ip.FragmentOffset() != 0 {
		return transportSegment{}, false
	}
	start := header.EthernetMinimumSize + hlen
	end := header.EthernetMinimumSize + total
	return newSegment(head, start, end, ip.TransportProtocol(), ip.SourceAddress(), ip.DestinationAddress())
}

func findIPv6Segment(head []byte, size int) (transportSegment, bool) {
	ip := header.IPv6(head[header.EthernetMinimumSize:])
	if len(ip) < header.IPv6MinimumSize {
		return transportSegment{}, false
	}
	start := header.EthernetMinimumSize + header.IPv6MinimumSize
	end := start + int(ip.PayloadLength())
	if end > size {
		return transportSegment{}, false
	}
	next := ip.NextHeader()
	for range maxIPv6Extensions {
		switch header.IPv6ExtensionHeaderIdentifier(next) {
		case header.IPv6HopByHopOptionsExtHdrIdentifier, header.IPv6DestinationOptionsExtHdrIdentifier:
			if start+2 > min(end, len(head)) {
				return transportSegment{}, false
			}
			next, start = head[start], start+8*(int(head[start+1])+1)
			continue
		default:
		}
		// A fragment is never left unfinished; with a routing header the
		// pseudo-header's destination is not the header's: left to the stack.
		return newSegment(head, start, end, tcpip.TransportProtocolNumber(next), ip.SourceAddress(), ip.DestinationAddress())
	}
	return transportSegment{}, false
}

func newSegment(head []byte, start, end int, proto tcpip.TransportProtocolNumber, src, dst tcpip.Address) (transportSegment, bool) {
	seg := transportSegment{start: start, end: end, src: src, dst: dst}
	minimum := 0
	switch proto {
	case header.TCPProtocolNumber:
		seg.field, minimum = start+header.TCPChecksumOffset, header.TCPMinimumSize
	case header.UDPProtocolNumber:
		seg.field, minimum, seg.udp = start+6, header.UDPMinimumSize, true
	default:
		return transportSegment{}, false
	}
	if start+minimum > min(end, len(head)) || end-start > 0xffff {
		return transportSegment{}, false
	}
	return seg, true
}
