package virtual_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	apphttp "appliance/apps/http"
	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// entered returns when the stack's connections entered a state, in order.
func (w *world) entered(stack string, state tracer.State) []time.Duration {
	var at []time.Duration
	for _, e := range w.rec.Events() {
		if c, ok := e.Body.(*tracer.StateChange); ok && e.Stack == stack && c.To == state {
			at = append(at, e.T)
		}
	}
	return at
}

// rule is one of an impairment's, as the command line has it.
func rule(t testing.TB, s string) link.Rule {
	t.Helper()
	r, err := link.ParseRule(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TIME-WAIT lasts 2 MSL (RFC 9293, 3.6.1), to the nanosecond, and nobody waits for it.
func TestTimeWait(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			start := time.Now()
			w := newWorld(t, netstack.TCPOptions{MSL: 2 * time.Minute}, link.ImpairOptions{})
			l := w.listen(f.server)
			w.start("server", func() error { return greet(l) })
			w.start("client", func() error { return w.visit(f.server) })
			w.run(func() bool { return len(w.entered("client", tracer.Closed)) > 0 })
			if at := w.entered("client", tracer.TimeWait); len(at) != 1 || at[0] != 0 {
				t.Errorf("TIME-WAIT entered at %v, want 0s", at)
			}
			if at := w.entered("client", tracer.Closed); at[0] != 4*time.Minute {
				t.Errorf("left at %v, want 4m0s", at)
			}
			t.Logf("%s took %s", w.clock.Elapsed(), time.Since(start))
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("240 s of virtual time took %s", took)
			}
		})
	}
}

// A SYN that is never answered goes out again after 1, 2, 4, … s (RFC 6298, 5.5) and the
// attempt ends at 127 s.
func TestConnectToNobody(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t, netstack.TCPOptions{}, link.ImpairOptions{Rules: []link.Rule{rule(t, "drop out SYN")}})
			w.start("client", func() error {
				if _, err := w.dial(f.server); !errors.Is(err, syscall.ETIMEDOUT) {
					t.Errorf("dial: %v, want a time-out", err)
				}
				if at := w.clock.Elapsed(); at != 127*time.Second {
					t.Errorf("gave up at %s, want 127s", at)
				}
				return nil
			})
			w.run(w.ended)
			var sent []time.Duration
			for _, e := range w.rec.Events() {
				if s, ok := e.Body.(*tracer.Segment); ok && s.Dir == tracer.Out && s.Flags == tracer.SYN {
					sent = append(sent, e.T)
				}
			}
			want := []time.Duration{0, 1, 3, 7, 15, 31, 63}
			for i := range want {
				want[i] *= time.Second
			}
			if !slices.Equal(sent, want) {
				t.Errorf("SYNs at %v, want %v\n%s", sent, want, &w.rec)
			}
		})
	}
}

// Neighbour resolution, which comes before the first segment, has timers too: three
// requests, a second apart (RFC 4861, 7.2.2), then the host is unreachable.
func TestNoNeighbour(t *testing.T) {
	for name, server := range map[string]string{"ARP": "192.168.12.99:9000", "NDP": "[fd00:12::99]:9000"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, netstack.TCPOptions{}, link.ImpairOptions{})
			w.start("client", func() error {
				if _, err := w.dial(server); !errors.Is(err, syscall.EHOSTUNREACH) {
					t.Errorf("dial: %v, want no route to the host", err)
				}
				return nil
			})
			w.run(w.ended)
			if at := w.clock.Elapsed(); at != 3*time.Second {
				t.Errorf("gave up at %s, want 3s", at)
			}
		})
	}
}

// Deadlines are the clock's, also those of programs that know only time.Now.
func TestDeadlines(t *testing.T) {
	for _, tt := range []struct {
		name     string
		deadline func(*world) time.Time
		want     time.Duration
		early    time.Duration // by how much at most: what the program was held up after time.Now
	}{
		{"by the clock", func(w *world) time.Time { return w.clock.Now().Add(7 * time.Second) }, 7 * time.Second, 0},
		{"by the machine's", func(*world) time.Time { return time.Now().Add(time.Hour) }, time.Hour, patience},
		{"long ago", func(*world) time.Time { return time.Unix(1, 0) }, 0, 0},
		{"past by the machine's", func(*world) time.Time { return time.Now().Add(-time.Second) }, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, netstack.TCPOptions{}, link.ImpairOptions{})
			l := w.listen(families[0].server)
			w.start("server", func() error {
				c, err := l.Accept()
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, c)
				return errors.Join(err, c.Close())
			})
			w.start("client", func() error {
				c, err := w.dial(families[0].server)
				if err != nil {
					return err
				}
				began := w.clock.Elapsed()
				if err := c.SetReadDeadline(tt.deadline(w)); err != nil {
					return err
				}
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read: %v, want the deadline", err)
				}
				if waited := w.clock.Elapsed() - began; waited > tt.want || waited < tt.want-tt.early {
					t.Errorf("read gave up after %s, want %s", waited, tt.want)
				}
				return c.Close()
			})
			w.run(w.ended)
		})
	}
}

// Draining waits on the clock, not on the machine's: until TIME-WAIT, and to its end.
func TestDrain(t *testing.T) {
	w := newWorld(t, netstack.TCPOptions{MSL: 2 * time.Minute}, link.ImpairOptions{})
	l := w.listen(families[0].server)
	w.start("server", func() error { return greet(l) })
	w.start("client", func() error {
		c, err := w.dial(families[0].server)
		if err != nil {
			return err
		}
		if err := w.clock.Sleep(context.Background(), time.Minute); err != nil {
			return err
		}
		if _, err := c.Read(make([]byte, 100)); err != nil {
			return err
		}
		return c.Close()
	})
	for name, want := range map[string]time.Duration{"drain": time.Minute, "quiesce": 5 * time.Minute} {
		w.start(name, func() error {
			if err := w.clock.Sleep(context.Background(), time.Second); err != nil { // until there is something to drain
				return err
			}
			wait := w.client.Drain
			if name == "quiesce" {
				wait = w.client.Quiesce
			}
			err := wait(context.Background())
			if at := w.clock.Elapsed(); at != want {
				t.Errorf("%s ended at %s, want %s", name, at, want)
			}
			return err
		})
	}
	w.run(w.ended)
}

// A call that waited returns when the network has come to rest: when connect does, the ACK
// that completed the handshake has arrived; when recv does, so has the ACK of what it got.
func TestNetworkFirst(t *testing.T) {
	w := newWorld(t, netstack.TCPOptions{}, link.ImpairOptions{})
	l := w.listen(families[0].server)
	arrived := func(stack string, dir tracer.Direction, payload int) (n int) {
		for _, e := range w.rec.Events() {
			if s, ok := e.Body.(*tracer.Segment); ok && e.Stack == stack && s.Dir == dir && s.Flags == tracer.ACK && s.Len == payload {
				n++
			}
		}
		return n
	}
	w.start("server", func() error { return greet(l) })
	w.start("client", func() error {
		c, err := w.dial(families[0].server)
		if err != nil {
			return err
		}
		if n := arrived("server", tracer.In, 0); n != 1 {
			t.Errorf("connect returned with %d ACKs at the server, want 1", n)
		}
		if _, err := c.Read(make([]byte, 100)); err != nil {
			return err
		}
		if n := arrived("server", tracer.In, 0); n != 2 {
			t.Errorf("recv returned with %d ACKs at the server, want 2", n)
		}
		return c.Close()
	})
	w.run(w.ended)
}

// slowConn computes before each Write: a handler that takes its time.
type slowConn struct{ *netstack.Conn }

func (c slowConn) Write(b []byte) (int, error) {
	compute(30 * time.Millisecond)
	return c.Conn.Write(b)
}

// slowListener accepts such.
type slowListener struct {
	*netstack.Listener
	accepted *atomic.Int32
}

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	l.accepted.Add(1)
	return slowConn{c}, nil
}

// A web server and its client run on it, unaware. While the server computes for 30 ms the
// client's deadline, 1 ms away, does not come nearer.
func TestHTTP(t *testing.T) {
	w := newWorld(t, netstack.TCPOptions{MSL: 2 * time.Minute}, link.ImpairOptions{})
	var accepted atomic.Int32
	l := slowListener{w.listen(families[0].server), &accepted}
	const requests = 3
	w.start("server", func() error {
		return (&apphttp.Server{Count: requests}).Serve(context.Background(), l)
	})
	w.start("client", func() error {
		for range requests {
			c, err := w.dial(families[0].server)
			if err != nil {
				return err
			}
			if err := c.SetDeadline(w.clock.Now().Add(time.Millisecond)); err != nil {
				return err
			}
			var page bytes.Buffer
			if err := apphttp.Run(context.Background(), c, &page, "/"); err != nil {
				return err
			}
			if !strings.Contains(page.String(), "192.168.12.1") {
				t.Errorf("the page does not tell who we are:\n%s", &page)
			}
		}
		return nil
	})
	w.run(w.ended)
	if at := w.clock.Elapsed(); at != 0 || accepted.Load() != requests {
		t.Errorf("%d requests ended at %s, want %d at 0s: the clock ran ahead", accepted.Load(), at, requests)
	}
	w.run(func() bool { return len(w.entered("server", tracer.Closed)) == requests+1 })
	if at := w.clock.Elapsed(); at != 4*time.Minute {
		t.Errorf("the server, which closed first, left TIME-WAIT at %s, want 4m0s", at)
	}
}
