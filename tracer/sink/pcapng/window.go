package pcapng

import (
	"net/netip"

	"appliance/tracer"
)

// maxFlows is how many connections' window scales are kept.
const maxFlows = 1 << 16

// flowKey is a connection as one stack sees it.
type flowKey struct {
	stack         string
	local, remote netip.AddrPort
}

// scale is the window scale that one end announced on its SYN (RFC 7323, 2.2).
type scale struct {
	has   bool
	shift uint8
}

// scales knows the window scales of the connections: [0] is the stack's own, [1] the other
// end's.
type scales struct{ flows recent[flowKey, [2]scale] }

// window returns the window that stood in a segment's header, and learns from SYNs.
func (s *scales) window(e *tracer.Event, g *tracer.Segment) uint16 {
	key := flowKey{e.Stack, e.Local, e.Remote}
	own := 0
	if g.Dir == tracer.In {
		own = 1
	}
	known, _ := s.flows.get(key)
	if g.Flags.Has(tracer.SYN) {
		known[own] = scale{g.Opts.HasWS, min(g.Opts.WS, 14)}
		s.flows.set(key, known)
		return wireWindow(g.Win, 0)
	}
	if known[0].has && known[1].has {
		return wireWindow(g.Win, known[own].shift)
	}
	return wireWindow(g.Win, 0)
}

// forget forgets a connection that has ended.
func (s *scales) forget(e *tracer.Event) { s.flows.remove(flowKey{e.Stack, e.Local, e.Remote}) }

// wireWindow scales a window back. Where the scale is not known, as when the trace begins
// after the SYN, it is the least that makes the window fit.
func wireWindow(win uint32, shift uint8) uint16 {
	win >>= shift
	for win > 1<<16-1 {
		win >>= 1
	}
	return uint16(win) //nolint:gosec // below 2^16
}
