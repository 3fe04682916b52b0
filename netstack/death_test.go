package netstack

import (
	"testing"

	"appliance/tracer"
)

// TestDeathBesideATimer: a timer that has fired, and sent again, and whose end nobody has
// told yet, is not what ended a connection that sent RST meanwhile, for data after close.
func TestDeathBesideATimer(t *testing.T) {
	_, accepted := connected(t, tracer.LevelSegments)
	c := accepted.rec
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func(current arrival) { c.firing, c.sentRST, c.current = nil, false, current }(c.current)
	c.firing = &timer{o: c.o, name: timerRetransmit, isTold: true, told: 5}
	c.current = arrival{id: &c.id, n: 7, flags: tracer.PSH | tracer.ACK, seq: c.rcvNxt, len: 1000}
	for sentRST, want := range map[bool]tracer.Cause{
		false: {Kind: tracer.CauseTimer, N: 5, What: "retransmit timer"},
		true:  {Kind: tracer.CauseSegment, N: 7, What: "data after close"},
	} {
		c.sentRST = sentRST
		if got := c.lateDeath(tracer.FinWait1, viaTimer); got != want {
			t.Errorf("RST sent %t: %+v, want %+v", sentRST, got, want)
		}
	}
}
