package link

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// vnetHeaderSize is that of struct virtio_net_hdr (virtio 1.2, 5.1.6), which a
// packet socket or a TAP device can put before each frame. It is in the machine's
// own byte order.
const vnetHeaderSize = 10

// gsoMaxSize is the largest segment taken, headers included; gVisor leaves room for
// them, so that the IP packet's length fits its 16 bits.
const gsoMaxSize = 64 << 10

// The flags of a virtio header.
const (
	vnetNeedsChecksum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM: the sum from csumStart on is still to be made
	vnetDataValid     = 2 // VIRTIO_NET_HDR_F_DATA_VALID: the sum has been verified
)

// The kinds of super-segments, without vnetGSOECN.
const (
	vnetGSONone  = 0
	vnetGSOTCPv4 = 1
	vnetGSOTCPv6 = 4
	vnetGSOUDP   = 5    // VIRTIO_NET_HDR_GSO_UDP_L4: datagrams of one size
	vnetGSOECN   = 0x80 // CWR is set, and is the first wire segment's only
)

// vnetHeader is what the kernel says about a frame that it hands over, or is told
// about one that it takes.
type vnetHeader struct {
	flags, gsoType uint8
	headerSize     uint16 // of all headers: a hint
	gsoSize        uint16 // payload of a wire segment, bytes
	csumStart      uint16 // from the start of the frame
	csumOffset     uint16 // of the checksum from csumStart
}

func decodeVNetHeader(b *[vnetHeaderSize]byte) vnetHeader {
	return vnetHeader{
		flags: b[0], gsoType: b[1],
		headerSize: binary.NativeEndian.Uint16(b[2:]),
		gsoSize:    binary.NativeEndian.Uint16(b[4:]),
		csumStart:  binary.NativeEndian.Uint16(b[6:]),
		csumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

func (h *vnetHeader) encode(b *[vnetHeaderSize]byte) {
	b[0], b[1] = h.flags, h.gsoType
	binary.NativeEndian.PutUint16(b[2:], h.headerSize)
	binary.NativeEndian.PutUint16(b[4:], h.gsoSize)
	binary.NativeEndian.PutUint16(b[6:], h.csumStart)
	binary.NativeEndian.PutUint16(b[8:], h.csumOffset)
}

// tcpGSO tells whether the frame is a TCP super-segment.
func (h *vnetHeader) tcpGSO() bool {
	kind := h.gsoType &^ vnetGSOECN
	return h.gsoSize > 0 && (kind == vnetGSOTCPv4 || kind == vnetGSOTCPv6)
}

// udpGSO tells whether the frame stands for several UDP datagrams.
func (h *vnetHeader) udpGSO() bool { return h.gsoSize > 0 && h.gsoType == vnetGSOUDP }

// outboundHeader is the header of a packet that the stack sends, whose link header
// is set: what the kernel is to do with it before it is on a wire. The payload of a
// wire segment is what the stack asks for, unless that would not fit mtu.
func outboundHeader(pkt *stack.PacketBuffer, mtu int) (h vnetHeader) {
	g := &pkt.GSOOptions
	if g.Type != stack.GSOTCPv4 && g.Type != stack.GSOTCPv6 {
		return h
	}
	network := len(pkt.NetworkHeader().Slice())
	headers := network + len(pkt.TransportHeader().Slice())
	h.headerSize = uint16(header.EthernetMinimumSize + headers)
	if g.NeedsCsum {
		h.flags = vnetNeedsChecksum
		h.csumStart = uint16(header.EthernetMinimumSize + network)
		h.csumOffset = g.CsumOffset
	}
	size := min(int(g.MSS), mtu-headers)
	if size <= 0 || pkt.Data().Size() <= size {
		return h
	}
	h.gsoSize = uint16(size)
	h.gsoType = vnetGSOTCPv4
	if g.Type == stack.GSOTCPv6 {
		h.gsoType = vnetGSOTCPv6
	}
	return h
}
