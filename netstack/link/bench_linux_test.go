package link

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// benchSizes are payloads: a wire segment's, and a super-segment's.
var benchSizes = []int{1448, 60000}

// BenchmarkEthernetWrite is what it takes to hand a segment to the kernel, which
// has no use for it.
func BenchmarkEthernetWrite(b *testing.B) {
	overBenchLinks(b, func(b *testing.B, lab kindLab, size int) {
		lab.link.Attach(newCollector())
		gso := stack.GSO{}
		if lab.link.SupportedGSO() == stack.HostGSOSupported {
			gso = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, CsumOffset: 16, MSS: 1448}
		}
		pkt := outboundPacket(gso, header.IPv4MinimumSize, header.TCPMinimumSize, size)
		defer pkt.DecRef()
		// The kernel looks at a super-segment's headers: those of a whole frame.
		whole, start, _ := segmentFrame{protocol: 6, payload: make([]byte, size)}.build()
		copy(pkt.NetworkHeader().Slice(), whole[header.EthernetMinimumSize:])
		copy(pkt.TransportHeader().Slice(), whole[start:])
		eth := header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize))
		eth.Encode(&header.EthernetFields{SrcAddr: lab.link.LinkAddress(), DstAddr: "\x02\x00\x00\x00\x00\x77", Type: header.IPv4ProtocolNumber})
		var list stack.PacketBufferList
		list.PushBack(pkt)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			if _, err := lab.link.WritePackets(list); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if c := lab.counters(); c.TxErrors > 0 {
			b.Errorf("%d frames were not sent: %+v", c.TxErrors, c)
		}
	})
}

// counter is a dispatcher that counts IPv4 packets.
type counter struct{ frames atomic.Int64 }

func (c *counter) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, _ *stack.PacketBuffer) {
	if proto == header.IPv4ProtocolNumber {
		c.frames.Add(1)
	}
}
func (*counter) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// await waits until n packets have come, but for ahead.
func (c *counter) await(b *testing.B, n, ahead int64) {
	var deadline time.Time
	for ; c.frames.Load() < n-ahead; runtime.Gosched() {
		if deadline.IsZero() {
			deadline = time.Now().Add(testDeadline)
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d packets of %d came", c.frames.Load(), n)
		}
	}
}

// benchAhead is how many frames may be on the way: fewer than a TAP device queues.
const benchAhead = 256

// BenchmarkEthernetRead is what it takes to get a frame from the kernel to the
// stack, sending it included.
func BenchmarkEthernetRead(b *testing.B) {
	overBenchLinks(b, func(b *testing.B, lab kindLab, size int) {
		got := &counter{}
		lab.link.Attach(got)
		ifname := map[string]string{"veth": "host0", "tap": lab.link.Info().Name}[lab.link.Info().Kind]
		send := openSender(b, lab, ifname, size)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if err := send(); err != nil {
				b.Fatal(err)
			}
			got.await(b, int64(i)+1, benchAhead)
		}
		got.await(b, int64(b.N), 0)
		b.StopTimer()
		if c := lab.counters(); c.RxDrops+c.RxErrors > 0 {
			b.Errorf("losses: %+v", c)
		}
	})
}

// openSender returns what sends one frame to the link from its other end.
func openSender(b *testing.B, lab kindLab, ifname string, size int) func() error {
	b.Helper()
	var fd int
	offload := lab.link.Info().Offload
	in(b, lab.host, func() (err error) {
		fd, _, err = OpenPacketSocket(ifname, offload)
		return err
	})
	b.Cleanup(func() { _ = unix.Close(fd) })
	frame, start, field := segmentFrame{protocol: 6, payload: make([]byte, size)}.build()
	copy(frame, lab.link.LinkAddress())
	if offload == OffloadOn {
		h := vnetHeader{flags: vnetNeedsChecksum, csumStart: uint16(start), csumOffset: uint16(field - start), headerSize: uint16(start + 20)}
		if size > 1448 {
			h.gsoType, h.gsoSize = vnetGSOTCPv4, 1448
		}
		frame = withHeader(h, frame)
	}
	return func() error {
		for {
			_, err := unix.Write(fd, frame)
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	}
}

// overBenchLinks runs a benchmark over each link, with offloads and without.
func overBenchLinks(b *testing.B, run func(b *testing.B, lab kindLab, size int)) {
	for _, kind := range []string{"veth", "tap"} {
		for _, offload := range []string{OffloadOn, OffloadOff} {
			for _, size := range benchSizes {
				if offload == OffloadOff && size > 1448 {
					continue
				}
				b.Run(fmt.Sprintf("%s-%s/%d", kind, offload, size), func(b *testing.B) {
					lab := labKinds[kind](b, offload)
					b.SetBytes(int64(size))
					run(b, lab, size)
				})
			}
		}
	}
}
