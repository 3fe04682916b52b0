package kernel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/scenario/host"
	"appliance/tracer"
)

// conn is a TCP connection of the kernel's.
type conn struct{ s *sock }

var _ host.Conn = (*conn)(nil)

// fail dresses an error with what was tried; nil stays nil.
func (c *conn) fail(what string, err error) error {
	if err == nil {
		return nil
	}
	local, remote := c.s.addrs()
	return fmt.Errorf("%s, %s to %s: %w", what, local, remote, err)
}

// Send implements host.Conn.
func (c *conn) Send(b []byte) (int, error) {
	n, err := c.send(b)
	return n, c.fail("send", err)
}

// send ends a record: a segment that waits for the link is not made longer by what is sent
// next, so that each send is a segment of its own, on a busy machine too.
func (c *conn) send(b []byte) (int, error) {
	sent := 0
	err := c.s.call("send", func(o *outcome) error {
		err := c.s.wait(false, "send", func(fd int) error {
			for sent < len(b) {
				n, err := unix.SendmsgN(fd, b[sent:], nil, nil, unix.MSG_NOSIGNAL|unix.MSG_EOR)
				if err != nil {
					return err
				}
				sent += n
			}
			return nil
		})
		o.moved(sent, nil)
		return err
	}, tracer.SendArgs(b)...)
	return sent, err
}

// Recv implements host.Conn.
func (c *conn) Recv(b []byte) (int, error) {
	n, err := c.recv(b)
	if errors.Is(err, io.EOF) {
		return n, err
	}
	return n, c.fail("receive", err)
}

func (c *conn) recv(b []byte) (int, error) {
	got := 0
	err := c.s.call("recv", func(o *outcome) error {
		err := c.s.wait(true, "recv", func(fd int) error {
			n, _, err := unix.Recvfrom(fd, b, 0)
			got = max(n, 0)
			return err
		})
		o.moved(got, b[:got])
		return err
	}, tracer.Arg{Name: "bufsize", Value: int64(len(b))})
	if err == nil && got == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return got, err
}

// Shutdown implements host.Conn.
func (c *conn) Shutdown() error { return c.fail("shut down", c.shutdown("SHUT_WR", unix.SHUT_WR)) }

func (c *conn) shutdown(name string, how int) error {
	return c.s.call("shutdown", func(o *outcome) error {
		return c.s.changing(o, "shutdown", func(fd int) error { return unix.Shutdown(fd, how) })
	}, tracer.Arg{Name: "how", Value: name})
}

// Close implements host.Conn.
func (c *conn) Close() error { return c.fail("close", c.s.close()) }

// Abort implements host.Conn.
func (c *conn) Abort() error {
	return c.fail("abort", errors.Join(c.s.setLinger(0), c.s.close()))
}

// Set implements host.Conn.
func (c *conn) Set(option, value string) error { return c.fail("set "+option, c.s.set(option, value)) }

// LocalAddr implements host.Conn.
func (c *conn) LocalAddr() netip.AddrPort { a, _ := c.s.addrs(); return a }

// RemoteAddr implements host.Conn.
func (c *conn) RemoteAddr() netip.AddrPort { _, a := c.s.addrs(); return a }

// Net implements host.Conn.
func (c *conn) Net() net.Conn { return netConn{deadlines{c.s}, c} }

// listener is a listening TCP socket of the kernel's.
type listener struct{ s *sock }

var _ host.Listener = (*listener)(nil)

// Accept implements host.Listener.
func (l *listener) Accept() (host.Conn, error) {
	c, err := l.accept()
	if err != nil {
		local, _ := l.s.addrs()
		return nil, fmt.Errorf("accept on %s: %w", local, err)
	}
	return c, nil
}

func (l *listener) accept() (*conn, error) {
	s := &sock{host: l.s.host, kind: l.s.kind, family: l.s.family, parent: l.s.conn}
	err := l.s.call("accept", func(o *outcome) error {
		fd := -1
		err := l.s.wait(true, "accept", func(at int) error {
			for {
				n, sa, err := unix.Accept4(at, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				if errors.Is(err, unix.ECONNABORTED) { // it came, and was gone before it was taken
					continue
				}
				if err == nil {
					fd, s.remote = n, fromSockaddr(sa)
				}
				return err
			}
		})
		if err != nil {
			return err
		}
		if rec := s.host.opts.Recorder; rec != nil {
			s.conn = rec.NewConn()
		}
		if err := s.learn(fd, s.remote); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		if err := s.use(fd); err != nil {
			return err
		}
		o.result, o.conn = s.remote.String(), s.conn
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &conn{s: s}, nil
}

// Set sets an option that the connections get: rcvbuf, sndbuf and defer-accept have to
// stand before they come.
func (l *listener) Set(option, value string) error {
	if err := l.s.set(option, value); err != nil {
		local, _ := l.s.addrs()
		return fmt.Errorf("set %s of the listener on %s: %w", option, local, err)
	}
	return nil
}

// Close implements host.Listener.
func (l *listener) Close() error {
	if err := l.s.close(); err != nil {
		local, _ := l.s.addrs()
		return fmt.Errorf("close the listener on %s: %w", local, err)
	}
	return nil
}

// Net implements host.Listener.
func (l *listener) Net() net.Listener { return netListener{l} }

// deadlines are a socket's.
type deadlines struct{ s *sock }

func (d deadlines) SetDeadline(t time.Time) error { return d.s.setDeadline(d.s.file.SetDeadline, t) }

func (d deadlines) SetReadDeadline(t time.Time) error {
	return d.s.setDeadline(d.s.file.SetReadDeadline, t)
}

func (d deadlines) SetWriteDeadline(t time.Time) error {
	return d.s.setDeadline(d.s.file.SetWriteDeadline, t)
}
