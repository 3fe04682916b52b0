package netstack

import (
	"fmt"
	"os"
	"syscall"
	"time"

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
// longer tunes it. It errs where the size is out of the stack's range.
func (c *Conn) SetReadBuffer(bytes int) error {
	low, high := c.ep.SocketOptions().ReceiveBufferLimits()
	if err := inRange("receive buffer", bytes, low, high); err != nil {
		return c.opError("setsockopt", err)
	}
	return c.setOption("SO_RCVBUF", int64(bytes), func() { c.ep.SocketOptions().SetReceiveBufferSize(int64(bytes), true) })
}

// SetWriteBuffer fixes the send buffer's size, in bytes (SO_SNDBUF); the stack no
// longer tunes it. It errs where the size is out of the stack's range.
func (c *Conn) SetWriteBuffer(bytes int) error {
	low, high := c.ep.SocketOptions().SendBufferLimits()
	if err := inRange("send buffer", bytes, low, high); err != nil {
		return c.opError("setsockopt", err)
	}
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

func inRange(what string, n int, low, high int64) error {
	if int64(n) < low || int64(n) > high {
		return fmt.Errorf("%s of %d bytes: want %d to %d: %w", what, n, low, high, os.NewSyscallError("setsockopt", syscall.EINVAL))
	}
	return nil
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
