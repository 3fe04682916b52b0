package discard

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

func TestDiscardTCP(t *testing.T) {
	s := apptest.Start(t, (&Server{Log: t.Logf}).Serve)
	for _, size := range []int{0, 1, 4 << 20} {
		r, err := Run(apptest.Context(t), apptest.Dial(t, "tcp", s.Addr), make([]byte, size))
		if err != nil || r.Bytes != size {
			t.Errorf("%d bytes: sent %d, %v", size, r.Bytes, err)
		}
	}
}

// packets tells the test of each datagram that was read.
type packets struct {
	net.PacketConn
	read chan int
	sent chan int
}

func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.PacketConn.ReadFrom(b)
	if err == nil {
		p.read <- n
	}
	return n, from, err
}

func (p *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	p.sent <- len(b)
	return p.PacketConn.WriteTo(b, to)
}

func TestDiscardUDP(t *testing.T) {
	seen := &packets{read: make(chan int, 2), sent: make(chan int, 2)}
	s := apptest.StartPacket(t, func(ctx context.Context, pc net.PacketConn) error {
		seen.PacketConn = pc
		return (&Server{Log: t.Logf}).ServePacket(ctx, seen)
	})
	for _, size := range []int{100, 1} {
		r, err := Run(apptest.Context(t), apptest.Dial(t, "udp", s.Addr), make([]byte, size))
		if err != nil || r.Bytes != size {
			t.Errorf("sent %d, %v", r.Bytes, err)
		}
		select {
		case n := <-seen.read:
			if n != size {
				t.Errorf("the server read %d bytes, want %d", n, size)
			}
		case <-time.After(apptest.Timeout):
			t.Fatal("the datagram has not arrived")
		}
	}
	s.Stop()
	if err := s.Wait(t); err != nil {
		t.Error(err)
	}
	if len(seen.sent) != 0 {
		t.Error("the server answered")
	}
}

func TestRunFails(t *testing.T) {
	tests := []struct {
		name  string
		serve func(c net.Conn, returned <-chan struct{})
		ctx   time.Duration
		want  error
	}{
		{name: "answered", serve: func(c net.Conn, _ <-chan struct{}) { _, _ = c.Write([]byte("hi")); _, _ = io.Copy(io.Discard, c) }, want: ErrAnswered},
		{
			name: "never closes", ctx: 20 * time.Millisecond, want: context.DeadlineExceeded,
			serve: func(c net.Conn, returned <-chan struct{}) {
				_, _ = io.Copy(io.Discard, c) // up to the client's FIN, which is not answered with one
				<-returned
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done, returned := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				tt.serve(c, returned)
			}()
			ctx := apptest.Context(t)
			if tt.ctx > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.ctx)
				defer cancel()
			}
			if _, err := Run(ctx, apptest.Dial(t, "tcp", l.Addr().String()), []byte("x")); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			close(returned)
			_ = l.Close()
			<-done
		})
	}
}
