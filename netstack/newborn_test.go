package netstack

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"appliance/netstack/link"
	"appliance/tracer"
)

// TestFindNewWaits: a listener that finds a child which another hook has just found goes on
// when that one has given it its segments, and not before.
func TestFindNewWaits(t *testing.T) {
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{})
	if err != nil {
		t.Fatal(err)
	}
	left, right := link.NewPipe(link.PipeOptions{})
	var stacks [2]*Stack
	for i, end := range []*link.Pipe{left, right} {
		at := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}), 24)
		if stacks[i], err = New(end, Options{Addresses: []netip.Prefix{at}, Recorder: bus, Level: tracer.LevelStates}); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := stacks[1].Listen("tcp", "10.0.0.2:9000")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stacks[0].DialTCP(context.Background(), netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.2:9000"))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, c := range []interface{ Close() error }{conn, accepted, stacks[0], stacks[1], bus} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	o, child := stacks[1].obs, accepted.rec
	child.mu.Lock() // as while its record is made
	done := make(chan *tracked)
	go func() { done <- o.findNew(child.id, child.parent.ep, viaWaiter) }()
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
