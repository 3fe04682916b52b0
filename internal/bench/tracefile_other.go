//go:build !linux

package bench

import (
	"errors"
	"os"
)

// openUnnamed is Linux's.
func openUnnamed(string) (*os.File, error) { return nil, errors.ErrUnsupported }
