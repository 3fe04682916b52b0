package netstack_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/tracer"
)

// transfer moves chunks one way over a new connection and returns how long that took
// and how much processor time both stacks used for it.
func transfer(b *testing.B, client, server *netstack.Stack, chunks int) (wall, cpu time.Duration) {
	b.Helper()
	ln, err := server.Listen("tcp", serverPort)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	const chunk = 64 << 10
	total := int64(chunks) * chunk
	done := async(func() (int64, error) {
		c, err := ln.Accept()
		if err != nil {
			return 0, err
		}
		n, err := io.Copy(io.Discard, io.LimitReader(c, total))
		_ = c.Close()
		return n, err
	})
	c, err := client.DialContext(context.Background(), "tcp", serverPort)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	data := make([]byte, chunk)
	start, used := time.Now(), processorTime()
	for range chunks {
		if _, err := c.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	if r := <-done; r.value != total || r.err != nil {
		b.Fatalf("%d bytes of %d, %v", r.value, total, r.err)
	}
	return time.Since(start), processorTime() - used
}

// BenchmarkLevels is what tracing costs at each level, side by side: every round moves
// the same bytes at each, one after the other, in segments of 1,448 bytes. It reports
// the median of each level's share of the throughput with tracing off, by the wall and
// by the processor's time.
func BenchmarkLevels(b *testing.B) {
	const chunks = 512 // 32 MiB
	var wall, cpu [4][]float64
	for round := range max(b.N, 3) {
		for i := range levels {
			at := (i + round) % len(levels)
			client, server := benchLab(b, levels[at])
			transfer(b, client, server, 32) // the windows open, the pools fill
			w, c := transfer(b, client, server, chunks)
			wall[at], cpu[at] = append(wall[at], float64(w)), append(cpu[at], float64(c))
			for _, s := range []*netstack.Stack{client, server} {
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	for at, level := range levels {
		if level == tracer.LevelOff {
			b.ReportMetric(float64(chunks<<16)/median(wall[at])*1e3, "off-MB/s")
			continue
		}
		b.ReportMetric(ratio(wall[tracer.LevelOff], wall[at]), fmt.Sprintf("%s/off", level))
		b.ReportMetric(ratio(cpu[tracer.LevelOff], cpu[at]), fmt.Sprintf("%s/off-cpu", level))
	}
}

// ratio is the median of what the rounds say each by itself.
func ratio(off, on []float64) float64 {
	r := make([]float64, len(off))
	for i := range off {
		r[i] = off[i] / on[i]
	}
	return median(r)
}
