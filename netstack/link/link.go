// Package link is the Ethernet that the appliance's stack stands on: one end of a
// veth pair or any Ethernet interface (AF_PACKET), a TAP device, or a pipe between
// two stacks in one process; and an impairment that wraps any of them.
//
// A link claims no checksum offload, so the stack verifies every checksum, except
// that of a TCP segment which the host's own kernel has made and not finished
// (KnowVouched). No frame, however malformed, ends a link's loop. Close stops the
// loop, Wait waits for it.
//
// A link serves one stack, once: Attach(nil), which the stack calls when its NIC
// is removed, ends the loop for good. Close and Wait the link before
// stack.Stack.Wait: that one calls Link.Wait under the stack's lock, which a frame
// still being delivered may need.
package link

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// Link is a link endpoint that also tells what it is and when it is gone.
type Link interface {
	stack.LinkEndpoint
	// GSOEndpoint tells how large a segment the link takes from the stack.
	stack.GSOEndpoint
	// Info tells what the link is, for the trace's header.
	Info() tracer.LinkInfo
	// Done is closed when the link carries no more: after Close, or when its
	// device is gone.
	Done() <-chan struct{}
	// Err tells why Done was closed: nil after Close.
	Err() error
}

// Counters count what a link has carried and what it did not, in frames unless
// said otherwise, as a NIC's statistics do.
type Counters struct {
	FramesIn, FramesOut uint64
	BytesIn, BytesOut   uint64 // Ethernet header included, FCS not
	// OtherHost were for another station's MAC address; Outgoing were sent from
	// the interface by its own kernel.
	OtherHost, Outgoing uint64
	// Runts were shorter than an Ethernet header, VLAN carried an 802.1Q or
	// 802.1ad tag, Truncated were longer than 64 KB: all are discarded.
	Runts, VLAN, Truncated uint64
	// SuperFrames were longer than the MTU allows: segments that the peer's GSO,
	// or GRO on the way, had merged. They are delivered. SuperFramesOut are the
	// stack's own, which the kernel takes apart where it has to.
	SuperFrames, SuperFramesOut uint64
	// DatagramsSplit are UDP datagrams that came several in a frame, and are
	// delivered one by one.
	DatagramsSplit uint64
	// ChecksumsCompleted came with a checksum that the sender had left to hardware
	// that is not there; the link finished it. ChecksumsVouched are TCP segments
	// with such a checksum, or one that hardware has verified: delivered as they are.
	ChecksumsCompleted, ChecksumsVouched uint64
	// RxDrops were lost before the link read them, for want of buffer space;
	// RxErrors are failed reads.
	RxDrops, RxErrors uint64
	// TxDrops found the device's queue full, TxErrors could not be sent for
	// another reason: interface down, longer than the MTU.
	TxDrops, TxErrors uint64
}

// vlanTPID tells whether an EtherType is a tag's (802.1Q, 802.1ad).
func vlanTPID(t tcpip.NetworkProtocolNumber) bool {
	return t == 0x8100 || t == 0x88a8
}

// packetTypeOf tells how a frame for the address in dst concerns the station at own.
func packetTypeOf(dst []byte, own tcpip.LinkAddress) tcpip.PacketType {
	switch {
	case string(dst) == string(header.EthernetBroadcastAddress):
		return tcpip.PacketBroadcast
	case dst[0]&1 != 0: // IEEE 802-2014, 8.2: the individual/group bit
		return tcpip.PacketMulticast
	case string(dst) == string(own):
		return tcpip.PacketHost
	}
	return tcpip.PacketOtherHost
}

// pushEthernetHeader writes the Ethernet header of an outgoing packet.
func pushEthernetHeader(pkt *stack.PacketBuffer) {
	eth := header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize))
	eth.Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// randomMAC makes a locally administered unicast address other than avoid.
func randomMAC(avoid tcpip.LinkAddress) tcpip.LinkAddress {
	for {
		if mac := tcpip.GetRandMacAddr(); mac != avoid {
			return mac
		}
	}
}
