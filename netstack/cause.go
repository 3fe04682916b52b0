package netstack

import (
	"runtime"
	"strings"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"appliance/tracer"
)

// letGo is what the wait hook's goroutine is notified with.
const letGo = waiter.EventHUp

// actor is whose goroutine a hook runs on.
type actor uint8

const (
	actorUnknown   actor = iota
	actorProcessor       // one of TCP's processors: a segment is being processed
	actorTimer           // a timer of TCP's is firing
	actorCall            // the program is in a socket call
	actorLink            // the link is delivering a packet: ICMP
	actorNeighbor        // the neighbour cache gave up
)

// runTimer and runCall stand on the stack of a goroutine while a timer fires, and
// while the program is in a call: onStack finds them there.
//
//go:noinline
func runTimer(f func()) { f(); keep.Add(1) }

//go:noinline
func runCall(f func() error) error { err := f(); keep.Add(1); return err }

// keep keeps the calls above from being tail calls.
var keep atomic.Uint32

// actors names the functions that tell an actor, innermost first on any stack.
var actors = []struct {
	suffix string
	actor  actor
}{
	{"netstack.runTimer", actorTimer},
	{"netstack.runCall", actorCall},
	{"tcp.(*processor).start", actorProcessor},
	{"netstack.(*observedLink).DeliverNetworkPacket", actorLink},
	{"netstack.(*observedClock).otherTimer", actorNeighbor},
}

// whose tells whose goroutine this is, by the functions on its stack. It takes
// about a microsecond: deaths and fired timers ask, segments do not.
func whose() actor {
	var pcs [48]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		for _, a := range actors {
			if strings.HasSuffix(f.Function, a.suffix) {
				return a.actor
			}
		}
		if !more {
			return actorUnknown
		}
	}
}

// causeOf finds what caused a change that was just seen. Only one thing can cause
// most changes; a death asks whose goroutine brought it.
func (c *tracked) causeOf(from, to tracer.State, via string) tracer.Cause {
	switch to {
	case tracer.Listen:
		return c.callCause("listen")
	case tracer.SynSent:
		return c.callCause("connect")
	case tracer.FinWait1, tracer.LastAck:
		return c.callCause("shutdown", "close")
	case tracer.SynReceived:
		return c.synCause(from, via)
	case tracer.Established:
		return c.segmentCause(c.establishing(), from, to)
	case tracer.CloseWait, tracer.FinWait2, tracer.Closing, tracer.TimeWait:
		return c.segmentCause(c.processing(via), from, to)
	case tracer.Closed:
		return c.deathCause(from, via)
	default:
		return tracer.Cause{Kind: tracer.CauseStack}
	}
}

// callCause is the newest call in progress of one of the names.
func (c *tracked) callCause(names ...string) tracer.Cause {
	if k := c.inProgress(names...); k != nil {
		return tracer.Cause{Kind: tracer.CauseCall, N: k.n, What: k.name}
	}
	if c.o.isClosing.Load() {
		return tracer.Cause{Kind: tracer.CauseStack, What: "stack closed"}
	}
	return tracer.Cause{Kind: tracer.CauseCall, What: names[len(names)-1]}
}

// synCause is the SYN that brought SYN-RECEIVED: a child's own, or the one that
// crossed ours in a simultaneous open.
func (c *tracked) synCause(from tracer.State, via string) tracer.Cause {
	if from == tracer.Listen {
		return c.segmentCause(c.opening, from, tracer.SynReceived)
	}
	for _, a := range c.inbox {
		if a.flags.Has(tracer.SYN) && !a.flags.Has(tracer.ACK) {
			return c.segmentCause(a, from, tracer.SynReceived)
		}
	}
	return c.segmentCause(c.processing(via), from, tracer.SynReceived)
}

// processing is the segment that changed a synchronized endpoint's state: the one
// that the probe has just told of, or, where another hook saw the change first, the
// oldest that the endpoint has not finished with.
func (c *tracked) processing(via string) arrival {
	if via == viaProbe || len(c.inbox) == 0 {
		return c.current
	}
	return c.inbox[0]
}

// establishing is the segment that completes the handshake: the oldest that may.
func (c *tracked) establishing() arrival {
	best := -1
	for i, a := range c.inbox {
		if !c.completes(a) {
			continue
		}
		if best < 0 || c.inbox[best].full {
			best = i // an ACK that met a full accept queue was dropped: a later one did it
		}
	}
	if best < 0 {
		return c.opening
	}
	return c.inbox[best]
}

// completes tells whether a segment can complete this endpoint's handshake.
func (c *tracked) completes(a arrival) bool {
	if a.flags.Has(tracer.RST) || !a.flags.Has(tracer.ACK) {
		return false
	}
	if c.flow.out.hasISN && a.ack != c.flow.out.isn+1 {
		return false
	}
	if c.state == tracer.SynSent {
		return a.flags.Has(tracer.SYN)
	}
	// SYN-RECEIVED: gVisor drops the peer's SYN+ACK there (a simultaneous open).
	return !a.flags.Has(tracer.SYN)
}

// deathCause finds what brought CLOSED.
func (c *tracked) deathCause(from tracer.State, via string) tracer.Cause {
	if via == viaProbe {
		return c.segmentCause(c.current, from, tracer.Closed)
	}
	if c.passive && !c.isAccepted {
		if cause, ok := c.unacceptedDeath(from, via); ok {
			return cause
		}
	}
	switch who := whose(); who {
	case actorTimer:
		if t := c.o.firing.Load(); t != nil {
			return t.cause(c)
		}
	case actorCall:
		if k := c.inProgress("close", "shutdown", "connect"); k != nil {
			return tracer.Cause{Kind: tracer.CauseCall, N: k.n, What: k.name}
		}
	case actorLink:
		if c.icmp.Kind != "" {
			return c.icmp
		}
	case actorNeighbor:
		return tracer.Cause{Kind: tracer.CauseStack, What: "no answer to address resolution"}
	case actorProcessor:
		return c.segmentCause(c.killing(from, via), from, tracer.Closed)
	case actorUnknown:
	}
	return c.lateDeath(from, via)
}

// lateDeath finds the cause of a death that was seen on another goroutine than the
// one that brought it.
func (c *tracked) lateDeath(from tracer.State, via string) tracer.Cause {
	switch {
	case c.doom:
		return c.segmentCause(c.current, from, tracer.Closed)
	case c.firing != nil:
		return c.firing.cause(c)
	case c.icmp.Kind != "":
		return c.icmp
	}
	if k := c.inProgress("close", "shutdown"); k != nil {
		return tracer.Cause{Kind: tracer.CauseCall, N: k.n, What: k.name}
	}
	if a := c.killing(from, via); a.id != (tuple{}) && (from == tracer.LastAck || a.flags.Has(tracer.RST) || from == tracer.TimeWait) {
		return c.segmentCause(a, from, tracer.Closed)
	}
	if p := c.parent; p != nil {
		p.mu.Lock()
		k := p.inProgress("close")
		p.mu.Unlock()
		if k != nil {
			return tracer.Cause{Kind: tracer.CauseCall, N: k.n, What: "close of the listener"}
		}
	}
	if c.o.isClosing.Load() {
		return tracer.Cause{Kind: tracer.CauseStack, What: "stack closed"}
	}
	return c.segmentCause(c.killing(from, via), from, tracer.Closed)
}

// unacceptedDeath finds the cause of the death of a child that no program has: from
// SYN-RECEIVED the endpoint's own error tells it apart.
func (c *tracked) unacceptedDeath(from tracer.State, via string) (tracer.Cause, bool) {
	if from != tracer.SynReceived {
		return tracer.Cause{}, false
	}
	switch c.waitErr.(type) {
	case *tcpip.ErrConnectionRefused, *tcpip.ErrInvalidEndpointState:
		return c.segmentCause(c.killing(from, via), from, tracer.Closed), true
	case *tcpip.ErrTimeout:
		if c.firing != nil {
			return c.firing.cause(c), true
		}
		return tracer.Cause{Kind: tracer.CauseTimer, What: "retransmit timer: no answer to SYN+ACK"}, true
	case *tcpip.ErrHostUnreachable, *tcpip.ErrNetworkUnreachable, *tcpip.ErrHostDown, *tcpip.ErrNoNet,
		*tcpip.ErrUnknownProtocolOption, *tcpip.ErrNotSupported:
		if c.icmp.Kind != "" {
			return c.icmp, true
		}
		return tracer.Cause{Kind: tracer.CauseStack, What: "no answer to address resolution"}, true
	default:
		return tracer.Cause{}, false
	}
}

// killing is the segment of those that an endpoint may have processed that ends it
// in that state.
func (c *tracked) killing(from tracer.State, via string) arrival {
	if via == viaProbe || c.doom {
		return c.current
	}
	for _, a := range c.inbox {
		if c.kills(a, from) {
			return a
		}
	}
	if from == tracer.TimeWait {
		return arrival{}
	}
	return c.current
}

// kills tells whether a segment that no probe has told of yet can have ended the
// endpoint. From the states that are not named here, a death follows the probe.
func (c *tracked) kills(a arrival, from tracer.State) bool {
	switch from {
	case tracer.SynSent:
		return a.flags.Has(tracer.RST|tracer.ACK) && a.ack == c.flow.out.isn+1
	case tracer.SynReceived:
		return a.flags.Has(tracer.RST) && a.seq-(c.flow.in.isn+1) < max(c.flow.out.win, 1) ||
			a.flags.Has(tracer.SYN) && a.seq != c.flow.in.isn
	case tracer.TimeWait:
		return a.flags.Has(tracer.SYN)
	case tracer.LastAck:
		return a.flags.Has(tracer.ACK) && a.ack == c.flow.out.next
	case tracer.CloseWait:
		return a.flags.Has(tracer.RST)
	default:
		return false
	}
}
