//go:build !linux

package link

import (
	"errors"
	"fmt"
	"runtime"
)

// Veth is a link over one end of a veth pair; there is none outside Linux.
type Veth struct{ Link }

// Warnings is empty.
func (*Veth) Warnings() []string { return nil }

// OpenVeth fails: veth pairs are Linux's.
func OpenVeth(o VethOptions) (*Veth, error) {
	return nil, fmt.Errorf("open %s: %w on %s: a veth needs Linux; use --link pipe", o.Interface, errors.ErrUnsupported, runtime.GOOS)
}

// TAP is a link over a TAP device; outside Linux this package has none.
type TAP struct{ Link }

// Warnings is empty.
func (*TAP) Warnings() []string { return nil }

// OpenTAP fails: this package's TAP devices are Linux's.
func OpenTAP(o TAPOptions) (*TAP, error) {
	return nil, fmt.Errorf("open TAP device %s: %w on %s: it needs Linux; use --link pipe", o.Name, errors.ErrUnsupported, runtime.GOOS)
}
