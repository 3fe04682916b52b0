package kernel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"appliance/tracer"
)

// sock is a socket of the kernel's. Calls on it wait in Go's poller.
type sock struct {
	host         *Host
	family, kind int
	conn, parent uint32 // in the trace
	file         *os.File
	raw          syscall.RawConn

	mu            sync.Mutex // guards the addresses, and deadlines against close
	local, remote netip.AddrPort

	// Calls in progress hold ops for reading, so that close(2) comes after them, in close.
	ops     sync.RWMutex
	isClose atomic.Bool
}

// use takes a descriptor over; it closes it where it errs.
func (s *sock) use(fd int) (err error) {
	s.file = os.NewFile(uintptr(fd), "socket")
	if s.raw, err = s.file.SyscallConn(); err == nil {
		err = s.host.own(s)
	}
	if err != nil {
		return errors.Join(err, s.file.Close())
	}
	return nil
}

func (s *sock) addrs() (local, remote netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.local, s.remote
}

// learn asks the kernel for the socket's own address.
func (s *sock) learn(fd int, remote netip.AddrPort) error {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.local, s.remote = fromSockaddr(sa), remote
	return nil
}

// wait makes a call until it no longer would block: f, when the socket is readable or
// writable. It errs as the call did, at the deadline, and with net.ErrClosed once the
// socket is closed.
func (s *sock) wait(readable bool, name string, f func(fd int) error) error {
	s.ops.RLock()
	defer s.ops.RUnlock()
	if s.isClose.Load() {
		return net.ErrClosed
	}
	until := s.raw.Write
	if readable {
		until = s.raw.Read
	}
	var err error
	werr := until(func(fd uintptr) bool {
		for {
			if err = f(int(fd)); !errors.Is(err, unix.EINTR) { //nolint:gosec // a descriptor
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	})
	switch {
	case s.isClose.Load() && (werr != nil || err != nil):
		return net.ErrClosed
	case werr != nil:
		return werr
	}
	return syscallError(name, err)
}

// control makes a call that does not wait.
func (s *sock) control(f func(fd int) error) error {
	s.ops.RLock()
	defer s.ops.RUnlock()
	if s.isClose.Load() {
		return net.ErrClosed
	}
	var err error
	if cerr := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil { //nolint:gosec // a descriptor
		return cerr
	}
	return err
}

// changing makes a call that does not wait and may change the socket's state.
func (s *sock) changing(o *outcome, name string, f func(fd int) error) error {
	return s.control(func(fd int) error {
		return syscallError(name, s.host.changing(OwnCall{Conn: s.conn, N: o.n, Name: name}, func() error { return f(fd) }))
	})
}

// syscallError is an errno under its call's name; other errors, and nil, stay as they are.
func syscallError(name string, err error) error {
	if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // unix returns it bare
		return os.NewSyscallError(name, errno)
	}
	return err
}

// bind gives the socket its address, which may be one that a connection had just now.
func (s *sock) bind(at netip.AddrPort, dual bool) error {
	err := s.control(func(fd int) error {
		if s.kind == unix.SOCK_STREAM {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
		if s.family != unix.AF_INET6 {
			return nil
		}
		only := 1
		if dual {
			only = 0
		}
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only))
	})
	if err != nil {
		return err
	}
	return s.quick("bind", func() error {
		return s.control(func(fd int) error {
			if err := unix.Bind(fd, sockaddr(at)); err != nil {
				return os.NewSyscallError("bind", err)
			}
			return s.learn(fd, netip.AddrPort{})
		})
	}, tracer.Arg{Name: "address", Value: at.String()})
}

// connect opens the connection and waits until it is made, fails, or ctx ends.
func (s *sock) connect(ctx context.Context, o *outcome, remote netip.AddrPort) error {
	defer context.AfterFunc(ctx, func() {
		_ = s.setDeadline(s.file.SetWriteDeadline, longAgo) // it errs once closed, which wakes connect too
	})()
	started := false
	err := s.wait(false, "connect", func(fd int) error {
		if started {
			return connected(fd)
		}
		started = true
		err := s.host.changing(OwnCall{Conn: s.conn, N: o.n, Name: "connect"}, func() error { return unix.Connect(fd, sockaddr(remote)) })
		switch {
		case err == nil, errors.Is(err, unix.EINPROGRESS), errors.Is(err, unix.EINTR):
		default:
			return err
		}
		// Now, as a connection that has failed forgets its port when asked for its error.
		if lerr := s.learn(fd, remote); lerr != nil {
			return lerr
		}
		if err == nil {
			return nil
		}
		return connected(fd)
	})
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

// connected tells whether a connection has been made: EAGAIN while it has not.
func connected(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if errno != 0 {
		return syscall.Errno(errno) //nolint:gosec // an errno
	}
	// The poller may wake up for nothing.
	if _, err := unix.Getpeername(fd); err != nil {
		if errors.Is(err, unix.ENOTCONN) {
			return unix.EAGAIN
		}
		return os.NewSyscallError("getpeername", err)
	}
	return nil
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// setDeadline sets a deadline, unless the socket is being closed, which uses it too.
func (s *sock) setDeadline(set func(time.Time) error, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClose.Load() {
		return net.ErrClosed
	}
	return set(t)
}

// close wakes every call that waits, and closes. It errs with net.ErrClosed the second time.
func (s *sock) close() error {
	s.mu.Lock()
	if s.isClose.Swap(true) {
		s.mu.Unlock()
		return net.ErrClosed
	}
	_ = s.file.SetDeadline(longAgo) // it errs where the poller has no socket: there nothing waits
	s.mu.Unlock()
	s.host.disown(s)
	return s.call("close", func(o *outcome) error {
		s.ops.Lock()
		defer s.ops.Unlock()
		return s.host.changing(OwnCall{Conn: s.conn, N: o.n, Name: "close"}, s.file.Close)
	})
}

// setLinger decides what close does: with linger 0 it sends RST.
func (s *sock) setLinger(sec int) error {
	return s.quick("setsockopt", func() error {
		return s.control(func(fd int) error {
			l := &unix.Linger{Linger: int32(max(sec, 0))} //nolint:gosec // seconds
			if sec >= 0 {
				l.Onoff = 1
			}
			return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, l))
		})
	}, tracer.Arg{Name: "option", Value: "SO_LINGER"}, tracer.Arg{Name: "value", Value: int64(sec)})
}
