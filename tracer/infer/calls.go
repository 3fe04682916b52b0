package infer

import (
	"net/netip"
	"strings"

	"appliance/tracer"
)

type socketKey struct {
	stack string
	conn  uint32
}

// socket is what the calls on one socket of an inferred end have told.
type socket struct {
	key           laneKey // as far as known
	conn          uint32
	calls         []calling // not told to a machine yet
	listen, close uint64    // enters
	listener      *listener // it is one
}

type listenerKey struct {
	stack string
	local netip.AddrPort
}

// listener is a socket in LISTEN.
type listener struct {
	stack   string
	conn    uint32
	local   netip.AddrPort
	closing uint64 // the enter of its close
}

func (l *listener) identity() identity {
	return identity{stack: l.stack, conn: l.conn, local: l.local}
}

// called takes a call of an end that is inferred.
func (i *Inferrer) called(e *tracer.Event, c *tracer.Call) {
	k := socketKey{e.Stack, e.Conn}
	s := i.sockets[k]
	if s == nil {
		s = &socket{conn: e.Conn, key: laneKey{stack: e.Stack}}
		i.sockets[k] = s
	}
	i.name(s, e.Local, e.Remote)
	if c.Phase != tracer.PhaseReturn {
		i.entered(s, e, c)
	}
	if c.Phase != tracer.PhaseEnter {
		i.returned(s, e, c)
	}
}

// name learns a socket's ends.
func (i *Inferrer) name(s *socket, local, remote netip.AddrPort) {
	if local.IsValid() && local.Port() != 0 {
		s.key.local = local
	}
	if remote.IsValid() && remote.Port() != 0 {
		s.key.remote = remote
	}
	if whole(s.key.local) && s.key.remote.IsValid() {
		i.named[s.key] = s
	}
}

// whole tells whether an address is one that segments bear.
func whole(a netip.AddrPort) bool { return a.IsValid() && a.Port() != 0 && !a.Addr().IsUnspecified() }

func (i *Inferrer) entered(s *socket, e *tracer.Event, c *tracer.Call) {
	switch c.Name {
	case "connect":
		if a, err := netip.ParseAddrPort(textArg(c, "address")); err == nil && !s.key.remote.IsValid() {
			i.name(s, netip.AddrPort{}, unmap(a))
		}
		i.connects = append(i.connects, s)
		s.calls = append(s.calls, calling{e.N, c.Name})
	case "shutdown":
		if textArg(c, "how") == "SHUT_RD" {
			return
		}
		s.calls = append(s.calls, calling{e.N, c.Name})
	case "close":
		s.close = e.N
		if s.listener != nil {
			s.listener.closing = e.N
			break
		}
		s.calls = append(s.calls, calling{e.N, c.Name})
	case "listen":
		s.listen = e.N
	default:
		return
	}
	i.times[e.N] = e.T
}

func textArg(c *tracer.Call, name string) string {
	for _, a := range c.Args {
		if v, ok := a.Value.(string); ok && a.Name == name {
			return v
		}
	}
	return ""
}

func (i *Inferrer) returned(s *socket, e *tracer.Event, c *tracer.Call) {
	switch c.Name {
	case "connect":
		if c.Error != "" { // what failed before a SYN went out opens nothing any more
			i.forgetConnect(s)
		}
		if strings.Contains(c.Error, timedOut) {
			i.gaveUp(s, e)
		}
	case "listen":
		if c.Error == "" {
			i.listens(s, e)
		}
	case "close":
		if l := s.listener; l != nil {
			s.listener = nil
			i.emit(l.identity(), Change{tracer.Listen, tracer.Closed, callOf(s.close, "close")}, i.placeOf(s.close), 0)
			delete(i.listeners, listenerKey{l.stack, l.local})
		}
	case "accept":
		if c.Conn != 0 {
			i.accepted(s, e, c)
		}
	default:
	}
}

// timedOut stands in the error of a connect that nobody answered (ETIMEDOUT).
const timedOut = "timed out"

// gaveUp closes the connection whose connect has timed out. Its SYNs were sent, and no
// segment shows that no more will come.
func (i *Inferrer) gaveUp(s *socket, e *tracer.Event) {
	l := i.lanes[s.key]
	if l == nil || l.m == nil {
		return
	}
	l.tell(l.m.GaveUp(), place{n: e.N, t: e.T, ahead: true})
}

func callOf(n uint64, name string) tracer.Cause {
	return tracer.Cause{Kind: tracer.CauseCall, N: n, What: name}
}

// placeOf is the place of a call.
func (i *Inferrer) placeOf(n uint64) place {
	if t, ok := i.times[n]; ok {
		return place{n: n, t: t}
	}
	return place{n: i.now.N, t: i.now.T, ahead: true}
}

func (i *Inferrer) listens(s *socket, e *tracer.Event) {
	if s.listener != nil {
		return // a new backlog
	}
	s.listener = &listener{stack: e.Stack, conn: e.Conn, local: s.key.local}
	i.listeners[listenerKey{e.Stack, s.key.local}] = s.listener
	i.emit(s.listener.identity(), Change{tracer.Closed, tracer.Listen, callOf(s.listen, "listen")}, i.placeOf(s.listen), 0)
}

// accepted learns the name that the program's calls give a child.
func (i *Inferrer) accepted(s *socket, e *tracer.Event, c *tracer.Call) {
	remote, err := netip.ParseAddrPort(c.Result)
	if err != nil {
		return
	}
	k := laneKey{e.Stack, s.key.local, unmap(remote)}
	l := i.lanes[k]
	if l == nil && !whole(k.local) {
		for at, other := range i.lanes {
			if at.stack == k.stack && at.remote == k.remote && at.local.Port() == k.local.Port() {
				k, l = at, other
				break
			}
		}
	}
	child := &socket{conn: c.Conn, key: k}
	i.sockets[socketKey{e.Stack, c.Conn}] = child
	i.name(child, k.local, k.remote)
	if l == nil {
		return
	}
	l.socket, l.accepted = child, true
	if l.conn != 0 && l.conn != child.conn {
		i.aliases[l.conn] = child.conn
	}
}

// connecting returns the socket whose connect a SYN comes from; nil for none that is
// known.
func (i *Inferrer) connecting(k laneKey) *socket {
	for _, s := range i.connects {
		if s.key.stack != k.stack || s.key.remote != k.remote {
			continue
		}
		if own := s.key.local; own == k.local || !own.IsValid() || !whole(own) && own.Port() == k.local.Port() {
			i.forgetConnect(s)
			i.name(s, k.local, k.remote)
			return s
		}
	}
	return nil
}

func (i *Inferrer) forgetConnect(s *socket) {
	for at, other := range i.connects {
		if other == s {
			i.connects = append(i.connects[:at:at], i.connects[at+1:]...)
			return
		}
	}
}

// listenerOf returns the listener that took the SYN of a connection. One whose call
// is not known is told of here.
func (i *Inferrer) listenerOf(k laneKey, syn *arrival) *listener {
	for _, a := range []netip.Addr{k.local.Addr(), netip.IPv4Unspecified(), netip.IPv6Unspecified(), {}} {
		if l := i.listeners[listenerKey{k.stack, netip.AddrPortFrom(a, k.local.Port())}]; l != nil {
			return l
		}
	}
	l := &listener{stack: k.stack, local: k.local}
	at := place{n: i.now.N, t: i.now.T, ahead: true}
	if syn != nil {
		at = place{n: syn.n, t: syn.t, ahead: true}
	}
	switch {
	case i.opts.Vantage != "":
		l.conn = i.newConn()
	case syn != nil && syn.conn != 0 && syn.conn != i.now.Conn:
		l.conn = syn.conn
	case i.now.Parent != 0:
		l.conn = i.now.Parent
	default:
		return nil // the segments name none
	}
	i.listeners[listenerKey{k.stack, k.local}] = l
	i.emit(l.identity(), Change{tracer.Closed, tracer.Listen, callOf(0, "listen")}, at, 0)
	return l
}
