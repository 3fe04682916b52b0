// Package stall tells for how long a machine stood still: its host did not run a virtual
// processor, or others kept it busy. What happens by the clock, as TCP's timers do, then comes
// in another order than it was meant to.
package stall

import (
	"sync"
	"time"
)

// A Watch looks at every processor that this process may use.
type Watch struct {
	done chan struct{}
	all  sync.WaitGroup

	mu      sync.Mutex
	longest time.Duration
}

// each is how often a processor is looked at.
const each = 10 * time.Millisecond

// Start begins to watch.
func Start() *Watch {
	w := &Watch{done: make(chan struct{})}
	w.start()
	return w
}

// Stop ends the watch, and returns the longest time for which a processor stood still.
func (w *Watch) Stop() time.Duration {
	close(w.done)
	w.all.Wait()
	return w.longest
}

// watch looks until the end; sleep sleeps for as long as it is told.
func (w *Watch) watch(sleep func(time.Duration)) {
	defer w.all.Done()
	last := time.Now()
	for {
		sleep(each)
		now := time.Now()
		w.saw(now.Sub(last) - each)
		last = now
		select {
		case <-w.done:
			return
		default:
		}
	}
}

func (w *Watch) saw(still time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest = max(w.longest, still)
}
