package netstack_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/tracer"
)

// These run on a clock that the test moves, so that times are exact and nobody
// waits for them.

// TIME-WAIT lasts 2 MSL (RFC 9293, 3.6.1).
func TestOptionMSL(t *testing.T) {
	for _, msl := range []time.Duration{500 * time.Millisecond, 15 * time.Second} {
		o := both(netstack.TCPOptions{MSL: msl})
		o.manual = true
		l := newLab(t, o)
		if got := described(t, o.client.TCP).MSL; got != msl {
			t.Errorf("DescribeTCP says MSL %s, want %s", got, msl)
		}
		c, s := l.connect()
		l.close(c)
		l.recvEOF(s)
		l.close(s)
		l.wait(ofConn(c), enters(tracer.TimeWait))
		e := l.advance(msl/10, 3*msl, ofConn(c), enters(tracer.Closed))
		if got := stateOf(e).Dwell; got != 2*msl {
			t.Errorf("MSL %s: TIME-WAIT lasted %s, want %s", msl, got, 2*msl)
		}
		if got := stateOf(e).Cause; got.Kind != tracer.CauseTimer || got.What != "time-wait timer" {
			t.Errorf("TIME-WAIT ended by %v", got)
		}
	}
}

// A closed socket's FIN-WAIT-2 ends though the peer never closes.
func TestOptionFinWait2(t *testing.T) {
	for _, limit := range []time.Duration{3 * time.Second, 40 * time.Second} {
		o := both(netstack.TCPOptions{FinWait2: limit})
		o.manual = true
		l := newLab(t, o)
		if got := described(t, o.client.TCP).FinWait2; got != limit {
			t.Errorf("DescribeTCP says %s, want %s", got, limit)
		}
		c, _ := l.connect()
		l.close(c)
		l.wait(ofConn(c), enters(tracer.FinWait2))
		e := l.advance(limit/10, 2*limit, ofConn(c), enters(tracer.Closed))
		if got := stateOf(e).Dwell; got != limit {
			t.Errorf("FIN-WAIT-2 lasted %s, want %s", got, limit)
		}
		if got := stateOf(e).Cause; got.Kind != tracer.CauseTimer || got.What != "fin-wait-2 timer" {
			t.Errorf("FIN-WAIT-2 ended by %v", got)
		}
	}
}

// times are when the events happened.
func times(events []tracer.Event) []time.Duration {
	var at []time.Duration
	for _, e := range events {
		at = append(at, e.T)
	}
	return at
}

// An idle connection is probed after Idle, again every Interval, and given up after
// Count probes without an answer.
func TestOptionKeepalive(t *testing.T) {
	o := setup{
		manual: true,
		client: netstack.Options{TCP: netstack.TCPOptions{Keepalive: netstack.Keepalive{Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 3}}},
		rules:  []string{"drop in ACK state=ESTABLISHED"},
	}
	l := newLab(t, o)
	c, _ := l.connect()
	read := async(func() (int, error) { return c.Read(make([]byte, 1)) })
	end := l.advance(500*time.Millisecond, time.Minute, ofConn(c), enters(tracer.Closed))
	probes := times(l.events(ofConn(c), seg(tracer.Out, tracer.ACK), noted("keepalive")))
	want := []time.Duration{10 * time.Second, 12 * time.Second, 14 * time.Second}
	if !slices.Equal(probes, want) {
		t.Errorf("keep-alives at %v, want %v", probes, want)
	}
	if got, want := end.T, 16*time.Second; got != want {
		t.Errorf("given up at %s, want %s", got, want)
	}
	if got := stateOf(end).Cause; got.Kind != tracer.CauseTimer || got.What != "keepalive timer" {
		t.Errorf("the connection ended by %v", got)
	}
	if _, err := await(t, "Read", read); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("Read: %v, want ETIMEDOUT", err)
	}
}

// A peer that answers keeps the connection alive; on an accepted connection too.
func TestOptionKeepaliveAnswered(t *testing.T) {
	o := both(netstack.TCPOptions{Keepalive: netstack.Keepalive{Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 3}})
	o.manual = true
	o.client.TCP.Keepalive = netstack.Keepalive{}
	l := newLab(t, o)
	c, s := l.connect()
	probes := 0
	l.advance(time.Second, 2*time.Minute, ofConn(s), noted("keepalive"), func(tracer.Event) bool { probes++; return probes%5 == 0 })
	for _, conn := range []*netstack.Conn{c, s} {
		if got := conn.State(); got != tracer.Established {
			t.Errorf("%s: %s", conn.LocalAddr(), got)
		}
	}
	if n := len(l.events(ofConn(c), seg(tracer.Out, tracer.ACK), noted("keepalive"))); n != 0 {
		t.Errorf("the client sent %d keep-alives with none asked for", n)
	}
}

// Data that is never acknowledged is sent again so many times, then the connection
// ends.
func TestOptionRetries(t *testing.T) {
	off := false
	for _, retries := range []int{2, 5} {
		o := both(netstack.TCPOptions{Retries: retries, RACK: &off})
		o.manual, o.rules = true, []string{"drop out payload>0"}
		l := newLab(t, o)
		if got := described(t, o.client.TCP).Retries; got != retries {
			t.Errorf("DescribeTCP says %d retries, want %d", got, retries)
		}
		c, _ := l.connect()
		l.send(c, "hello")
		end := l.advance(100*time.Millisecond, 10*time.Minute, ofConn(c), enters(tracer.Closed))
		if got := len(l.events(ofConn(c), seg(tracer.Out, tracer.ACK), noted("retransmission"))); got != retries {
			t.Errorf("%d retransmissions, want %d", got, retries)
		}
		if got := stateOf(end).Cause; got.Kind != tracer.CauseTimer || got.What != "retransmit timer" {
			t.Errorf("the connection ended by %v", got)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("Read: %v, want ETIMEDOUT", err)
		}
	}
}

// The first retransmission on a path without delay comes after the minimum RTO.
func TestOptionMinRTO(t *testing.T) {
	off := false
	for _, rto := range []time.Duration{50 * time.Millisecond, 700 * time.Millisecond} {
		o := both(netstack.TCPOptions{MinRTO: rto, RACK: &off})
		o.manual, o.rules = true, []string{"drop out payload>0 nth=2"}
		l := newLab(t, o)
		if got := described(t, o.client.TCP).MinRTO; got != rto {
			t.Errorf("DescribeTCP says %s, want %s", got, rto)
		}
		c, s := l.connect()
		l.send(c, "hello") // its ACK measures the path
		l.recv(s, 5)
		l.settle()
		l.send(c, "again")
		again := l.advance(rto/10, 3*rto, ofConn(c), noted("retransmission"))
		if again.T != rto {
			t.Errorf("minimum RTO %s: sent again after %s", rto, again.T)
		}
		if timer := l.events(ofConn(c), fired("retransmit")); len(timer) != 1 || timer[0].Body.(*tracer.Timer).RTO != rto {
			t.Errorf("minimum RTO %s: the timers that fired: %v", rto, timer)
		}
	}
}
