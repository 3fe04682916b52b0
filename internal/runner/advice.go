package runner

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// advised adds to the error of a connection that could not be made what to do about it.
func advised(err error) error {
	dial, ok := errors.AsType[*net.OpError](err)
	if !ok || dial.Op != "dial" {
		return err
	}
	var advice string
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = "nothing listens on that port there: start the server first"
	case errors.Is(err, syscall.ENETUNREACH):
		advice = "no route leads there: connect within the link's network, or name a route in the configuration (routes)"
	case errors.Is(err, syscall.EHOSTUNREACH):
		advice = "nobody answers for that address, or for the gateway that leads there: see to the other end's addresses"
	case errors.Is(err, syscall.ETIMEDOUT):
		advice = "nobody answered: see whether the other end is up, and what filters on the way"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}
