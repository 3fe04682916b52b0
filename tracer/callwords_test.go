package tracer_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"appliance/tracer"
)

func TestPreview(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"nothing":        {"", ""},
		"plain":          {"hello", "hello"},
		"quotes, breaks": {"a\"\r\n\x00é", `a\"\r\n\x00\u00e9`},
		"just fits":      {strings.Repeat("x", 32), strings.Repeat("x", 32)},
		"goes on":        {strings.Repeat("x", 33), strings.Repeat("x", 32) + "…"},
	}
	for name, tt := range tests {
		if got := tracer.Preview([]byte(tt.in)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestErrorName(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{nil, ""},
		{os.NewSyscallError("connect", syscall.ECONNREFUSED), "connection refused"},
		{fmt.Errorf("read: %w", &net.OpError{Op: "read", Err: os.NewSyscallError("recv", syscall.ECONNRESET)}), "connection reset by peer"},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), "timed out"},
		{fmt.Errorf("read: %w", net.ErrClosed), "socket closed"},
		{errors.New("no address to connect to"), "no address to connect to"},
	}
	for _, tt := range tests {
		if got := tracer.ErrorName(tt.err); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}
