package iperf

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

// endless takes and gives bytes until left calls are over.
type endless struct {
	net.Conn
	left int
}

var errOver = errors.New("over")

func (e *endless) Write(b []byte) (int, error) { return e.call(len(b), errOver) }
func (e *endless) Read(b []byte) (int, error)  { return e.call(len(b), io.EOF) }

func (e *endless) call(n int, end error) (int, error) {
	if e.left == 0 {
		return 0, end
	}
	e.left--
	return n, nil
}

func (*endless) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (*endless) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// TestDataPathAllocates: nothing, however many blocks go.
func TestDataPathAllocates(t *testing.T) {
	for _, sends := range []bool{true, false} {
		x := newTransfer(&params{Length: DefaultLength}, 0, sends)
		allocs := func(blocks int) float64 {
			s := newStream(&endless{left: blocks}, 0)
			return testing.AllocsPerRun(5, func() {
				s.conn.(*endless).left = blocks
				if sends {
					_ = x.send(s) // it ends with errOver
				} else {
					_ = x.receive(s)
				}
			})
		}
		if few, many := allocs(1), allocs(1000); many > few {
			t.Errorf("sends %v: %g allocations for 1 block, %g for 1000", sends, few, many)
		}
	}
}

// TestLimit: senders together send the limit, rounded up to blocks.
func TestLimit(t *testing.T) {
	x := newTransfer(&params{Length: 1000}, 10_500, true)
	for range 4 {
		s := newStream(&endless{left: 100}, 0)
		s.sends = true
		x.streams = append(x.streams, s)
		go x.work(s)
	}
	x.start()
	select {
	case <-x.full:
	case <-time.After(apptest.Timeout):
		t.Fatal("the limit is not noticed")
	}
	x.wait()
	if n := x.moved(); n != 11_000 {
		t.Errorf("%d bytes, want 11000", n)
	}
}

// wait waits for the streams, which have no connection to interrupt.
func (t *transfer) wait() {
	for _, s := range t.streams {
		<-s.done
	}
}

// BenchmarkLoopback is the whole program over the kernel's loopback.
func BenchmarkLoopback(b *testing.B) {
	for _, way := range []string{"forward", "reverse"} {
		b.Run(way, func(b *testing.B) {
			s := startServer(b, Server{Interval: -1})
			b.SetBytes(DefaultLength)
			c := Client{Params: Params{Blocks: int64(b.N), Reverse: way == "reverse"}, Interval: -1}
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := c.Run(b.Context(), dial, s.Addr); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkStacks is the same over two of the appliance's stacks.
func BenchmarkStacks(b *testing.B) {
	for _, way := range []string{"forward", "reverse"} {
		b.Run(way, func(b *testing.B) {
			from, to := stacks(b)
			serveStack(b, to, Server{Interval: -1})
			b.SetBytes(DefaultLength)
			c := Client{Params: Params{Blocks: int64(b.N), Reverse: way == "reverse"}, Interval: -1}
			b.ResetTimer()
			if _, err := c.Run(b.Context(), dialer(from), pipeAddr); err != nil {
				b.Fatal(err)
			}
		})
	}
}
