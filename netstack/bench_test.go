package netstack_test

import (
	"context"
	"io"
	"net/netip"
	"testing"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// discard is a Recorder that numbers events and forgets them.
type discard struct{ tracer.Recorder }

// Record implements tracer.Recorder.
func (discard) Record(tracer.Event) uint64 { return 1 }

// levels are all of them, for benchmarks.
var levels = []tracer.Level{tracer.LevelOff, tracer.LevelStates, tracer.LevelSegments, tracer.LevelFull}

// benchLab is two stacks on a pipe whose trace goes nowhere: what is measured is
// the hooks.
func benchLab(b *testing.B, level tracer.Level) (client, server *netstack.Stack) {
	b.Helper()
	left, right := link.NewPipe(link.PipeOptions{})
	clock := newRecorder(nil)
	for _, s := range []struct {
		to   **netstack.Stack
		end  *link.Pipe
		addr netip.Prefix
	}{{&client, left, clientAddr4}, {&server, right, serverAddr4}} {
		made, err := netstack.New(s.end, netstack.Options{Addresses: []netip.Prefix{s.addr}, Recorder: discard{clock}, Level: level})
		if err != nil {
			b.Fatal(err)
		}
		*s.to = made
		b.Cleanup(func() { _ = made.Close() })
	}
	return client, server
}

// BenchmarkThroughput is how fast bytes go one way.
func BenchmarkThroughput(b *testing.B) {
	for _, level := range levels {
		b.Run(level.String(), func(b *testing.B) {
			client, server := benchLab(b, level)
			ln, err := server.Listen("tcp", serverPort)
			if err != nil {
				b.Fatal(err)
			}
			const chunk = 64 << 10
			total := int64(b.N) * chunk
			done := async(func() (int64, error) {
				c, err := ln.Accept()
				if err != nil {
					return 0, err
				}
				return io.Copy(io.Discard, io.LimitReader(c, total))
			})
			c, err := client.DialContext(context.Background(), "tcp", serverPort)
			if err != nil {
				b.Fatal(err)
			}
			data := make([]byte, chunk)
			b.SetBytes(chunk)
			b.ResetTimer()
			for range b.N {
				if _, err := c.Write(data); err != nil {
					b.Fatal(err)
				}
			}
			if r := <-done; r.value != total || r.err != nil {
				b.Fatalf("%d bytes of %d, %v", r.value, total, r.err)
			}
		})
	}
}

// BenchmarkConnect is how long a connection takes from its opening to its reset: one
// that ends in order would leave a port in TIME-WAIT.
func BenchmarkConnect(b *testing.B) {
	for _, level := range levels {
		b.Run(level.String(), func(b *testing.B) {
			client, server := benchLab(b, level)
			ln, err := server.Listen("tcp", serverPort)
			if err != nil {
				b.Fatal(err)
			}
			go func() {
				for {
					c, err := ln.AcceptTCP()
					if err != nil {
						return
					}
					_, _ = c.Read(make([]byte, 1)) // until the reset
					_ = c.Close()
				}
			}()
			ctx := context.Background()
			b.ResetTimer()
			for range b.N {
				c, err := client.DialTCP(ctx, netip.AddrPort{}, netip.MustParseAddrPort(serverPort))
				if err != nil {
					b.Fatal(err)
				}
				_ = c.Abort()
			}
		})
	}
}
