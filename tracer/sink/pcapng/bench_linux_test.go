package pcapng

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"appliance/tracer"
)

// processorTime is what this process has used so far: other processes hardly change it.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSink is how many events one processor turns into blocks.
func BenchmarkSink(b *testing.B) {
	const run = 1024
	for name, list := range map[string][]tracer.Event{"packets": transfer(run), "packets-and-changes": changes(run)} {
		b.Run(name, func(b *testing.B) {
			s := New(io.Discard)
			if err := s.Start(tracer.Header{}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			used := processorTime(b)
			for i := 0; i < b.N; i += run {
				if err := s.Write(list); err != nil {
					b.Fatal(err)
				}
			}
			used = processorTime(b) - used
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/used.Seconds(), "events/cpu-s")
		})
	}
}

// BenchmarkReader is how many events one processor reads.
func BenchmarkReader(b *testing.B) {
	var out bytes.Buffer
	s := New(&out)
	if err := errors.Join(s.Start(tracer.Header{}), s.Write(transfer(4096)), s.Close()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	used := processorTime(b)
	n := 0
	for n < b.N {
		r, err := NewReader(bytes.NewReader(out.Bytes()))
		for err == nil {
			_, err = r.Next()
			n++
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/(processorTime(b)-used).Seconds(), "events/cpu-s")
	b.SetBytes(int64(out.Len() / 4096))
}
