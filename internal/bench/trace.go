package bench

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"appliance/internal/bench/load"
	"appliance/internal/bench/report"
	"appliance/tracer"
	"appliance/tracer/sink/jsonl"
)

// traceBatch is how many events are written or recorded at once: a millisecond's at
// 200,000 a second.
const traceBatch = 200

// bulkEvents is what a bulk transfer gives: data one way, acknowledgments the other.
func bulkEvents() []tracer.Event {
	events := make([]tracer.Event, traceBatch)
	local, remote := netip.AddrPortFrom(farAddress.Addr(), 9000), netip.AddrPortFrom(nearAddress.Addr(), 51234)
	for i := range events {
		at := uint32(i) * 1448 //nolint:gosec // below 2^32
		body := &tracer.Segment{
			Dir: tracer.In, Flags: tracer.ACK, Seq: 3127364000 + at, Ack: 812374655,
			HasRel: true, HasRelAck: true, RelSeq: at, RelAck: 1, Len: 1448, Win: 64256,
			Opts: tracer.Options{HasTS: true, TSVal: 31876400 + at>>16, TSEcr: 287641000},
		}
		if i%2 == 1 {
			body.Dir, body.Len = tracer.Out, 0
		}
		events[i] = tracer.Event{
			N: uint64(i) + 1, T: time.Duration(i) * 5 * time.Microsecond, Stack: "appliance", Conn: 2, Parent: 1,
			Local: local, Remote: remote, Body: body,
		}
	}
	return events
}

// trace measures the writing of events to a JSONL file: as many as one processor can, or
// so many a second by way of a Bus.
func trace(ctx context.Context, c report.Case, o Options) (readings []report.Reading, err error) {
	f, err := newTraceFile(o.Dir)
	if err != nil {
		return nil, err
	}
	// After the measurement: to free a large file takes a while.
	defer func() { err = errors.Join(err, f.Close()) }()
	s := jsonl.New(f)
	if c.EventRate == 0 {
		return writeEvents(ctx, s, o)
	}
	return recordEvents(ctx, s, c.EventRate, o)
}

// writeEvents tells how many events go into a second of processor time.
func writeEvents(ctx context.Context, s *jsonl.Sink, o Options) ([]report.Reading, error) {
	events := bulkEvents()
	if err := s.Start(tracer.Header{}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	from, err := load.ProcessorTime()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	written, start := 0, time.Now()
	for written == 0 || time.Since(start) < o.Time && ctx.Err() == nil {
		if err := s.Write(events); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		written += len(events)
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	to, err := load.ProcessorTime()
	if err != nil {
		return nil, err
	}
	took := max(to-from, time.Nanosecond)
	return []report.Reading{{Name: report.Rate, Unit: report.PerSecond, Value: float64(written) / took.Seconds()}}, context.Cause(ctx)
}

// recordEvents records events at a rate, a batch at a time, and tells what was lost.
func recordEvents(ctx context.Context, to *jsonl.Sink, rate int, o Options) ([]report.Reading, error) {
	s := &sink{to: to}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, s)
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	events := bulkEvents()
	recorded, start := 0, time.Now()
	for time.Since(start) < o.Time || recorded == 0 {
		for i := range events {
			bus.Record(events[i])
		}
		recorded += len(events)
		due := time.Duration(float64(recorded) / float64(rate) * float64(time.Second))
		if ahead := due - time.Since(start); ahead > 0 {
			if err := pass(ctx, ahead); err != nil {
				return nil, errors.Join(err, bus.Close())
			}
		}
	}
	took := time.Since(start)
	if err := bus.Close(); err != nil {
		return nil, err
	}
	return []report.Reading{
		{Name: report.Rate, Unit: report.PerSecond, Value: float64(recorded) / took.Seconds()},
		{Name: report.LostShare, Unit: report.Share, Value: s.lostShare()},
	}, nil
}
