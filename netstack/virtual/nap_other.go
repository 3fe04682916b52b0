//go:build !linux

package virtual

import "time"

// nap sleeps for less than a millisecond, as far as the system can.
func nap(d time.Duration) { time.Sleep(d) }
