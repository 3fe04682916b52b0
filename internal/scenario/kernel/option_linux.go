package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// setCongestion takes CUBIC, whatever the host's default is, so that a trace does not
// depend on it (BBR paces what it sends); Reno where the kernel has no CUBIC for us.
func setCongestion(fd int) error {
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic"); err == nil {
		return nil
	}
	return os.NewSyscallError("setsockopt TCP_CONGESTION", unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno"))
}

// intOption is an option of the step "set" that is one number.
type intOption struct {
	name        string // as the trace shows it
	level, code int
	value       int
	given       bool // value is the step's: bytes
}

var intOptions = map[string]intOption{
	"nodelay":    {name: "TCP_NODELAY", level: unix.IPPROTO_TCP, code: unix.TCP_NODELAY, value: 1},
	"cork":       {name: "TCP_CORK", level: unix.IPPROTO_TCP, code: unix.TCP_CORK, value: 1},
	"uncork":     {name: "TCP_CORK", level: unix.IPPROTO_TCP, code: unix.TCP_CORK, value: 0},
	"quickack":   {name: "TCP_QUICKACK", level: unix.IPPROTO_TCP, code: unix.TCP_QUICKACK, value: 1},
	"noquickack": {name: "TCP_QUICKACK", level: unix.IPPROTO_TCP, code: unix.TCP_QUICKACK, value: 0},
	"rcvbuf":     {name: "SO_RCVBUF", level: unix.SOL_SOCKET, code: unix.SO_RCVBUF, given: true},
	"sndbuf":     {name: "SO_SNDBUF", level: unix.SOL_SOCKET, code: unix.SO_SNDBUF, given: true},
	// In seconds, which the kernel makes a number of SYN+ACKs of: 1 is the least.
	"defer-accept": {name: "TCP_DEFER_ACCEPT", level: unix.IPPROTO_TCP, code: unix.TCP_DEFER_ACCEPT, value: 1},
}

// set sets an option of the step "set".
func (s *sock) set(option, value string) error {
	if option == "keepalive" {
		return s.setKeepalive(value)
	}
	o, ok := intOptions[option]
	if !ok {
		return fmt.Errorf("the kernel's sockets have no such option here: %w", errors.ErrUnsupported)
	}
	if o.given {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return fmt.Errorf("%q is no number of bytes: %w", value, errors.Join(err, os.ErrInvalid))
		}
		o.value = n
	}
	return s.option(o.name, int64(o.value), func(fd int) error { return unix.SetsockoptInt(fd, o.level, o.code, o.value) })
}

// setKeepalive starts keep-alives after so long a silence, and as far apart.
func (s *sock) setKeepalive(value string) error {
	d, err := time.ParseDuration(value)
	n, whole := seconds(d)
	if err != nil || !whole {
		return fmt.Errorf("%q is no time in whole seconds, such as 10s: %w", value, errors.Join(err, os.ErrInvalid))
	}
	return s.option("SO_KEEPALIVE", d.String(), func(fd int) error {
		for _, o := range []intOption{
			{level: unix.IPPROTO_TCP, code: unix.TCP_KEEPIDLE, value: n},
			{level: unix.IPPROTO_TCP, code: unix.TCP_KEEPINTVL, value: n},
			{level: unix.SOL_SOCKET, code: unix.SO_KEEPALIVE, value: 1},
		} {
			if err := unix.SetsockoptInt(fd, o.level, o.code, o.value); err != nil {
				return err
			}
		}
		return nil
	})
}
