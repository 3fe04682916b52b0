package view

import (
	"cmp"
	"net/netip"
	"strconv"
	"time"

	"appliance/tracer"
)

// add takes note of one of the connection's events, which is the trace's i-th.
func (c *Conn) add(i int, e *tracer.Event) {
	c.Events = append(c.Events, i)
	switch b := e.Body.(type) {
	case *tracer.StateChange:
		c.change(e, b)
	case *tracer.Call:
		c.called(b)
	case *tracer.Segment:
		c.Segments = true
		if !c.Listener {
			c.segment(b)
		}
	case *tracer.Datagram:
		c.UDP = true
	case *tracer.End:
		c.End, c.role = b, cmp.Or(b.Role, c.role)
	default:
	}
	if e.Parent != 0 {
		c.Parent = e.Parent
		c.setRole(tracer.Passive)
	}
	if e.Local.IsValid() {
		c.Local = e.Local
	}
	if e.Remote.IsValid() && !c.Listener {
		c.Remote = e.Remote
	}
}

func (c *Conn) setRole(r tracer.Role) {
	if c.role == "" {
		c.role = r
	}
}

// change begins the span of the state that the connection is in now.
func (c *Conn) change(e *tracer.Event, s *tracer.StateChange) {
	switch {
	case s.To == tracer.Listen && s.From == tracer.Closed:
		c.Listener = true
		c.Remote = netip.AddrPort{}
	case s.From == tracer.Listen && !c.Listener:
		c.setRole(tracer.Passive)
	case s.To == tracer.SynSent:
		c.setRole(tracer.Active)
	}
	if len(c.Spans) > 0 {
		last := &c.Spans[len(c.Spans)-1]
		last.To = e.T
		if last.State == s.To {
			return // the stack has another name for it now
		}
	}
	c.Spans = append(c.Spans, Span{State: s.To, From: e.T, To: e.T, N: e.N})
}

// called learns from a call what sort of socket it is.
func (c *Conn) called(b *tracer.Call) {
	switch b.Name {
	case "listen":
		c.Listener = true
	case "socket":
		for _, a := range b.Args {
			if a.Value == "SOCK_DGRAM" {
				c.UDP = true
			}
		}
	case "connect":
		if !c.UDP {
			c.setRole(tracer.Active)
		}
	}
}

// segment learns the initial sequence numbers and, from a SYN, which end opened.
func (c *Conn) segment(g *tracer.Segment) {
	own, peer := &c.seen[0], &c.seen[1]
	if g.Dir == tracer.In {
		own, peer = peer, own
	}
	if g.HasRel && !own.known {
		*own = isn{g.Seq - g.RelSeq, true}
	}
	if g.HasRelAck && !peer.known {
		*peer = isn{g.Ack - g.RelAck, true}
	}
	if g.Flags.Has(tracer.SYN) && !g.Flags.Has(tracer.ACK) {
		if g.Dir == tracer.Out {
			c.setRole(tracer.Active)
		} else {
			c.setRole(tracer.Passive)
		}
	}
}

// close ends the last span, once all events are known.
func (c *Conn) close(t *Trace) {
	if len(c.Spans) == 0 {
		return
	}
	last := &c.Spans[len(c.Spans)-1]
	switch {
	case c.End != nil:
		last.To = t.Events[c.Events[len(c.Events)-1]].T
	case last.State == tracer.Closed:
		last.To = max(last.To, t.Events[c.Events[len(c.Events)-1]].T)
	default:
		last.To, last.Open = t.End(), true
	}
}

// Role tells which end opened: [tracer.Active] when this one did; "" where the trace does
// not show it.
func (c *Conn) Role() tracer.Role { return c.role }

// Name is what a reader calls the connection: its stack and id, "server.3"; the stack alone
// where it has no id.
func (c *Conn) Name() string {
	if c.ID == 0 {
		return c.Stack
	}
	return c.Stack + "." + strconv.FormatUint(uint64(c.ID), 10)
}

// StateAt returns the state that the connection was in at a time, after the events of that
// time; ok is false before its first change.
func (c *Conn) StateAt(at time.Duration) (s tracer.State, ok bool) {
	for _, sp := range c.Spans {
		if sp.From > at {
			break
		}
		s, ok = sp.State, true
	}
	return s, ok
}
