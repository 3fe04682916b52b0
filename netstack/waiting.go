package netstack

import (
	"net"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// turnClock is a clock that lets programs go on one at a time: a call that waited, and
// could go on, waits for its turn, or until stop is closed. package virtual's is one.
type turnClock interface{ Turn(stop <-chan struct{}) }

// waiting is what sockets have in common: deadlines, an end, and calls that wait.
type waiting struct {
	wq              *waiter.Queue
	readBy, writeBy *deadline
	closed          chan struct{} // closed by Close
	turns           turnClock     // nil for programs that go on at once
}

func newWaiting(c tcpip.Clock, wq *waiter.Queue) waiting {
	turns, _ := c.(turnClock)
	return waiting{wq: wq, readBy: newDeadline(c), writeBy: newDeadline(c), closed: make(chan struct{}), turns: turns}
}

// takeTurn waits for the program's turn, where the clock gives turns.
func (w *waiting) takeTurn() {
	if w.turns != nil {
		w.turns.Turn(w.closed)
	}
}

// retry makes a call until it no longer would block, waiting for events in between.
// It errs as the call did, at the deadline by, and when the socket is closed.
func (w *waiting) retry(call string, events waiter.EventMask, by *deadline, try func() tcpip.Error) error {
	var ready <-chan struct{}
	for {
		select {
		case <-w.closed:
			return net.ErrClosed
		case <-by.expired():
			return errTimeout
		default:
		}
		terr := try()
		if _, wait := terr.(*tcpip.ErrWouldBlock); !wait {
			if w.isClosed() && terr != nil {
				return net.ErrClosed
			}
			return goError(call, terr)
		}
		if ready == nil { // register, then look once more
			entry, ch := waiter.NewChannelEntry(events | waiter.EventHUp | waiter.EventErr)
			w.wq.EventRegister(&entry)
			defer w.wq.EventUnregister(&entry)
			ready = ch
			continue
		}
		select {
		case <-ready:
			w.takeTurn()
		case <-by.expired():
		case <-w.closed:
		}
	}
}

// isClosed tells whether Close has been called.
func (w *waiting) isClosed() bool {
	select {
	case <-w.closed:
		return true
	default:
		return false
	}
}

// end wakes every call that waits, for good.
func (w *waiting) end() {
	close(w.closed)
	w.readBy.stop()
	w.writeBy.stop()
}

// SetDeadline sets both deadlines, by the stack's clock; the zero time means none.
func (w *waiting) SetDeadline(t time.Time) error {
	w.readBy.set(t)
	w.writeBy.set(t)
	return nil
}

// SetReadDeadline sets when reading gives up.
func (w *waiting) SetReadDeadline(t time.Time) error {
	w.readBy.set(t)
	return nil
}

// SetWriteDeadline sets when writing gives up; it may have sent a part.
func (w *waiting) SetWriteDeadline(t time.Time) error {
	w.writeBy.set(t)
	return nil
}
