//go:build !linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"appliance/internal/bench/report"
)

func openWorld(context.Context, report.Case, Options) (*world, error) {
	return nil, fmt.Errorf("bench: labs are Linux's, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func iperf3(context.Context, report.Case, Options) ([]report.Reading, error) {
	return nil, fmt.Errorf("bench: labs are Linux's, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
