package pcapng

import (
	"net/netip"

	"appliance/tracer"
)

// twins decides which event of a packet that two traced stacks saw, one sending and the
// other receiving it, is the packet of the capture. Both would be the same packet twice, on
// two interfaces, which Wireshark's analysis takes for a retransmission. It is the arrival,
// which is what causes state changes; the sending is a row of the journal.
//
// A stack is known by the addresses that its own packets have.
type twins struct {
	owners recent[netip.Addr, string] // the stack that has an address; "" for one that no traced stack has
	sent   recent[identity, uint64]   // packets to addresses of which neither is known yet: where they are held
}

// identity is what both ends see of a packet.
type identity struct {
	src, dst netip.AddrPort
	seq, ack uint32
	len      int
	kind     uint8 // the flags, or an ICMP message's type
	proto    tracer.Type
}

func newTwins() twins {
	return twins{owners: recent[netip.Addr, string]{limit: 4096}, sent: recent[identity, uint64]{limit: 1024}}
}

// verdict is what becomes of a packet's event.
type verdict uint8

const (
	isPacket   verdict = iota // it is the packet
	isRow                     // its twin is the packet, or will be
	isTwin                    // it is the packet, and the sending, which is still held, is not
	maybeFirst                // it is the packet unless its twin comes soon
)

// learn takes note of the stack that an address belongs to.
func (t *twins) learn(addr netip.Addr, stack string) {
	if owner, known := t.owners.get(addr); !known || owner != stack {
		t.owners.set(addr, stack)
	}
}

// judge tells what becomes of e. released tells whether a packet that was held at place has
// been written; twin is the place of the packet that the verdict isTwin is about.
func (t *twins) judge(e *tracer.Event, p *packet, place uint64, released func(uint64) bool) (v verdict, twin uint64) {
	if p.dir == tracer.Out {
		t.learn(p.src.Addr(), e.Stack)
		owner, known := t.owners.get(p.dst.Addr())
		switch {
		case p.dropped != "":
			return isPacket, 0 // it arrives nowhere
		case !known:
			t.sent.set(identityOf(e, p), place)
			return maybeFirst, 0
		case owner != "" && owner != e.Stack:
			return isRow, 0
		}
		return isPacket, 0
	}
	t.learn(p.dst.Addr(), e.Stack)
	owner, known := t.owners.get(p.src.Addr())
	switch {
	case !known:
		t.owners.set(p.src.Addr(), "")
		return isPacket, 0
	case owner == "" || len(t.sent.cur)+len(t.sent.old) == 0:
		return isPacket, 0
	}
	id := identityOf(e, p)
	twin, found := t.sent.get(id)
	if !found {
		return isPacket, 0
	}
	t.sent.remove(id)
	if released(twin) {
		return isRow, 0
	}
	return isTwin, twin
}

func identityOf(e *tracer.Event, p *packet) identity {
	id := identity{src: p.src, dst: p.dst, proto: e.Body.Type()}
	switch b := e.Body.(type) {
	case *tracer.Segment:
		id.seq, id.ack, id.len, id.kind = b.Seq, b.Ack, b.Len, uint8(b.Flags)
	case *tracer.Datagram:
		id.len = b.Len
	case *tracer.ICMP:
		id.len, id.kind, id.seq = b.Len, b.Kind, uint32(b.Code)
	default:
	}
	return id
}
