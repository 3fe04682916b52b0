package virtual

import (
	"container/heap"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// idle is the index of a timer that is not in the heap: it has fired or was stopped.
const idle = -1

// timer is a tcpip.Timer of a Clock's, which guards it.
type timer struct {
	clock *Clock
	f     func()
	when  time.Duration // since the start
	order uint64        // among timers of one deadline: when it was set
	index int           // in the heap, or idle
}

var _ tcpip.Timer = (*timer)(nil)

// Stop implements tcpip.Timer: true when it kept the timer from firing, false when that
// had fired or been stopped already.
func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.stop()
}

func (t *timer) stop() bool {
	if t.index == idle {
		return false
	}
	heap.Remove(&t.clock.timers, t.index)
	return true
}

// Reset implements tcpip.Timer: the timer fires d from now, whether it was pending,
// has fired or was stopped. Among timers of the same deadline it is then the newest.
func (t *timer) Reset(d time.Duration) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.stop()
	t.clock.set(t, d)
}

// timerHeap implements heap.Interface: the earliest first, of several the one set first.
type timerHeap []*timer

// Len implements heap.Interface.
func (h timerHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h timerHeap) Less(i, j int) bool {
	if h[i].when != h[j].when {
		return h[i].when < h[j].when
	}
	return h[i].order < h[j].order
}

// Swap implements heap.Interface.
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*timer) //nolint:forcetypeassert,errcheck // only timers are pushed
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = idle
	return t
}
