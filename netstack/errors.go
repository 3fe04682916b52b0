package netstack

import (
	"errors"
	"io"
	"os"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// errTimeout is what a deadline gives: net.Error with Timeout, and os.ErrDeadlineExceeded.
var errTimeout = os.ErrDeadlineExceeded

// errnoOf maps gVisor's errors to the errno that Linux gives in their place.
func errnoOf(err tcpip.Error) (syscall.Errno, bool) {
	switch err.(type) {
	case *tcpip.ErrAborted, *tcpip.ErrConnectionAborted:
		return syscall.ECONNABORTED, true
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED, true
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET, true
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT, true
	case *tcpip.ErrHostUnreachable, *tcpip.ErrHostDown:
		return syscall.EHOSTUNREACH, true
	case *tcpip.ErrNetworkUnreachable, *tcpip.ErrNoNet:
		return syscall.ENETUNREACH, true
	case *tcpip.ErrPortInUse:
		return syscall.EADDRINUSE, true
	case *tcpip.ErrBadLocalAddress, *tcpip.ErrNoPortAvailable:
		return syscall.EADDRNOTAVAIL, true
	case *tcpip.ErrClosedForSend:
		return syscall.EPIPE, true
	case *tcpip.ErrNotConnected, *tcpip.ErrInvalidEndpointState:
		return syscall.ENOTCONN, true
	case *tcpip.ErrMessageTooLong:
		return syscall.EMSGSIZE, true
	case *tcpip.ErrBroadcastDisabled:
		return syscall.EACCES, true
	case *tcpip.ErrAlreadyConnected:
		return syscall.EISCONN, true
	case *tcpip.ErrNoBufferSpace:
		return syscall.ENOBUFS, true
	default:
		return 0, false
	}
}

// goError is gVisor's error as Go's net package would give it for the system
// call of that name; nil for nil.
func goError(call string, err tcpip.Error) error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrClosedForReceive:
		return io.EOF
	}
	if errno, ok := errnoOf(err); ok {
		return os.NewSyscallError(call, errno)
	}
	return errors.New(err.String())
}
