package netstack_test

import (
	"context"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// Draining hears of every way in which a connection ends, traced or not.
func TestDrainHears(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(l *lab, c, s *netstack.Conn)
	}{
		{"close", func(l *lab, c, s *netstack.Conn) {
			l.close(c)
			l.recvEOF(s)
			l.close(s)
		}},
		{"abort", func(l *lab, c, _ *netstack.Conn) {
			if err := c.Abort(); err != nil {
				l.t.Error(err)
			}
		}},
		{"reset by the peer", func(l *lab, _, s *netstack.Conn) {
			if err := s.Abort(); err != nil {
				l.t.Error(err)
			}
		}},
		{"shut down with unread data", func(l *lab, c, s *netstack.Conn) {
			l.send(s, "hello")
			l.recv(c, 2)
			if err := c.CloseRead(); err != nil {
				l.t.Error(err)
			}
			l.shut(c)
		}},
	} {
		for _, traced := range []bool{true, false} {
			name := tt.name
			if !traced {
				name += ", untraced"
			}
			t.Run(name, func(t *testing.T) {
				l := drainLab(t, traced)
				c, s := l.connect()
				var waits []<-chan result[struct{}]
				for _, stack := range []*netstack.Stack{l.client, l.server} {
					for _, wait := range []func(context.Context) error{stack.Drain, stack.Quiesce} {
						waits = append(waits, async(func() (struct{}, error) { return struct{}{}, wait(context.Background()) }))
					}
				}
				tt.end(l, c, s)
				for i, w := range waits {
					if _, err := await(t, "Drain or Quiesce", w); err != nil {
						t.Errorf("wait %d: %v", i, err)
					}
				}
			})
		}
	}
}

// A connection that no program has accepted counts, and its end is heard.
func TestDrainUnaccepted(t *testing.T) {
	for _, traced := range []bool{true, false} {
		l := drainLab(t, traced)
		ln := l.listen(serverPort)
		c, err := await(t, "dial", l.dial(serverPort))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if err := l.server.Drain(ctx); err == nil {
			t.Error("Drain returned with a connection in the accept queue")
		}
		cancel()
		drained := async(func() (struct{}, error) { return struct{}{}, l.server.Drain(context.Background()) })
		if err := c.Abort(); err != nil {
			t.Fatal(err)
		}
		if _, err := await(t, "Drain", drained); err != nil {
			t.Error(err)
		}
		l.close(ln)
	}
}

// drainLab makes a lab whose TIME-WAIT is short.
func drainLab(t *testing.T, traced bool) *lab {
	o := both(netstack.TCPOptions{MSL: 50 * time.Millisecond})
	if traced {
		return newLab(t, o)
	}
	verifyNoLeak(t)
	a, b := link.NewPipe(link.PipeOptions{})
	l := &lab{t: t, rec: newRecorder(nil)}
	l.client = l.newStack(a, setup{level: tracer.LevelOff}, o.client, "client", clientAddr4)
	l.server = l.newStack(b, setup{level: tracer.LevelOff}, o.server, "server", serverAddr4)
	return l
}
