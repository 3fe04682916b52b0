//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package iperf

import "time"

func cpuTimes() (user, system time.Duration) { return 0, 0 }
