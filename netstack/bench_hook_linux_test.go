package netstack

import (
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/header/parse"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// deaf is a TCP that does nothing with what it gets.
type deaf struct{ queuedProtocol }

// QueuePacket implements queuedProtocol.
func (deaf) QueuePacket(stack.TransportEndpoint, stack.TransportEndpointID, *stack.PacketBuffer) {}

// hookLab is a connection whose hooks a benchmark calls in gVisor's place.
type hookLab struct {
	c    *tracked
	hook *observedTCP
}

func newHookLab(b *testing.B, level tracer.Level) *hookLab {
	b.Helper()
	conn, _ := connected(b, level)
	return &hookLab{c: conn.rec, hook: &observedTCP{queuedProtocol: deaf{}, o: conn.rec.o}}
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
