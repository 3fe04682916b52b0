//go:build !linux

package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"appliance/internal/lab"
	"appliance/internal/scenario/host"
	"appliance/tracer"
)

var errNotLinux = fmt.Errorf("the Linux end of a sequence needs Linux, this is %s: use --peer self or script: %w",
	runtime.GOOS, errors.ErrUnsupported)

// Host needs Linux.
type Host struct{ host.Host }

// New needs Linux.
func New(*lab.Lab, Options) (*Host, error) { return nil, errNotLinux }

// Prepare does nothing.
func (*Host) Prepare(string, string) {}

// Calls returns none.
func (*Host) Calls() []OwnCall { return nil }

// Process needs Linux.
type Process struct{ host.Host }

// StartProcess needs Linux.
func StartProcess(context.Context, *lab.Lab, ProcessOptions) (*Process, error) {
	return nil, errNotLinux
}

// Exit needs Linux.
func (*Process) Exit() error { return errNotLinux }

// Kill needs Linux.
func (*Process) Kill() error { return errNotLinux }

// PID is 0.
func (*Process) PID() int { return 0 }

// States needs Linux.
type States struct{}

// OpenStates needs Linux.
func OpenStates(context.Context, StatesOptions) (*States, error) { return nil, errNotLinux }

// WaitFor needs Linux.
func (*States) WaitFor(context.Context, func(Change) bool) (Change, error) {
	return Change{}, errNotLinux
}

// Flush needs Linux.
func (*States) Flush() ([]Change, error) { return nil, errNotLinux }

// Close needs Linux.
func (*States) Close() ([]Change, error) { return nil, errNotLinux }

// Diag needs Linux.
func Diag(*lab.Lab, uint8) ([]Socket, error) { return nil, errNotLinux }

// SegmentsIn needs Linux.
func SegmentsIn(*lab.Lab, netip.AddrPort, netip.AddrPort) (uint32, bool, error) {
	return 0, false, errNotLinux
}

// NetNS needs Linux.
func NetNS(*lab.Lab) (uint64, error) { return 0, errNotLinux }

// Clock is 0: there is no Change whose time it is for.
func Clock(tracer.Recorder) time.Duration { return 0 }
