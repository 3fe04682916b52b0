package why

import (
	"slices"

	"appliance/tracer"
)

// lane is what is known of one end while its events go by: numbers of events, 0 where there
// was none.
type lane struct {
	open  bool // its timers are in the trace
	whole bool // the trace has it from its start

	connect, closing, state uint64

	recv uint64 // the recv that has not returned

	born   uint64 // what caused its first state change
	syn    uint64 // the SYN that came last
	closed uint64 // the cause of the change to CLOSED that came last, with nothing behind it
	rst    uint64 // the RST that went out last, with nothing behind it
	sends  []send
	stream uint64 // how many bytes the program has sent
	inCall uint64 // the send that has not returned

	unread []uint64 // segments that came since the last went out, not known to be processed
	wrote  bool     // a send was called since the last segment went out
	fired  uint64   // the timer that fired last, with nothing behind it but segments out
	timer  string   // its name
	spent  bool     // it has sent one

	in      arrivals
	next    uint32 // behind all that was sent
	isShut  bool   // the window that it told last was 0
	hasSent bool
}

// send is a call that sent bytes of the stream.
type send struct {
	n        uint64
	from, to uint64 // the place behind its last byte
}

// changed takes note of a state change.
func (a *lane) changed(n uint64, b *tracer.StateChange) {
	if a.state == 0 {
		a.born = b.Cause.N
		a.whole = a.whole || b.Cause.Kind != tracer.CauseStack && (b.From == tracer.Closed || b.From == tracer.Listen)
	}
	a.state, a.closed = n, 0
	if b.To == tracer.Closed {
		a.closed = b.Cause.N
	}
}

// called takes note of a call.
func (a *lane) called(n uint64, b *tracer.Call) {
	if b.Phase == tracer.PhaseReturn {
		switch b.Of {
		case a.inCall:
			a.inCall = 0
			a.took(b.Of, b.Bytes)
		case a.recv:
			a.recv = 0
		}
		return
	}
	switch b.Name {
	case "connect":
		a.connect, a.whole = n, true
	case "close", "shutdown":
		if a.closing == 0 && textArg(b, "how") != "SHUT_RD" {
			a.closing = n
		}
	case "recv":
		a.recv = 0
		if b.Phase == tracer.PhaseEnter {
			a.recv = n
		}
	case "setsockopt":
		a.recv = 0 // it may open the window as well
	case "send":
		a.wrote = true
		a.whole = a.whole && a.inCall == 0 // else whose bytes come first is not known
		s := send{n: n, from: a.stream, to: a.stream + bytesArg(b)}
		a.sends, a.stream = append(a.sends, s), s.to
		if b.Phase == tracer.PhaseDone {
			a.took(n, b.Bytes)
		} else {
			a.inCall = n
		}
	}
}

// took says how many bytes the last send took, which may be fewer than it had.
func (a *lane) took(n uint64, bytes int) {
	if i := len(a.sends) - 1; i >= 0 && a.sends[i].n == n && bytes >= 0 {
		a.sends[i].to = a.sends[i].from + uint64(bytes)
		a.stream = a.sends[i].to
	}
}

func textArg(b *tracer.Call, name string) string {
	for _, arg := range b.Args {
		if v, ok := arg.Value.(string); ok && arg.Name == name {
			return v
		}
	}
	return ""
}

func bytesArg(b *tracer.Call) uint64 {
	for _, arg := range b.Args {
		if v, ok := arg.Value.(int64); ok && arg.Name == "bytes" && v > 0 {
			return uint64(v)
		}
	}
	return 0
}

// read takes note that the end has processed what came up to event n.
func (a *lane) read(n uint64) {
	a.unread = slices.DeleteFunc(a.unread, func(m uint64) bool { return m <= n })
}

// got takes note of a segment that came.
func (a *lane) got(n uint64, g *tracer.Segment) {
	a.unread = append(a.unread, n)
	a.rst, a.closed = 0, 0
	if a.spent {
		a.fired = 0
	}
	if g.Flags.Has(tracer.SYN) {
		a.syn = n
	}
	if !a.in.known && a.whole && g.HasRel && g.RelSeq > 0 { // its SYN is the listener's
		a.in.begin(g.Seq - g.RelSeq + 1)
	}
	a.in.add(n, g, a.isShut)
}

// sent takes note of a segment that went out.
func (a *lane) sent(n uint64, g *tracer.Segment) {
	a.rst = 0
	if g.Flags.Has(tracer.RST) {
		a.rst = n
	} else if end := behind(g); !a.hasSent || int32(end-a.next) > 0 { //nolint:gosec // modulo 2^32 is meant
		a.next = end
	}
	a.closed, a.unread, a.wrote, a.spent, a.hasSent = 0, nil, false, true, true
	if !noted(g, "retransmission", "tail-loss-probe", "keepalive", "window-probe") {
		a.fired = 0 // it may have been sent for something else
	}
	if g.Flags&(tracer.ACK|tracer.RST) == tracer.ACK {
		a.in.acknowledge(g.Ack)
		a.isShut = g.Win == 0
	}
}

// behind is the acknowledgment number that covers a segment.
func behind(g *tracer.Segment) uint32 {
	n := g.Seq + uint32(g.Len) //nolint:gosec // modulo 2^32 is meant
	for _, f := range []tracer.Flags{tracer.SYN, tracer.FIN} {
		if g.Flags.Has(f) {
			n++
		}
	}
	return n
}
