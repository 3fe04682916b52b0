// Package tuning sets Go's runtime up for an appliance on a veth or TAP: how many
// processors it uses, and how often it collects garbage.
package tuning

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// collect is the garbage collector's percentage (runtime/debug.SetGCPercent) for an
// appliance.
//
// gVisor keeps packets, and the memory of their payloads, in sync.Pools, which every
// collection empties by half. Tracing has gVisor allocate a record of about a kilobyte for
// each inbound segment: at Go's 100 percent of a heap of some megabytes, a loaded stack
// collects a hundred times a second, and what it has to allocate anew, and clear, costs it
// more than the collections themselves.
const collect = 400

var mu sync.Mutex

// Apply has this process's goroutines run on half of the processors at a time, on one at
// least, and the collector run less often, until restore is called. It leaves alone what
// the environment sets (GOMAXPROCS, GOGC).
//
// The other end of a veth pair or of a TAP device is the kernel of this same host, and
// needs as much of it. With as many threads as processors, the goroutines that a frame
// passes (the link's, TCP's, the program's) are spread over all of them: each hand-over
// wakes a thread, and the data is copied from one processor's cache to another's, while the
// kernel waits for its turn. Half as many move a gigabyte with a third less processor time, and
// halve the round trip, on a host with two.
func Apply() (restore func()) {
	mu.Lock()
	defer mu.Unlock()
	processors, percent := runtime.GOMAXPROCS(0), 0
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, processors/2))
	}
	if os.Getenv("GOGC") == "" {
		percent = debug.SetGCPercent(collect)
	}
	return sync.OnceFunc(func() {
		mu.Lock()
		defer mu.Unlock()
		runtime.GOMAXPROCS(processors)
		if percent != 0 {
			debug.SetGCPercent(percent)
		}
	})
}
