package text

import (
	"net/netip"
	"strconv"

	"appliance/tracer"
)

// openers knows of each connection which end opened it: the sender of the first SYN.
// The key is the connection's two ends, in the order of their addresses.
type openers map[[2]netip.AddrPort]netip.AddrPort

// see takes note of the segment and tells whether its sender opened the connection;
// known is false where no SYN of it was seen.
func (o *openers) see(e *tracer.Event, g *tracer.Segment) (opener, known bool) {
	from, to := e.Remote, e.Local
	if g.Dir == tracer.Out {
		from, to = to, from
	}
	key := [2]netip.AddrPort{from, to}
	if from.Compare(to) > 0 {
		key[0], key[1] = to, from
	}
	who, known := (*o)[key]
	if !known && g.Flags.Has(tracer.SYN) && !g.Flags.Has(tracer.ACK) {
		if *o == nil {
			*o = make(openers)
		}
		(*o)[key], who, known = from, from, true
	}
	return who == from, known
}

// renumbered writes the numbers of a segment as Options.Numbers has them and returns
// the initial number of the end that it acknowledges; it writes nothing and ok is false
// where they are not wanted or not known.
func (s *Sink) renumbered(e *tracer.Event, g *tracer.Segment) (acked uint32, ok bool) {
	if s.o.Numbers == nil {
		return 0, false
	}
	opener, known := s.openers.see(e, g)
	if !known || !g.HasRel {
		return 0, false
	}
	own, other := s.o.Numbers.Server, s.o.Numbers.Client
	if opener {
		own, other = other, own
	}
	text := strconv.FormatUint(uint64(own+g.RelSeq), 10) + "(" + strconv.Itoa(g.Len) + ")"
	if g.HasRelAck {
		text += " ack " + strconv.FormatUint(uint64(other+g.RelAck), 10)
	}
	s.put(plain, text)
	return other, true
}
