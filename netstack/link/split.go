package link

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// splitFrame takes apart an Ethernet frame that stands for several TCP segments, or
// UDP datagrams (Linux's UDP_SEGMENT), with size bytes of payload each, the last one
// shorter. They are what a wire would have borne: each with its own lengths and
// checksum, unless it is UDP without one. It returns nil where the frame holds no
// segment or no payload.
func splitFrame(frame []byte, size int) [][]byte {
	seg, ok := findSegment(frame, len(frame))
	if !ok || size <= 0 {
		return nil
	}
	body := seg.start + header.UDPMinimumSize
	if !seg.udp {
		body = seg.start + int(header.TCP(frame[seg.start:]).DataOffset())
		if body < seg.start+header.TCPMinimumSize || body > seg.end {
			return nil
		}
	}
	noSum := seg.udp && binary.BigEndian.Uint16(frame[seg.field:]) == 0
	var out [][]byte
	for at := body; at < seg.end; at += size {
		payload := frame[at:min(at+size, seg.end)]
		f := make([]byte, body, body+len(payload))
		copy(f, frame[:body])
		f = append(f, payload...)
		resizeIP(f, seg.start, len(out))
		if seg.udp {
			binary.BigEndian.PutUint16(f[seg.start+4:], uint16(header.UDPMinimumSize+len(payload)))
		} else {
			placeTCP(f[seg.start:body], at-body, at+size >= seg.end)
		}
		if !noSum {
			completeChecksum([][]byte{f})
		}
		out = append(out, f)
	}
	return out
}

// placeTCP writes the header of the part of a super-segment that begins at that
// byte of its payload: FIN and PSH are the last one's, CWR is the first one's (RFC
// 3168, 6.1.2).
func placeTCP(h header.TCP, at int, last bool) {
	const cwr = 0x80
	flags := h.Flags()
	if !last {
		flags &^= header.TCPFlagFin | header.TCPFlagPsh
	}
	if at > 0 {
		flags &^= cwr
	}
	h.SetFlags(uint8(flags))
	h.SetSequenceNumber(h.SequenceNumber() + uint32(at))
}

// splitPacket takes apart an inbound super-segment, whose link header is parsed.
// The parts are the caller's to release; nil means that it is none.
func splitPacket(pkt *stack.PacketBuffer) []*stack.PacketBuffer {
	g := &pkt.GSOOptions
	if g.Type == stack.GSONone || g.MSS == 0 {
		return nil
	}
	b := pkt.ToBuffer()
	defer b.Release()
	frames := splitFrame(b.Flatten(), int(g.MSS))
	pkts := make([]*stack.PacketBuffer, 0, len(frames))
	for _, f := range frames {
		p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f)})
		p.LinkHeader().Consume(header.EthernetMinimumSize)
		p.NetworkProtocolNumber, p.PktType = pkt.NetworkProtocolNumber, pkt.PktType
		pkts = append(pkts, p)
	}
	return pkts
}

// resizeIP writes the IP header of the nth part of a frame that was taken apart:
// its length, and for IPv4 an identification of its own and the header's checksum.
func resizeIP(frame []byte, transport, n int) {
	const at = header.EthernetMinimumSize
	if header.Ethernet(frame).Type() == header.IPv6ProtocolNumber {
		header.IPv6(frame[at:]).SetPayloadLength(uint16(len(frame) - at - header.IPv6MinimumSize))
		return
	}
	ip := header.IPv4(frame[at:transport])
	ip.SetTotalLength(uint16(len(frame) - at))
	ip.SetID(ip.ID() + uint16(n))
	ip.SetChecksum(0)
	ip.SetChecksum(^checksum.Checksum(ip, 0))
}
