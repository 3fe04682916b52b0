package netstack_test

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"appliance/netstack"
)

// BenchmarkIdleConnections is how much memory an idle connection takes, heap and
// goroutines' stacks, with both its ends in this process: what is reported is one end.
// Each has carried some bytes, both ways.
func BenchmarkIdleConnections(b *testing.B) {
	const conns = 1000
	for _, level := range levels {
		b.Run(level.String(), func(b *testing.B) {
			for range b.N {
				client, server := benchLab(b, level)
				ln, err := server.Listen("tcp", serverPort)
				if err != nil {
					b.Fatal(err)
				}
				before := inUse()
				open := make([]net.Conn, 0, 2*conns)
				for range conns {
					open = append(open, idleConnection(b, client, ln)...)
				}
				b.ReportMetric(float64(inUse()-before)/(2*conns), "B/end")
				runtime.KeepAlive(open)
				for _, s := range []*netstack.Stack{client, server} {
					if err := s.Close(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// idleConnection returns both ends of a connection that has echoed something.
func idleConnection(b *testing.B, client *netstack.Stack, ln net.Listener) []net.Conn {
	b.Helper()
	near, err := client.DialTCP(context.Background(), netip.AddrPort{}, netip.MustParseAddrPort(serverPort))
	if err != nil {
		b.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 100)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		if _, err := way[0].Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := way[1].Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	return []net.Conn{near, far}
}

// inUse is the memory in use when there is no garbage.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools give up what they hold at the second
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
