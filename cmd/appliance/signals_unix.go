//go:build unix

package main

import (
	"os"
	"syscall"
)

// stopSignals end the appliance in order; counterSignals make it print counters;
// pipeSignals would end it where nobody reads its output any more.
var (
	stopSignals    = []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	counterSignals = []os.Signal{syscall.SIGUSR1}
	pipeSignals    = []os.Signal{syscall.SIGPIPE}
)
