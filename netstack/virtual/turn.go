package virtual

import "slices"

// turn is a program's that could go on.
type turn struct{ begin func() }

// Turn waits until it is the caller's turn to go on: until everything that is due at the
// present time has happened and come to rest, and every program that asked before has had
// its turn. No time passes. It gives up when stop is closed.
//
// netstack's blocking calls take a turn once they can go on, when the stack's clock has this
// method. So at any one time the network comes first, as though the wire were faster than any
// program, and programs go on one after another: the order of events does not depend on the
// scheduler. Somebody must Run or Step the clock meanwhile.
func (c *Clock) Turn(stop <-chan struct{}) {
	mine := make(chan struct{})
	t := &turn{begin: func() { close(mine) }}
	c.mu.Lock()
	c.turns = append(c.turns, t)
	c.mu.Unlock()
	select {
	case <-mine:
	case <-stop:
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.turns, t); i >= 0 {
			c.turns = slices.Delete(c.turns, i, i+1)
		}
	}
}

// Go starts f on a goroutine of its own when its turn has come, as Turn says. Programs that
// start so begin in the order of the calls.
func (c *Clock) Go(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns = append(c.turns, &turn{begin: func() { go f() }})
}

// nextTurn lets the first program go on. c.mu is held.
func (c *Clock) nextTurn() {
	t := c.turns[0]
	c.turns[0] = nil
	c.turns = c.turns[1:]
	t.begin()
}
