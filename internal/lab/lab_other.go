//go:build !linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

var errNotLinux = fmt.Errorf("lab: network namespaces are Linux's, this is %s: use --link pipe: %w",
	runtime.GOOS, errors.ErrUnsupported)

// Up needs Linux.
func Up(context.Context, Options) (*Lab, error) { return nil, errNotLinux }

// Down needs Linux.
func Down(context.Context, string) (Removed, error) { return Removed{}, errNotLinux }

// List needs Linux.
func List(context.Context) ([]Info, error) { return nil, errNotLinux }

// Open needs Linux.
func Open(context.Context, string) (*Lab, error) { return nil, errNotLinux }

// NewTemporary needs Linux.
func NewTemporary(context.Context, Options) (*Lab, error) { return nil, errNotLinux }

// ReexecInUserNS needs Linux.
func ReexecInUserNS(context.Context, []string, []string) (int, error) { return 1, errNotLinux }

// RunHolderIfAsked does nothing, as nothing asks.
func RunHolderIfAsked() {}

// HolderMain needs Linux.
func HolderMain([]string) int { return 1 }

// Privileged is false.
func Privileged() bool { return false }

// Probe says that there is no lab here.
func Probe(context.Context) []Check {
	return []Check{{Name: "lab", Detail: errNotLinux.Error(), Fix: "use --link pipe"}}
}
