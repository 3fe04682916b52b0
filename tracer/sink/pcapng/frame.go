package pcapng

import (
	"encoding/binary"
	"net/netip"

	"appliance/tracer"
)

const (
	ipv4Header = 20
	ipv6Header = 40
	tcpHeader  = 20
	udpHeader  = 8
	icmpKnown  = 4         // type, code and checksum: what else a message holds the trace does not tell
	maxIP      = 1<<16 - 1 // the largest length that an IP header can tell
	hops       = 64        // the trace has none: what most hosts send

	protoICMP, protoTCP, protoUDP, protoICMPv6 = 1, 6, 17, 58
)

// badChecksum is what the trace calls a segment whose checksum was wrong.
const badChecksum = "bad checksum"

// packet is what an event tells of a packet on the wire.
type packet struct {
	dir      tracer.Direction
	src, dst netip.AddrPort // the addresses are of one family, and no IPv4-mapped ones
	dropped  string
	notes    []string
	wire     int // segments on the wire; 0 for one
}

// packetOf returns the packet that an event is about; ok is false where the event is about
// none, or does not tell enough of it.
func packetOf(e *tracer.Event) (p packet, ok bool) {
	switch b := e.Body.(type) {
	case *tracer.Segment:
		p = packet{dir: b.Dir, dropped: b.Dropped, notes: b.Notes, wire: b.WireSegments}
	case *tracer.Datagram:
		p = packet{dir: b.Dir, dropped: b.Dropped, notes: b.Notes}
	case *tracer.ICMP:
		p = packet{dir: b.Dir}
	default:
		return p, false
	}
	local, remote := unmap(e.Local), unmap(e.Remote)
	switch p.dir {
	case tracer.Out:
		p.src, p.dst = local, remote
	case tracer.In:
		p.src, p.dst = remote, local
	default:
		return p, false
	}
	return p, local.IsValid() && remote.IsValid() && local.Addr().Is4() == remote.Addr().Is4()
}

// unmap returns an address as it stands on the wire.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// appendFrame appends the headers of e's packet, which window is the announced window of,
// as it stood on the wire. length is the whole packet's, with the payload that the trace
// has not got.
func appendFrame(dst []byte, e *tracer.Event, p *packet, window uint16) (frame []byte, length int) {
	start := len(dst)
	v4 := p.src.Addr().Is4()
	proto, known, payload := uint8(protoTCP), 0, 0
	var options [40]byte
	n := 0
	switch b := e.Body.(type) {
	case *tracer.Segment:
		n = putOptions(&options, &b.Opts)
		known, payload = tcpHeader+n, b.Len
	case *tracer.Datagram:
		proto, known, payload = protoUDP, udpHeader, b.Len
	case *tracer.ICMP:
		proto, known, payload = protoICMPv6, icmpKnown, max(b.Len, 2*icmpKnown)-icmpKnown
		if v4 {
			proto = protoICMP
		}
	default:
	}
	payload = min(max(payload, 0), maxIP-ipv4Header-known)
	dst = appendIP(dst, p, proto, known+payload)
	transport := len(dst)
	switch b := e.Body.(type) {
	case *tracer.Segment:
		dst = appendTCP(dst, p, b, window, options[:n])
	case *tracer.Datagram:
		dst = be.AppendUint16(dst, p.src.Port())
		dst = be.AppendUint16(dst, p.dst.Port())
		dst = be.AppendUint16(dst, uint16(known+payload)) //nolint:gosec // bounded above
		dst = append(dst, 0, 0)
	case *tracer.ICMP:
		dst = append(dst, b.Kind, b.Code, 0, 0)
	default:
	}
	putChecksum(dst[transport:], p, proto, known+payload)
	return dst, len(dst) - start + payload
}

var be = binary.BigEndian

// appendIP appends the IP header of a packet with so many bytes behind it.
func appendIP(dst []byte, p *packet, proto uint8, size int) []byte {
	if !p.src.Addr().Is4() {
		dst = append(dst, 6<<4, 0, 0, 0)
		dst = be.AppendUint16(dst, uint16(size)) //nolint:gosec // bounded by the caller
		dst = append(dst, proto, hops)
		src, dest := p.src.Addr().As16(), p.dst.Addr().As16()
		return append(append(dst, src[:]...), dest[:]...)
	}
	start := len(dst)
	dst = append(dst, 4<<4|ipv4Header/4, 0)
	dst = be.AppendUint16(dst, uint16(ipv4Header+size)) //nolint:gosec // bounded by the caller
	dst = append(dst, 0, 0, 0x40, 0)                    // an identification of 0, which RFC 6864, 4.1 allows where "don't fragment" is set
	dst = append(dst, hops, proto, 0, 0)
	src, dest := p.src.Addr().As4(), p.dst.Addr().As4()
	dst = append(append(dst, src[:]...), dest[:]...)
	be.PutUint16(dst[start+10:], ^fold(sum(0, dst[start:])))
	return dst
}

func appendTCP(dst []byte, p *packet, s *tracer.Segment, window uint16, options []byte) []byte {
	dst = be.AppendUint16(dst, p.src.Port())
	dst = be.AppendUint16(dst, p.dst.Port())
	dst = be.AppendUint32(dst, s.Seq)
	dst = be.AppendUint32(dst, s.Ack)
	dst = append(dst, byte((tcpHeader+len(options))/4)<<4, byte(s.Flags)) //nolint:gosec // at most 15
	dst = be.AppendUint16(dst, window)
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, options...)
}

// putOptions writes TCP options as senders lay them out (RFC 7323, appendix A), those that
// there is room for, and returns their length, a multiple of 4.
func putOptions(dst *[40]byte, o *tracer.Options) int {
	const (
		nop, mss, ws, sackOK, sack, ts = 1, 2, 3, 4, 5, 8
	)
	b := dst[:0]
	if o.MSS != 0 {
		b = be.AppendUint16(append(b, mss, 4), o.MSS)
	}
	switch {
	case o.SACKOK && o.HasTS:
		b = append(b, sackOK, 2)
	case o.SACKOK:
		b = append(b, nop, nop, sackOK, 2)
	case o.HasTS:
		b = append(b, nop, nop)
	}
	if o.HasTS {
		b = append(b, ts, 10)
		b = be.AppendUint32(b, o.TSVal)
		b = be.AppendUint32(b, o.TSEcr)
	}
	if o.HasWS {
		b = append(b, nop, ws, 3, o.WS)
	}
	if n := min(len(o.SACK), (len(dst)-len(b)-4)/8); n > 0 {
		b = append(b, nop, nop, sack, byte(2+8*n)) //nolint:gosec // at most 34
		for _, block := range o.SACK[:n] {
			b = be.AppendUint32(b, block.Left)
			b = be.AppendUint32(b, block.Right)
		}
	}
	return len(b)
}

// putChecksum sets the checksum of a transport header, where the payload, which the trace
// has not got, counts as zeros: right where there is none. It is wrong where it was wrong.
func putChecksum(h []byte, p *packet, proto uint8, size int) {
	at := 16
	total := uint32(0)
	switch proto {
	case protoUDP:
		at = 6
	case protoICMP, protoICMPv6:
		at = 2
	}
	if proto != protoICMP { // the pseudo-header: RFC 9293, 3.1; RFC 8200, 8.1
		if p.src.Addr().Is4() {
			src, dst := p.src.Addr().As4(), p.dst.Addr().As4()
			total = sum(sum(total, src[:]), dst[:])
		} else {
			src, dst := p.src.Addr().As16(), p.dst.Addr().As16()
			total = sum(sum(total, src[:]), dst[:])
		}
		total += uint32(proto) + uint32(size) //nolint:gosec // below 2^17
	}
	c := ^fold(sum(total, h))
	if c == 0 && proto == protoUDP {
		c = 0xffff // 0 would mean that there is none: RFC 768
	}
	if p.dropped == badChecksum {
		c ^= 0x5555 // neither of the two zeros turns into the other
	}
	be.PutUint16(h[at:], c)
}

// sum adds b to a checksum's sum (RFC 1071). b has an even length.
func sum(total uint32, b []byte) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		total += uint32(b[i])<<8 | uint32(b[i+1])
	}
	return total
}

func fold(total uint32) uint16 {
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total) //nolint:gosec // folded
}
