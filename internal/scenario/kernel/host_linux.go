package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"appliance/internal/lab"
	"appliance/internal/scenario/host"
	"appliance/tracer"
)

// Host opens the kernel's sockets on the Linux side of a lab and records every call, under
// the names and with the arguments that the appliance's own sockets have.
type Host struct {
	lab  *lab.Lab
	opts Options

	mu     sync.Mutex
	open   map[*sock]struct{}
	calls  []OwnCall
	next   []option // to set on the next TCP socket
	closed bool
}

// option is one that a step "set" names.
type option struct{ name, value string }

var _ host.Host = (*Host)(nil)

// New returns the sockets of a lab's Linux side. It errs for a lab that a holder holds:
// only processes can be brought there.
func New(l *lab.Lab, o Options) (*Host, error) {
	if l.Held() {
		return nil, fmt.Errorf("open sockets in lab %s: its holder process alone is in there: make a temporary lab: %w",
			l.Name(), errors.ErrUnsupported)
	}
	if o.Stack == "" {
		o.Stack = StackName
	}
	return &Host{lab: l, opts: o, open: map[*sock]struct{}{}}, nil
}

// Calls are the calls so far that may have changed a socket's state: what [Reconcile]
// knows the sockets of this Host by.
func (h *Host) Calls() []OwnCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Prepare sets an option, as host.Conn's Set does, on the next TCP socket, before it is bound,
// listens or connects. What is wrong with it the call that makes the socket tells.
func (h *Host) Prepare(name, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = append(h.next, option{name, value})
}

// Close implements host.Host.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	open := h.open
	h.open = nil
	h.mu.Unlock()
	var err error
	for s := range open {
		if e := s.close(); !errors.Is(e, net.ErrClosed) { // its program was quicker
			err = errors.Join(err, e)
		}
	}
	return err
}

// own keeps a socket for Close.
func (h *Host) own(s *sock) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return net.ErrClosed
	}
	h.open[s] = struct{}{}
	return nil
}

func (h *Host) disown(s *sock) {
	h.mu.Lock()
	delete(h.open, s)
	h.mu.Unlock()
}

// changing makes a system call that may change a socket's state, on one thread, and
// notes which and when: the tracepoint names the thread.
func (h *Host) changing(k OwnCall, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	k.Thread, k.Enter = unix.Gettid(), monotonic()
	err := f()
	k.Return = monotonic()
	h.mu.Lock()
	h.calls = append(h.calls, k)
	h.mu.Unlock()
	return err
}

// anyLocal is the address to listen on.
func (h *Host) anyLocal() netip.Addr {
	four, six := h.opts.Local4, h.opts.Local6
	switch {
	case four.IsValid() && !six.IsValid():
		return four
	case six.IsValid() && !four.IsValid():
		return six
	default:
		return netip.IPv6Unspecified()
	}
}

// dual tells whether a socket on address a takes IPv4 and IPv6.
func (h *Host) dual(a netip.Addr) bool {
	return a == netip.IPv6Unspecified() && h.opts.Local4.IsValid() == h.opts.Local6.IsValid()
}

// socket makes a socket in the lab's namespace. kind is SOCK_STREAM or SOCK_DGRAM.
func (h *Host) socket(family, kind int) (*sock, error) {
	s := &sock{host: h, kind: kind, family: family}
	if h.opts.Recorder != nil {
		s.conn = h.opts.Recorder.NewConn()
	}
	name, typ := "AF_INET", "SOCK_STREAM"
	if family == unix.AF_INET6 {
		name = "AF_INET6"
	}
	if kind == unix.SOCK_DGRAM {
		typ = "SOCK_DGRAM"
	}
	fd := -1
	err := s.quick("socket", func() error {
		return h.lab.Do(func() (err error) {
			fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			return os.NewSyscallError("socket", err)
		})
	}, tracer.Arg{Name: "family", Value: name}, tracer.Arg{Name: "type", Value: typ})
	if err != nil {
		return nil, err
	}
	return s, s.use(fd)
}

// stream makes a TCP socket.
func (h *Host) stream(a netip.Addr) (*sock, error) {
	s, err := h.socket(familyOf(a), unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	err = s.control(setCongestion)
	h.mu.Lock()
	prepared := h.next
	h.next = nil
	h.mu.Unlock()
	for _, o := range prepared {
		if err == nil {
			err = s.set(o.name, o.value)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// Listen implements host.Host.
func (h *Host) Listen(port uint16, backlog int) (host.Listener, error) {
	at := netip.AddrPortFrom(h.anyLocal(), port)
	if backlog == 0 {
		backlog = 128
	}
	l, err := h.listen(at, backlog)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, err)
	}
	return l, nil
}

func (h *Host) listen(at netip.AddrPort, backlog int) (*listener, error) {
	s, err := h.stream(at.Addr())
	if err != nil {
		return nil, err
	}
	err = s.bind(at, h.dual(at.Addr()))
	if err == nil {
		err = s.call("listen", func(o *outcome) error {
			return s.changing(o, "listen", func(fd int) error { return unix.Listen(fd, backlog) })
		}, tracer.Arg{Name: "backlog", Value: int64(backlog)})
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &listener{s: s}, nil
}

// Connect implements host.Host.
func (h *Host) Connect(ctx context.Context, local, remote netip.AddrPort) (host.Conn, error) {
	c, err := h.connect(ctx, local, remote)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", remote, err)
	}
	return c, nil
}

func (h *Host) connect(ctx context.Context, local, remote netip.AddrPort) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	s, err := h.stream(remote.Addr())
	if err != nil {
		return nil, err
	}
	if local.IsValid() {
		err = s.bind(local, false)
	}
	if err == nil {
		err = s.call("connect", func(o *outcome) error { return s.connect(ctx, o, remote) },
			tracer.Arg{Name: "address", Value: remote.String()})
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &conn{s: s}, nil
}

// DialUDP implements host.Host.
func (h *Host) DialUDP(remote netip.AddrPort) (net.Conn, error) {
	s, err := h.socket(familyOf(remote.Addr()), unix.SOCK_DGRAM)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", remote, err)
	}
	err = s.quick("connect", func() error {
		return s.control(func(fd int) error {
			if err := unix.Connect(fd, sockaddr(remote)); err != nil {
				return os.NewSyscallError("connect", err)
			}
			return s.learn(fd, remote)
		})
	}, tracer.Arg{Name: "address", Value: remote.String()})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", remote, errors.Join(err, s.close()))
	}
	return &packetConn{deadlines{s}}, nil
}

// ListenUDP implements host.Host.
func (h *Host) ListenUDP(port uint16) (net.PacketConn, error) {
	at := netip.AddrPortFrom(h.anyLocal(), port)
	s, err := h.socket(familyOf(at.Addr()), unix.SOCK_DGRAM)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, err)
	}
	if err := s.bind(at, h.dual(at.Addr())); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, errors.Join(err, s.close()))
	}
	return &packetConn{deadlines{s}}, nil
}
