package netstack

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// deadline is a channel that closes when a time has come, and can be set anew, as
// net.Conn's deadlines can. It runs on the stack's clock.
type deadline struct {
	clock tcpip.Clock

	mu    sync.Mutex
	timer tcpip.Timer
	past  chan struct{}
}

func newDeadline(c tcpip.Clock) *deadline {
	return &deadline{clock: c, past: make(chan struct{})}
}

// expired returns the channel that closes at the deadline in force now.
func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.past
}

// set moves the deadline; the zero time means none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		d.past = make(chan struct{}) // it fired, or is about to close the old channel
	}
	d.timer = nil
	select {
	case <-d.past:
		d.past = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	past := d.past
	if wait := d.until(t); wait > 0 {
		d.timer = d.clock.AfterFunc(wait, func() { close(past) })
		return
	}
	close(past)
}

// fromNow is what a time of the machine's is rounded to, for the time that went by between
// time.Now and here.
const fromNow = 10 * time.Millisecond

// until is how far off t is, by the stack's clock. A program that knows nothing of that clock,
// such as net/http, makes its deadlines with time.Now: such a time means a while from now
// on, and bears the machine's monotonic reading, which tells it apart.
func (d *deadline) until(t time.Time) time.Duration {
	now := d.clock.Now()
	if t == t.Round(0) || now != now.Round(0) { //nolint:revive,staticcheck // == sees the reading, Equal does not
		return t.Sub(now)
	}
	wait := time.Until(t)
	if wait >= 100*fromNow {
		wait = wait.Round(fromNow)
	}
	return wait
}

// stop ends the timer.
func (d *deadline) stop() { d.set(time.Time{}) }
