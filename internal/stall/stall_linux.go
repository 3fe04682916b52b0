package stall

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// start watches each processor from a thread that is bound to it: where one stands still, the
// others tell nothing of it.
func (w *Watch) start() {
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		w.all.Add(1)
		go w.watch(time.Sleep)
		return
	}
	for cpu, left := 0, mine.Count(); left > 0; cpu++ {
		if !mine.IsSet(cpu) {
			continue
		}
		left--
		w.all.Add(1)
		go w.bound(cpu)
	}
}

// bound watches one processor. Its thread ends with it.
func (w *Watch) bound(cpu int) {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(cpu)
	_ = unix.SchedSetaffinity(0, &one) // else it watches from wherever it runs
	w.watch(nanosleep)
}

// nanosleep sleeps on its own thread, which the kernel wakes on its processor.
func nanosleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // a signal ends it early, which does no harm
}
