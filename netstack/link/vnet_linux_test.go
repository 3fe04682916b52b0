package link

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"pgregory.net/rapid"
)

// newVNetEthernet is newSocketEthernet with a virtio header before each frame.
func newVNetEthernet(t testing.TB) (*Ethernet, int) {
	t.Helper()
	return newSocketLink(t, EthernetConfig{Kind: "veth", Name: "test0", MAC: testMAC, VNetHeader: true})
}

// withHeader puts a virtio header before a frame.
func withHeader(h vnetHeader, frame []byte) []byte {
	var b [vnetHeaderSize]byte
	h.encode(&b)
	return append(b[:], frame...)
}

// inspector is a dispatcher that keeps frames with what the link says of them.
type inspector struct{ got chan inspected }

type inspected struct {
	frame   []byte
	vouched bool
	gso     stack.GSO
}

func (i *inspector) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	f := inspected{frame: pkt.ToView().ToSlice(), gso: pkt.GSOOptions}
	pkt.RXChecksumValidated = false
	TrustVouched(pkt)
	f.vouched = pkt.RXChecksumValidated
	i.got <- f
}

func (*inspector) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// A virtio header's word about a checksum, and what becomes of it.
func TestVNetChecksums(t *testing.T) {
	type combination struct {
		segment segmentFrame
		header  func(start, field int) vnetHeader
		spoil   func(frame []byte, field int)
		// vouched is what a stack that knows of it gets to hear; finished is what one
		// gets that does not.
		vouched, finished bool
	}
	tcp4, tcp6 := segmentFrame{protocol: 6, payload: []byte("hello")}, segmentFrame{protocol: 6, v6: true, extensions: 1, payload: []byte("hello")}
	udp4, udp6 := segmentFrame{protocol: 17, payload: []byte("hello")}, segmentFrame{protocol: 17, v6: true, payload: []byte("hello")}
	partial := func(start, field int) vnetHeader {
		return vnetHeader{flags: vnetNeedsChecksum, csumStart: uint16(start), csumOffset: uint16(field - start)}
	}
	fixed := func(h vnetHeader) func(int, int) vnetHeader { return func(int, int) vnetHeader { return h } }
	zero := func(frame []byte, field int) { frame[field], frame[field+1] = 0, 0 }
	for name, c := range map[string]combination{
		"TCP over IPv4, partial":            {segment: tcp4, header: partial, vouched: true, finished: true},
		"TCP over IPv6, partial":            {segment: tcp6, header: partial, vouched: true, finished: true},
		"TCP over IPv4, verified":           {segment: tcp4, header: fixed(vnetHeader{flags: vnetDataValid}), vouched: true},
		"TCP over IPv6, verified":           {segment: tcp6, header: fixed(vnetHeader{flags: vnetDataValid}), vouched: true},
		"TCP, nothing said":                 {segment: tcp4, header: fixed(vnetHeader{})},
		"UDP over IPv4, partial":            {segment: udp4, header: partial, finished: true},
		"UDP over IPv6, partial":            {segment: udp6, header: partial, finished: true},
		"UDP, verified":                     {segment: udp4, header: fixed(vnetHeader{flags: vnetDataValid})},
		"UDP without a checksum":            {segment: udp4, header: fixed(vnetHeader{}), spoil: zero},
		"a start within the Ethernet frame": {segment: tcp4, header: fixed(vnetHeader{flags: vnetNeedsChecksum, csumStart: 3, csumOffset: 16})},
		"a start beyond the frame":          {segment: tcp4, header: fixed(vnetHeader{flags: vnetNeedsChecksum, csumStart: 0xffff, csumOffset: 0xffff})},
		"a field beyond the frame":          {segment: tcp4, header: fixed(vnetHeader{flags: vnetNeedsChecksum, csumStart: 34, csumOffset: 25})},
	} {
		t.Run(name, func(t *testing.T) {
			frame, start, field := c.segment.build()
			copy(frame, testMAC)
			partialSum(c.segment, frame, start, field)
			if c.spoil != nil {
				c.spoil(frame, field)
			}
			h := c.header(start, field)
			for _, knows := range []bool{true, false} {
				got := deliverOne(t, knows, withHeader(h, frame))
				if want := knows && c.vouched; got.vouched != want {
					t.Errorf("a stack that knows: %v; vouched %v, want %v", knows, got.vouched, want)
				}
				finished := c.finished && !got.vouched
				if changed := !bytes.Equal(got.frame, frame); changed != finished {
					t.Errorf("a stack that knows: %v; the frame was changed: %v, want %v", knows, changed, finished)
				}
				if sum := onesComplementSum(append(c.segment.pseudoHeader(frame, len(frame)-start), got.frame[start:]...)); finished && sum != 0xffff {
					t.Errorf("the sum with the finished checksum is %#x", sum)
				}
			}
		})
	}
}

// partialSum writes what a kernel leaves in the checksum's field: the pseudo-header's
// sum.
func partialSum(s segmentFrame, frame []byte, start, field int) {
	binary.BigEndian.PutUint16(frame[field:], onesComplementSum(s.pseudoHeader(frame, len(frame)-start)))
}

// deliverOne sends one message to a link and returns what it delivers.
func deliverOne(t *testing.T, knows bool, message []byte) inspected {
	t.Helper()
	e, peer := newVNetEthernet(t)
	if knows {
		KnowVouched(e)
	}
	in := &inspector{got: make(chan inspected, 1)}
	e.Attach(in)
	defer e.Wait()
	defer e.Close()
	sendFrame(t, peer, message)
	return receiveOne(t, in)
}

func receiveOne(t testing.TB, in *inspector) inspected {
	t.Helper()
	select {
	case f := <-in.got:
		return f
	case <-time.After(testDeadline):
		t.Fatal("no frame delivered")
		return inspected{}
	}
}

// A super-segment comes whole, with the size of what it stands for.
func TestVNetSuperSegmentIn(t *testing.T) {
	verifyNoLeak(t)
	for _, v6 := range []bool{false, true} {
		s := segmentFrame{v6: v6, protocol: 6, payload: bytes.Repeat([]byte("0123456789"), 6000)}
		frame, start, field := s.build()
		copy(frame, testMAC)
		kind, want := uint8(vnetGSOTCPv4), stack.GSOTCPv4
		if v6 {
			kind, want = vnetGSOTCPv6, stack.GSOTCPv6
		}
		h := vnetHeader{
			flags: vnetNeedsChecksum, gsoType: kind | vnetGSOECN, gsoSize: 1448,
			csumStart: uint16(start), csumOffset: uint16(field - start),
		}
		got := deliverOne(t, true, withHeader(h, frame))
		if !bytes.Equal(got.frame, frame) || !got.vouched {
			t.Errorf("IPv6 %v: %d bytes of %d, vouched %v", v6, len(got.frame), len(frame), got.vouched)
		}
		if got.gso.Type != want || got.gso.MSS != 1448 {
			t.Errorf("IPv6 %v: GSO %+v", v6, got.gso)
		}
	}
}

// Datagrams that came in one frame are delivered one by one.
func TestVNetDatagrams(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newVNetEthernet(t)
	in := &inspector{got: make(chan inspected, 8)}
	e.Attach(in)
	s := segmentFrame{protocol: 17, payload: []byte("onetwothreee")}
	frame, start, field := s.build()
	copy(frame, testMAC)
	h := vnetHeader{flags: vnetNeedsChecksum, gsoType: vnetGSOUDP, gsoSize: 5, csumStart: uint16(start), csumOffset: uint16(field - start)}
	sendFrame(t, peer, withHeader(h, frame))
	for _, want := range []string{"onetw", "othre", "ee"} {
		got := receiveOne(t, in).frame
		if string(got[start+8:]) != want {
			t.Errorf("delivered %q, want %q", got[start+8:], want)
		}
		if sum := onesComplementSum(append(s.pseudoHeader(got, len(got)-start), got[start:]...)); sum != 0xffff {
			t.Errorf("%q: the sum with the checksum is %#x", want, sum)
		}
	}
	e.Close()
	e.Wait()
	if c := e.Counters(); c.DatagramsSplit != 3 || c.FramesIn != 1 {
		t.Errorf("counters %+v", c)
	}
}

// What the stack sends bears a header: empty for a raw frame, and saying how to take
// a super-segment apart.
func TestVNetWrites(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newVNetEthernet(t)
	e.Attach(newCollector())
	if e.SupportedGSO() != stack.HostGSOSupported || e.GSOMaxSize() != gsoMaxSize || e.Info().Offload != OffloadOn {
		t.Errorf("GSO %v of %d bytes, %+v", e.SupportedGSO(), e.GSOMaxSize(), e.Info())
	}
	raw := frameTo("\x02\x00\x00\x00\x00\x01", "raw")
	super := outboundPacket(stack.GSO{Type: stack.GSOTCPv6, NeedsCsum: true, CsumOffset: 16, MSS: 1428}, 40, 20, 50000)
	super.LinkHeader().Push(header.EthernetMinimumSize)
	// Of more pieces than are gathered without a copy.
	for range 2 * maxSendParts {
		super.Data().AppendView(buffer.NewViewWithData([]byte("piece")))
	}
	var list stack.PacketBufferList
	list.PushBack(rawPacket(raw))
	list.PushBack(super)
	defer list.Reset()
	if n, err := e.WritePackets(list); n != 2 || err != nil {
		t.Fatalf("WritePackets: %d, %v", n, err)
	}
	whole := super.ToView().ToSlice()
	want := []struct {
		h     vnetHeader
		frame []byte
	}{
		{vnetHeader{}, raw},
		{vnetHeader{flags: vnetNeedsChecksum, gsoType: vnetGSOTCPv6, gsoSize: 1428, headerSize: 74, csumStart: 54, csumOffset: 16}, whole},
	}
	buf := make([]byte, 1<<17)
	for _, w := range want {
		n, _, err := unix.Recvfrom(peer, buf, 0)
		if err != nil || !bytes.Equal(buf[:n], withHeader(w.h, w.frame)) {
			t.Fatalf("on the wire: %d bytes, %v, header % x; want %d bytes and %+v", n, err, buf[:vnetHeaderSize], len(w.frame)+vnetHeaderSize, w.h)
		}
	}
	e.Close()
	e.Wait()
	if c := e.Counters(); c.FramesOut != 2 || c.SuperFramesOut != 1 || c.BytesOut != uint64(len(raw)+len(whole)) {
		t.Errorf("counters %+v", c)
	}
}

// Messages too short for a header or a frame are runts, and end nothing.
func TestVNetRunts(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newVNetEthernet(t)
	got := newCollector()
	e.Attach(got)
	for n := range vnetHeaderSize + header.EthernetMinimumSize {
		sendFrame(t, peer, make([]byte, n))
	}
	sendFrame(t, peer, withHeader(vnetHeader{}, frameTo(linkAddress(testMAC), "ours")))
	if f := got.next(t); string(f[14:]) != "ours" {
		t.Errorf("delivered %q", f)
	}
	e.Close()
	e.Wait()
	if c := e.Counters(); c.Runts != vnetHeaderSize+header.EthernetMinimumSize || c.FramesIn != 1 {
		t.Errorf("counters %+v", c)
	}
}

// Busy polling delivers, sleeps when nothing comes, and ends with the link.
func TestBusyPolling(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newSocketLink(t, EthernetConfig{Kind: "veth", Name: "test0", MAC: testMAC, BusyPoll: maxBusyPoll / 1000})
	got := newCollector()
	e.Attach(got)
	for i := range 100 {
		sendFrame(t, peer, frameTo(linkAddress(testMAC), strings.Repeat("x", i)))
		if f := got.next(t); len(f) != 14+i {
			t.Fatalf("frame %d has %d bytes", i, len(f))
		}
	}
	e.Close()
	e.Wait()
}

// seedVNetHeaders are starting points: one of each kind.
func seedVNetHeaders() []vnetHeader {
	return []vnetHeader{
		{},
		{flags: vnetNeedsChecksum, csumStart: 34, csumOffset: 16},
		{flags: vnetNeedsChecksum, csumStart: 34, csumOffset: 6},
		{flags: vnetNeedsChecksum, csumStart: 0xffff, csumOffset: 0xffff},
		{flags: vnetDataValid},
		{flags: vnetNeedsChecksum, gsoType: vnetGSOTCPv4, gsoSize: 3, csumStart: 34, csumOffset: 16},
		{flags: vnetNeedsChecksum, gsoType: vnetGSOTCPv6 | vnetGSOECN, gsoSize: 1, csumStart: 62, csumOffset: 16},
		{gsoType: vnetGSOUDP, gsoSize: 2},
		{gsoType: vnetGSOUDP},
		{gsoType: 0xff, gsoSize: 0xffff, flags: 0xff},
	}
}

// Whatever the virtio header and the frame say, the link's loop and the stack go on.
func FuzzVNetFrames(f *testing.F) {
	for _, h := range seedVNetHeaders() {
		for _, frame := range seedFrames() {
			message := withHeader(h, frame)
			f.Add(message[:vnetHeaderSize], message[vnetHeaderSize:])
		}
	}
	e, peer := newVNetEthernet(f)
	newTestStack(f, e, "10.0.0.2/24", "fd00::2/64")
	id := byte(100)
	f.Fuzz(func(t *testing.T, head, frame []byte) {
		if len(head)+len(frame) > 128<<10 {
			t.Skip("longer than the socket takes")
		}
		sendFrame(t, peer, slices.Concat(head, frame))
		id = 100 + (id+1)%100
		sendFrame(t, peer, withHeader(vnetHeader{}, arpProbe(id)))
		awaitVNetARP(t, peer, id)
	})
}

// awaitVNetARP is awaitARP where a virtio header precedes each frame.
func awaitVNetARP(t interface{ Fatalf(string, ...any) }, fd int, id byte) {
	awaitARPBehind(t, fd, id, vnetHeaderSize)
}

// The same with frames and headers that are nearly right, under a stack that knows
// of vouching and one that does not.
func TestVNetSurvivesAnyFrame(t *testing.T) {
	verifyNoLeak(t)
	for _, knows := range []bool{false, true} {
		e, peer := newVNetEthernet(t)
		if knows {
			KnowVouched(e)
		}
		newTestStack(t, e, "10.0.0.2/24", "fd00::2/64")
		frames, headers := seedFrames(), seedVNetHeaders()
		id := byte(100)
		rapid.Check(t, func(rt *rapid.T) {
			message := withHeader(rapid.SampledFrom(headers).Draw(rt, "header"), rapid.SampledFrom(frames).Draw(rt, "frame"))
			for range rapid.IntRange(0, 8).Draw(rt, "changes") {
				at := rapid.IntRange(0, min(len(message), 100)-1).Draw(rt, "at")
				if at < vnetHeaderSize || at >= vnetHeaderSize+6 { // mostly still for the appliance
					message[at] = rapid.Byte().Draw(rt, "byte")
				}
			}
			sendFrame(t, peer, message[:rapid.IntRange(0, len(message)).Draw(rt, "length")])
			id = 100 + (id+1)%100
			sendFrame(t, peer, withHeader(vnetHeader{}, arpProbe(id)))
			awaitVNetARP(rt, peer, id)
		})
		select {
		case <-e.Done():
			t.Errorf("the loop ended: %v", e.Err())
		default:
		}
	}
}
