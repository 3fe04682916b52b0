package link

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"pgregory.net/rapid"
)

// The parts of a super-segment bear its payload, whole and in order, and each is a
// frame of its own: lengths, checksums and, with TCP, sequence numbers are right.
func TestSplitFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := segmentFrame{
			v6:         rapid.Bool().Draw(t, "v6"),
			protocol:   rapid.SampledFrom([]byte{6, 17}).Draw(t, "protocol"),
			extensions: rapid.IntRange(0, 3).Draw(t, "extensions"),
			payload:    rapid.SliceOfN(rapid.Byte(), 1, 3000).Draw(t, "payload"),
			padding:    rapid.IntRange(0, 9).Draw(t, "padding"),
		}
		size := rapid.IntRange(1, 3500).Draw(t, "size")
		frame, start, _ := s.build()
		if s.protocol == 6 {
			h := header.TCP(frame[start:])
			h.SetSequenceNumber(0xffffff00) // wraps
			h.SetFlags(0xff)
		}
		before := append([]byte(nil), frame...)
		parts := splitFrame(frame, size)
		if want := (len(s.payload) + size - 1) / size; len(parts) != want {
			t.Fatalf("%d parts, want %d", len(parts), want)
		}
		if !bytes.Equal(frame, before) {
			t.Fatal("the frame itself was changed")
		}
		var got []byte
		for i, p := range parts {
			checkPart(t, s, p, start)
			payload := p[start+minimumOf(s.protocol):]
			if i < len(parts)-1 && len(payload) != size {
				t.Fatalf("part %d has %d bytes of payload, want %d", i, len(payload), size)
			}
			if s.protocol == 6 {
				checkTCPPart(t, header.TCP(p[start:]), len(got), i == 0, i == len(parts)-1)
			}
			got = append(got, payload...)
		}
		if !bytes.Equal(got, s.payload) {
			t.Fatal("the payload is not the same")
		}
	})
}

func minimumOf(protocol byte) int {
	if protocol == 17 {
		return header.UDPMinimumSize
	}
	return header.TCPMinimumSize
}

// checkPart looks at lengths and checksums.
func checkPart(t *rapid.T, s segmentFrame, p []byte, start int) {
	length := len(p) - start
	if s.v6 {
		if got := int(header.IPv6(p[14:]).PayloadLength()); got != len(p)-14-40 {
			t.Fatalf("IPv6 payload length %d of %d bytes", got, len(p)-14-40)
		}
	} else {
		ip := header.IPv4(p[14:start])
		if int(ip.TotalLength()) != len(p)-14 {
			t.Fatalf("IPv4 total length %d of %d bytes", ip.TotalLength(), len(p)-14)
		}
		if onesComplementSum(ip) != 0xffff {
			t.Fatal("the IPv4 header's checksum is wrong")
		}
	}
	if s.protocol == 17 && int(header.UDP(p[start:]).Length()) != length {
		t.Fatalf("UDP length %d of %d bytes", header.UDP(p[start:]).Length(), length)
	}
	if sum := onesComplementSum(append(s.pseudoHeader(p, length), p[start:]...)); sum != 0xffff {
		t.Fatalf("the sum with the checksum is %#x, want 0xffff", sum)
	}
}

func checkTCPPart(t *rapid.T, h header.TCP, at int, first, last bool) {
	if want := uint32(0xffffff00) + uint32(at); h.SequenceNumber() != want {
		t.Fatalf("sequence number %d, want %d", h.SequenceNumber(), want)
	}
	flags := h[13]
	if got := flags&0x09 == 0x09; got != last || flags&0x09 != 0 && !last {
		t.Fatalf("flags %#x: FIN and PSH are the last part's alone", flags)
	}
	if got := flags&0x80 != 0; got != first {
		t.Fatalf("flags %#x: CWR is the first part's alone", flags)
	}
	if flags&0x76 != 0x76 {
		t.Fatalf("flags %#x: the others are each part's", flags)
	}
}

// UDP without a checksum stays so; IPv4 parts have identifications of their own.
func TestSplitFrameUDPWithoutChecksum(t *testing.T) {
	frame, start, field := segmentFrame{protocol: 17, payload: make([]byte, 100)}.build()
	binary.BigEndian.PutUint16(frame[field:], 0)
	header.IPv4(frame[14:]).SetID(0xffff)
	for i, p := range splitFrame(frame, 40) {
		if got := binary.BigEndian.Uint16(p[field:]); got != 0 {
			t.Errorf("part %d has the checksum %#x", i, got)
		}
		if id := header.IPv4(p[14:start]).ID(); id != uint16(0xffff+i) {
			t.Errorf("part %d has identification %d", i, id)
		}
	}
}

// What is no super-segment is left alone, and nothing panics.
func TestSplitFrameLeavesTheRest(t *testing.T) {
	icmp, _, _ := segmentFrame{protocol: 1, payload: make([]byte, 64)}.build()
	good, start, _ := segmentFrame{protocol: 6, payload: make([]byte, 64)}.build()
	offset := append([]byte(nil), good...)
	offset[start+12] = 0xf0 // A data offset beyond the segment: 60 bytes of 84.
	beyond := append([]byte(nil), offset...)
	binary.BigEndian.PutUint16(beyond[14+2:], 20+40)
	for name, f := range map[string][]byte{"empty": {}, "ICMP": icmp, "no IP": frameTo("\x02\x00\x00\x00\x00\x01", "x"), "offset": beyond} {
		if parts := splitFrame(f, 10); parts != nil {
			t.Errorf("%s: %d parts", name, len(parts))
		}
	}
	if parts := splitFrame(good, 0); parts != nil {
		t.Errorf("size 0: %d parts", len(parts))
	}
	rapid.Check(t, func(t *rapid.T) {
		f := append([]byte(nil), good...)
		for range rapid.IntRange(0, 8).Draw(t, "changes") {
			f[rapid.IntRange(12, len(f)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		splitFrame(f[:rapid.IntRange(0, len(f)).Draw(t, "length")], rapid.IntRange(-1, 100).Draw(t, "size"))
	})
}

// superSegment is an inbound packet as a link with offloads gives it.
func superSegment(t testing.TB, payload []byte, mss uint16) *stack.PacketBuffer {
	t.Helper()
	frame, start, _ := segmentFrame{protocol: 6, payload: payload}.build()
	header.IPv4(frame[14:start]).SetChecksum(0)
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	if _, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize); !ok {
		t.Fatal("no link header")
	}
	pkt.NetworkProtocolNumber, pkt.PktType = header.IPv4ProtocolNumber, tcpip.PacketHost
	setWireSize(pkt, vnetHeader{gsoType: vnetGSOTCPv4, gsoSize: mss})
	return pkt
}

// An impairment acts on what a wire would have borne.
func TestImpairTakesSuperSegmentsApart(t *testing.T) {
	rules, err := ParseRule("drop in nth=2")
	if err != nil {
		t.Fatal(err)
	}
	im, err := NewImpair(&fakeLower{}, ImpairOptions{Rules: []Rule{rules}})
	if err != nil {
		t.Fatal(err)
	}
	got := newCollector()
	im.Attach(got)
	pkt := superSegment(t, []byte("onetwoten"), 3)
	defer pkt.DecRef()
	im.DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
	for _, want := range []string{"one", "ten"} {
		if f := got.next(t); string(f[14+20+20:]) != want {
			t.Errorf("delivered %q, want %q", f[14+20+20:], want)
		}
	}
	select {
	case f := <-got.frames:
		t.Errorf("one more frame: %q", f)
	default:
	}
}

// What is corrupted on purpose is not vouched for any more.
func TestCorruptedIsNotVouchedFor(t *testing.T) {
	pkt := superSegment(t, []byte("x"), 3)
	defer pkt.DecRef()
	vouch(pkt)
	c := corrupted(pkt, 45, 1)
	defer c.DecRef()
	TrustVouched(c)
	if c.RXChecksumValidated {
		t.Error("the corrupted copy's checksum is not verified")
	}
	TrustVouched(pkt)
	if !pkt.RXChecksumValidated {
		t.Error("the original is not vouched for any more")
	}
}
