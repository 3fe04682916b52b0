package jsonl

import (
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"appliance/tracer"
)

// segments is what a bulk transfer gives: data one way, ACKs the other.
func segments(n int) []tracer.Event {
	local, remote := netip.MustParseAddrPort("192.168.12.53:9000"), netip.MustParseAddrPort("192.168.12.1:51234")
	list := make([]tracer.Event, n)
	for i := range list {
		seq := uint32(i) * 1448 //nolint:gosec // modulo 2^32
		body := &tracer.Segment{
			Dir: tracer.In, Flags: tracer.ACK, Seq: 3127364000 + seq, Ack: 812374655, HasRel: true, HasRelAck: true, RelSeq: seq, RelAck: 1,
			Len: 1448, Win: 64256, Opts: tracer.Options{HasTS: true, TSVal: 31876400 + seq>>16, TSEcr: 287641000},
		}
		if i%2 == 1 {
			body.Dir, body.Len = tracer.Out, 0
		}
		list[i] = tracer.Event{
			N: uint64(i) + 1, T: time.Duration(i) * 5 * time.Microsecond, Stack: "appliance", Conn: 2, Parent: 1,
			Local: local, Remote: remote, Body: body,
		}
	}
	return list
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

// BenchmarkJSONL is how many events one processor writes to a file.
func BenchmarkJSONL(b *testing.B) {
	const run = 1024
	path := filepath.Join(b.TempDir(), "trace.jsonl")
	list := segments(run)
	var s *Sink
	open := func() {
		var err error
		if s, err = Create(path); err == nil {
			err = s.Start(tracer.Header{})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	open()
	b.ReportAllocs()
	b.ResetTimer()
	used := processorTime(b)
	for i := range b.N {
		if i%512 == 511 { // 100 MB: begin again
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			open()
		}
		if err := s.Write(list); err != nil {
			b.Fatal(err)
		}
	}
	cpu := processorTime(b) - used
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	events := float64(b.N) * run
	b.ReportMetric(events/cpu.Seconds(), "events/cpu-s")
	b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
}

// lossCounter counts the events that its sink got, and those that it is told are lost.
type lossCounter struct {
	*Sink
	got, lost uint64
}

// Write implements tracer.Sink.
func (c *lossCounter) Write(events []tracer.Event) error {
	for i := range events {
		if l, ok := events[i].Body.(*tracer.Lost); ok {
			c.lost += l.Missed
		} else {
			c.got++
		}
	}
	return c.Sink.Write(events)
}

// BenchmarkJSONLAtRate records 200,000 segments a second by way of a Bus: nothing may be
// lost. An operation is a millisecond's.
func BenchmarkJSONLAtRate(b *testing.B) {
	const each = 200
	s, err := Create(filepath.Join(b.TempDir(), "trace.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	sink := &lossCounter{Sink: s}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, sink)
	if err != nil {
		b.Fatal(err)
	}
	list := segments(each)
	used, start := processorTime(b), time.Now()
	for i := range b.N {
		for _, e := range list {
			bus.Record(e)
		}
		if ahead := time.Duration(i+1)*time.Millisecond - time.Since(start); ahead > 0 {
			<-time.After(ahead)
		}
	}
	if err := bus.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(sink.lost), "lost")
	b.ReportMetric(float64(sink.got)/time.Since(start).Seconds(), "events/s")
	b.ReportMetric(float64(processorTime(b)-used)/float64(sink.got), "cpu-ns/event")
}
