package script

import (
	"context"
	"fmt"
	"net/netip"

	"appliance/internal/scenario/host"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// defaultWindow is what a segment announces that names no window.
const defaultWindow = 65535

// frame is a TCP segment to send, with the addresses that it goes from and to.
type frame struct {
	tuple
	flags    tracer.Flags
	seq, ack uint32
	win      uint16
	opts     []byte // as on the wire, of 4-byte words
	payload  []byte
}

// send sends one segment.
func (s *Script) send(ctx context.Context, f *sequence.Frame) error {
	out, err := s.compose(f)
	if err != nil {
		return err
	}
	mac, err := s.macOf(ctx, out.remote.Addr())
	if err != nil {
		return err
	}
	packet := out.encode()
	if n, mtu := len(packet), int(s.link.MTU()); n > mtu {
		return fmt.Errorf("the packet has %d bytes and the link carries %d: send less at once", n, mtu)
	}
	if err := s.tell(out.local.Addr()); err != nil {
		return err
	}
	return s.transmit(mac, protocolOf(out.remote.Addr()), packet)
}

// compose makes the segment of a step, and notes what it says of the connection: the answer may
// come before the sending returns.
func (s *Script) compose(f *sequence.Frame) (*frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.From == fromFlood {
		return s.composeFlood(f)
	}
	c := s.connOf(f)
	at, err := s.direct(c.at, f)
	if err != nil {
		return nil, err
	}
	s.answerFor(at.local.Addr())
	s.byTuple[at] = c
	// A broadcast's answer would come from the address of whoever answers.
	s.byTuple[tuple{at.local, c.at.remote}] = c
	return s.fill(f, c, at)
}

// composeFlood is compose for a source that is used once.
func (s *Script) composeFlood(f *sequence.Frame) (*frame, error) {
	at := tuple{remote: netip.AddrPortFrom(s.o.Peer, s.o.Port)}
	at, err := s.direct(at, &sequence.Frame{To: f.To})
	if err != nil {
		return nil, err
	}
	c := &conn{own: half{synced: true}}
	if at.local, c.own.isn, err = s.nextFlood(at.remote.Addr().Is4()); err != nil {
		return nil, err
	}
	return s.fill(f, c, at)
}

// direct applies from and to, which have been checked, to a connection's addresses.
func (s *Script) direct(at tuple, f *sequence.Frame) (tuple, error) {
	var err error
	switch {
	case f.To == toBroadcast && s.own.Addr().Is4():
		var to netip.Addr
		if to, err = broadcastOf(s.own); err != nil {
			return at, err
		}
		at.remote = netip.AddrPortFrom(to, at.remote.Port())
	case isWord(f.To):
		at.remote = netip.AddrPortFrom(allNodes(s.own.Addr()), at.remote.Port())
	case f.To != "":
		if at.remote, err = parseEndpoint(f.To, at.remote.Port()); err != nil {
			return at, err
		}
	}
	if f.From != "" {
		at.local, err = parseEndpoint(f.From, at.local.Port())
	}
	if at.local.IsValid() && at.local.Addr().Is4() != at.remote.Addr().Is4() {
		own := s.ownAddr(at.remote.Addr())
		if own.Is4() != at.remote.Addr().Is4() {
			err = fmt.Errorf("to=%s: the script has no address of that family: give it one", at.remote.Addr())
		}
		at.local = netip.AddrPortFrom(own, at.local.Port())
	}
	return at, err
}

// broadcastOf is the directed broadcast address of an IPv4 network.
func broadcastOf(p netip.Prefix) (netip.Addr, error) {
	if p.Bits() > 30 {
		return netip.Addr{}, fmt.Errorf("to=broadcast: %s has no broadcast address", p)
	}
	b := p.Addr().As4()
	for i := range b {
		b[i] |= byte(uint32(1<<(32-p.Bits())-1) >> (24 - 8*i)) //nolint:gosec // one byte of four
	}
	return netip.AddrFrom4(b), nil
}

// allNodes is the link's multicast address of all nodes (RFC 1112, RFC 4291).
func allNodes(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.AddrFrom4([4]byte{224, 0, 0, 1})
	}
	return netip.IPv6LinkLocalAllNodes()
}

// fill gives a segment its numbers, options and payload. mu is held.
func (s *Script) fill(f *sequence.Frame, c *conn, at tuple) (*frame, error) {
	opts := f.Opts
	opts.HasTS = opts.HasTS || c.usesTS()
	if f.Flags.Has(tracer.SYN) {
		c.own.synced, c.own.ts = true, f.Opts.HasTS
	}
	out := &frame{tuple: at, flags: f.Flags, win: defaultWindow, seq: c.own.absolute(f.Seq.N)}
	if f.Win.Op == sequence.Equal {
		out.win = uint16(f.Win.N) //nolint:gosec // checked
	}
	if f.Ack.Op == sequence.Equal {
		out.ack = c.other.absolute(f.Ack.N)
	}
	if opts.HasTS {
		s.stamp(&opts, c)
	}
	var err error
	if out.opts, err = encodeOptions(opts, &c.other); err != nil {
		return nil, err
	}
	out.payload = s.payload(f)
	return out, nil
}

// stamp fills in a timestamp: one that the step gives itself, or the clock's milliseconds and the
// last that came. The clock counts from 1, as 0 stands for none.
func (s *Script) stamp(opts *tracer.Options, c *conn) {
	if opts.TSVal == 0 {
		opts.TSVal = 1 + uint32(s.o.Clock.NowMonotonic().Sub(s.start).Milliseconds()) //nolint:gosec // wraps, as it should
	}
	if opts.TSEcr == 0 {
		opts.TSEcr = c.other.tsVal
	}
	c.own.tsVal = opts.TSVal
}

// payload is a step's text, or the part of the pattern that has its place in the stream at seq: the
// stream's first byte has the number 1, behind the SYN.
func (s *Script) payload(f *sequence.Frame) []byte {
	if f.Text != "" {
		return []byte(f.Text)
	}
	offset := int64(f.Seq.N) - 1
	if f.Flags.Has(tracer.SYN) {
		offset++
	}
	n := f.Len.N
	if limit := s.link.MTU(); n > limit {
		n = limit + 1 // It is refused for its length.
	}
	return host.Pattern(s.o.Client, int(max(0, offset)), int(n))
}
