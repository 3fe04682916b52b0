package text

import (
	"appliance/tracer"
)

// conns knows which connections are going and which were introduced.
type conns struct {
	introduced map[uint32]uint64 // bit c%64 of entry c/64: ids rise, so a long trace stays small
	live       map[uint32]*conn
	going      map[string]int // by stack: how many of live
	listeners  map[uint32]bool
}

// conn is what is kept of a connection until it ends.
type conn struct {
	stack string
	vars  map[string]tracer.TCBVar // as they were shown last
}

// see takes note of e's connection. It returns true when e is the first event that
// tells the connection's two ends, or a listener's one.
func (c *conns) see(e *tracer.Event) bool {
	if e.Conn == 0 || c.introduced[e.Conn/64]&(1<<(e.Conn%64)) != 0 {
		return false
	}
	c.listener(e)
	connected := e.Remote.IsValid() && e.Local.IsValid() && !c.listeners[e.Conn]
	if !connected && (!e.Local.IsValid() || !c.listeners[e.Conn]) {
		return false
	}
	if c.introduced == nil {
		c.introduced = make(map[uint32]uint64)
		c.live = make(map[uint32]*conn)
		c.going = make(map[string]int)
	}
	c.introduced[e.Conn/64] |= 1 << (e.Conn % 64)
	if connected {
		c.live[e.Conn] = &conn{stack: e.Stack}
		c.going[e.Stack]++
	}
	return true
}

// listener takes note of e where it makes its connection a listener.
func (c *conns) listener(e *tracer.Event) {
	if e.Conn == 0 || !listens(e.Body) {
		return
	}
	if c.listeners == nil {
		c.listeners = make(map[uint32]bool)
	}
	c.listeners[e.Conn] = true
}

// asked tells whether e is a peer's SYN: it is the peer who opens.
func asked(e *tracer.Event) bool {
	g, ok := e.Body.(*tracer.Segment)
	return ok && g.Dir == tracer.In && g.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN
}

// listens tells whether an event makes its connection a listener.
func listens(b tracer.Body) bool {
	switch b := b.(type) {
	case *tracer.StateChange:
		return b.To == tracer.Listen
	case *tracer.Call:
		return b.Name == "listen"
	default:
		return false
	}
}

// ended forgets the connection that e ends.
func (c *conns) ended(e *tracer.Event) {
	if l := c.live[e.Conn]; l != nil {
		delete(c.live, e.Conn)
		if c.going[l.stack]--; c.going[l.stack] == 0 {
			delete(c.going, l.stack)
		}
	}
}
