package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"appliance/netstack"
)

// StackOptions are the settings of the sockets over the appliance's stack.
type StackOptions struct {
	// Local is the address to listen on. An unspecified address means any of its family.
	Local netip.Addr
}

// NewStack returns the sockets of a stack, which stays the caller's to close.
func NewStack(s *netstack.Stack, o StackOptions) Host {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &stackHost{stack: s, opts: o, ctx: ctx, cancel: cancel, open: map[io.Closer]struct{}{}}
}

// stackHost is a Host over the appliance's stack.
type stackHost struct {
	stack  *netstack.Stack
	opts   StackOptions
	ctx    context.Context // ends with Close: what connects gives up
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	open   map[io.Closer]struct{}
	closed bool
}

// Listen implements Host.
func (h *stackHost) Listen(port uint16, backlog int) (Listener, error) {
	network := "tcp6"
	if h.opts.Local.Is4() {
		network = "tcp4"
	}
	address := netip.AddrPortFrom(h.opts.Local, port).String()
	var l *netstack.Listener
	var err error
	if backlog == 0 {
		l, err = h.stack.Listen(network, address)
	} else {
		l, err = h.stack.ListenBacklog(network, address, backlog)
	}
	if err != nil {
		return nil, err
	}
	if err := h.own(l); err != nil {
		return nil, err
	}
	return &stackListener{l: l, host: h}, nil
}

// Connect implements Host.
func (h *stackHost) Connect(ctx context.Context, local, remote netip.AddrPort) (Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(net.ErrClosed) })()
	c, err := h.stack.DialTCP(ctx, local, remote)
	if err != nil {
		return nil, err
	}
	if err := h.own(c); err != nil {
		return nil, err
	}
	return &stackConn{c: c, host: h}, nil
}

// DialUDP implements Host.
func (h *stackHost) DialUDP(remote netip.AddrPort) (net.Conn, error) {
	c, err := h.stack.DialContext(h.ctx, "udp", remote.String())
	if err != nil {
		return nil, err
	}
	return c, h.own(c)
}

// ListenUDP implements Host.
func (h *stackHost) ListenUDP(port uint16) (net.PacketConn, error) {
	network := "udp6"
	if h.opts.Local.Is4() {
		network = "udp4"
	}
	c, err := h.stack.ListenPacket(network, netip.AddrPortFrom(h.opts.Local, port).String())
	if err != nil {
		return nil, err
	}
	return c, h.own(c)
}

// Close implements Host.
func (h *stackHost) Close() error {
	h.mu.Lock()
	h.closed = true
	open := h.open
	h.open = nil
	h.mu.Unlock()
	h.cancel(net.ErrClosed)
	var err error
	for c := range open {
		if e := c.Close(); !errors.Is(e, net.ErrClosed) { // its program was quicker
			err = errors.Join(err, e)
		}
	}
	return err
}

// own keeps a socket for Close; on a closed host it closes it and errs.
func (h *stackHost) own(c io.Closer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.Join(fmt.Errorf("open a socket: %w", net.ErrClosed), c.Close())
	}
	h.open[c] = struct{}{}
	return nil
}

func (h *stackHost) disown(c io.Closer) {
	h.mu.Lock()
	delete(h.open, c)
	h.mu.Unlock()
}

// stackListener is a Listener over the appliance's stack.
type stackListener struct {
	l    *netstack.Listener
	host *stackHost
}

// Accept implements Listener.
func (l *stackListener) Accept() (Conn, error) {
	c, err := l.l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	if err := l.host.own(c); err != nil {
		return nil, err
	}
	return &stackConn{c: c, host: l.host}, nil
}

// Close implements Listener.
func (l *stackListener) Close() error {
	l.host.disown(l.l)
	return l.l.Close()
}

// Net implements Listener.
func (l *stackListener) Net() net.Listener { return l.l }

// stackConn is a Conn over the appliance's stack.
type stackConn struct {
	c    *netstack.Conn
	host *stackHost
}

// Send implements Conn.
func (c *stackConn) Send(b []byte) (int, error) { return c.c.Write(b) }

// Recv implements Conn.
func (c *stackConn) Recv(b []byte) (int, error) { return c.c.Read(b) }

// Shutdown implements Conn.
func (c *stackConn) Shutdown() error { return c.c.CloseWrite() }

// Close implements Conn.
func (c *stackConn) Close() error {
	c.host.disown(c.c)
	return c.c.Close()
}

// Abort implements Conn.
func (c *stackConn) Abort() error {
	c.host.disown(c.c)
	return c.c.Abort()
}

// Set implements Conn. gVisor has no use for TCP_QUICKACK and TCP_DEFER_ACCEPT of a
// connection: they err with errors.ErrUnsupported.
func (c *stackConn) Set(option, value string) error {
	switch option {
	case "nodelay":
		return c.c.SetNoDelay(true)
	case "cork":
		return c.c.SetCork(true)
	case "uncork":
		return c.c.SetCork(false)
	case "rcvbuf", "sndbuf":
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("set %s=%s: want a number of bytes: %w", option, value, err)
		}
		if option == "rcvbuf" {
			return c.c.SetReadBuffer(n)
		}
		return c.c.SetWriteBuffer(n)
	case "keepalive":
		idle, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("set keepalive=%s: want a time, such as 10s: %w", value, err)
		}
		return c.c.SetKeepAlive(netstack.Keepalive{Idle: idle, Interval: idle})
	default:
		return fmt.Errorf("set %s: the appliance's stack has no such option of a connection: %w", option, errors.ErrUnsupported)
	}
}

// Net implements Conn.
func (c *stackConn) Net() net.Conn { return c.c }

// LocalAddr implements Conn.
func (c *stackConn) LocalAddr() netip.AddrPort { return addrPort(c.c.LocalAddr()) }

// RemoteAddr implements Conn.
func (c *stackConn) RemoteAddr() netip.AddrPort { return addrPort(c.c.RemoteAddr()) }

// addrPort is the address of a TCP socket.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return netip.AddrPort{}
}
