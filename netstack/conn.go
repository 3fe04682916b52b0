package netstack

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"appliance/tracer"
)

// Conn is a TCP connection: a net.Conn that can also shut down one direction
// ([Conn.CloseWrite]) and abort ([Conn.SetLinger]).
type Conn struct {
	waiting
	stack         *Stack
	ep            *tcp.Endpoint
	rec           *tracked // nil when tracing is off
	local, remote netip.AddrPort

	readMu    sync.Mutex // one reader at a time: bytes keep their order
	writeMu   sync.Mutex
	closeOnce sync.Once
}

var _ net.Conn = (*Conn)(nil)

func (s *Stack) conn(ep *tcp.Endpoint, wq *waiter.Queue, rec *tracked) *Conn {
	s.ends.hear(ep, wq)
	return &Conn{waiting: newWaiting(s.clock, wq), stack: s, ep: ep, rec: rec}
}

// newConn wraps an endpoint that listener accepted.
func (s *Stack) newConn(ep *tcp.Endpoint, wq *waiter.Queue, listener *tracked) (*Conn, error) {
	c := s.conn(ep, wq, s.obs.accepted(ep, wq, listener))
	c.name()
	if !s.own(c) {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	if err := s.opts.TCP.Keepalive.set(ep); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// name learns the connection's addresses.
func (c *Conn) name() {
	id := c.ep.Info().(*stack.TransportEndpointInfo).ID //nolint:forcetypeassert // the only type it returns
	c.local = netip.AddrPortFrom(toAddr(id.LocalAddress).Unmap(), id.LocalPort)
	c.remote = netip.AddrPortFrom(toAddr(id.RemoteAddress).Unmap(), id.RemotePort)
}

// DialTCP connects from local, or any address and port where it is zero, to
// remote. When ctx ends first, the attempt is closed. Errors are *net.OpError.
func (s *Stack) DialTCP(ctx context.Context, local, remote netip.AddrPort) (*Conn, error) {
	fail := func(err error) (*Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: tcpAddr(remote), Err: err}
	}
	if ctx.Err() != nil {
		return fail(ctxError(ctx))
	}
	wq := new(waiter.Queue)
	ep, rec, err := s.socket(protocolOf(remote.Addr()), wq)
	if err != nil {
		return fail(err)
	}
	c := s.conn(ep, wq, rec)
	if !s.own(c) {
		_ = c.Close()
		return fail(net.ErrClosed)
	}
	if err := c.connect(ctx, local, remote); err != nil {
		_ = c.Close()
		c.rec.forget()
		return fail(err)
	}
	return c, nil
}

// connect sets the socket's options, binds it where asked and opens the connection.
func (c *Conn) connect(ctx context.Context, local, remote netip.AddrPort) error {
	if err := c.stack.opts.TCP.setSocket(c.ep); err != nil {
		return err
	}
	if local.IsValid() {
		c.ep.SocketOptions().SetReuseAddress(true)
		bind := func() error { return goError("bind", c.ep.Bind(fullAddress(local))) }
		if err := c.rec.quick("bind", bind, tracer.Arg{Name: "address", Value: hostPort(local)}); err != nil {
			return err
		}
	}
	call := c.rec.call("connect", tracer.Arg{Name: "address", Value: remote.String()})
	if err := call.run(func() error { return c.handshake(ctx, remote) }); err != nil {
		return err
	}
	c.name()
	return c.stack.opts.TCP.Keepalive.set(c.ep)
}

// handshake connects and waits until the connection is made, fails, or ctx ends.
func (c *Conn) handshake(ctx context.Context, remote netip.AddrPort) error {
	entry, done := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	c.wq.EventRegister(&entry)
	defer c.wq.EventUnregister(&entry)
	c.rec.connecting(c.wq, remote)
	terr := c.ep.Connect(fullAddress(remote))
	c.rec.connectStarted()
	if _, started := terr.(*tcpip.ErrConnectStarted); !started {
		return goError("connect", terr)
	}
	select {
	case <-done:
		c.takeTurn()
		terr := c.ep.LastError()
		if !isDead(c.ep.EndpointState()) {
			return nil // an ICMP error after the handshake is a soft one (RFC 1122, 4.2.3.9)
		}
		return goError("connect", terr)
	case <-ctx.Done():
		return ctxError(ctx)
	case <-c.closed: // the stack was closed
		return net.ErrClosed
	}
}

// Read reads what has arrived, up to len(b) bytes, waiting for the first.
func (c *Conn) Read(b []byte) (int, error) {
	n := 0
	call := c.rec.call("recv", tracer.Arg{Name: "bufsize", Value: int64(len(b))})
	err := call.run(func() (err error) {
		n, err = c.recv(b)
		call.moved(n, b[:n])
		if err == io.EOF { //nolint:errorlint // recv returns it bare
			call.eof = true
			return nil
		}
		return err
	})
	if call.atEOF(err, n, len(b)) {
		return 0, io.EOF
	}
	return n, c.opError("read", err)
}

func (c *Conn) recv(b []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	n := 0
	if len(b) == 0 { // as net's: it waits for nothing, and gVisor takes it for a bad buffer
		if c.isClosed() {
			return 0, net.ErrClosed
		}
		return 0, nil
	}
	err := c.retry("recv", waiter.ReadableEvents, c.readBy, func() tcpip.Error {
		w := tcpip.SliceWriter(b)
		res, terr := c.ep.Read(&w, tcpip.ReadOptions{})
		n = res.Count
		return terr
	})
	if n > 0 {
		c.ep.ModerateRecvBuf(n)
	}
	return n, err
}

// Write sends all of b, waiting for room in the send buffer.
func (c *Conn) Write(b []byte) (int, error) {
	n := 0
	call := c.rec.call("send", sendArgs(c.rec, b)...)
	err := call.run(func() (err error) {
		n, err = c.send(b)
		call.moved(n, nil)
		return err
	})
	return n, c.opError("write", err)
}

func (c *Conn) send(b []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	sent := 0
	if c.isClosed() {
		return 0, net.ErrClosed
	}
	for sent < len(b) {
		err := c.retry("send", waiter.WritableEvents, c.writeBy, func() tcpip.Error {
			n, terr := c.ep.Write(bytes.NewReader(b[sent:]), tcpip.WriteOptions{})
			sent += int(n)
			return terr
		})
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// opError dresses an error as net's connections do; nil stays nil.
func (c *Conn) opError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// CloseWrite shuts down the sending side (a FIN, after what is queued): RFC 9293's
// CLOSE of one direction, Python's shutdown(SHUT_WR).
func (c *Conn) CloseWrite() error { return c.shutdown("SHUT_WR", tcpip.ShutdownWrite) }

// CloseRead shuts down the receiving side. The peer is not told.
func (c *Conn) CloseRead() error { return c.shutdown("SHUT_RD", tcpip.ShutdownRead) }

func (c *Conn) shutdown(how string, flags tcpip.ShutdownFlags) error {
	call := c.rec.call("shutdown", tracer.Arg{Name: "how", Value: how})
	return c.opError("shutdown", call.run(func() error {
		if c.isClosed() {
			return net.ErrClosed
		}
		defer c.stack.ends.tell(c.ep) // what is not read dies with it, and gVisor tells nobody
		return goError("shutdown", c.ep.Shutdown(flags))
	}))
}

// SetLinger decides what Close does: below 0, the default, it sends what is queued
// and a FIN in the background; 0 discards what is queued and sends RST. A wait
// above 0 is not to be had and gives the default.
func (c *Conn) SetLinger(sec int) error {
	c.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: sec == 0})
	c.rec.done("setsockopt", tracer.Arg{Name: "option", Value: "SO_LINGER"}, tracer.Arg{Name: "value", Value: int64(sec)})
	return nil
}

// Close closes the connection; what is queued is still sent, and then a FIN. With
// bytes received and not read, or linger 0, it sends RST. It errs with
// net.ErrClosed the second time.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.closeOnce.Do(func() {
		c.stack.disown(c)
		c.end()
		err = c.rec.call("close").run(func() error { c.ep.Close(); return nil })
	})
	return c.opError("close", err) // the stack's Close may come before the addresses are known
}

// Abort resets the connection: Close with linger 0.
func (c *Conn) Abort() error {
	if err := c.SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

// LocalAddr returns the connection's own address, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return tcpAddr(c.local) }

// RemoteAddr returns the peer's address, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return tcpAddr(c.remote) }

// TraceConn returns the connection's id in the trace; 0 when tracing is off.
func (c *Conn) TraceConn() uint32 { return c.rec.connID() }

// State returns the connection's state now, by RFC 9293.
func (c *Conn) State() tracer.State { return rfcState(c.ep.EndpointState()) }
