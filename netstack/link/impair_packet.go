package link

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// flow names what a packet belongs to: a connection, or what comes closest.
type flow struct {
	proto         uint8
	local, remote netip.AddrPort
}

// packet is what an impairment needs to know of a frame.
type packet struct {
	exempt  bool // ARP, NDP, or no IP at all
	tcp     bool // a whole TCP header was found
	flow    flow
	flags   tracer.Flags
	seq     uint32
	size    int    // of the frame, bytes
	payload int    // of the TCP segment, bytes
	data    []byte // the payload, if asked for
	// The transport header and payload, counted from the network header. length
	// is 0 where no checksum would catch a flipped bit.
	at, length int
	zeroSum    bool // UDP without a checksum
	oneBitSum  byte // UDP: the checksum's only byte that is not 0, where it has a single bit
}

// parsePacket looks at a frame, inbound or outbound, without changing it or
// trusting it: lengths that do not fit the frame make it a packet without a
// transport header. With data it copies the TCP payload.
func parsePacket(dir tracer.Direction, proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, data bool) packet {
	p := packet{size: pkt.Size()}
	if proto != header.IPv4ProtocolNumber && proto != header.IPv6ProtocolNumber {
		p.exempt = true
		return p
	}
	b := stack.BufferSince(pkt.NetworkHeader())
	defer b.Release()
	var src, dst netip.Addr
	var total int
	var ok bool
	if proto == header.IPv4ProtocolNumber {
		src, dst, total, ok = p.parseIPv4(&b)
	} else {
		src, dst, total, ok = p.parseIPv6(&b)
	}
	if !ok {
		return p
	}
	var sport, dport uint16
	if p.at > 0 {
		p.length = total - p.at
		sport, dport = p.parseTransport(&b)
	}
	local, remote := netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	if dir == tracer.In {
		local, remote = remote, local
	}
	p.flow.local, p.flow.remote = local, remote
	if data && p.tcp && p.payload > 0 {
		p.data = make([]byte, p.payload)
		readAt(&b, total-p.payload, p.data)
	}
	return p
}

// readAt fills dst from offset off; false when the buffer ends before.
func readAt(b *buffer.Buffer, off int, dst []byte) bool {
	if off < 0 || int64(off)+int64(len(dst)) > b.Size() {
		return false
	}
	n, _ := b.ReadAt(dst, int64(off)) // io.EOF also where it read all
	return n == len(dst)
}

// parseIPv4 sets the protocol and where the transport header is: p.at is 0 in a
// fragment that has none. total excludes what Ethernet pads.
func (p *packet) parseIPv4(b *buffer.Buffer) (src, dst netip.Addr, total int, ok bool) {
	var h [header.IPv4MinimumSize]byte
	if !readAt(b, 0, h[:]) || h[0]>>4 != 4 {
		return src, dst, 0, false
	}
	ip := header.IPv4(h[:])
	size := int(ip.HeaderLength())
	total = int(ip.TotalLength())
	if size < header.IPv4MinimumSize || total < size || int64(total) > b.Size() {
		return src, dst, 0, false
	}
	p.flow.proto = ip.Protocol()
	if ip.FragmentOffset() == 0 {
		p.at = size
	}
	src = netip.AddrFrom4([4]byte(h[12:16]))
	dst = netip.AddrFrom4([4]byte(h[16:20]))
	return src, dst, total, true
}

// maxExtensionHeaders bounds the walk along a chain that could be arbitrarily long.
const maxExtensionHeaders = 16

// parseIPv6 is parseIPv4 for IPv6, extension headers included (RFC 8200, 4).
func (p *packet) parseIPv6(b *buffer.Buffer) (src, dst netip.Addr, total int, ok bool) {
	var h [header.IPv6MinimumSize]byte
	if !readAt(b, 0, h[:]) || h[0]>>4 != 6 {
		return src, dst, 0, false
	}
	ip := header.IPv6(h[:])
	total = header.IPv6MinimumSize + int(ip.PayloadLength())
	if int64(total) > b.Size() {
		return src, dst, 0, false
	}
	src = netip.AddrFrom16([16]byte(h[8:24]))
	dst = netip.AddrFrom16([16]byte(h[24:40]))
	at, next := header.IPv6MinimumSize, ip.NextHeader()
	for range maxExtensionHeaders {
		var ext [8]byte
		size := 0
		switch header.IPv6ExtensionHeaderIdentifier(next) {
		case header.IPv6HopByHopOptionsExtHdrIdentifier, header.IPv6RoutingExtHdrIdentifier,
			header.IPv6DestinationOptionsExtHdrIdentifier, header.IPv6FragmentExtHdrIdentifier:
		default:
			p.flow.proto, p.at = next, at
			return src, dst, total, true
		}
		if at+len(ext) > total || !readAt(b, at, ext[:]) {
			return src, dst, 0, false
		}
		if next == uint8(header.IPv6FragmentExtHdrIdentifier) {
			size = len(ext)
			if binary.BigEndian.Uint16(ext[2:])>>3 != 0 {
				p.flow.proto = ext[0]
				return src, dst, total, true // a later fragment: no transport header
			}
		} else {
			size = (int(ext[1]) + 1) * 8
		}
		at, next = at+size, ext[0]
		if at > total {
			return src, dst, 0, false
		}
	}
	return src, dst, 0, false
}

// parseTransport reads the header at p.at, of a part p.length long, and sets
// p.length to 0 where a flipped bit would go unnoticed.
func (p *packet) parseTransport(b *buffer.Buffer) (sport, dport uint16) {
	var h [header.TCPMinimumSize]byte
	switch tcpip.TransportProtocolNumber(p.flow.proto) {
	case header.TCPProtocolNumber:
		if p.length < len(h) || !readAt(b, p.at, h[:]) {
			break
		}
		t := header.TCP(h[:])
		off := int(t.DataOffset())
		if off < header.TCPMinimumSize || off > p.length {
			break
		}
		p.tcp, p.flags, p.seq, p.payload = true, tracer.Flags(h[13]), t.SequenceNumber(), p.length-off
		return t.SourcePort(), t.DestinationPort()
	case header.UDPProtocolNumber:
		if p.length < header.UDPMinimumSize || !readAt(b, p.at, h[:header.UDPMinimumSize]) {
			break
		}
		u := header.UDP(h[:])
		n := int(u.Length())
		if n < header.UDPMinimumSize || n > p.length {
			break
		}
		p.length, p.zeroSum = n, u.Checksum() == 0
		if h[6] == 0 {
			p.oneBitSum = h[7]
		} else if h[7] == 0 {
			p.oneBitSum = h[6]
		}
		if p.oneBitSum&(p.oneBitSum-1) != 0 {
			p.oneBitSum = 0
		}
		return u.SourcePort(), u.DestinationPort()
	case header.ICMPv4ProtocolNumber, header.ICMPv6ProtocolNumber:
		if p.length < header.ICMPv4MinimumSize || !readAt(b, p.at, h[:1]) {
			break
		}
		p.exempt = p.flow.proto == uint8(header.ICMPv6ProtocolNumber) && isNDP(header.ICMPv6Type(h[0]))
		return 0, 0
	}
	p.length = 0
	return 0, 0
}

// isNDP tells Neighbor Discovery's messages (RFC 4861, 4) from the rest of ICMPv6.
func isNDP(t header.ICMPv6Type) bool {
	return t >= header.ICMPv6RouterSolicit && t <= header.ICMPv6RedirectMsg
}

// bit turns a random number into one bit of the transport header or payload, such
// that the checksum catches the flip: one flipped bit always changes the ones'
// complement sum. Left out are fields that would make the stack see something
// else than a bad checksum: TCP's data offset and UDP's length; and a UDP checksum
// that is, or would become, 0, for that means none (RFC 768).
func (p *packet) bit(r uint64) (at int, mask byte) {
	n := uint64(p.length)
	skip, width := n, uint64(0)
	switch tcpip.TransportProtocolNumber(p.flow.proto) {
	case header.TCPProtocolNumber:
		skip, width = header.TCPDataOffset, 1
	case header.UDPProtocolNumber:
		skip, width = 4, 2
		if p.zeroSum {
			return p.at + 6 + int(r/8%2), 1 << (r % 8)
		}
	}
	r %= (n - width) * 8
	at, mask = int(r/8), 1<<(r%8)
	if uint64(at) >= skip {
		at += int(width)
	}
	if p.oneBitSum == mask && (at == 6 || at == 7) && p.flow.proto == uint8(header.UDPProtocolNumber) {
		at = 0 // the same bit of the source port
	}
	return p.at + at, mask
}

// corrupted returns a copy of pkt, which the caller owns, with the bits of mask
// flipped in the byte at that offset from the network header. The original's
// bytes are not touched: a clone shares them, and pulling up a shared chunk for
// writing copies it.
func corrupted(pkt *stack.PacketBuffer, at int, mask byte) *stack.PacketBuffer {
	c := pkt.Clone()
	unvouch(c)
	network, transport := len(c.NetworkHeader().Slice()), len(c.TransportHeader().Slice())
	switch {
	case at < network:
		c.NetworkHeader().Slice()[at] ^= mask
	case at < network+transport:
		c.TransportHeader().Slice()[at-network] ^= mask
	default:
		at -= network + transport
		if b, ok := c.Data().PullUp(at + 1); ok {
			b[at] ^= mask
		}
	}
	return c
}
