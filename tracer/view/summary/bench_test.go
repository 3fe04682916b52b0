package summary

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"appliance/tracer"
)

// many returns a trace, as JSONL, of n connections that open, send and close.
func many(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	server := netip.MustParseAddrPort("192.168.12.53:9000")
	trace := append(tracer.AppendHeader(nil, tracer.Header{Started: time.Unix(1e9, 0)}), '\n')
	e := tracer.Event{Stack: "server", Local: server}
	add := func(b tracer.Body) {
		e.N++
		e.T += time.Duration(random.IntN(100)) * time.Microsecond
		e.Body = b
		trace = append(tracer.AppendJSON(trace, &e), '\n')
	}
	for i := range n {
		e.Conn, e.Parent = uint32(i+2), 1
		e.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 16), 1}), uint16(i))
		segment := func(dir tracer.Direction, flags tracer.Flags, seq, ack uint32, n int) {
			add(&tracer.Segment{
				Dir: dir, Flags: flags, Seq: 7e8 + seq, Ack: 9e8 + ack, HasRel: true, HasRelAck: true, RelSeq: seq, RelAck: ack, Len: n, Win: 65535,
				Opts: tracer.Options{HasTS: true, TSVal: 1e9 + uint32(i), TSEcr: 2e9 + uint32(i)},
			})
		}
		change := func(from, to tracer.State) {
			add(&tracer.StateChange{From: from, To: to, Cause: tracer.Cause{Kind: tracer.CauseSegment, N: e.N, What: "SYN"}, Via: "probe", RFC: "3.10.7.4"})
		}
		change(tracer.Listen, tracer.SynReceived)
		segment(tracer.Out, tracer.SYN|tracer.ACK, 0, 1, 0)
		segment(tracer.In, tracer.ACK, 1, 1, 0)
		change(tracer.SynReceived, tracer.Established)
		segment(tracer.In, tracer.ACK|tracer.PSH, 1, 1, 20)
		add(&tracer.Call{Name: "recv", Phase: tracer.PhaseDone, Bytes: 20, Result: "hello, world, again", Took: 1000})
		segment(tracer.Out, tracer.ACK, 1, 21, 0)
		segment(tracer.Out, tracer.ACK|tracer.PSH, 1, 21, 1000)
		segment(tracer.In, tracer.ACK, 21, 1001, 0)
		segment(tracer.In, tracer.ACK|tracer.FIN, 21, 1001, 0)
		change(tracer.Established, tracer.CloseWait)
		add(&tracer.End{Role: tracer.Passive, BytesIn: 20, BytesOut: 1000, SegmentsIn: 4, SegmentsOut: 3, How: tracer.HowFIN})
	}
	return trace
}

// BenchmarkSummary reads a trace and writes its table.
func BenchmarkSummary(b *testing.B) {
	trace := many(5000)
	b.SetBytes(int64(len(trace)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := tracer.NewReader(bytes.NewReader(trace))
		if err != nil {
			b.Fatal(err)
		}
		table := NewTable(io.Discard, TextOptions{})
		s := New(Options{}, table.Conn)
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = s.Add(&e)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		all, err := s.Finish()
		if err == nil {
			err = table.Totals(all)
		}
		if err != nil || all.Stacks[0].Connections != 5000 {
			b.Fatalf("%d connections, %v", all.Stacks[0].Connections, err)
		}
	}
}
