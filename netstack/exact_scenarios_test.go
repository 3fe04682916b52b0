//go:build exactness

package netstack

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"appliance/tracer"
)

// exactPairScenarios are the ways in which an established connection ends: a and b
// are its two ends, either of which may be the client.
var exactPairScenarios = []struct {
	name   string
	weight int
	run    func(w *exactWorld, g *rand.Rand, a, b *Conn)
}{
	{"a closes first", 8, func(_ *exactWorld, g *rand.Rand, a, b *Conn) {
		_ = put(a, 1+g.IntN(6000))
		_ = a.CloseWrite()
		readAll(b)
		_ = put(b, g.IntN(3000))
		_ = b.Close()
		readAll(a)
		_ = a.Close()
	}},
	{"a closes, b then", 6, func(_ *exactWorld, _ *rand.Rand, a, b *Conn) {
		_ = a.Close()
		readAll(b)
		_ = b.Close()
	}},
	{"both close at once", 10, func(_ *exactWorld, g *rand.Rand, a, b *Conn) {
		half := g.IntN(2) == 0
		var wg sync.WaitGroup
		for _, c := range []*Conn{a, b} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if half {
					_ = c.CloseWrite()
					readAll(c)
				}
				_ = c.Close()
			}()
		}
		wg.Wait()
	}},
	{"half-close with data after it", 6, func(_ *exactWorld, g *rand.Rand, a, b *Conn) {
		_ = a.CloseWrite()
		readAll(b)
		_ = put(b, 2000+g.IntN(20000))
		_ = b.Close()
		readAll(a)
		_ = a.Close()
	}},
	{"a resets at any moment", 8, func(_ *exactWorld, g *rand.Rand, a, b *Conn) {
		done, n := make(chan struct{}), g.IntN(30000)
		go func() {
			defer close(done)
			_ = put(b, n)
			readAll(b)
		}()
		if g.IntN(2) == 0 {
			var one [1]byte
			_, _ = a.Read(one[:])
		}
		_ = a.Abort()
		<-done
		_ = b.Close()
	}},
	{"both reset", 2, func(_ *exactWorld, _ *rand.Rand, a, b *Conn) {
		done := make(chan struct{})
		go func() { defer close(done); _ = b.Abort() }()
		_ = a.Abort()
		<-done
	}},
	{"a closes with bytes unread", 4, func(_ *exactWorld, g *rand.Rand, a, b *Conn) {
		_ = put(b, 100+g.IntN(5000))
		var one [1]byte
		_, _ = a.Read(one[:])
		_ = a.Close()
		readAll(b)
		_ = b.Close()
	}},
	{"a resets from FIN-WAIT", 4, func(_ *exactWorld, g *rand.Rand, a, b *Conn) {
		_ = a.CloseWrite()
		if g.IntN(2) == 0 {
			readAll(b)
		}
		_ = a.Abort()
		readAll(b)
		_ = b.Close()
	}},
	{"b resets from CLOSE-WAIT", 4, func(_ *exactWorld, _ *rand.Rand, a, b *Conn) {
		_ = a.CloseWrite()
		readAll(b)
		_ = b.Abort()
		readAll(a)
		_ = a.Close()
	}},
	{"b sends after a closed", 4, func(_ *exactWorld, g *rand.Rand, a, b *Conn) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 {
				if put(b, 1000) != nil {
					break
				}
			}
			readAll(b)
		}()
		if g.IntN(2) == 0 {
			_ = a.CloseRead()
		}
		_ = a.Close()
		<-done
		_ = b.Close()
	}},
	{"FIN-WAIT-2 times out", 3, func(w *exactWorld, _ *rand.Rand, a, b *Conn) {
		_ = a.Close()
		w.gone(a)
		_ = put(b, 10)
		_ = b.Close()
	}},
	{"nobody hears the data", 2, func(w *exactWorld, _ *rand.Rand, a, b *Conn) {
		port := exactClientPort(a, b)
		w.cut(port)
		_ = put(a, 3000)
		readAll(a)
		w.mend(port)
		_ = a.Close()
		_ = b.Close()
	}},
	{"nobody hears the FIN", 2, func(w *exactWorld, g *rand.Rand, a, b *Conn) {
		port := exactClientPort(a, b)
		w.cut(port)
		_ = a.Close()
		if g.IntN(2) == 0 {
			_ = b.Close()
		}
		w.gone(a)
		w.mend(port)
		_ = b.Close()
	}},
	{"keep-alive finds nobody", 2, func(w *exactWorld, _ *rand.Rand, a, b *Conn) {
		port := exactClientPort(a, b)
		w.cut(port)
		readAll(a) // the keep-alive ends it
		w.mend(port)
		_ = put(b, 10) // answered with RST, unless its own keep-alive was faster
		readAll(b)
		_ = a.Close()
		_ = b.Close()
	}},
}

// exactClientPort is the port of the connection's end that is the client.
func exactClientPort(a, b *Conn) uint16 {
	if a.stack.opts.Name == "client" {
		return a.local.Port()
	}
	return b.local.Port()
}

// exactScenarios are all of them.
func exactScenarios() []exactScenario {
	var all []exactScenario
	for _, p := range exactPairScenarios {
		for _, mirror := range []bool{false, true} {
			all = append(all, exactScenario{p.name, p.weight, func(ctx context.Context, w *exactWorld, g *rand.Rand) {
				c, s, err := w.pair(ctx, netip.AddrPort{}, w.at(g.IntN(2) == 0, exactPort))
				if err != nil {
					return // its SYNs were lost too often
				}
				if mirror {
					c, s = s, c
				}
				p.run(w, g, c, s)
			}})
		}
	}
	all = append(all,
		exactScenario{"refused", 6, exactRefused},
		exactScenario{"connect cancelled", 6, exactCancelled},
		exactScenario{"connect cancelled on the way", 4, exactCancelledEarly},
		exactScenario{"ICMP answers the SYN", 5, exactICMPAnswers},
		exactScenario{"no neighbour", 1, exactNoNeighbour},
		exactScenario{"TIME-WAIT reused", 3, exactReuse},
		exactScenario{"simultaneous open", 5, exactSimultaneous},
	)
	return append(all, exactGhostScenarios()...)
}

func exactRefused(ctx context.Context, w *exactWorld, g *rand.Rand) {
	if c, err := w.client.DialTCP(ctx, netip.AddrPort{}, w.at(g.IntN(2) == 0, exactPortClosed)); err == nil {
		w.t.Error("connected to a port that nobody listens on")
		_ = c.Close()
	}
}

// exactCancelled cancels a connect that nobody answers.
func exactCancelled(ctx context.Context, w *exactWorld, g *rand.Rand) {
	port := w.freePort()
	w.ctap.swallow(port)
	defer w.ctap.intercept(port, nil)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(g.IntN(30))*time.Millisecond)
	defer cancel()
	if c, err := w.client.DialTCP(ctx, netip.AddrPort{}, w.at(g.IntN(2) == 0, port)); err == nil {
		w.t.Error("connected although the SYN was swallowed")
		_ = c.Close()
	}
}

// exactCancelledEarly cancels a connect while the handshake may be going on.
func exactCancelledEarly(ctx context.Context, w *exactWorld, g *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(g.IntN(3000))*time.Microsecond)
	defer cancel()
	if c, err := w.client.DialTCP(ctx, netip.AddrPort{}, w.at(g.IntN(2) == 0, exactPort)); err == nil {
		_ = c.Close()
	}
}

// exactICMPAnswers has an ICMP error come in answer to the SYN.
func exactICMPAnswers(ctx context.Context, w *exactWorld, g *rand.Rand) {
	port, v6 := w.freePort(), g.IntN(2) == 0
	syns := make(chan exactOut, 16)
	w.ctap.intercept(port, func(o exactOut) bool {
		select {
		case syns <- o:
		default:
		}
		return false
	})
	defer w.ctap.intercept(port, nil)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case o := <-syns:
				w.ctap.inject(exactUnreachable(o, exactCodes(v6)[g.IntN(2)]))
			case <-ctx.Done():
				return
			}
		}
	}()
	if c, err := w.client.DialTCP(ctx, netip.AddrPort{}, w.at(v6, port)); err == nil {
		w.t.Error("connected although ICMP said unreachable")
		_ = c.Close()
	}
	cancel()
	<-done
}

// exactCodes are two codes of ICMP's destination unreachable that end a connect.
func exactCodes(v6 bool) [2]uint8 {
	if v6 {
		return [2]uint8{0, 4} // no route, port
	}
	return [2]uint8{1, 3} // host, port
}

func exactNoNeighbour(ctx context.Context, w *exactWorld, g *rand.Rand) {
	if c, err := w.client.DialTCP(ctx, netip.AddrPort{}, netip.AddrPortFrom(exactNobody[g.IntN(2)], 80)); err == nil {
		w.t.Error("connected to an address that nobody has")
		_ = c.Close()
	}
}

// exactReuse opens a connection from the port of one that the server has in TIME-WAIT.
func exactReuse(ctx context.Context, w *exactWorld, g *rand.Rand) {
	v6 := g.IntN(2) == 0
	c, s, err := w.pair(ctx, netip.AddrPort{}, w.at(v6, exactPort))
	if err != nil {
		return
	}
	local := c.local
	_ = s.CloseWrite()
	readAll(c)
	_ = c.Close()
	readAll(s)
	_ = s.Close()
	if !w.gone(c) {
		return
	}
	c, s, err = w.pair(ctx, local, w.at(v6, exactPort))
	if err != nil {
		return
	}
	_ = put(c, 100)
	_ = c.Close()
	readAll(s)
	_ = s.Close()
}

// exactSimultaneous lets the SYNs of both ends cross (RFC 9293, figure 7).
func exactSimultaneous(ctx context.Context, w *exactWorld, g *rand.Rand) {
	v6 := g.IntN(2) == 0
	c, s := w.here(v6, w.freePort()), w.at(v6, w.freePort())
	release := w.hold(ctx, c.Port())
	var ends [2]*Conn
	var wg sync.WaitGroup
	wg.Add(2)
	go func() {
		defer wg.Done()
		ends[0], _ = w.client.DialTCP(ctx, c, s)
	}()
	go func() {
		defer wg.Done()
		ends[1], _ = w.server.DialTCP(ctx, s, c)
	}()
	release()
	wg.Wait()
	for _, e := range ends {
		if e != nil && e.State() == tracer.Established {
			_ = e.SetDeadline(time.Now().Add(exactPatience))
			_ = put(e, 1+g.IntN(1000))
			_ = e.CloseWrite()
		}
	}
	for _, e := range ends {
		if e != nil {
			readAll(e)
			_ = e.Close()
		}
	}
}

// hold holds back what both ends send of a port's connection; release waits until
// each has sent something, and lets go.
func (w *exactWorld) hold(ctx context.Context, port uint16) (release func()) {
	var mu sync.Mutex
	var held []func()
	firsts := make(chan struct{}, 2)
	open := false
	for _, tap := range []*exactTap{w.ctap, w.stap} {
		first := true
		tap.intercept(port, func(o exactOut) bool {
			mu.Lock()
			defer mu.Unlock()
			if open {
				return true
			}
			pkt := o.pkt.Clone()
			held = append(held, func() { tap.send(pkt) })
			if first {
				first = false
				firsts <- struct{}{}
			}
			return false
		})
	}
	return func() {
		for range 2 {
			select {
			case <-firsts:
			case <-ctx.Done():
			}
		}
		mu.Lock()
		open = true
		mu.Unlock()
		for _, f := range held {
			f()
		}
		w.mend(port)
	}
}
