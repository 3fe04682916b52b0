package importpcap

import "encoding/binary"

// linkType is how a packet begins (https://www.tcpdump.org/linktypes.html).
type linkType uint32

const (
	linkNull     linkType = 0
	linkEthernet linkType = 1
	linkRawBSD   linkType = 12
	linkRawOpen  linkType = 14
	linkRaw      linkType = 101
	linkLoop     linkType = 108
	linkSLL      linkType = 113
	linkIPv4     linkType = 228
	linkIPv6     linkType = 229
	linkSLL2     linkType = 276
)

const knownLinks = "Ethernet (1), Linux cooked (113, 276), raw IP (101, 228, 229) or loopback (0, 108)"

func (l linkType) known() bool {
	switch l {
	case linkNull, linkEthernet, linkRawBSD, linkRawOpen, linkRaw, linkLoop, linkSLL, linkIPv4, linkIPv6, linkSLL2:
		return true
	default:
		return false
	}
}

// The EtherTypes that matter here.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherTag  = 0x8100
	etherSTag = 0x88a8
	ethernet  = 14 // the header's length, bytes
)

// frame returns a packet as an Ethernet frame, which may be the packet itself or dst, which
// it grows. ok is false where the packet is shorter than its link's header. A protocol that
// has no EtherType becomes 0.
func (l linkType) frame(dst, data []byte) (frame []byte, ok bool) {
	proto, header := uint16(0), 0
	switch l {
	case linkEthernet:
		return data, len(data) >= ethernet
	case linkNull, linkLoop:
		proto, header = familyOf(data), 4
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		proto = versionOf(data) // which is in the first byte
	case linkSLL:
		if header = 16; len(data) >= header {
			proto = binary.BigEndian.Uint16(data[14:])
		}
	case linkSLL2:
		if header = 20; len(data) >= header {
			proto = binary.BigEndian.Uint16(data)
		}
	}
	if len(data) < max(header, 1) {
		return dst[:0], false
	}
	var addresses [ethernet - 2]byte
	frame = append(dst[:0], addresses[:]...)
	frame = binary.BigEndian.AppendUint16(frame, proto)
	return append(frame, data[header:]...), true
}

// versionOf is the EtherType of what begins with an IP header.
func versionOf(data []byte) uint16 {
	if len(data) == 0 {
		return 0
	}
	switch data[0] >> 4 {
	case 4:
		return etherIPv4
	case 6:
		return etherIPv6
	default:
		return 0
	}
}

// familyOf is the EtherType of what begins with an address family, in the byte order of the
// machine that captured it: 2 is IPv4 everywhere, IPv6 differs from system to system.
func familyOf(data []byte) uint16 {
	if len(data) < 4 {
		return 0
	}
	for _, family := range []uint32{binary.LittleEndian.Uint32(data), binary.BigEndian.Uint32(data)} {
		switch family {
		case 2:
			return etherIPv4
		case 10, 24, 28, 30:
			return etherIPv6
		}
	}
	return 0
}
