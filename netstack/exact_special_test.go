//go:build exactness

package netstack

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"appliance/netstack/link"
	"appliance/tracer"
)

// TestExactCookies compares over connections that SYN cookies made. One half-open
// connection is all that a backlog of 1 leaves room for.
func TestExactCookies(t *testing.T) {
	overWires(t, func(t *testing.T, o exactOptions) {
		for name, weather := range map[string]link.Impairment{"clean": {}, "storm": exactWeather} {
			t.Run(name, func(t *testing.T) {
				o.impair = link.ImpairOptions{Seed: 4, In: weather, Out: weather}
				exactCookies(t, o)
			})
		}
	})
}

func exactCookies(t *testing.T, o exactOptions) {
	o.level, o.backlog = tracer.LevelFull, 1
	w := newExactWorld(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), 2*exactPatience)
	filler := w.ghost(false, exactPort, 1)
	filler.open(ctx)
	var pairs []exactScenario
	for _, p := range exactPairScenarios[:6] {
		pairs = append(pairs, exactScenario{p.name, p.weight, func(ctx context.Context, w *exactWorld, g *rand.Rand) {
			// No SYN ACK of a cookie's comes again: when the ACK is lost, nobody tells the server.
			ctx, cancel := context.WithTimeout(ctx, exactPatience/10)
			defer cancel()
			if c, s, err := w.pair(ctx, netip.AddrPort{}, w.at(g.IntN(2) == 0, exactPort)); err == nil {
				p.run(w, g, c, s)
			}
		}})
	}
	w.work(append(pairs, exactScenario{"ghost", 20, exactCookieGhost}), 120, 6, 4)
	filler.hush()
	cancel()
	_ = w.listener.Close() // resets the half-open one
	w.drain()
	w.close()
	tally := w.finish()
	if born := tally.births["LISTEN → ESTABLISHED"]; born < 40 {
		t.Errorf("%d connections were born of a SYN cookie, want 40", born)
	}
}

// exactCookieGhost completes a handshake by cookie in one of several ways, on a
// listener of its own, which it closes on what is left.
func exactCookieGhost(ctx context.Context, w *exactWorld, r *rand.Rand) {
	l := w.listen(w.freePort())
	defer func() { _ = l.Close() }()
	port, v6 := uint16(l.addr.Port), r.IntN(2) == 0 //nolint:gosec // a port
	filler := w.ghost(v6, port, 1)
	defer filler.hush()
	if _, ok := filler.open(ctx); !ok {
		return
	}
	g := w.ghost(v6, port, r.Uint32())
	defer g.hush()
	if _, ok := g.open(ctx); !ok {
		return
	}
	switch r.IntN(6) {
	case 0:
		g.say(fACK, g.seq+1, g.ack, "")
	case 1:
		g.say(fPSH|fACK, g.seq+1, g.ack, "data")
	case 2:
		g.say(fPSH|fACK|fFIN, g.seq+1, g.ack, "data")
	case 3: // two at once: the second must find the child that the first makes
		g.say(fACK, g.seq+1, g.ack, "")
		g.say(fPSH|fACK, g.seq+1, g.ack, "data")
	case 4: // no cookie of ours
		g.say(fACK, g.seq+1, g.ack+12345, "")
	case 5:
		g.say(fACK, g.seq+1, g.ack, "")
		g.say(fRST|fACK, g.seq+1, g.ack, "")
	}
	if r.IntN(2) == 0 {
		w.settled()
	}
	if r.IntN(3) == 0 {
		g.say(fRST|fACK, g.seq+1, g.ack, "")
	}
}

// TestExactStackClose closes the stacks with connections in every state.
func TestExactStackClose(t *testing.T) { overWires(t, exactStackClose) }

func exactStackClose(t *testing.T, o exactOptions) {
	o.level, o.msl = tracer.LevelFull, time.Minute
	w := newExactWorld(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), exactPatience)
	defer cancel()
	idle := w.listen(w.freePort())
	var dials sync.WaitGroup
	for i := range 60 {
		v6 := i%2 == 0
		switch kind := i % 6; kind {
		case 4: // half-open, or complete and not accepted
			g := w.ghost(v6, uint16(idle.addr.Port), uint32(i)) //nolint:gosec // a port; small
			if _, ok := g.open(ctx); ok && i%12 == 4 {
				g.say(fACK, g.seq+1, g.ack, "")
			}
		case 5: // SYN-SENT
			port := w.freePort()
			w.ctap.swallow(port)
			dials.Add(1)
			go func() {
				defer dials.Done()
				if c, err := w.client.DialTCP(ctx, netip.AddrPort{}, w.at(v6, port)); err == nil {
					t.Error("connected although every SYN was swallowed")
					_ = c.Close()
				}
			}()
		default:
			c, s, err := w.pair(ctx, netip.AddrPort{}, w.at(v6, exactPort))
			if err != nil {
				t.Fatal(err)
			}
			w.leave(kind, c, s)
		}
	}
	w.settled()
	w.close()
	dials.Wait()
	w.finish().logKinds(t)
}

// leave brings a connection's ends into states to be left in.
func (w *exactWorld) leave(kind int, c, s *Conn) {
	switch kind {
	case 1: // FIN-WAIT-2 and CLOSE-WAIT
		_ = c.CloseWrite()
		readAll(s)
	case 2: // TIME-WAIT
		_ = c.CloseWrite()
		readAll(s)
		_ = s.Close()
		readAll(c)
		_ = c.Close()
	case 3: // FIN-WAIT-1
		w.cut(c.local.Port())
		_ = s.CloseWrite()
	} // else ESTABLISHED
}

// TestExactTimeouts runs the handshake's time-outs, which take 127 s, and the
// back-off of data on a clock that is set by hand, which needs a wire that tells when
// nothing is on it: the pipe.
func TestExactTimeouts(t *testing.T) {
	clock := faketime.NewManualClock()
	w := newExactWorld(t, exactOptions{level: tracer.LevelFull, clock: clock, noServe: true})
	l := w.listen(exactPort)
	ctx, cancel := context.WithTimeout(context.Background(), 4*exactPatience)
	defer cancel()
	var work sync.WaitGroup
	for i := range 4 {
		v6 := i%2 == 0
		g := w.ghost(v6, exactPort, uint32(i)) // stays half-open until it times out
		if _, ok := g.open(ctx); !ok {
			t.Fatal("no half-open connection")
		}
		port := w.freePort() // SYN-SENT until it times out
		w.ctap.swallow(port)
		work.Add(1)
		go func() {
			defer work.Done()
			if c, err := w.client.DialTCP(ctx, netip.AddrPort{}, w.at(v6, port)); err == nil {
				t.Error("connected although every SYN was swallowed")
				_ = c.Close()
			}
		}()
		c, err := w.client.DialTCP(ctx, netip.AddrPort{}, w.at(v6, exactPort))
		if err != nil {
			t.Fatal(err)
		}
		w.cut(c.local.Port())
		_ = put(c, 100)
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for over := false; !over; { // the dials end when 127 s have passed
		select {
		case <-done:
			over = true
		case <-ctx.Done():
			t.Fatal("the dials did not time out")
		default:
			clock.Advance(100 * time.Millisecond)
			w.quiet()
		}
	}
	for range 300 {
		clock.Advance(500 * time.Millisecond)
		w.quiet()
	}
	_ = l.Close()
	w.close()
	tally := w.finish()
	tally.logKinds(t)
	for _, want := range []string{"SYN-SENT by timer retransmit", "SYN-RECEIVED by timer retransmit", "ESTABLISHED by timer retransmit"} {
		if tally.ends[want] == 0 {
			t.Errorf("no connection ended in %s", want)
		}
	}
}
