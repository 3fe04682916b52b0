//go:build exactness

package netstack

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// exactGhost is a peer that is nothing but frames: it has the client's address and
// a port of its own, and what the server sends to it comes here.
type exactGhost struct {
	w        *exactWorld
	me, peer tcpip.FullAddress
	seq, ack uint32
	outs     chan exactOut
}

// ghost makes one; hush lets what is sent to it through to the client again.
func (w *exactWorld) ghost(v6 bool, port uint16, seq uint32) *exactGhost {
	g := &exactGhost{w: w, seq: seq, outs: make(chan exactOut, 64)}
	g.me, g.peer = fullAddress(w.here(v6, w.freePort())), fullAddress(w.at(v6, port))
	w.stap.intercept(g.me.Port, func(o exactOut) bool {
		select {
		case g.outs <- o:
		default:
		}
		return false
	})
	return g
}

func (g *exactGhost) hush() { g.w.stap.intercept(g.me.Port, nil) }

// say sends a segment.
func (g *exactGhost) say(flags header.TCPFlags, seq, ack uint32, data string) {
	g.w.stap.inject(exactSegment{from: g.me, to: g.peer, flags: flags, seq: seq, ack: ack, data: data}.bytes())
}

const (
	fSYN = header.TCPFlagSyn
	fACK = header.TCPFlagAck
	fRST = header.TCPFlagRst
	fFIN = header.TCPFlagFin
	fPSH = header.TCPFlagPsh
)

// open sends the SYN and waits for its answer.
func (g *exactGhost) open(ctx context.Context) (synACK exactOut, ok bool) {
	g.say(fSYN, g.seq, 0, "")
	return g.synACK(ctx)
}

func (g *exactGhost) synACK(ctx context.Context) (exactOut, bool) {
	for {
		select {
		case o := <-g.outs:
			if o.h.Flags().Contains(fSYN | fACK) {
				g.ack = o.h.SequenceNumber() + 1
				return o, true
			}
		case <-ctx.Done():
			g.w.t.Errorf("no SYN ACK for the SYN from port %d", g.me.Port)
			return exactOut{}, false
		}
	}
}

// connect makes the whole handshake; the last ACK may bear data and a FIN.
func (g *exactGhost) connect(ctx context.Context, data string, fin bool) bool {
	if _, ok := g.open(ctx); !ok {
		return false
	}
	flags := header.TCPFlags(fACK)
	if fin {
		flags |= fFIN
	}
	g.say(flags, g.seq+1, g.ack, data)
	return true
}

// settled waits until the server's processors have done with what was injected.
func (w *exactWorld) settled() {
	w.pauses.Lock()
	defer w.pauses.Unlock()
	w.server.Pause()
	w.server.Resume()
}

// exactGhosts are the ways in which a child dies that nobody has accepted. Each has
// a listener of its own, which it closes.
var exactGhosts = []struct {
	name   string
	weight int
	run    func(ctx context.Context, w *exactWorld, r *rand.Rand, l *Listener, g *exactGhost)
}{
	{"RST in SYN-RECEIVED", 4, func(ctx context.Context, w *exactWorld, _ *rand.Rand, _ *Listener, g *exactGhost) {
		if _, ok := g.open(ctx); ok {
			g.say(fRST, g.seq+1, 0, "")
			w.settled()
		}
	}},
	{"RST at once", 2, func(_ context.Context, w *exactWorld, _ *rand.Rand, _ *Listener, g *exactGhost) {
		g.say(fSYN, g.seq, 0, "")
		g.say(fRST, g.seq+1, 0, "")
		w.settled()
	}},
	{"RST in the accept queue", 4, func(ctx context.Context, w *exactWorld, _ *rand.Rand, _ *Listener, g *exactGhost) {
		if g.connect(ctx, "", false) {
			g.say(fRST|fACK, g.seq+1, g.ack, "")
			w.settled()
		}
	}},
	{"RST after data in the accept queue", 2, func(ctx context.Context, w *exactWorld, _ *rand.Rand, _ *Listener, g *exactGhost) {
		if g.connect(ctx, "hello", false) {
			g.say(fPSH|fACK, g.seq+6, g.ack, "more")
			g.say(fRST|fACK, g.seq+10, g.ack, "")
			w.settled()
		}
	}},
	{"FIN, then RST, in the accept queue", 2, func(ctx context.Context, w *exactWorld, _ *rand.Rand, _ *Listener, g *exactGhost) {
		if g.connect(ctx, "", true) {
			g.say(fRST|fACK, g.seq+2, g.ack, "")
			w.settled()
		}
	}},
	{"accepted dead", 3, func(ctx context.Context, w *exactWorld, r *rand.Rand, l *Listener, g *exactGhost) {
		if !g.connect(ctx, "", false) {
			return
		}
		g.say(fRST|fACK, g.seq+1, g.ack, "")
		if r.IntN(2) == 0 {
			w.settled()
		}
		if c, err := l.AcceptTCP(); err == nil {
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}
	}},
	{"data and FIN with the handshake's ACK", 3, func(ctx context.Context, _ *exactWorld, r *rand.Rand, l *Listener, g *exactGhost) {
		if g.connect(ctx, "hello", r.IntN(2) == 0) {
			if c, err := l.AcceptTCP(); err == nil {
				_, _ = c.Read(make([]byte, 10))
				_ = c.Close()
			}
		}
	}},
	{"ICMP in SYN-RECEIVED", 4, func(ctx context.Context, w *exactWorld, r *rand.Rand, _ *Listener, g *exactGhost) {
		if o, ok := g.open(ctx); ok {
			w.stap.inject(exactUnreachable(o, exactCodes(g.me.Addr.Len() == 16)[r.IntN(2)]))
			w.settled()
		}
	}},
	{"ICMP in the accept queue", 1, func(ctx context.Context, w *exactWorld, r *rand.Rand, _ *Listener, g *exactGhost) {
		if o, ok := g.open(ctx); ok {
			g.say(fACK, g.seq+1, g.ack, "")
			w.stap.inject(exactUnreachable(o, exactCodes(g.me.Addr.Len() == 16)[r.IntN(2)]))
			w.settled()
		}
	}},
	{"another SYN", 4, func(ctx context.Context, w *exactWorld, r *rand.Rand, _ *Listener, g *exactGhost) {
		if r.IntN(2) == 0 {
			g.say(fSYN, g.seq, 0, "")
		} else if _, ok := g.open(ctx); !ok {
			return
		}
		g.say(fSYN, g.seq+1+uint32(r.IntN(1000)), 0, "") //nolint:gosec // small
		w.settled()
	}},
	{"the same SYN again and again", 2, func(ctx context.Context, w *exactWorld, _ *rand.Rand, _ *Listener, g *exactGhost) {
		for range 4 {
			g.say(fSYN, g.seq, 0, "")
		}
		g.connect(ctx, "x", false)
		w.settled()
	}},
	{"an ACK of nothing", 1, func(ctx context.Context, w *exactWorld, _ *rand.Rand, _ *Listener, g *exactGhost) {
		if _, ok := g.open(ctx); ok {
			g.hush()
			g.say(fPSH|fACK, g.seq+1, g.ack+7, "x") // answered with RST; the client answers with nothing
			w.settled()
		}
	}},
	{"listener closes on many", 3, func(ctx context.Context, w *exactWorld, r *rand.Rand, l *Listener, g *exactGhost) {
		v6 := g.me.Addr.Len() == 16
		ghosts := []*exactGhost{g}
		for range 5 {
			ghosts = append(ghosts, w.ghost(v6, g.peer.Port, r.Uint32()))
		}
		var wg sync.WaitGroup
		for i, g := range ghosts {
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer g.hush()
				if _, ok := g.open(ctx); ok && i%2 == 0 {
					g.say(fACK, g.seq+1, g.ack, "")
				}
			}()
		}
		wg.Wait()
	}},
	{"listener closes in the handshake", 4, func(_ context.Context, w *exactWorld, r *rand.Rand, l *Listener, g *exactGhost) {
		var wg sync.WaitGroup
		for range 4 {
			other := w.ghost(g.me.Addr.Len() == 16, g.peer.Port, r.Uint32())
			short, cancel := context.WithTimeout(context.Background(), time.Second)
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer cancel()
				defer other.hush()
				other.rush(short)
			}()
		}
		closeAfter := time.Duration(r.IntN(400)) * time.Microsecond
		time.Sleep(closeAfter) // not for an event: any moment of the handshakes will do
		_ = l.Close()
		wg.Wait()
	}},
}

// rush makes a handshake as far as the server lets it.
func (g *exactGhost) rush(ctx context.Context) {
	g.say(fSYN, g.seq, 0, "")
	for {
		select {
		case o := <-g.outs:
			if o.h.Flags().Contains(fRST) {
				return
			}
			g.say(fACK, g.seq+1, o.h.SequenceNumber()+1, "")
			return
		case <-ctx.Done():
			return
		}
	}
}

// exactGhostScenarios makes scenarios of the ghosts.
func exactGhostScenarios() []exactScenario {
	var all []exactScenario
	for _, s := range exactGhosts {
		all = append(all, exactScenario{s.name, s.weight, func(ctx context.Context, w *exactWorld, r *rand.Rand) {
			l := w.listen(w.freePort())
			port := uint16(l.addr.Port) //nolint:gosec // a port
			g := w.ghost(r.IntN(2) == 0, port, r.Uint32())
			defer g.hush()
			s.run(ctx, w, r, l, g)
			_ = l.Close()
		}})
	}
	return all
}
