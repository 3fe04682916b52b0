//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package file

import (
	"errors"
	"os"
	"syscall"
)

// lock takes a file for this program until it is closed. It errs where another has it; what
// has no locks is open to all.
func lock(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	taken := false
	err = c.Control(func(fd uintptr) {
		taken = errors.Is(syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) //nolint:gosec // a descriptor
	})
	if taken {
		return errTaken
	}
	return err
}
