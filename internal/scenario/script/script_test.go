package script

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"appliance/internal/scenario/host"
	"appliance/netstack"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// clientFrames are a client that puts data on the handshake's third segment, and on its FIN.
func clientFrames() []sequence.Frame {
	return []sequence.Frame{
		snd(syn, 0, 0, allOpts),
		exp(syn|ack, seqIs(0), ackIs(1)),
		snd(pshACK, 1, 1, text("hello")),
		exp(ack, seqIs(1), ackIs(6), length(0)),
		snd(fin|pshACK, 6, 1, length(20)),
		exp(ack, ackIs(27)),
		exp(fin|ack, seqIs(1), ackIs(27)),
		snd(ack, 27, 2),
	}
}

// serve is the program for clientFrames: it reads what they send, and closes. It waits for the
// connection's end.
func (w *world) serve(ln *netstack.Listener) error {
	c, err := ln.AcceptTCP()
	if err != nil {
		return err
	}
	err = errors.Join(recv(c, "hello"+string(host.Pattern(true, 5, 20))), recvEOF(c), c.Close(), ln.Close())
	return errors.Join(err, w.stack.Drain(context.Background()))
}

func TestClient(t *testing.T) { eachWorld(t, testClient) }

func testClient(t *testing.T, s settings) {
	t.Helper()
	s.client = true
	w := newWorld(t, s)
	ln := w.listen()
	w.run(clientFrames(), func() error { return w.serve(ln) })
	w.checkClient()
}

// checkClient wants the trace of clientFrames.
func (w *world) checkClient() {
	w.t.Helper()
	w.wantStates(
		"LISTEN → SYN-RECEIVED", "SYN-RECEIVED → ESTABLISHED", "ESTABLISHED → CLOSE-WAIT",
		"CLOSE-WAIT → LAST-ACK", "LAST-ACK → CLOSED",
	)
	in := []string{"SYN seq 0", "PSH,ACK seq 1 ack 1 len 5", "FIN,PSH,ACK seq 6 ack 1 len 20", "ACK seq 27 ack 2"}
	if got := w.segments(tracer.In); !slices.Equal(got, in) {
		w.t.Errorf("what came is %q, want %q", got, in)
	}
	for _, e := range w.rec.Events() {
		switch b := e.Body.(type) {
		case *tracer.Segment:
			if !b.Opts.HasTS {
				w.t.Errorf("%+v has no timestamp, which both ends have agreed", b)
			}
			if b.Dir == tracer.In && b.Flags.Has(ack) && b.Opts.TSEcr == 0 {
				w.t.Errorf("%+v echoes no timestamp", b)
			}
			if b.Flags == syn && (b.Opts.MSS != 1460 || b.Opts.WS != 7 || !b.Opts.SACKOK || b.Win != 65535) {
				w.t.Errorf("the SYN is %+v", b)
			}
		case *tracer.StateChange:
			if b.To == tracer.Established {
				w.checkOpener(b.Cause.N)
			}
		default:
		}
	}
}

// checkOpener wants event n to be the third segment, with its data.
func (w *world) checkOpener(n uint64) {
	w.t.Helper()
	for _, e := range w.rec.Events() {
		if b, ok := e.Body.(*tracer.Segment); ok && e.N == n && b.Flags.Has(ack) && b.Len == 5 {
			return
		}
	}
	w.t.Errorf("ESTABLISHED by event %d, want the segment with the data\n%s", n, &w.rec)
}

func TestServer(t *testing.T) { eachWorld(t, testServer) }

func testServer(t *testing.T, s settings) {
	t.Helper()
	w := newWorld(t, s)
	frames := []sequence.Frame{
		exp(syn),
		snd(syn|ack, 0, 1, mss),
		exp(ack, seqIs(1), ackIs(1)),
		exp(ack, seqIs(1), length(20)),
		snd(pshACK, 1, 21, length(10)), // the reply carries the first ACK of the data
		exp(ack, ackIs(11)),
		exp(fin|ack, seqIs(21)),
		snd(fin|ack, 11, 22), // ACK and FIN in one
		exp(ack, seqIs(22), ackIs(12)),
	}
	w.run(frames, func() error {
		c, err := w.stack.DialTCP(context.Background(), netip.AddrPort{}, w.server())
		if err != nil {
			return err
		}
		_, err = c.Write(host.Pattern(true, 0, 20))
		return errors.Join(err, recv(c, string(host.Pattern(false, 0, 10))), c.Close())
	})
	w.wantStates(
		"CLOSED → SYN-SENT", "SYN-SENT → ESTABLISHED", "ESTABLISHED → FIN-WAIT-1", "FIN-WAIT-1 → TIME-WAIT",
	)
	in := []string{"SYN,ACK seq 0 ack 1", "PSH,ACK seq 1 ack 21 len 10", "FIN,ACK seq 11 ack 22"}
	if got := w.segments(tracer.In); !slices.Equal(got, in) {
		t.Errorf("what came is %q, want %q", got, in)
	}
	if seen := w.script.Seen(); string(seen[2].Payload) != string(host.Pattern(true, 0, 20)) || !seen[2].Awaited {
		t.Errorf("the script has seen %+v", seen[2])
	}
}

func TestSimultaneousClose(t *testing.T) { eachWorld(t, testSimultaneousClose) }

func testSimultaneousClose(t *testing.T, s settings) {
	t.Helper()
	s.client = true
	w := newWorld(t, s)
	ln := w.listen()
	frames := []sequence.Frame{
		snd(syn, 0, 0, mss), exp(syn | ack), snd(ack, 1, 1),
		exp(fin|ack, seqIs(1), ackIs(1)),
		snd(fin|ack, 1, 1), // it has not seen theirs
		exp(ack, seqIs(2), ackIs(2)),
		snd(ack, 2, 2),
		// The next connection is refused once what came before has been processed.
		snd(syn, 0, 0, of("b"), to(netip.AddrPortFrom(w.addr(false), port+1).String())), exp(rst|ack, of("b")),
	}
	w.run(frames, func() error {
		c, err := ln.AcceptTCP()
		if err != nil {
			return err
		}
		return errors.Join(c.Close(), ln.Close(), w.stack.Drain(context.Background()))
	})
	w.wantStates(
		"LISTEN → SYN-RECEIVED", "SYN-RECEIVED → ESTABLISHED", "ESTABLISHED → FIN-WAIT-1",
		"FIN-WAIT-1 → CLOSING", "CLOSING → TIME-WAIT",
	)
}

func TestSimultaneousOpen(t *testing.T) {
	for _, client := range []bool{true, false} {
		eachWorld(t, func(t *testing.T, s settings) {
			s.client = client
			w := newWorld(t, s)
			frames := []sequence.Frame{
				exp(syn), snd(syn, 0, 0, mss), // it has not seen theirs
				exp(syn|ack, ackIs(1)), snd(syn|ack, 0, 1, mss),
				snd(ack, 1, 1),
				exp(ack, length(3)), snd(rst|ack, 1, 4), // and over
			}
			theirs, mine := netip.AddrPortFrom(w.addr(client), 40000), w.server()
			if !client {
				theirs, mine = mine, netip.AddrPortFrom(w.addr(true), 40000)
			}
			w.run(frames, func() error {
				c, err := w.stack.DialTCP(context.Background(), mine, theirs)
				if err != nil {
					return err
				}
				if _, err = c.Write([]byte("end")); err != nil {
					return err
				}
				_, err = c.Read(make([]byte, 1))
				if !errors.Is(err, syscall.ECONNRESET) {
					return fmt.Errorf("read: %w, want a reset", err)
				}
				return c.Close()
			})
			w.wantStates("CLOSED → SYN-SENT", "SYN-SENT → SYN-RECEIVED", "SYN-RECEIVED → ESTABLISHED", "ESTABLISHED → CLOSED")
		})
	}
}

func TestRefused(t *testing.T) {
	eachWorld(t, func(t *testing.T, s settings) {
		w := newWorld(t, s)
		w.run([]sequence.Frame{exp(syn), snd(rst|ack, 0, 1)}, func() error {
			_, err := w.stack.DialTCP(context.Background(), netip.AddrPort{}, w.server())
			if !errors.Is(err, syscall.ECONNREFUSED) {
				return fmt.Errorf("connect: %w, want it refused", err)
			}
			return nil
		})
		for _, e := range w.rec.Events() {
			if b, ok := e.Body.(*tracer.Segment); ok && b.Dir == tracer.In && b.Seq != 0 {
				t.Errorf("the RST has seq %d on the wire, want 0: an end that is closed has no number of its own", b.Seq)
			}
		}
	})
	eachWorld(t, func(t *testing.T, s settings) {
		s.client = true
		w := newWorld(t, s)
		w.run([]sequence.Frame{
			snd(syn, 0, 0), exp(rst|ack, seqIs(0), ackIs(1)),
			// An ACK out of nowhere is answered by its own numbers (RFC 9293, 3.5.2, group 1).
			snd(ack, 100, 300, of("b")), exp(rst, of("b"), seqIs(300)),
		}, nil)
	})
}

// TestServerFirst has the server send to a client that has not begun.
func TestServerFirst(t *testing.T) {
	eachWorld(t, func(t *testing.T, s settings) {
		w := newWorld(t, s)
		w.run([]sequence.Frame{
			snd(ack, 100, 300), exp(rst, seqIs(300)), snd(ack, 100, 301, of("b")), exp(rst, of("b"), seqIs(301)),
		}, nil)
		for i, g := range w.script.Seen() {
			if g.Local != w.server() || g.Remote != netip.AddrPortFrom(w.addr(true), uint16(40000+i)) {
				t.Errorf("%s to %s answered %s", g.Remote, g.Local, &g)
			}
		}
	})
}

// TestConnections has two connections at once, told apart by name, as client and as server.
func TestConnections(t *testing.T) {
	eachWorld(t, func(t *testing.T, s settings) {
		s.client = true
		w := newWorld(t, s)
		ln := w.listen()
		var frames []sequence.Frame
		for _, conn := range []string{"", "b", "c"} {
			frames = append(frames, snd(syn, 0, 0, of(conn)), exp(syn|ack, of(conn)), snd(ack, 1, 1, of(conn)))
		}
		frames = append(frames, snd(pshACK, 1, 1, of("b"), text("of b")), exp(ack, of("b"), ackIs(5)))
		w.run(frames, func() error {
			// They may be accepted in any order.
			byPort := map[uint16]*netstack.Conn{}
			for range 3 {
				c, err := ln.AcceptTCP()
				if err != nil {
					return err
				}
				byPort[netip.MustParseAddrPort(c.RemoteAddr().String()).Port()] = c
			}
			if byPort[40000] == nil || byPort[40001] == nil || byPort[40002] == nil {
				return fmt.Errorf("accepted %v", byPort)
			}
			return recv(byPort[40001], "of b")
		})
	})
	eachWorld(t, func(t *testing.T, s settings) {
		w := newWorld(t, s)
		w.run([]sequence.Frame{
			exp(syn, of("a")), exp(syn, of("b")),
			snd(syn|ack, 0, 1, of("b")), snd(syn|ack, 0, 1, of("a")),
			exp(ack, of("a"), ackIs(1)), exp(ack, of("b"), ackIs(1)),
		}, func() error {
			done := make(chan error, 2)
			for range cap(done) {
				go func() {
					_, err := w.stack.DialTCP(context.Background(), netip.AddrPort{}, w.server())
					done <- err
				}()
			}
			return errors.Join(<-done, <-done)
		})
		isns := map[uint32]bool{}
		for _, e := range w.rec.Events() {
			if b, ok := e.Body.(*tracer.Segment); ok && b.Dir == tracer.In && b.Flags.Has(syn) {
				isns[b.Seq] = true
			}
		}
		if len(isns) != 2 {
			t.Errorf("the initial numbers of two connections are %v", isns)
		}
	})
}

func TestDelay(t *testing.T) {
	w := newWorld(t, settings{family: 4, virtual: true, client: true})
	ln := w.listen()
	w.run([]sequence.Frame{
		snd(syn, 0, 0, ts), exp(syn | ack), snd(ack, 1, 1),
		pause(1500 * time.Millisecond), snd(pshACK, 1, 1, text("late")), exp(ack, ackIs(5)),
	}, func() error {
		c, err := ln.AcceptTCP()
		if err != nil {
			return err
		}
		return recv(c, "late")
	})
	for _, e := range w.rec.Events() {
		if b, ok := e.Body.(*tracer.Segment); ok && b.Len == 4 && (e.T != 1500*time.Millisecond || b.Opts.TSVal != 1501) {
			t.Errorf("the data came at %s, its timestamp is %d", e.T, b.Opts.TSVal)
		}
	}
	if seen := w.script.Seen(); seen[len(seen)-1].At != 1500*time.Millisecond {
		t.Errorf("the ACK came at %s", seen[len(seen)-1].At)
	}
}

// TestWaiting looks at the errors of steps that wait in vain.
func TestWaiting(t *testing.T) {
	w := newWorld(t, settings{family: 4, client: true})
	// What comes, comes in order: the first RST is there when the second is.
	w.run([]sequence.Frame{snd(syn, 0, 0), snd(syn, 0, 0, of("b")), exp(rst|ack, of("b"))}, nil)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	awaits := exp(syn|ack, ackIs(1))
	awaits.Line = 12
	nobody := snd(syn, 0, 0, of("e"), to("broadcast")) // needs no waiting
	tests := []struct {
		frames []sequence.Frame
		want   string
	}{
		{
			[]sequence.Frame{nobody, awaits},
			"script: step 2 `await SYN,ACK ack=1` (line 12): context canceled; came: RST,ACK seq 0 ack 1",
		},
		{
			[]sequence.Frame{exp(fin, of("c"))},
			"script: step 1 `c: await FIN`: context canceled; nothing came on its connection; on others: RST,ACK seq 0 ack 1; RST,ACK seq 0 ack 1",
		},
		{
			[]sequence.Frame{snd(syn, 0, 0, to("192.168.12.99"), of("d"))},
			"script: step 1 `d: send SYN seq=0 to=192.168.12.99`: no answer from 192.168.12.99 to its MAC address being asked for: context canceled",
		},
		{[]sequence.Frame{pause(time.Hour)}, "script: step 1 `delay 1h0m0s`: context canceled"},
	}
	for _, test := range tests {
		if err := w.script.Play(over, test.frames); !errors.Is(err, context.Canceled) || err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
	w.script.Close()
	if err := w.script.Play(t.Context(), []sequence.Frame{exp(fin)}); !errors.Is(err, errLinkGone) {
		t.Errorf("after Close: %v", err)
	}
	if err := w.script.Play(t.Context(), []sequence.Frame{snd(syn, 0, 0)}); err == nil {
		t.Error("sent after Close")
	}
}
