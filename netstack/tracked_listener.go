package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// adopt enters a newborn child into its listener's books.
func (c *tracked) adopt() {
	p := c.parent
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children[c] = true
	p.handOver(c)
}

// childEntered keeps the listener's books of half-open children. The child's mu is
// held, the listener's is taken: never the other way round.
func (c *tracked) childEntered(child *tracked, to tracer.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to == tracer.SynReceived {
		c.halfOpen[child] = true
		return
	}
	delete(c.halfOpen, child)
	if to == tracer.Closed {
		delete(c.children, child)
	}
}

// listenerNotified is the waiter hook of a listener: a child may just have become
// ESTABLISHED, under its own lock, or the listener may be closed.
func (c *tracked) listenerNotified() {
	c.mu.Lock()
	c.look(viaWaiter)
	var maybe []*tracked
	for child := range c.halfOpen {
		maybe = append(maybe, child)
	}
	cookies := c.cookieCandidates()
	c.mu.Unlock()
	for _, child := range maybe {
		child.diedUnaccepted(viaWaiter)
		child.lookNow(viaWaiter)
	}
	for _, id := range cookies {
		c.o.findNew(id, c.ep, viaWaiter)
	}
}

// findNew starts the record of a child of listener's that the stack has for id and
// the observer does not know yet. Nothing may be locked.
func (o *observer) findNew(id tuple, listener *tcp.Endpoint, via string) *tracked {
	ep := o.endpoint(id)
	if ep == nil || ep == listener {
		return nil
	}
	if known := o.byEP.get(ep); known != nil {
		known.awaitRecord()
		return nil
	}
	return o.of(ep, id, via)
}

// awaitRecord waits until who has just found the child has given it what its listener had
// for it. The listener must not process, and answer, the next segment before: what it answers
// takes the ones before it off its inbox, the ACK of a SYN cookie that made the child too.
func (c *tracked) awaitRecord() {
	c.mu.Lock()
	c.mu.Unlock() //nolint:staticcheck // it was all about waiting
}

// childrenAfterClose looks at the children that a listener's close has aborted.
func (c *tracked) childrenAfterClose() {
	if c == nil {
		return
	}
	c.mu.Lock()
	left := make([]*tracked, 0, len(c.children))
	for child := range c.children {
		left = append(left, child)
	}
	c.mu.Unlock()
	for _, child := range left {
		child.diedUnaccepted(viaCall)
	}
}
