package link

import "gvisor.dev/gvisor/pkg/tcpip/stack"

// gVisor skips a packet's checksums only where the whole link claims that they
// were verified, which no link here does: a frame from a wire may be corrupt, and
// that must be seen. A segment that the host's own kernel has made is another
// matter. Its checksum is not written yet (the virtio header says so), there is
// nothing to verify, and doing it for 64 KB costs more than all the rest.
//
// So the link says it of each such segment, in a field of the packet that is
// otherwise for outbound ones, and the transport protocol above, which gets the
// packet as the link made it, takes its word: TrustVouched there, and
// KnowVouched at the start, so that a link under a stack that does not know of
// this finishes the checksums instead.

// KnowVouched tells a link, or the one that it wraps (Child), that the stack
// above calls TrustVouched for each TCP segment. It is to be called before Attach.
func KnowVouched(l stack.LinkEndpoint) {
	for l != nil {
		if v, ok := l.(interface{ knowVouched() }); ok {
			v.knowVouched()
			return
		}
		w, ok := l.(interface{ Child() stack.LinkEndpoint })
		if !ok {
			return
		}
		l = w.Child()
	}
}

// TrustVouched spares the stack the TCP checksum of an inbound packet that the link
// has vouched for, and leaves every other as it is.
func TrustVouched(pkt *stack.PacketBuffer) {
	if pkt.GSOOptions.NeedsCsum {
		pkt.RXChecksumValidated = true
	}
}

// vouch marks an inbound TCP segment as good.
func vouch(pkt *stack.PacketBuffer) { pkt.GSOOptions.NeedsCsum = true }

// unvouch takes it back, for what was damaged on purpose.
func unvouch(pkt *stack.PacketBuffer) { pkt.GSOOptions.NeedsCsum = false }

// setWireSize notes how much payload each wire segment had that an inbound
// super-segment stands for, as the stack does on outbound ones.
func setWireSize(pkt *stack.PacketBuffer, h vnetHeader) {
	pkt.GSOOptions.Type = stack.GSOTCPv4
	if h.gsoType&^vnetGSOECN == vnetGSOTCPv6 {
		pkt.GSOOptions.Type = stack.GSOTCPv6
	}
	pkt.GSOOptions.MSS = h.gsoSize
}

// WireSegments is how many segments on a wire a packet stands for, in or out,
// whose payload is size bytes long: 1 unless it is a super-segment.
func WireSegments(pkt *stack.PacketBuffer, size int) int {
	g := &pkt.GSOOptions
	if g.Type == stack.GSONone || g.MSS == 0 || size <= int(g.MSS) {
		return 1
	}
	return (size + int(g.MSS) - 1) / int(g.MSS)
}
