package netstack

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
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
	actorStack           // the stack is being closed
)

// runTimer and runCall stand on the stack of a goroutine while a timer fires, and
// while the program is in a call: onStack finds them there.
//
//go:noinline
func runTimer(f func()) { f(); keep.Add(1) }

//go:noinline
func runCall(f func() error) error { err := f(); keep.Add(1); return err }

// mark marks the goroutine, and returns what takes the mark off. Segments that are sent
// while a timer fires ask whether it is on their goroutine, and a timer often fires long
// before it gets the endpoint's lock: to walk the stack for each would cost more than
// all the other hooks together. The one bit that Go lets a program keep in a goroutine
// is SetPanicOnFault's; what it is for, faults at addresses other than nil, a memory-safe
// program has none of.
func mark() (unmark func()) {
	was := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(was) }
}

// marked tells whether the goroutine may be a marked one: a program can have set the
// bit for its own ends, so that who needs certainty asks whose.
func marked() bool {
	if debug.SetPanicOnFault(true) {
		return true
	}
	debug.SetPanicOnFault(false)
	return false
}

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
	{"tcpip/stack.(*Stack).Close", actorStack},
}

// whose tells whose goroutine this is, by the functions on its stack. It takes
// about a microsecond: deaths and fired timers ask, segments do not.
func whose() actor {
	var pcs [48]uintptr
	for _, pc := range pcs[:runtime.Callers(2, pcs[:])] {
		if a := callers.at(pc); a != actorUnknown {
			return a
		}
	}
	return actorUnknown
}

// callers are the places that a hook may be called from.
var callers = frames[actor]{of: actorOf}

// actorOf is the actor whose goroutines a function is on.
func actorOf(function string) actor {
	for _, a := range actors {
		if strings.HasSuffix(function, a.suffix) {
			return a.actor
		}
	}
	return actorUnknown
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
			c.opening = a
			return c.segmentCause(a, from, tracer.SynReceived)
		}
	}
	return c.segmentCause(c.processing(via), from, tracer.SynReceived)
}

// processing is the segment that changed a synchronized endpoint's state: the one
// that the probe has just told of, or, where another hook saw the change first, the
// oldest that the endpoint has not finished with.
func (c *tracked) processing(via string) arrival {
	switch again := c.again; {
	case via == viaProbe:
		return c.current
	case again != nil && (len(c.inbox) == 0 || again.flags.Has(tracer.FIN) && !c.inbox[0].flags.Has(tracer.FIN)):
		return *again
	case len(c.inbox) == 0:
		return c.current
	default:
		return c.inbox[0]
	}
}

// establishing is the segment that completes the handshake: the oldest that may.
func (c *tracked) establishing() arrival {
	if c.cookie && len(c.inbox) > 0 { // the listener has verified it
		return c.inbox[0]
	}
	best := -1
	for i, a := range c.inbox {
		if !c.completes(a) {
			continue
		}
		if best < 0 || c.inbox[best].full {
			best = i // an ACK that met a full accept queue was dropped: a later one did it
		}
	}
	if best >= 0 {
		return c.inbox[best]
	}
	for _, a := range c.inbox { // gVisor also takes the ACK of a cookie that it sent before it had room for the child
		if c.passive && bareACK(a) && c.inHandshakeWindow(a) {
			c.flow.out.isn = a.ack - 1
			return a
		}
	}
	return c.opening
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
	if c.opening.ts && !a.ts { // RFC 7323, 3.2: dropped where timestamps were agreed on
		return false
	}
	// SYN-RECEIVED: gVisor drops the peer's SYN+ACK there (a simultaneous open), and
	// what is outside the window, such as a keep-alive of a peer that is established.
	return !a.flags.Has(tracer.SYN) && c.inHandshakeWindow(a)
}

// inHandshakeWindow tells whether a segment is in the window that our SYN announced.
func (c *tracked) inHandshakeWindow(a arrival) bool {
	win := c.flow.out.synWin
	if win == 0 { // our SYN still waits for its neighbour: no link has seen it
		win = 65535
	}
	return a.seq-(c.opening.seq+1) < win // not flow's ISN: a second SYN changes that
}

// deathCause finds what brought CLOSED.
func (c *tracked) deathCause(from tracer.State, via string) tracer.Cause {
	if via == viaProbe || c.doom { // the probe has told, whoever sees it first
		return c.segmentCause(c.current, from, tracer.Closed)
	}
	if c.passive && !c.isAccepted {
		if cause, ok := c.unacceptedDeath(from, via); ok {
			return cause
		}
	}
	switch who := whose(); who {
	case actorTimer:
		if t := c.o.firing.Load(); t != nil && t.canEnd(from) {
			return t.cause(c)
		}
	case actorCall:
		if k := c.inProgress("close", "shutdown", "connect"); k != nil {
			return tracer.Cause{Kind: tracer.CauseCall, N: k.n, What: k.name}
		}
	case actorLink:
		if c.icmp.Kind != "" && via == viaWaiter { // by itself, the look after it tells less
			return c.icmp
		}
	case actorNeighbor:
		if via != viaOut { // a packet that waited for its neighbour goes out: the death is another's doing
			return tracer.Cause{Kind: tracer.CauseStack, What: "no answer to address resolution"}
		}
	case actorStack:
		return tracer.Cause{Kind: tracer.CauseStack, What: "stack closed"}
	case actorProcessor:
		// Not so where the goroutine is another's than the killer's: one that sends RST
		// for what came too late, or that notifies the listener of another child.
		if via != viaOut && (c.isAccepted || !c.passive) {
			return c.segmentCause(c.killing(from, via), from, tracer.Closed)
		}
	case actorUnknown:
	}
	return c.lateDeath(from, via)
}

// lateDeath finds the cause of a death that was seen on another goroutine than the
// one that brought it.
func (c *tracked) lateDeath(from tracer.State, via string) tracer.Cause {
	// Of LAST-ACK and CLOSE-WAIT only a segment makes CLOSE; all else makes ERROR.
	if c.ep.EndpointState() == tcp.StateClose && (from == tracer.LastAck || from == tracer.CloseWait) {
		if a, ok := c.killer(from, via); ok {
			return c.segmentCause(a, from, tracer.Closed)
		}
	}
	if t := c.o.firing.Load(); from == tracer.TimeWait && t != nil && t.name == timerTimeWait &&
		c.ep.EndpointState() == tcp.StateClose {
		// It has no owner before its first firing, which this is: a call that looks just
		// then sees what it did before its own look.
		return t.cause(c)
	}
	k := c.inProgress("close", "shutdown")
	switch {
	case c.doom:
		return c.segmentCause(c.current, from, tracer.Closed)
	case k != nil:
		return tracer.Cause{Kind: tracer.CauseCall, N: k.n, What: k.name}
	case c.firing != nil && c.firing.canEnd(from) && !c.sentRST:
		// A connection that a timer ends sends no RST: where one went out, the timer still
		// waits for the endpoint's lock, and will find that it comes too late, or has done
		// its part, which was no end, and has not said so yet.
		return c.firing.cause(c)
	case c.icmp.Kind != "":
		return c.icmp
	}
	if a, ok := c.killer(from, via); ok {
		return c.segmentCause(a, from, tracer.Closed)
	}
	if a, ok := c.resetBy(from); ok {
		return c.segmentCause(a, from, tracer.Closed)
	}
	if cause, ok := c.listenerClosed(); ok {
		return cause
	}
	if c.o.isClosing.Load() {
		return tracer.Cause{Kind: tracer.CauseStack, What: "stack closed"}
	}
	return c.segmentCause(c.killing(from, via), from, tracer.Closed)
}

// listenerClosed is the close of its listener, for a child that no program has.
func (c *tracked) listenerClosed() (tracer.Cause, bool) {
	p := c.parent
	if p == nil || c.isAccepted {
		return tracer.Cause{}, false
	}
	p.mu.Lock()
	k := p.closing // in progress, or over: a handshake that completes then finds no queue
	p.mu.Unlock()
	if k == nil {
		return tracer.Cause{}, false
	}
	return tracer.Cause{Kind: tracer.CauseCall, N: k.n, What: "close of the listener"}, true
}

// unacceptedDeath finds the cause of the death of a child that no program has: from
// SYN-RECEIVED the endpoint's own error tells it apart.
func (c *tracked) unacceptedDeath(from tracer.State, via string) (tracer.Cause, bool) {
	if from != tracer.SynReceived {
		return tracer.Cause{}, false
	}
	switch c.waitErr.(type) {
	case *tcpip.ErrConnectionRefused, *tcpip.ErrInvalidEndpointState:
		a := c.killing(from, via)
		if c.icmp.Kind != "" && (via == viaICMP || a.id == nil) { // port unreachable gives the same error
			return c.icmp, true
		}
		return c.segmentCause(a, from, tracer.Closed), true
	case *tcpip.ErrAborted:
		return c.listenerClosed()
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
