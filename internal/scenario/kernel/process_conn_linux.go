package kernel

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"appliance/internal/scenario/host"
)

// unsupported says that the process's sockets cannot do it.
func unsupported(what string) error {
	return fmt.Errorf("%s in a process that can exit or be killed: %w", what, errors.ErrUnsupported)
}

// Listen implements host.Host.
func (p *Process) Listen(port uint16, backlog int) (host.Listener, error) {
	if backlog == 0 {
		backlog = 128
	}
	at := p.opts.Local4
	if !at.IsValid() {
		at = p.opts.Local6
	}
	if !at.IsValid() {
		at = netip.IPv6Unspecified()
	}
	a, err := p.do(context.Background(), "listen", map[string]any{"host": at.String(), "port": port, "backlog": backlog})
	if err != nil {
		return nil, err
	}
	return &processListener{p: p, socket: a.Socket, local: netip.AddrPort(a.Local)}, nil
}

// Connect implements host.Host. An attempt that is given up goes on in the process, until
// that ends.
func (p *Process) Connect(ctx context.Context, local, remote netip.AddrPort) (host.Conn, error) {
	args := map[string]any{"host": remote.Addr().String(), "port": remote.Port()}
	if local.IsValid() {
		args["from"] = []any{local.Addr().String(), local.Port()}
	}
	a, err := p.do(ctx, "connect", args)
	if err != nil {
		return nil, err
	}
	return p.conn(a), nil
}

func (p *Process) conn(a answer) *processConn {
	return &processConn{p: p, socket: a.Socket, local: netip.AddrPort(a.Local), remote: netip.AddrPort(a.Remote)}
}

// DialUDP implements host.Host: it errs.
func (*Process) DialUDP(netip.AddrPort) (net.Conn, error) { return nil, unsupported("UDP") }

// ListenUDP implements host.Host: it errs.
func (*Process) ListenUDP(uint16) (net.PacketConn, error) { return nil, unsupported("UDP") }

// processListener is a listener of a process's.
type processListener struct {
	p      *Process
	socket int
	local  netip.AddrPort
}

func (l *processListener) Accept() (host.Conn, error) {
	a, err := l.p.do(context.Background(), "accept", map[string]any{"socket": l.socket})
	if err != nil {
		return nil, err
	}
	return l.p.conn(a), nil
}

func (l *processListener) Close() error {
	_, err := l.p.do(context.Background(), "close", map[string]any{"socket": l.socket})
	return err
}

func (l *processListener) Net() net.Listener { return processNetListener{l} }

// processConn is a connection of a process's.
type processConn struct {
	p             *Process
	socket        int
	local, remote netip.AddrPort
}

func (c *processConn) do(what string, args map[string]any) (answer, error) {
	if args == nil {
		args = map[string]any{}
	}
	args["socket"] = c.socket
	return c.p.do(context.Background(), what, args)
}

func (c *processConn) Send(b []byte) (int, error) {
	if _, err := c.do("send", map[string]any{"data": hex.EncodeToString(b)}); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *processConn) Recv(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	a, err := c.do("recv", map[string]any{"bytes": len(b)})
	if err != nil {
		return 0, err
	}
	data, err := hex.DecodeString(a.Data)
	switch {
	case err != nil:
		return 0, fmt.Errorf("process %d: recv: %w", c.p.pid, err)
	case len(data) == 0:
		return 0, io.EOF
	}
	return copy(b, data), nil
}

func (c *processConn) Shutdown() error { _, err := c.do("shutdown", nil); return err }
func (c *processConn) Close() error    { _, err := c.do("close", nil); return err }
func (*processConn) Abort() error      { return unsupported("abort") }

func (*processConn) Set(option, _ string) error { return unsupported("set " + option) }

func (c *processConn) LocalAddr() netip.AddrPort  { return c.local }
func (c *processConn) RemoteAddr() netip.AddrPort { return c.remote }
func (c *processConn) Net() net.Conn              { return processNetConn{c} }

// processNetConn is a processConn as a net.Conn, without deadlines.
type processNetConn struct{ c *processConn }

func (n processNetConn) Read(b []byte) (int, error)  { return n.c.Recv(b) }
func (n processNetConn) Write(b []byte) (int, error) { return n.c.Send(b) }
func (n processNetConn) Close() error                { return n.c.Close() }
func (n processNetConn) CloseWrite() error           { return n.c.Shutdown() }
func (n processNetConn) LocalAddr() net.Addr         { return net.TCPAddrFromAddrPort(n.c.local) }

func (n processNetConn) RemoteAddr() net.Addr           { return net.TCPAddrFromAddrPort(n.c.remote) }
func (processNetConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (processNetConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (processNetConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// processNetListener is a processListener as a net.Listener.
type processNetListener struct{ l *processListener }

func (n processNetListener) Accept() (net.Conn, error) {
	a, err := n.l.Accept()
	if err != nil {
		return nil, err
	}
	return a.Net(), nil
}

func (n processNetListener) Close() error   { return n.l.Close() }
func (n processNetListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(n.l.local) }
