package load

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

func setCongestion(fd int, name string) error {
	if err := syscall.SetsockoptString(fd, syscall.IPPROTO_TCP, syscall.TCP_CONGESTION, name); err != nil {
		return fmt.Errorf("congestion control %s: %w: load its module (sudo modprobe tcp_%s)",
			name, os.NewSyscallError("setsockopt", err), name)
	}
	return nil
}

// cpuTime is the processor time that this process has used, with what the kernel did
// on its behalf in its system calls.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, os.NewSyscallError("getrusage", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
