package runner

import (
	"errors"
	"net"
	"syscall"
)

// advised adds to the error of a connection that could not be made what to do about it.
func advised(err error) error {
	dial, ok := errors.AsType[*net.OpError](err)
	if !ok || dial.Op != "dial" {
		return err
	}
	for errno, advice := range map[syscall.Errno]string{
		syscall.ECONNREFUSED: "nothing listens on that port there: start the server first",
		syscall.ENETUNREACH:  "no route leads there: connect within the link's network, or name a route in the configuration (routes)",
		syscall.EHOSTUNREACH: "nobody on the link has that address: see to the other end's addresses",
		syscall.ETIMEDOUT:    "nobody answered: see whether the other end is up, and what filters on the way",
	} {
		if errors.Is(err, errno) {
			return &advisedError{err, advice}
		}
	}
	return err
}

// advisedError is an error, and what to do.
type advisedError struct {
	error
	advice string
}

func (e *advisedError) Error() string { return e.error.Error() + ": " + e.advice }
func (e *advisedError) Unwrap() error { return e.error }
