//go:build !linux

package runner

import (
	"context"
	"errors"
	"fmt"
	"net"

	"appliance/internal/config"
	"appliance/internal/lab"
	"appliance/netstack/link"
)

// OpenLabLink is the lab's Opener: labs are Linux's.
func OpenLabLink(context.Context, lab.OpenRequest) (*lab.Opened, error) {
	return nil, fmt.Errorf("open the lab's link: %w", errors.ErrUnsupported)
}

func openLabLink(context.Context, *config.Config, *lab.Lab, net.HardwareAddr) (link.Link, error) {
	return nil, fmt.Errorf("open the lab's link: %w", errors.ErrUnsupported)
}
