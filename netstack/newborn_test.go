package netstack

import (
	"testing"
	"time"

	"appliance/tracer"
)

// TestFindNewWaits: a listener that finds a child which another hook has just found goes on
// when that one has given it its segments, and not before.
func TestFindNewWaits(t *testing.T) {
	_, accepted := connected(t, tracer.LevelStates)
	child := accepted.rec
	child.mu.Lock() // as while its record is made
	done := make(chan *tracked)
	go func() { done <- child.o.findNew(child.id, child.parent.ep, viaWaiter) }()
	select {
	case <-done:
		t.Error("the listener went on")
		child.mu.Unlock()
		return
	case <-time.After(20 * time.Millisecond):
	}
	child.mu.Unlock()
	if c := <-done; c != nil {
		t.Errorf("a new record of connection %d", c.conn)
	}
}
