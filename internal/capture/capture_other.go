//go:build !linux

package capture

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"appliance/tracer"
)

var errNotLinux = fmt.Errorf("capture: packet sockets are Linux's, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)

// Capture needs Linux.
type Capture struct{}

// Open needs Linux.
func Open(string, Options) (*Capture, error) { return nil, errNotLinux }

// Frames returns nothing.
func (*Capture) Frames() []Frame { return nil }

// Events returns nothing.
func (*Capture) Events() []tracer.Event { return nil }

// Wait needs Linux.
func (*Capture) Wait(context.Context, func([]tracer.Event) bool) error { return errNotLinux }

// Close does nothing.
func (*Capture) Close() error { return nil }

// DisableOffload needs Linux.
func DisableOffload(string, string) (restore func() error, warnings []string, err error) {
	return nil, nil, errNotLinux
}
