//go:build unix

package main

import (
	"os"
	"syscall"
)

// stopSignals end the appliance in order; counterSignals make it print counters.
var (
	stopSignals    = []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	counterSignals = []os.Signal{syscall.SIGUSR1}
)
