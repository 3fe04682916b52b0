package netstack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/tracer"
)

// Every test with a lab also shows that Close leaves no goroutine: newLab checks.

// closing brings a connection of the client's into each state. The client's stack is
// then closed: the connection dies in state from.
var closing = map[tracer.State]struct {
	rules []string
	from  tracer.State
	how   tracer.How
	reach func(l *lab, ln *netstack.Listener)
}{
	tracer.SynSent: {[]string{"drop out SYN"}, tracer.SynSent, tracer.HowAborted, func(l *lab, _ *netstack.Listener) {
		l.dial(serverPort)
	}},
	tracer.Established: {[]string{"drop out FIN"}, tracer.FinWait1, tracer.HowAborted, func(l *lab, ln *netstack.Listener) {
		l.connectTo(ln, serverPort)
	}},
	tracer.FinWait1: {[]string{"drop out FIN"}, tracer.FinWait1, tracer.HowAborted, func(l *lab, ln *netstack.Listener) {
		c, _ := l.connectTo(ln, serverPort)
		l.close(c)
	}},
	tracer.FinWait2: {nil, tracer.FinWait2, tracer.HowAborted, func(l *lab, ln *netstack.Listener) {
		c, _ := l.connectTo(ln, serverPort)
		l.close(c)
	}},
	tracer.CloseWait: {[]string{"drop out FIN"}, tracer.LastAck, tracer.HowAborted, func(l *lab, ln *netstack.Listener) {
		c, s := l.connectTo(ln, serverPort)
		l.close(s)
		l.recvEOF(c)
	}},
	// The FINs cross: each end's acknowledgment of the other's is lost.
	tracer.Closing: {[]string{"drop out FIN nth=1-", "drop in ACK,!FIN state=FIN-WAIT-1"}, tracer.Closing, tracer.HowAborted, func(l *lab, ln *netstack.Listener) {
		c, s := l.connectTo(ln, serverPort)
		l.shut(c)
		l.wait(ofConn(c), enters(tracer.FinWait1))
		l.shut(s) // an end that is closed altogether would answer the other's ACK with RST
	}},
	tracer.LastAck: {[]string{"drop out FIN"}, tracer.LastAck, tracer.HowAborted, func(l *lab, ln *netstack.Listener) {
		c, s := l.connectTo(ln, serverPort)
		l.close(s)
		l.recvEOF(c)
		l.close(c)
	}},
	tracer.TimeWait: {nil, tracer.TimeWait, tracer.HowFIN, func(l *lab, ln *netstack.Listener) {
		c, s := l.connectTo(ln, serverPort)
		l.close(c)
		l.recvEOF(s)
		l.close(s)
	}},
}

func TestCloseInEveryState(t *testing.T) {
	for state, c := range closing {
		t.Run(state.String(), func(t *testing.T) {
			l := newLab(t, setup{rules: c.rules})
			c.reach(l, l.listen(serverPort))
			e := l.wait(on("client"), enters(state))
			within(t, "Close", func() { _ = l.client.Close() })
			same := func(o tracer.Event) bool { return o.Conn == e.Conn }
			deaths, ends := l.events(same, enters(tracer.Closed)), l.events(same, ofType(tracer.TypeEnd))
			if len(deaths) != 1 || len(ends) != 1 {
				t.Fatalf("the connection died %d times and ended %d times:\n%s", len(deaths), len(ends), l.rec)
			}
			death, end := stateOf(deaths[0]), ends[0].Body.(*tracer.End)
			want := tracer.Cause{Kind: tracer.CauseStack, What: "stack closed"}
			if c.from == tracer.SynSent { // that one the socket's own close ends
				want = tracer.Cause{Kind: tracer.CauseCall, What: "close", N: death.Cause.N}
			}
			if death.From != c.from || death.Cause != want || end.How != c.how {
				t.Errorf("%s, %s; want from %s by %v, %s:\n%s", tell(deaths[0]), tell(ends[0]), c.from, want, c.how, l.rec)
			}
		})
	}
}

// The passive end's own states: half-open, waiting to be accepted, and LISTEN.
func TestClosePassive(t *testing.T) {
	for state, rules := range map[tracer.State][]string{tracer.SynReceived: {"drop out ACK,!SYN"}, tracer.Established: nil} {
		t.Run(state.String(), func(t *testing.T) {
			l := newLab(t, setup{rules: rules})
			l.listen(serverPort)
			l.dial(serverPort)
			e := l.wait(on("server"), enters(state))
			within(t, "Close", func() { _ = l.server.Close() })
			for _, conn := range []uint32{e.Conn, e.Parent} {
				ends := l.events(func(o tracer.Event) bool { return o.Conn == conn }, enters(tracer.Closed))
				if len(ends) != 1 {
					t.Errorf("connection %d ended %d times:\n%s", conn, len(ends), l.rec)
				}
			}
		})
	}
}

func TestCloseTwice(t *testing.T) {
	l := newLab(t, setup{})
	ln := l.listen(serverPort)
	c, _ := l.connectTo(ln, serverPort)
	pc := l.listenPacket(l.client, "udp", ":0")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := l.client.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	within(t, "Close", wg.Wait)
	for name, call := range map[string]func() error{
		"Conn.Close":       c.Close,
		"PacketConn.Close": pc.Close,
		"Read":             func() error { _, err := c.Read(make([]byte, 1)); return err },
		"Write":            func() error { _, err := c.Write(make([]byte, 1)); return err },
		"DialContext":      func() error { _, err := l.client.DialContext(context.Background(), "tcp", serverPort); return err },
		"DialContext udp":  func() error { _, err := l.client.DialContext(context.Background(), "udp", serverPort); return err },
		"Listen":           func() error { _, err := l.client.Listen("tcp", ":1"); return err },
		"ListenPacket":     func() error { _, err := l.client.ListenPacket("udp", ":1"); return err },
	} {
		if err := call(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s on a closed stack: %v, want net.ErrClosed", name, err)
		}
	}
}

// Close ends every call that is waiting on another goroutine.
func TestCloseDuringCalls(t *testing.T) {
	l := newLab(t, setup{level: tracer.LevelSegments})
	ln := l.listen(serverPort)
	c, _ := l.connectTo(ln, serverPort)
	_, s := l.connectTo(ln, serverPort)
	since := len(l.rec.Events())
	waiting := map[string]<-chan result[int]{
		"accept": async(func() (int, error) { _, err := ln.Accept(); return 0, err }),
		"recv":   async(func() (int, error) { return c.Read(make([]byte, 1)) }),
		"send":   async(func() (int, error) { return s.Write(make([]byte, 8<<20)) }),
		"connect": async(func() (int, error) {
			_, err := l.client.DialContext(context.Background(), "tcp", "192.168.12.99:1") // nobody answers ARP there
			return 0, err
		}),
	}
	for name := range waiting {
		l.blocked(name, since)
	}
	within(t, "Close", func() { _ = l.client.Close() }) // first: its Read is not to see the server's FIN
	within(t, "Close", func() { _ = l.server.Close() })
	for name, ch := range waiting {
		if _, err := await(t, name, ch); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s on a stack that is closed: %v, want an error", name, err)
		}
	}
}

// A storm of calls while the stacks close: no call hangs, nothing is left.
func TestCloseInStorm(t *testing.T) {
	l := newLab(t, setup{level: tracer.LevelSegments})
	ln := l.listen(serverPort)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				c, err := l.client.DialContext(ctx, "tcp", serverPort)
				cancel()
				if err != nil {
					return // the stack is closed
				}
				_, _ = c.Write(make([]byte, 10_000))
				_, _ = c.Read(make([]byte, 10_000))
				_ = c.Close()
			}
		})
	}
	done := 0
	l.wait(ofType(tracer.TypeEnd), func(tracer.Event) bool { done++; return done == 20 })
	within(t, "Close", func() { _ = l.client.Close() })
	within(t, "Close", func() { _ = l.server.Close() })
	close(stop)
	within(t, "the programs", wg.Wait)
}

func TestDrain(t *testing.T) {
	l := newLab(t, setup{})
	if err := l.client.Drain(context.Background()); err != nil {
		t.Errorf("Drain with no connection: %v", err)
	}
	ln := l.listen(serverPort)
	c, s := l.connectTo(ln, serverPort)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := l.server.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain with an open connection: %v, want the context's end", err)
	}
	drained := async(func() (struct{}, error) { return struct{}{}, l.server.Drain(context.Background()) })
	l.close(c)
	l.recvEOF(s)
	select {
	case <-drained:
		t.Error("Drain returned with a connection in CLOSE-WAIT")
	default:
	}
	l.close(s)
	if _, err := await(t, "Drain", drained); err != nil {
		t.Errorf("Drain: %v", err)
	}
	l.wait(ofConn(c), enters(tracer.TimeWait))
	if _, err := await(t, "Drain", async(func() (struct{}, error) { return struct{}{}, l.client.Drain(context.Background()) })); err != nil {
		t.Errorf("Drain with a connection in TIME-WAIT: %v", err)
	}
}
