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
	if wait := t.Sub(d.clock.Now()); wait > 0 {
		d.timer = d.clock.AfterFunc(wait, func() { close(past) })
		return
	}
	close(past)
}

// stop ends the timer.
func (d *deadline) stop() { d.set(time.Time{}) }
