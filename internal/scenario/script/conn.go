package script

import (
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// firstPort is the client's, of its first connection.
const firstPort = 40000

// maxQueue is how many segments of a connection wait for a step, and maxSeen how many Seen
// keeps; the oldest go first. A sequence has some dozens.
const (
	maxQueue = 1 << 14
	maxSeen  = 1 << 16
)

// tuple is a connection as the script has it.
type tuple struct{ local, remote netip.AddrPort }

// conn is what a connection needs in order to be spoken of in relative numbers.
type conn struct {
	name    string
	isNamed bool
	at      tuple // where its segments go from and to

	own, other half
	queue      []*Segment // what came and no await has passed yet
}

// half is what is known of one end's sequence numbers and timestamps.
type half struct {
	isn    uint32
	synced bool   // it has sent a SYN: isn counts
	ts     bool   // that SYN bore a timestamp
	tsVal  uint32 // the last one
}

// relative counts n from the initial number, if there is one.
func (h *half) relative(n uint32) uint32 {
	if h.synced {
		return n - h.isn
	}
	return n
}

// absolute is what stands on the wire for n.
func (h *half) absolute(n uint32) uint32 {
	if h.synced {
		return n + h.isn
	}
	return n
}

// usesTS tells whether timestamps were agreed (RFC 7323, 3.2).
func (c *conn) usesTS() bool { return c.own.ts && c.other.ts }

// isn is an initial number that depends on nothing but the seed and the name.
func (s *Script) isn(name string) uint32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return rand.New(rand.NewPCG(s.o.Seed, h.Sum64())).Uint32()
}

// connOf returns the connection that a step is of; nil when a server's first await finds
// none yet. mu is held.
func (s *Script) connOf(f *sequence.Frame) *conn {
	if c := s.named[f.Conn]; c != nil {
		return c
	}
	if !s.o.Client && f.Do == sequence.FrameAwait {
		i := slices.IndexFunc(s.unnamed, func(c *conn) bool { return c.other.synced })
		if i < 0 {
			return nil
		}
		return s.name(s.unnamed[i], f.Conn)
	}
	port := firstPort + uint16(len(s.named)) //nolint:gosec // some dozens at most
	at := tuple{local: netip.AddrPortFrom(s.own.Addr(), port), remote: netip.AddrPortFrom(s.o.Peer, s.o.Port)}
	if !s.o.Client {
		at.local, at.remote = netip.AddrPortFrom(s.own.Addr(), s.o.Port), netip.AddrPortFrom(s.o.Peer, port)
	}
	if f.Do == sequence.FrameSend {
		at = redirect(at, f)
		s.answerFor(at.local.Addr())
	}
	c := s.byTuple[at]
	if c == nil || c.isNamed {
		// A tuple that a step sends from anew is the new connection's.
		c = &conn{at: at}
		s.byTuple[at] = c
	}
	return s.name(c, f.Conn)
}

// redirect changes a connection's tuple as its first step's from and to say, as far as they
// name unicast addresses; they have been checked.
func redirect(at tuple, f *sequence.Frame) tuple {
	if from, err := parseEndpoint(f.From, at.local.Port()); err == nil && f.From != "" {
		at.local = from
	}
	if to, err := parseEndpoint(f.To, at.remote.Port()); err == nil && !isWord(f.To) && !to.Addr().IsMulticast() {
		at.remote = to
	}
	return at
}

// name gives a connection its name. mu is held.
func (s *Script) name(c *conn, name string) *conn {
	c.name, c.isNamed = name, true
	c.own.isn = s.isn("conn " + name)
	s.named[name] = c
	s.unnamed = slices.DeleteFunc(s.unnamed, func(u *conn) bool { return u == c })
	for _, seg := range c.queue {
		seg.Conn = name
	}
	return c
}

// arrived files a segment under its connection, which it may begin. mu is held.
func (s *Script) arrived(seg *Segment) {
	at := tuple{local: seg.Local, remote: seg.Remote}
	c := s.byTuple[at]
	if c == nil && (s.isOwn(seg.Local.Addr()) || !isFlood(seg.Local.Addr())) {
		c = &conn{at: at}
		s.byTuple[at] = c
		s.unnamed = append(s.unnamed, c)
	}
	if len(s.seen) == maxSeen {
		s.seen = slices.Delete(s.seen, 0, maxSeen/2)
	}
	s.seen = append(s.seen, seg)
	seg.RelSeq, seg.RelAck = seg.Seq, seg.Ack
	if c == nil {
		return
	}
	if seg.Flags.Has(tracer.SYN) {
		c.other.isn, c.other.synced, c.other.ts = seg.Seq, true, seg.Opts.HasTS
	}
	if seg.Opts.HasTS {
		c.other.tsVal = seg.Opts.TSVal
	}
	seg.Conn = c.name
	seg.RelSeq, seg.RelAck = c.other.relative(seg.Seq), c.own.relative(seg.Ack)
	if len(c.queue) == maxQueue {
		c.queue = slices.Delete(c.queue, 0, maxQueue/2)
	}
	c.queue = append(c.queue, seg)
	s.change()
}

// answerFor has the script answer for an address that it sends from. mu is held.
func (s *Script) answerFor(a netip.Addr) {
	if a.IsValid() && !a.IsMulticast() && !a.IsUnspecified() && a != s.o.Peer {
		s.mine[a] = true
	}
}
