package netstack

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/header/parse"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/netstack/link"
	"appliance/tracer"
)

// deaf is a TCP that does nothing with what it gets.
type deaf struct{ queuedProtocol }

// QueuePacket implements queuedProtocol.
func (deaf) QueuePacket(stack.TransportEndpoint, stack.TransportEndpointID, *stack.PacketBuffer) {}

// nowhere is a sink that does nothing.
type nowhere struct{}

func (nowhere) Start(tracer.Header) error  { return nil }
func (nowhere) Write([]tracer.Event) error { return nil }
func (nowhere) Close() error               { return nil }
func (nowhere) Borrows() bool              { return true }

// hookLab is a connection whose hooks a benchmark calls in gVisor's place.
type hookLab struct {
	c    *tracked
	hook *observedTCP
}

func newHookLab(b *testing.B, level tracer.Level) *hookLab {
	b.Helper()
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, nowhere{})
	if err != nil {
		b.Fatal(err)
	}
	left, right := link.NewPipe(link.PipeOptions{})
	addrs := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24")}
	var stacks [2]*Stack
	for i, end := range []*link.Pipe{left, right} {
		if stacks[i], err = New(end, Options{Addresses: addrs[i : i+1], Recorder: bus, Level: level}); err != nil {
			b.Fatal(err)
		}
	}
	ln, err := stacks[1].Listen("tcp", "10.0.0.2:9000")
	if err != nil {
		b.Fatal(err)
	}
	conn, err := stacks[0].DialTCP(context.Background(), netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.2:9000"))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := ln.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, c := range []interface{ Close() error }{stacks[0], stacks[1], bus} {
			if err := c.Close(); err != nil {
				b.Error(err)
			}
		}
	})
	return &hookLab{c: conn.rec, hook: &observedTCP{queuedProtocol: deaf{}, o: stacks[0].obs}}
}

// packet is a segment of 1,448 bytes with the timestamps option, as the stack has it.
func (l *hookLab) packet(b *testing.B, dir tracer.Direction) *stack.PacketBuffer {
	b.Helper()
	const size = 1448
	raw := make([]byte, header.IPv4MinimumSize+header.TCPMinimumSize+12+size)
	src, dst := l.c.id.LocalAddress, l.c.id.RemoteAddress
	sport, dport := l.c.id.LocalPort, l.c.id.RemotePort
	if dir == tracer.In {
		src, dst, sport, dport = dst, src, dport, sport
	}
	header.IPv4(raw).Encode(&header.IPv4Fields{
		TotalLength: uint16(len(raw)), TTL: 64, Protocol: uint8(header.TCPProtocolNumber), SrcAddr: src, DstAddr: dst,
	})
	h := header.TCP(raw[header.IPv4MinimumSize:])
	h.Encode(&header.TCPFields{
		SrcPort: sport, DstPort: dport, DataOffset: header.TCPMinimumSize + 12, Flags: header.TCPFlagAck, WindowSize: 1000,
	})
	copy(h[header.TCPMinimumSize:], []byte{optNOP, optNOP, optTS, 10, 0, 0, 0, 1, 0, 0, 0, 2})
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(raw)})
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	pkt.EgressRoute.LocalAddress, pkt.EgressRoute.RemoteAddress = src, dst // as it is on what goes out
	if !parse.IPv4(pkt) || !parse.TCP(pkt) {
		b.Fatal("the benchmark's own packet does not parse")
	}
	return pkt
}

// hookTime reports how much of the processors' time an operation took, the sinks' and
// the garbage collector's included: other processes hardly change it.
func hookTime(b *testing.B) (stop func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkSegmentHook is what the hooks cost for a segment, the Bus included and
// gVisor's own snapshot for the probe apart.
func BenchmarkSegmentHook(b *testing.B) {
	for _, level := range []tracer.Level{tracer.LevelStates, tracer.LevelSegments} {
		b.Run(level.String()+"/in", func(b *testing.B) {
			l := newHookLab(b, level)
			pkt := l.packet(b, tracer.In)
			defer pkt.DecRef()
			h := header.TCP(pkt.TransportHeader().Slice())
			state := &tcp.TCPEndpointState{ID: tcp.TCPEndpointID(l.c.id)}
			seq := l.c.flow.in.next
			b.ReportAllocs()
			b.ResetTimer()
			defer hookTime(b)()
			for range b.N {
				h.SetSequenceNumber(seq)
				l.hook.QueuePacket(l.c.ep, l.c.id, pkt)
				seq += 1448
				l.hook.o.probe(state)
			}
		})
		b.Run(level.String()+"/out", func(b *testing.B) {
			l := newHookLab(b, level)
			pkt := l.packet(b, tracer.Out)
			defer pkt.DecRef()
			h := header.TCP(pkt.TransportHeader().Slice())
			seq, none := l.c.flow.out.next, new(verdict)
			b.ReportAllocs()
			b.ResetTimer()
			defer hookTime(b)()
			for range b.N {
				h.SetSequenceNumber(seq)
				l.hook.o.sending(pkt, none)
				seq += 1448
			}
		})
	}
}
