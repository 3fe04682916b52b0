package pcapng

import (
	"net/netip"

	"appliance/tracer"
)

// twins decides which event of a packet that two traced ends saw, one sending and the
// other receiving it, is the packet of the capture. Both would be the same packet twice, on
// two interfaces, which Wireshark's analysis takes for a retransmission. It is the arrival,
// which is what causes state changes; the sending is a row of the journal.
//
// Whether the other end is traced shows from packets of its own, sent or received. An end is
// known by its address and port, not by its stack or its address alone: in a trace made of a
// capture both ends may have the same address, and one address may be a client here and a
// server there.
type twins struct {
	traced recent[netip.AddrPort, bool] // whether an end's own packets are in the trace
	sent   recent[identity, uint64]     // packets to ends of which neither is known yet: where they are held
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
	return twins{traced: recent[netip.AddrPort, bool]{limit: maxFlows}, sent: recent[identity, uint64]{limit: 1024}}
}

// verdict is what becomes of a packet's event.
type verdict uint8

const (
	isPacket   verdict = iota // it is the packet
	isRow                     // its twin is the packet, or will be
	isTwin                    // it is the packet, and the sending, which is still held, is not
	maybeFirst                // it is the packet unless its twin comes soon
)

// learn takes note that an end is traced.
func (t *twins) learn(end netip.AddrPort) {
	if traced, _ := t.traced.get(end); !traced {
		t.traced.set(end, true)
	}
}

// judge tells what becomes of e. released tells whether a packet that was held at place has
// been written; twin is the place of the packet that the verdict isTwin is about.
func (t *twins) judge(e *tracer.Event, p *packet, place uint64, released func(uint64) bool) (v verdict, twin uint64) {
	if p.dir == tracer.Out {
		t.learn(p.src)
		traced, known := t.traced.get(p.dst)
		switch {
		case p.dropped != "":
			return isPacket, 0 // it arrives nowhere
		case !known:
			t.sent.set(identityOf(e, p), place)
			return maybeFirst, 0
		case traced:
			return isRow, 0
		}
		return isPacket, 0
	}
	t.learn(p.dst)
	traced, known := t.traced.get(p.src)
	switch {
	case !known:
		t.traced.set(p.src, false)
		return isPacket, 0
	case !traced || len(t.sent.cur)+len(t.sent.old) == 0:
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
