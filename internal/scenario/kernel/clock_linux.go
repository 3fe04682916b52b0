package kernel

import (
	"time"

	"golang.org/x/sys/unix"

	"appliance/tracer"
)

// clockTries is how often [Clock] looks: the quickest look is the truest.
const clockTries = 64

// Clock measures what CLOCK_MONOTONIC was when the recorder's time began, to some tens of
// nanoseconds: a Change happened at its Time less this, by the recorder's clock. The
// recorder must run on the machine's clock.
func Clock(rec tracer.Recorder) time.Duration {
	var offset, best time.Duration
	for i := range clockTries {
		before := monotonic()
		now := rec.Now()
		after := monotonic()
		if took := time.Duration(after - before); i == 0 || took < best {
			best = took
			offset = time.Duration(before) + took/2 - now
		}
	}
	return offset
}

// monotonic is CLOCK_MONOTONIC in ns: the tracepoint's clock.
func monotonic() int64 {
	var ts unix.Timespec
	// It errs only where there is no such clock, and there always is.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
