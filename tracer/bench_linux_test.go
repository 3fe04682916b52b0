package tracer_test

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"appliance/tracer"
)

// BenchmarkBusRecord is what it costs to record a segment, for one recorder and for one
// on each processor, with one sink and with two: recorders' time and sinks' together.
func BenchmarkBusRecord(b *testing.B) {
	e := tracer.Event{
		Stack: "appliance", Conn: 2, Parent: 1, Body: &tracer.Segment{},
		Local: netip.MustParseAddrPort("192.168.12.53:9000"), Remote: netip.MustParseAddrPort("192.168.12.1:51234"),
	}
	for _, sinks := range [][]tracer.Sink{{discard{}}, {discard{}, discard{}}} {
		for _, parallel := range []bool{false, true} {
			b.Run(fmt.Sprintf("sinks=%d/parallel=%t", len(sinks), parallel), func(b *testing.B) {
				bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, sinks...)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				used := processorTime(b)
				if parallel {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							bus.Record(e)
						}
					})
				} else {
					for range b.N {
						bus.Record(e)
					}
				}
				b.StopTimer()
				if err := bus.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(processorTime(b)-used)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// processorTime is what this process has used so far: other processes hardly change it.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
