package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// fakeLower is a link for Impair to wrap: it keeps what is written.
type fakeLower struct {
	mu         sync.Mutex
	dispatcher stack.NetworkDispatcher
	written    [][]byte
	err        tcpip.Error
	onWrite    func(*stack.PacketBuffer) // called for each, with no lock held
	closed     bool
}

func (f *fakeLower) MTU() uint32             { return 1500 }
func (f *fakeLower) SetMTU(uint32)           {}
func (f *fakeLower) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

func (f *fakeLower) LinkAddress() tcpip.LinkAddress               { return "\x02\x00\x00\x00\x00\x01" }
func (f *fakeLower) SetLinkAddress(tcpip.LinkAddress)             {}
func (f *fakeLower) Capabilities() stack.LinkEndpointCapabilities { return 0 }
func (f *fakeLower) Wait()                                        {}
func (f *fakeLower) ARPHardwareType() header.ARPHardwareType      { return header.ARPHardwareEther }
func (f *fakeLower) AddHeader(*stack.PacketBuffer)                {}
func (f *fakeLower) ParseHeader(*stack.PacketBuffer) bool         { return true }
func (f *fakeLower) SetOnCloseAction(func())                      {}

func (f *fakeLower) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

func (f *fakeLower) Attach(d stack.NetworkDispatcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dispatcher = d
}

func (f *fakeLower) IsAttached() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dispatcher != nil
}

func (f *fakeLower) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for i, pkt := range pkts.AsSlice() {
		f.mu.Lock()
		err, onWrite := f.err, f.onWrite
		if err == nil {
			f.written = append(f.written, wireOf(pkt))
		}
		f.mu.Unlock()
		if err != nil {
			return i, err
		}
		if onWrite != nil {
			onWrite(pkt)
		}
	}
	return pkts.Len(), nil
}

// take returns what was written since the last take.
func (f *fakeLower) take() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.written
	f.written = nil
	return w
}

// inject brings a frame from the wire.
func (f *fakeLower) inject(proto tcpip.NetworkProtocolNumber, wire []byte) {
	f.mu.Lock()
	d := f.dispatcher
	f.mu.Unlock()
	pkt := inPacket(wire)
	defer pkt.DecRef()
	d.DeliverNetworkPacket(proto, pkt)
}

// fakeUpper is the stack above: it keeps what it gets, and parses it as a stack does.
type fakeUpper struct {
	mu        sync.Mutex
	got       [][]byte
	onDeliver func(*stack.PacketBuffer)
}

func (u *fakeUpper) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	u.mu.Lock()
	u.got = append(u.got, wireOf(pkt))
	onDeliver := u.onDeliver
	u.mu.Unlock()
	pkt.NetworkHeader().Consume(min(20, pkt.Data().Size()))
	if onDeliver != nil {
		onDeliver(pkt)
	}
}

func (u *fakeUpper) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

func (u *fakeUpper) take() [][]byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	g := u.got
	u.got = nil
	return g
}

// fakeWatcher keeps what it is told, and delivers.
type fakeWatcher struct {
	up     *fakeUpper
	states map[netip.AddrPort]tracer.State // by remote

	mu        sync.Mutex
	dropped   []Verdict
	delivered []Verdict
}

func (w *fakeWatcher) StateOf(_, remote netip.AddrPort) (tracer.State, bool) {
	s, ok := w.states[remote]
	return s, ok
}

func (w *fakeWatcher) DroppedIn(_ tcpip.NetworkProtocolNumber, _ *stack.PacketBuffer, v Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped = append(w.dropped, v)
}

func (w *fakeWatcher) DeliverIn(p tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, v Verdict) {
	w.mu.Lock()
	w.delivered = append(w.delivered, v)
	w.mu.Unlock()
	w.up.DeliverNetworkPacket(p, pkt)
}

// impaired is an Impair between two fakes.
func impaired(t testing.TB, o ImpairOptions) (*Impair, *fakeLower, *fakeUpper) {
	t.Helper()
	lower, up := &fakeLower{}, &fakeUpper{}
	im, err := NewImpair(lower, o)
	if err != nil {
		t.Fatal(err)
	}
	im.Attach(up)
	return im, lower, up
}

// mustRules parses rules that are known to be right.
func mustRules(t testing.TB, texts ...string) []Rule {
	t.Helper()
	var rs []Rule
	for _, s := range texts {
		r, err := ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	return rs
}

// testSeg describes a packet: TCP, or UDP where udp is set. Port is the remote's.
type testSeg struct {
	v6, udp bool
	in      bool
	port    uint16
	flags   tracer.Flags
	seq     uint32
	payload []byte
}

var (
	ours4, theirs4 = netip.MustParseAddr("192.168.12.53"), netip.MustParseAddr("192.168.12.1")
	ours6, theirs6 = netip.MustParseAddr("fd00:12::53"), netip.MustParseAddr("fd00:12::1")
)

const ourPort = 9000

func (s testSeg) proto() tcpip.NetworkProtocolNumber {
	if s.v6 {
		return header.IPv6ProtocolNumber
	}
	return header.IPv4ProtocolNumber
}

// wire returns the packet from its network header on, its checksums right.
func (s testSeg) wire() []byte {
	src, dst := ours4, theirs4
	if s.v6 {
		src, dst = ours6, theirs6
	}
	sport, dport := uint16(ourPort), s.port
	if s.in {
		src, dst, sport, dport = dst, src, dport, sport
	}
	proto, size := header.TCPProtocolNumber, header.TCPMinimumSize
	if s.udp {
		proto, size = header.UDPProtocolNumber, header.UDPMinimumSize
	}
	part := make([]byte, size+len(s.payload))
	copy(part[size:], s.payload)
	from, to := tcpip.AddrFromSlice(src.AsSlice()), tcpip.AddrFromSlice(dst.AsSlice())
	pseudo := header.PseudoHeaderChecksum(proto, from, to, uint16(len(part)))
	if s.udp {
		u := header.UDP(part)
		u.Encode(&header.UDPFields{SrcPort: sport, DstPort: dport, Length: uint16(len(part))})
		u.SetChecksum(^checksum.Checksum(part, pseudo))
	} else {
		h := header.TCP(part)
		h.Encode(&header.TCPFields{
			SrcPort: sport, DstPort: dport, SeqNum: s.seq, DataOffset: header.TCPMinimumSize,
			Flags: header.TCPFlags(s.flags), WindowSize: 65535,
		})
		h.SetChecksum(^checksum.Checksum(part, pseudo))
	}
	if s.v6 {
		b := make([]byte, header.IPv6MinimumSize, header.IPv6MinimumSize+len(part))
		header.IPv6(b).Encode(&header.IPv6Fields{
			PayloadLength: uint16(len(part)), TransportProtocol: proto, HopLimit: 64, SrcAddr: from, DstAddr: to,
		})
		return append(b, part...)
	}
	b := make([]byte, header.IPv4MinimumSize, header.IPv4MinimumSize+len(part))
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b) + len(part)), TTL: 64, Protocol: uint8(proto), SrcAddr: from, DstAddr: to,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	return append(b, part...)
}

// out returns the packet as a stack sends it: with its headers set.
func (s testSeg) out() *stack.PacketBuffer {
	w := s.wire()
	network, transport := header.IPv4MinimumSize, header.TCPMinimumSize
	if s.v6 {
		network = header.IPv6MinimumSize
	}
	if s.udp {
		transport = header.UDPMinimumSize
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: header.EthernetMinimumSize + network + transport,
		Payload:            buffer.MakeWithData(slices.Clone(w[network+transport:])),
	})
	copy(pkt.TransportHeader().Push(transport), w[network:])
	copy(pkt.NetworkHeader().Push(network), w)
	pkt.NetworkProtocolNumber = s.proto()
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{Type: s.proto()})
	return pkt
}

// inPacket returns a packet as a link delivers it: only its link header is parsed.
func inPacket(wire []byte) *stack.PacketBuffer {
	frame := append(make([]byte, header.EthernetMinimumSize), wire...)
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return pkt
}

// wireOf returns a packet's bytes from its network header on.
func wireOf(pkt *stack.PacketBuffer) []byte {
	b := stack.BufferSince(pkt.NetworkHeader())
	defer b.Release()
	return slices.Clone(b.Flatten())
}

// sendOut writes segments one by one, and fails the test on an error.
func sendOut(t testing.TB, im *Impair, segs ...testSeg) {
	t.Helper()
	for _, s := range segs {
		pkt := s.out()
		var list stack.PacketBufferList
		list.PushBack(pkt)
		if n, err := im.WritePackets(list); n != 1 || err != nil {
			t.Errorf("WritePackets = %d, %v", n, err)
		}
		pkt.DecRef()
	}
}

// seqs returns the TCP sequence numbers of packets, to compare orders by.
func seqs(packets [][]byte) []int {
	out := []int{}
	for _, w := range packets {
		at := header.IPv4MinimumSize
		if w[0]>>4 == 6 {
			at = header.IPv6MinimumSize
		}
		out = append(out, int(binary.BigEndian.Uint32(w[at+4:])))
	}
	return out
}

func wantSeqs(t testing.TB, what string, got [][]byte, want ...int) {
	t.Helper()
	if g := seqs(got); !slices.Equal(g, want) && len(g)+len(want) > 0 {
		t.Errorf("%s: got %v, want %v", what, g, want)
	}
}

// numberedSegs returns n data segments with seq 1 to n.
func numberedSegs(n int) []testSeg {
	segs := make([]testSeg, n)
	for i := range segs {
		segs[i] = testSeg{port: 1, flags: tracer.ACK, seq: uint32(i + 1), payload: []byte(fmt.Sprint("segment ", i))}
	}
	return segs
}
