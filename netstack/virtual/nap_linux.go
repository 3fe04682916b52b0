package virtual

import (
	"syscall"
	"time"
)

// nap sleeps for less than a millisecond. The runtime's own timers are no finer than that
// when the process has nothing else to do.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil) // when a signal ends it, it was long enough
}
