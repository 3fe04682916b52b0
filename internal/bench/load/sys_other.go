//go:build !linux

package load

import (
	"errors"
	"fmt"
	"time"
)

func setCongestion(int, string) error {
	return fmt.Errorf("congestion control of a socket: %w: it is Linux's", errors.ErrUnsupported)
}

func cpuTime() (time.Duration, error) {
	return 0, fmt.Errorf("processor time of the process: %w", errors.ErrUnsupported)
}
