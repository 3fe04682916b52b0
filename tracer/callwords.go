package tracer

import (
	"errors"
	"net"
	"os"
	"strconv"
)

// previewLen is how many bytes of what was sent or received a call shows.
const previewLen = 32

// Preview is the start of b as a call shows it (see [Arg]): at most 32 bytes, with what
// does not print escaped as in Go, and "…" behind it where b goes on.
func Preview(b []byte) string {
	var room [8 * previewLen]byte // the longest escape of a byte has four
	quoted := strconv.AppendQuoteToASCII(room[:0], string(b[:min(len(b), previewLen)]))
	quoted = quoted[:len(quoted)-1]
	if len(b) > previewLen {
		quoted = append(quoted, "…"...)
	}
	return string(quoted[1:])
}

// SendArgs are a send's arguments: how many bytes, and the first of them.
func SendArgs(b []byte) []Arg {
	return []Arg{{Name: "bytes", Value: int64(len(b))}, {Name: "data", Value: Preview(b)}}
}

// ErrorName is an error as a call shows it: Linux's words, without the call's name, which
// stands beside it; "" for nil.
func ErrorName(err error) string {
	if err == nil {
		return ""
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err.Error()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "timed out"
	}
	if errors.Is(err, net.ErrClosed) {
		return "socket closed"
	}
	return err.Error()
}
