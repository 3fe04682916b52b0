//go:build linux || darwin || freebsd || netbsd || openbsd

package iperf

import (
	"syscall"
	"time"
)

// cpuTimes is how long this process has kept processors busy.
func cpuTimes() (user, system time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}
