package importpcap

import "encoding/binary"

// The IP protocol numbers that matter here (IANA, Protocol Numbers).
const (
	protoHopByHop    = 0
	protoTCP         = 6
	protoRouting     = 43
	protoFragment    = 44
	protoAH          = 51
	protoDestination = 60
)

// The shortest headers, bytes.
const (
	minIPv4      = 20
	minIPv6      = 40
	minExtension = 8
	minTCP       = 20
)

// The reasons for passing over a packet.
const (
	skipLink      = "of other link types"
	skipNotIP     = "not IP"
	skipNotTCP    = "not TCP"
	skipFragment  = "fragmented"
	skipAH        = "TCP behind an authentication header"
	skipShort     = "captured too short"
	skipMalformed = "malformed"
)

// reasonOf tells why a frame has no segment that could be read. cut says that it was longer
// on the link.
func reasonOf(frame []byte, cut bool) string {
	switch _, why := tcpOf(frame); why {
	case "": // all that a segment needs is there
		return skipMalformed
	case skipShort:
		return shortOf(cut)
	default:
		return why
	}
}

// shortOf is the reason where a packet ends before its headers do.
func shortOf(cut bool) string {
	if cut {
		return skipShort
	}
	return skipMalformed
}

// tcpOf returns a frame from its TCP header on, of which the first 20 bytes are there. Else
// why is the reason for passing over it: skipShort where it ends before.
func tcpOf(frame []byte) (tcp []byte, why string) {
	proto, ip, ok := ipOf(frame)
	switch {
	case !ok:
		return nil, skipShort
	case proto == etherIPv4:
		tcp, why = tcpOfIPv4(ip)
	case proto == etherIPv6:
		tcp, why = tcpOfIPv6(ip)
	default:
		return nil, skipNotIP
	}
	if why == "" && len(tcp) < minTCP {
		return nil, skipShort
	}
	return tcp, why
}

// ipOf returns the IP packet in a frame, behind what VLAN tags there are, and its EtherType.
// ok is false where the frame ends before.
func ipOf(frame []byte) (proto uint16, ip []byte, ok bool) {
	at := ethernet
	for len(frame) >= at {
		proto = binary.BigEndian.Uint16(frame[at-2:])
		if proto != etherTag && proto != etherSTag {
			return proto, frame[at:], true
		}
		at += 4
	}
	return 0, nil, false
}

// tcpOfIPv4 is tcpOf for an IPv4 packet; what it returns may be cut.
func tcpOfIPv4(ip []byte) (tcp []byte, why string) {
	if len(ip) < minIPv4 {
		return nil, skipShort
	}
	size := max(int(ip[0]&0xf)*4, minIPv4)
	switch {
	case binary.BigEndian.Uint16(ip[6:])&0x3fff != 0: // more fragments, or an offset
		return nil, skipFragment
	case ip[9] != protoTCP:
		return nil, skipNotTCP
	}
	return ip[min(size, len(ip)):], ""
}

// tcpOfIPv6 is tcpOf for an IPv6 packet; what it returns may be cut. It follows the extension
// headers (RFC 8200, 4; AH: RFC 4302, 2).
func tcpOfIPv6(ip []byte) (tcp []byte, why string) {
	if len(ip) < minIPv6 {
		return nil, skipShort
	}
	next, rest, authenticated := ip[6], ip[minIPv6:], false
	for isExtension(next) {
		if len(rest) < minExtension {
			return nil, skipShort
		}
		size := minExtension
		switch next {
		case protoFragment:
			if binary.BigEndian.Uint16(rest[2:])&^6 != 0 { // more fragments, or an offset
				return nil, skipFragment
			}
		case protoAH:
			size, authenticated = 4*(int(rest[1])+2), true
		default:
			size = 8 * (int(rest[1]) + 1)
		}
		next, rest = rest[0], rest[min(size, len(rest)):]
	}
	switch {
	case next != protoTCP:
		return nil, skipNotTCP
	case authenticated:
		return nil, skipAH
	}
	return rest, ""
}

// isExtension tells whether a next header is an IPv6 extension header that names another.
func isExtension(next uint8) bool {
	switch next {
	case protoHopByHop, protoRouting, protoFragment, protoAH, protoDestination:
		return true
	default:
		return false
	}
}

// mend writes the length into an IPv4 header that has none: a segment that a network card
// was to take apart. missing is how many bytes of it were not captured.
func mend(frame []byte, missing int) {
	proto, ip, _ := ipOf(frame)
	if proto == etherIPv4 && len(ip) >= minIPv4 && ip[2] == 0 && ip[3] == 0 {
		binary.BigEndian.PutUint16(ip[2:], uint16(min(len(ip)+missing, 0xffff))) //nolint:gosec // bounded
	}
}

// fillOptions completes the TCP header of a frame that was cut in its options: those that are
// there whole stay, and the end of the option list takes the place of the others. Its checksum
// is then wrong, as is that of any segment that was cut: Import verifies none.
func fillOptions(frame []byte) []byte {
	tcp, why := tcpOf(frame)
	if why != "" {
		return frame
	}
	size := int(tcp[12]>>4) * 4 // by the data offset
	if size <= len(tcp) {
		return frame
	}
	kept := minTCP + wholeOptions(tcp[minTCP:])
	end := len(frame) - len(tcp) + kept
	return append(frame[:end:end], make([]byte, size-kept)...) // a copy; the end of the list is 0
}

// wholeOptions is how many bytes the TCP options take that are whole, up to the end of the
// list (RFC 9293, 3.1).
func wholeOptions(b []byte) int {
	const endOfList, noOperation = 0, 1
	at := 0
	for at < len(b) && b[at] != endOfList {
		size := 1
		if b[at] != noOperation {
			if at+1 == len(b) {
				break
			}
			size = max(int(b[at+1]), 2)
		}
		if at+size > len(b) {
			break
		}
		at += size
	}
	return at
}
