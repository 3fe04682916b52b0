package summary

import (
	"net/netip"

	"appliance/tracer"
)

// maxSYNs bounds how many SYNs are remembered at least; twice as many are at most.
const maxSYNs = 1 << 15

// syns remembers the last SYN that came to each pair of addresses: the one that a listener
// makes a connection of bears the listener's id, and is the connection's first segment.
type syns struct {
	young, old map[ends]flow
}

type ends struct{ local, remote netip.AddrPort }

// note takes note of a segment.
func (s *syns) note(e *tracer.Event, g *tracer.Segment) {
	if g.Dir != tracer.In || g.Dropped != "" || g.Flags&(tracer.SYN|tracer.ACK) != tracer.SYN {
		return
	}
	if s.young == nil || len(s.young) >= maxSYNs {
		s.young, s.old = map[ends]flow{}, s.young
	}
	var f flow
	f.add(g)
	s.young[ends{e.Local, e.Remote}] = f
}

// take returns the SYN that made the connection whose first event is e, and forgets it. The
// connection of a SYN cookie, which comes to be at the last ACK, does not count its SYN: a
// stack that sends cookies forgets it.
func (s *syns) take(e *tracer.Event) flow {
	at := ends{e.Local, e.Remote}
	f, ok := s.young[at]
	if !ok {
		f = s.old[at]
	}
	delete(s.young, at)
	delete(s.old, at)
	if b, ok := e.Body.(*tracer.StateChange); ok && b.From == tracer.Listen && b.To == tracer.Established {
		return flow{}
	}
	return f
}
