//go:build !linux

package script

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"appliance/internal/lab"
	"appliance/netstack/link"
)

// OpenLink needs Linux.
func OpenLink(*lab.Lab, ...netip.Prefix) (link.Link, error) {
	return nil, fmt.Errorf("script: open the Linux side of a lab: labs are Linux's, this is %s: use --link pipe: %w",
		runtime.GOOS, errors.ErrUnsupported)
}
