package netstack

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// SetNoDelay tells whether small segments go out at once (TCP_NODELAY), rather than by
// Nagle's algorithm (RFC 9293, 3.7.4). Turning it on sends what waits.
func (c *Conn) SetNoDelay(on bool) error {
	return c.setOption("TCP_NODELAY", toInt(on), func() { c.ep.SocketOptions().SetDelayOption(!on) })
}

// SetCork holds back what does not fill a segment (TCP_CORK) until it is taken off
// again, or 200 ms have passed.
func (c *Conn) SetCork(on bool) error {
	return c.setOption("TCP_CORK", toInt(on), func() { c.ep.SocketOptions().SetCorkOption(on) })
}

// SetReadBuffer fixes the receive buffer's size, in bytes (SO_RCVBUF); the stack no
// longer tunes it. A size out of the stack's range becomes the nearest within, as in Linux.
func (c *Conn) SetReadBuffer(bytes int) error {
	low, high := c.ep.SocketOptions().ReceiveBufferLimits()
	bytes = within(bytes, low, high)
	return c.setOption("SO_RCVBUF", int64(bytes), func() { c.ep.SocketOptions().SetReceiveBufferSize(int64(bytes), true) })
}

// SetWriteBuffer fixes the send buffer's size, in bytes (SO_SNDBUF); the stack no
// longer tunes it. A size out of the stack's range becomes the nearest within, as in Linux.
func (c *Conn) SetWriteBuffer(bytes int) error {
	low, high := c.ep.SocketOptions().SendBufferLimits()
	bytes = within(bytes, low, high)
	return c.setOption("SO_SNDBUF", int64(bytes), func() { c.ep.SocketOptions().SetSendBufferSize(int64(bytes), true) })
}

// SetKeepAlive starts keep-alives; a zero Interval or Count means gVisor's default. An
// Idle of 0 ends them.
func (c *Conn) SetKeepAlive(k Keepalive) error {
	if k.Idle < 0 || k.Interval < 0 || k.Count < 0 {
		return c.opError("setsockopt", fmt.Errorf("keep-alive of %s every %s, %d times: want no negative number: %w",
			k.Idle, k.Interval, k.Count, os.NewSyscallError("setsockopt", syscall.EINVAL)))
	}
	set := func() error {
		if k.Idle == 0 {
			c.ep.SocketOptions().SetKeepAlive(false)
			return nil
		}
		return k.set(c.ep)
	}
	return c.opError("setsockopt", c.rec.quick("setsockopt", set,
		tracer.Arg{Name: "option", Value: "SO_KEEPALIVE"}, tracer.Arg{Name: "value", Value: k.Idle.Round(time.Millisecond).String()}))
}

// setOption sets an option that may make the stack send: the segment stands between
// the call and its return.
func (c *Conn) setOption(name string, value int64, set func()) error {
	call := c.rec.call("setsockopt", tracer.Arg{Name: "option", Value: name}, tracer.Arg{Name: "value", Value: value})
	return call.run(func() error { set(); return nil })
}

// within returns the number in low to high that is nearest to n.
func within(n int, low, high int64) int { return int(min(max(int64(n), low), high)) }

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Retransmits returns how many segments the connection has sent again so far.
func (c *Conn) Retransmits() uint64 {
	return c.ep.Stats().(*tcp.Stats).SendErrors.Retransmits.Value() //nolint:forcetypeassert // the only type it returns
}

// Congestion returns the name of the connection's congestion control: "cubic" or "reno".
func (c *Conn) Congestion() string {
	var name tcpip.CongestionControlOption
	if err := c.ep.GetSockOpt(&name); err != nil {
		panic(fmt.Sprintf("netstack: congestion control of a TCP endpoint: %s", err)) // it always has one
	}
	return string(name)
}
