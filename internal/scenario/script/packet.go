package script

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// hopLimit is what the script's IP packets have, as Linux's do.
const hopLimit = 64

func toAddress(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func fromAddress(a tcpip.Address) netip.Addr {
	b, _ := netip.AddrFromSlice(a.AsSlice()) // invalid for an empty address, which nothing equals
	return b
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// encode is the segment as an IP packet, its checksums right.
func (f *frame) encode() []byte {
	src, dst := toAddress(f.local.Addr()), toAddress(f.remote.Addr())
	head := header.TCPMinimumSize + len(f.opts)
	packet, body := encodeIP(src, dst, header.TCPProtocolNumber, hopLimit, head+len(f.payload))
	h := header.TCP(body)
	h.Encode(&header.TCPFields{
		SrcPort: f.local.Port(), DstPort: f.remote.Port(), SeqNum: f.seq, AckNum: f.ack,
		DataOffset: uint8(head), Flags: header.TCPFlags(f.flags), WindowSize: f.win, //nolint:gosec // at most 60
	})
	copy(body[header.TCPMinimumSize:], f.opts)
	copy(body[head:], f.payload)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, src, dst, uint16(len(body))) //nolint:gosec // bounded by the MTU or refused
	h.SetChecksum(^checksum.Checksum(body, sum))
	return packet
}

// encodeIP makes an IP packet with room for n bytes of a protocol, and returns that room too.
func encodeIP(src, dst tcpip.Address, proto tcpip.TransportProtocolNumber, ttl uint8, n int) (packet, body []byte) {
	if src.Len() == header.IPv6AddressSize {
		packet = make([]byte, header.IPv6MinimumSize+n)
		header.IPv6(packet).Encode(&header.IPv6Fields{
			PayloadLength: uint16(n), TransportProtocol: proto, HopLimit: ttl, SrcAddr: src, DstAddr: dst, //nolint:gosec // as above
		})
		return packet, packet[header.IPv6MinimumSize:]
	}
	packet = make([]byte, header.IPv4MinimumSize+n)
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(packet)), Flags: header.IPv4FlagDontFragment, TTL: ttl, //nolint:gosec // as above
		Protocol: uint8(proto), SrcAddr: src, DstAddr: dst, //nolint:gosec // a protocol's number
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	return packet, packet[header.IPv4MinimumSize:]
}

// transmit sends a packet to a station.
func (s *Script) transmit(mac tcpip.LinkAddress, proto tcpip.NetworkProtocolNumber, packet []byte) error {
	network, transport, tp := headersOf(proto, packet)
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(s.link.MaxHeaderLength()) + network + transport,
		Payload:            buffer.MakeWithData(packet[network+transport:]),
	})
	defer pkt.DecRef()
	pkt.NetworkProtocolNumber, pkt.TransportProtocolNumber = proto, tp
	pkt.EgressRoute.LocalLinkAddress, pkt.EgressRoute.RemoteLinkAddress = s.link.LinkAddress(), mac
	if transport > 0 {
		copy(pkt.TransportHeader().Push(transport), packet[network:])
	}
	copy(pkt.NetworkHeader().Push(network), packet)
	s.link.AddHeader(pkt)
	var one stack.PacketBufferList
	one.PushBack(pkt)
	if _, err := s.link.WritePackets(one); err != nil {
		return fmt.Errorf("write to the link: %s", err)
	}
	return nil
}

// headersOf is how long the headers of a packet of ours are: links that wrap links look at them.
func headersOf(proto tcpip.NetworkProtocolNumber, packet []byte) (network, transport int, tp tcpip.TransportProtocolNumber) {
	switch proto {
	case header.IPv4ProtocolNumber:
		network, tp = header.IPv4MinimumSize, header.IPv4(packet).TransportProtocol()
	case header.IPv6ProtocolNumber:
		network, tp = header.IPv6MinimumSize, tcpip.TransportProtocolNumber(header.IPv6(packet).NextHeader())
	default:
		return len(packet), 0, 0 // ARP is a header throughout
	}
	if tp == header.TCPProtocolNumber {
		transport = int(header.TCP(packet[network:]).DataOffset())
	}
	return network, transport, tp
}

// encodeOptions lays options out as Linux does. SACK blocks count from the other end's
// initial number, as ack does.
func encodeOptions(o tracer.Options, other *half) ([]byte, error) {
	b := make([]byte, 0, header.TCPOptionsMaximumSize)
	room := func(n int) []byte {
		b = append(b, make([]byte, n)...)
		return b[len(b)-n:]
	}
	if o.MSS != 0 {
		header.EncodeMSSOption(uint32(o.MSS), room(header.TCPOptionMSSLength))
	}
	if o.SACKOK {
		header.EncodeSACKPermittedOption(room(header.TCPOptionSackPermittedLength))
	}
	if o.HasTS {
		if !o.SACKOK {
			b = append(b, header.TCPOptionNOP, header.TCPOptionNOP)
		}
		header.EncodeTSOption(o.TSVal, o.TSEcr, room(header.TCPOptionTSLength))
	}
	if o.HasWS {
		b = append(b, header.TCPOptionNOP)
		header.EncodeWSOption(int(o.WS), room(header.TCPOptionWSLength))
	}
	if len(o.SACK) > 0 {
		blocks := make([]header.SACKBlock, len(o.SACK))
		for i, k := range o.SACK {
			blocks[i] = sackBlock(other.absolute(k.Left), other.absolute(k.Right))
		}
		b = append(b, header.TCPOptionNOP, header.TCPOptionNOP)
		n := header.EncodeSACKBlocks(blocks, room(2+8*len(blocks)))
		if n != 2+8*len(blocks) {
			return nil, fmt.Errorf("%d SACK blocks do not fit: %d do", len(blocks), header.TCPMaxSACKBlocks)
		}
	}
	for len(b)%4 != 0 {
		b = append(b, header.TCPOptionNOP)
	}
	if len(b) > header.TCPOptionsMaximumSize {
		return nil, fmt.Errorf("the options take %d bytes, and a header has room for %d: leave one out", len(b), header.TCPOptionsMaximumSize)
	}
	return b, nil
}

func sackBlock(left, right uint32) header.SACKBlock {
	return header.SACKBlock{Start: seqnum.Value(left), End: seqnum.Value(right)}
}

// decodeOptions reads a header's options, up to the first that does not hold together.
func decodeOptions(b []byte) (o tracer.Options) {
	for len(b) > 0 && b[0] != header.TCPOptionEOL {
		if b[0] == header.TCPOptionNOP {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return o
		}
		decodeOption(&o, b[0], b[2:b[1]])
		b = b[b[1]:]
	}
	return o
}

func decodeOption(o *tracer.Options, kind byte, v []byte) {
	switch {
	case kind == header.TCPOptionMSS && len(v) == 2:
		o.MSS = binary.BigEndian.Uint16(v)
	case kind == header.TCPOptionWS && len(v) == 1:
		o.HasWS, o.WS = true, v[0]
	case kind == header.TCPOptionSACKPermitted && len(v) == 0:
		o.SACKOK = true
	case kind == header.TCPOptionTS && len(v) == 8:
		o.HasTS, o.TSVal, o.TSEcr = true, binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case kind == header.TCPOptionSACK && len(v)%8 == 0:
		for ; len(v) > 0; v = v[8:] {
			o.SACK = append(o.SACK, tracer.SACKBlock{Left: binary.BigEndian.Uint32(v), Right: binary.BigEndian.Uint32(v[4:])})
		}
	default:
		o.NumOther++
	}
}
