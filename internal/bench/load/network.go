package load

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Network is where an end's sockets are.
type Network interface {
	// Listen listens on a TCP port, at every address.
	Listen(ctx context.Context, port uint16) (net.Listener, error)
	// Dial connects by TCP.
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// Kernel is the kernel's sockets, in the network namespace of the calling thread or,
// in a process that was started in one, of the process.
type Kernel struct {
	// Congestion is the congestion control of every socket: a new network namespace
	// has the host's, which may be anything. "" leaves it.
	Congestion string
}

// Listen implements Network.
func (k Kernel) Listen(ctx context.Context, port uint16) (net.Listener, error) {
	c := net.ListenConfig{Control: k.control}
	return c.Listen(ctx, "tcp4", netip.AddrPortFrom(netip.IPv4Unspecified(), port).String())
}

// Dial implements Network.
func (k Kernel) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Control: k.control, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	return d.DialContext(ctx, "tcp", to.String())
}

func (k Kernel) control(_, _ string, raw syscall.RawConn) error {
	if k.Congestion == "" {
		return nil
	}
	var err error
	if e := raw.Control(func(fd uintptr) { err = setCongestion(int(fd), k.Congestion) }); e != nil {
		return e
	}
	return err
}

// Count is how much an end had moved at a moment.
type Count struct {
	Bytes uint64
	// At is the moment, by this process's monotonic clock; CPU the processor time
	// that the process had used by then, in user and kernel mode.
	At, CPU time.Duration
}

var processStart = time.Now()

// ProcessorTime is what this process has used, with what the kernel did on its behalf.
func ProcessorTime() (time.Duration, error) { return cpuTime() }

func countNow(bytes uint64) (Count, error) {
	cpu, err := cpuTime()
	return Count{Bytes: bytes, At: time.Since(processStart), CPU: cpu}, err
}
