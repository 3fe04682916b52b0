package netstack

import (
	"time"

	"appliance/tracer"
)

// call is a socket call in progress. A nil call records nothing.
type call struct {
	c      *tracked
	name   string
	n      uint64 // the enter's number
	start  time.Duration
	bytes  int
	result string
	conn   uint32
	eof    bool
}

// call records that the program entered a call.
func (c *tracked) call(name string, args ...tracer.Arg) *call {
	if c == nil {
		return &call{bytes: -1}
	}
	k := &call{c: c, name: name, bytes: -1, start: c.now()}
	c.mu.Lock()
	k.n = c.emit(&tracer.Call{Name: name, Phase: tracer.PhaseEnter, Args: args, Bytes: -1})
	c.calls = append(c.calls, k)
	if name == "close" {
		c.closing = k
	}
	queue, again := c.queue, c.isAccepted && c.watched.Load()
	c.mu.Unlock()
	if again { // the goroutine had not begun to wait when it was let go
		queue.Notify(letGo) // without mu: the queue notifies our own hook too, which takes it
	}
	return k
}

// run makes the call, looks at what it did, and records how it returned.
func (k *call) run(f func() error) error {
	if k.c == nil {
		return f()
	}
	err := runCall(f)
	c := k.c
	var vars []tracer.TCBVar
	if c.o.level >= tracer.LevelFull && c.ep != nil && (k.name == "send" || k.name == "recv") {
		vars = tcbOfCall(c.ep)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(viaCall)
	body := &tracer.Call{
		Name: k.name, Phase: tracer.PhaseReturn, Of: k.n, Bytes: k.bytes, Result: k.result, Conn: k.conn,
		Error: tracer.ErrorName(err), Took: c.now() - k.start,
	}
	n := c.emit(body)
	for i, other := range c.calls {
		if other == k {
			c.calls = append(c.calls[:i], c.calls[i+1:]...)
			break
		}
	}
	c.recordTCB(n, vars)
	return err
}

// moved tells how many bytes the call has moved and, on recv, shows the first.
func (k *call) moved(n int, b []byte) {
	if k.c == nil {
		return
	}
	k.bytes = n
	if len(b) > 0 {
		k.result = tracer.Preview(b)
	}
}

// atEOF tells whether a Read must say io.EOF: the call returned no bytes although
// it might have.
func (k *call) atEOF(err error, n, size int) bool {
	return err == nil && n == 0 && size > 0 && k.eof
}

// quick makes a call that returns at once and changes nothing of a connection, and
// records it in one event.
func (c *tracked) quick(name string, f func() error, args ...tracer.Arg) error {
	if c == nil {
		return f()
	}
	start := c.now()
	err := f()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(&tracer.Call{Name: name, Phase: tracer.PhaseDone, Args: args, Bytes: -1, Error: tracer.ErrorName(err), Took: c.now() - start})
	return err
}

// done records a call that has been made, and could not fail.
func (c *tracked) done(name string, args ...tracer.Arg) {
	_ = c.quick(name, func() error { return nil }, args...)
}

// inProgress returns the newest call in progress of one of the names; nil for none.
func (c *tracked) inProgress(names ...string) *call {
	for i := len(c.calls) - 1; i >= 0; i-- {
		for _, name := range names {
			if c.calls[i].name == name {
				return c.calls[i]
			}
		}
	}
	return nil
}

// sendArgs are a send's arguments: how many bytes, and the first of them.
func sendArgs(c *tracked, b []byte) []tracer.Arg {
	if c == nil {
		return nil
	}
	return tracer.SendArgs(b)
}
