package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/netstack/link"
)

// trustingTCP is TCP that takes a link's word for the checksums which it vouches
// for, and verifies every other.
type trustingTCP struct{ queuedProtocol }

// newTrustingTCP makes TCP of what makes gVisor's.
func newTrustingTCP(inner stack.TransportProtocolFactory) func(*stack.Stack) trustingTCP {
	return func(s *stack.Stack) trustingTCP {
		p, ok := inner(s).(queuedProtocol)
		if !ok {
			panic("gVisor's TCP has no QueuePacket: the pinned version has it")
		}
		return trustingTCP{p}
	}
}

// plainTCP is TCP without a trace.
func plainTCP(s *stack.Stack) stack.TransportProtocol {
	return newTrustingTCP(tcp.NewProtocol)(s)
}

// QueuePacket takes an inbound segment for an endpoint.
func (p trustingTCP) QueuePacket(ep stack.TransportEndpoint, id stack.TransportEndpointID, pkt *stack.PacketBuffer) {
	link.TrustVouched(pkt)
	p.queuedProtocol.QueuePacket(ep, id, pkt)
}

// HandleUnknownDestinationPacket takes one that no endpoint is there for.
func (p trustingTCP) HandleUnknownDestinationPacket(id stack.TransportEndpointID, pkt *stack.PacketBuffer) stack.UnknownDestinationPacketDisposition {
	link.TrustVouched(pkt)
	return p.queuedProtocol.HandleUnknownDestinationPacket(id, pkt)
}
