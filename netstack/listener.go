package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"appliance/tracer"
)

// Listener is a net.Listener on the stack.
type Listener struct {
	wait  waiting
	stack *Stack
	ep    *tcp.Endpoint
	addr  *net.TCPAddr
	rec   *tracked // nil when tracing is off
	close sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Listen announces on a local address: network is "tcp", "tcp4" or "tcp6", address
// "host:port" with an IP address or nothing for host. As in Linux, one
// connection more than the options' backlog may wait to be accepted. Errors are *net.OpError.
func (s *Stack) Listen(network, address string) (*Listener, error) {
	return s.ListenBacklog(network, address, s.opts.TCP.Backlog)
}

// ListenBacklog is Listen with a backlog of its own, 1 to 65535.
func (s *Stack) ListenBacklog(network, address string, backlog int) (*Listener, error) {
	fail := func(err error) (*Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}
	if err := checkNetwork(network, "tcp", "tcp4", "tcp6"); err != nil {
		return fail(err)
	}
	if backlog < 1 || backlog > maxBacklog {
		return fail(fmt.Errorf("backlog %d: want 1 to %d", backlog, maxBacklog))
	}
	local, err := s.resolve(network, address)
	if err != nil {
		return fail(err)
	}
	l := &Listener{stack: s, wait: newWaiting(s.clock, new(waiter.Queue))}
	l.ep, l.rec, err = s.socket(s.listenProtocol(local.Addr()), l.wait.wq)
	if err != nil {
		return fail(err)
	}
	if err := l.listen(network, local, backlog); err != nil {
		_ = l.rec.call("close").run(func() error { l.ep.Close(); return nil })
		l.rec.forget()
		return fail(err)
	}
	if !s.own(l) {
		_ = l.Close()
		return fail(net.ErrClosed)
	}
	return l, nil
}

// listen sets the socket's options, binds it and lets it listen.
func (l *Listener) listen(network string, local netip.AddrPort, backlog int) error {
	if err := l.stack.opts.TCP.setSocket(l.ep); err != nil {
		return err
	}
	l.ep.SocketOptions().SetReuseAddress(true)
	if network == "tcp6" {
		l.ep.SocketOptions().SetV6Only(true)
	}
	bind := func() error { return goError("bind", l.ep.Bind(fullAddress(local))) }
	if err := l.rec.quick("bind", bind, tracer.Arg{Name: "address", Value: hostPort(local)}); err != nil {
		return err
	}
	bound, terr := l.ep.GetLocalAddress()
	if terr != nil {
		return goError("getsockname", terr)
	}
	l.addr = tcpAddr(addrPort(bound))
	l.rec.listenOn(addrPort(bound), backlog, l.wait.wq)
	listen := l.rec.call("listen", tracer.Arg{Name: "backlog", Value: int64(backlog)})
	return listen.run(func() error {
		// gVisor starts SYN cookies one connection short of what it is told.
		return goError("listen", l.ep.Listen(backlog+1))
	})
}

// socket makes a TCP endpoint and its record in the trace.
func (s *Stack) socket(proto tcpip.NetworkProtocolNumber, wq *waiter.Queue) (*tcp.Endpoint, *tracked, error) {
	family := "AF_INET"
	if proto == ipv6.ProtocolNumber {
		family = "AF_INET6"
	}
	tep, terr := s.stack.NewEndpoint(tcp.ProtocolNumber, proto, wq)
	if terr != nil {
		return nil, nil, goError("socket", terr)
	}
	ep := tep.(*tcp.Endpoint)
	rec := s.obs.track(ep)
	rec.done("socket", tracer.Arg{Name: "family", Value: family}, tracer.Arg{Name: "type", Value: "SOCK_STREAM"})
	return ep, rec, nil
}

// Accept waits for a connection. It errs with net.ErrClosed once the listener is
// closed, and with os.ErrDeadlineExceeded at its deadline.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptTCP is Accept with the connection's own type.
func (l *Listener) AcceptTCP() (*Conn, error) {
	var c *Conn
	call := l.rec.call("accept")
	err := call.run(func() (err error) {
		c, err = l.accept()
		if c != nil {
			call.result, call.conn = c.remote.String(), c.rec.connID()
		}
		return err
	})
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	return c, nil
}

func (l *Listener) accept() (*Conn, error) {
	var tep tcpip.Endpoint
	var wq *waiter.Queue
	err := l.wait.retry("accept", waiter.ReadableEvents, l.wait.readBy, func() (terr tcpip.Error) {
		tep, wq, terr = l.ep.Accept(nil)
		return terr
	})
	if err != nil {
		return nil, err
	}
	return l.stack.newConn(tep.(*tcp.Endpoint), wq, l.rec) //nolint:forcetypeassert // TCP's endpoints
}

// Close stops listening and resets what was not accepted yet. It errs with
// net.ErrClosed the second time.
func (l *Listener) Close() error {
	err := error(&net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: net.ErrClosed})
	l.close.Do(func() {
		l.stack.disown(l)
		l.wait.end()
		err = l.rec.call("close").run(func() error {
			l.ep.Close()
			l.rec.childrenAfterClose() // while the call is in progress: it is their cause
			return nil
		})
	})
	return err
}

// Addr returns the address that the listener is bound to.
func (l *Listener) Addr() net.Addr { return l.addr }

// SetDeadline sets when Accept gives up; the zero time means never.
func (l *Listener) SetDeadline(t time.Time) error { return l.wait.SetReadDeadline(t) }

// DialContext connects to an address: network is "tcp", "tcp4", "tcp6", "udp",
// "udp4" or "udp6", address "host:port" with an IP address for host. When ctx ends
// before the connection is made, the attempt is closed. Errors are *net.OpError.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}
	if err := checkNetwork(network, "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"); err != nil {
		return fail(err)
	}
	remote, err := s.resolve(network, address)
	if err != nil {
		return fail(err)
	}
	if !remote.Addr().IsValid() {
		return fail(fmt.Errorf("no address to connect to"))
	}
	if network[:3] == "udp" {
		return s.dialUDP(network, remote)
	}
	c, err := s.DialTCP(ctx, netip.AddrPort{}, remote)
	if err != nil {
		return nil, err
	}
	return c, nil
}
