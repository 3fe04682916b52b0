package runner

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestAdvised: what a connection failed of is said with what to do, and is still found.
func TestAdvised(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, c := range []struct {
		err    error
		advice string
	}{
		{dial(syscall.ECONNREFUSED), "start the server first"},
		{dial(syscall.ENETUNREACH), "name a route"},
		{dial(syscall.EHOSTUNREACH), "or for the gateway"},
		{dial(syscall.ETIMEDOUT), "whether the other end is up"},
		{dial(syscall.EADDRINUSE), ""},
		{&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNREFUSED}, ""},
		{io.ErrUnexpectedEOF, ""},
	} {
		got := advised(c.err)
		if !errors.Is(got, c.err) || !strings.HasPrefix(got.Error(), c.err.Error()) {
			t.Errorf("%v became %v", c.err, got)
		}
		if rest := strings.TrimPrefix(got.Error(), c.err.Error()); (rest == "") != (c.advice == "") || !strings.Contains(rest, c.advice) {
			t.Errorf("%v: advice %q, want %q", c.err, rest, c.advice)
		}
	}
}
