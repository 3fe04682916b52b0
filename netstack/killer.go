package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// resetBy is the RST that a child died of that no program has: whoever aborts one
// that is established sends RST, so that where none went out, one came.
func (c *tracked) resetBy(from tracer.State) (arrival, bool) {
	if c.parent == nil || c.isAccepted || c.sentRST || from == tracer.SynReceived {
		return arrival{}, false
	}
	for _, a := range append([]arrival{c.current}, c.inbox...) {
		if a.flags.Has(tracer.RST) {
			return a, true
		}
	}
	return arrival{}, false
}

// killing is the segment that ended an endpoint in that state: one that by itself
// does, or the one that was processed last.
func (c *tracked) killing(from tracer.State, via string) arrival {
	if a, ok := c.killer(from, via); ok {
		return a
	}
	if from == tracer.TimeWait {
		return arrival{}
	}
	if a, ok := c.reset(); ok {
		return a
	}
	return c.current
}

// reset is the RST that a connection died of: an error of its own makes gVisor send one, so
// that where none went out, one came.
func (c *tracked) reset() (arrival, bool) {
	if c.sentRST || !c.synchronized() || c.ep.EndpointState() != tcp.StateError || c.current.flags.Has(tracer.RST) {
		return arrival{}, false
	}
	for _, a := range c.inbox {
		if a.flags.Has(tracer.RST) && a.seq == c.rcvNxt { // RFC 5961, 3.2
			return a, true
		}
	}
	return arrival{}, false
}

// killer is the segment of those that an endpoint may have processed that by itself
// ends it in that state.
func (c *tracked) killer(from tracer.State, via string) (arrival, bool) {
	if via == viaProbe || c.doom {
		return c.current, true
	}
	for _, a := range c.inbox {
		if c.kills(a, from) {
			return a, true
		}
	}
	return arrival{}, false
}

// kills tells whether a segment that no probe has told of yet can have ended the
// endpoint. From the states that are not named here, a death follows the probe.
func (c *tracked) kills(a arrival, from tracer.State) bool {
	switch from {
	case tracer.SynSent:
		return a.flags.Has(tracer.RST|tracer.ACK) && a.ack == c.flow.out.isn+1
	case tracer.SynReceived:
		return a.flags&(tracer.RST|tracer.SYN) != 0 && c.inHandshakeWindow(a)
	case tracer.TimeWait: // a SYN beyond what the connection has used (RFC 9293, 3.10.7.4)
		return a.flags.Has(tracer.SYN) && !a.flags.Has(tracer.RST) && before(c.rcvNxt, a.seq)
	case tracer.LastAck:
		return a.flags.Has(tracer.ACK) && a.ack == c.flow.out.next && c.ep.EndpointState() == tcp.StateClose
	case tracer.CloseWait: // RST gives CLOSE there, and all else ERROR
		return a.flags.Has(tracer.RST) && c.ep.EndpointState() == tcp.StateClose
	default:
		return false
	}
}
