package link

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"pgregory.net/rapid"

	"appliance/tracer"
)

// checksumOK verifies the transport checksum of a packet without options.
func checksumOK(wire []byte) bool {
	var src, dst tcpip.Address
	var part []byte
	var proto uint8
	if wire[0]>>4 == 4 {
		ip := header.IPv4(wire)
		src, dst, part, proto = ip.SourceAddress(), ip.DestinationAddress(), wire[20:ip.TotalLength()], ip.Protocol()
	} else {
		ip := header.IPv6(wire)
		src, dst, part, proto = ip.SourceAddress(), ip.DestinationAddress(), wire[40:40+ip.PayloadLength()], ip.NextHeader()
	}
	if proto == uint8(header.UDPProtocolNumber) && header.UDP(part).Checksum() == 0 {
		return true // none (RFC 768)
	}
	pseudo := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(proto), src, dst, uint16(len(part)))
	return checksum.Checksum(part, pseudo) == 0xffff
}

func differingBits(a, b []byte) (n, last int) {
	for i := range a {
		for d := a[i] ^ b[i]; d != 0; d &= d - 1 {
			n, last = n+1, i
		}
	}
	return n, last
}

func TestImpairCorruptionIsCaughtByTheChecksum(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := testSeg{
			v6: rapid.Bool().Draw(rt, "v6"), udp: rapid.Bool().Draw(rt, "udp"), in: rapid.Bool().Draw(rt, "in"),
			port: rapid.Uint16().Draw(rt, "port"), flags: tracer.ACK, seq: rapid.Uint32().Draw(rt, "seq"),
			payload: rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(rt, "payload"),
		}
		i := Impairment{Corrupt: 1, Duplicate: 1}
		im, lower, up := impaired(t, ImpairOptions{Seed: rapid.Uint64().Draw(rt, "seed"), In: i, Out: i})
		defer im.Close()
		want := s.wire()
		if !checksumOK(want) {
			rt.Fatal("the test's own packet is wrong")
		}
		var got [][]byte
		if s.in {
			// What pads the frame is not the packet's.
			padded := append(slices.Clone(want), make([]byte, 18)...)
			lower.inject(s.proto(), padded)
			got = up.take()
			for i, w := range got {
				if !bytes.Equal(w[len(want):], padded[len(want):]) {
					rt.Fatal("the padding was corrupted")
				}
				got[i] = w[:len(want)]
			}
		} else {
			pkt := s.out()
			v := im.Plan(tracer.Out, pkt)
			if err := im.WritePlanned(pkt, v); err != nil {
				rt.Fatal(err)
			}
			if !v.Corrupt || !bytes.Equal(wireOf(pkt), want) {
				rt.Fatalf("verdict %+v; the sender's own packet must stay", v)
			}
			pkt.DecRef()
			got = lower.take()
		}
		if len(got) != 2 || !bytes.Equal(got[0], got[1]) {
			rt.Fatalf("%d packets, want two alike", len(got))
		}
		network := 20
		if s.v6 {
			network = 40
		}
		n, at := differingBits(want, got[0])
		if n != 1 || at < network {
			rt.Fatalf("%d bits differ, the last in byte %d; want one beyond byte %d", n, at, network)
		}
		if checksumOK(got[0]) {
			rt.Fatalf("the checksum does not catch it, byte %d", at)
		}
		if !s.udp && header.TCP(got[0][network:]).DataOffset() != header.TCPMinimumSize {
			rt.Fatal("the data offset was changed: that is not a bad checksum")
		}
		if s.udp && header.UDP(got[0][network:]).Length() != uint16(len(want)-network) {
			rt.Fatal("the UDP length was changed: that is not a bad checksum")
		}
	})
}

func TestBitOfUDPChecksums(t *testing.T) {
	for sum, name := range map[uint16]string{0: "none", 0x0100: "one bit, first byte", 0x0004: "one bit, second byte"} {
		w := testSeg{udp: true, port: 5}.wire()
		header.UDP(w[20:]).SetChecksum(sum)
		pkt := inPacket(w)
		p := parsePacket(tracer.In, header.IPv4ProtocolNumber, pkt, false)
		pkt.DecRef()
		for r := range uint64(500) {
			at, mask := p.bit(r)
			c := slices.Clone(w)
			c[at] ^= mask
			u := header.UDP(c[20:])
			if u.Checksum() == 0 || u.Length() != 8 || at < 20 || at >= len(w) {
				t.Fatalf("%s: random number %d flips %#x in byte %d", name, r, mask, at)
			}
			if sum == 0 && at != 26 && at != 27 {
				t.Fatalf("no checksum: byte %d would go unnoticed", at)
			}
		}
	}
}

func TestParsePacketRefusesWhatDoesNotFit(t *testing.T) {
	good := testSeg{port: 7, flags: tracer.ACK, payload: []byte("abc")}.wire()
	edit := func(at int, b byte) []byte {
		w := slices.Clone(good)
		w[at] = b
		return w
	}
	for name, w := range map[string][]byte{
		"empty":                {},
		"a short header":       good[:19],
		"the wrong version":    edit(0, 0x65),
		"header length 4":      edit(0, 0x41),
		"header beyond packet": edit(3, 20-1),
		"length beyond frame":  edit(2, 1),
		"half a TCP header":    edit(3, 39),
		"a later fragment":     edit(7, 1),
		"data offset 4":        edit(32, 0x10),
		"data offset 60":       edit(32, 0xf0),
	} {
		pkt := inPacket(w)
		if p := parsePacket(tracer.In, header.IPv4ProtocolNumber, pkt, true); p.tcp || p.length != 0 || p.data != nil {
			t.Errorf("%s: taken for a segment: %+v", name, p)
		}
		pkt.DecRef()
	}
	pkt := inPacket(good)
	defer pkt.DecRef()
	p := parsePacket(tracer.Out, header.IPv4ProtocolNumber, pkt, true)
	if !p.tcp || string(p.data) != "abc" || p.payload != 3 || p.flow.remote.Port() != 7 || p.flow.local.Port() != ourPort {
		t.Errorf("the unedited packet: %+v", p)
	}
}

func TestParsePacketIPv6ExtensionHeaders(t *testing.T) {
	w := testSeg{v6: true, port: 7, flags: tracer.FIN, payload: []byte("abc")}.wire()
	with := func(ext ...byte) []byte {
		x := append(append(slices.Clone(w[:40]), ext...), w[40:]...)
		header.IPv6(x).SetPayloadLength(uint16(len(x) - 40))
		return x
	}
	hop := with(60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0)
	hop[6] = 0 // hop-by-hop, then destination options, then TCP
	first := with(6, 0, 0, 1, 0, 0, 0, 9)
	first[6] = 44
	later := with(6, 0, 0, 8, 0, 0, 0, 9)
	later[6] = 44
	endless := with(60, 255, 1, 4, 0, 0, 0, 0)
	endless[6] = 60
	for _, tt := range []struct {
		name string
		wire []byte
		tcp  bool
	}{{"options", hop, true}, {"first fragment", first, true}, {"later fragment", later, false}, {"beyond the packet", endless, false}} {
		pkt := inPacket(tt.wire)
		p := parsePacket(tracer.In, header.IPv6ProtocolNumber, pkt, true)
		if p.tcp != tt.tcp || tt.tcp && (string(p.data) != "abc" || p.flags != tracer.FIN) {
			t.Errorf("%s: %+v", tt.name, p)
		}
		pkt.DecRef()
	}
}

// FuzzImpair brings any bytes, in both directions, to an Impair that does all it can.
func FuzzImpair(f *testing.F) {
	f.Add(uint16(header.IPv4ProtocolNumber), testSeg{port: 1, payload: []byte("hello")}.wire())
	f.Add(uint16(header.IPv6ProtocolNumber), testSeg{v6: true, udp: true}.wire())
	f.Add(uint16(header.IPv6ProtocolNumber), nsWire)
	f.Add(uint16(header.ARPProtocolNumber), arpWire)
	all := Impairment{Duplicate: 0.5, Corrupt: 1, Delay: 5, Jitter: 5, Rate: 1e9, Reorder: 0.5}
	f.Fuzz(func(t *testing.T, proto uint16, wire []byte) {
		if len(wire) > 65535 {
			return
		}
		clock := faketime.NewManualClock()
		im, lower, up := impaired(t, ImpairOptions{
			In: all, Out: all, Clock: clock, Seed: uint64(len(wire)),
			Rules: mustRules(t, "corrupt both contains=hello", "reorder in SYN", "duplicate out payload>=10"),
		})
		defer im.Close()
		lower.inject(tcpip.NetworkProtocolNumber(proto), wire)
		pkt := inPacket(wire)
		defer pkt.DecRef()
		pkt.NetworkProtocolNumber = tcpip.NetworkProtocolNumber(proto)
		var list stack.PacketBufferList
		list.PushBack(pkt)
		if _, err := im.WritePackets(list); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Second)
		for way, got := range map[string][][]byte{"in": up.take(), "out": lower.take()} {
			if len(got) == 0 {
				t.Fatalf("%s: the packet is gone", way)
			}
			for _, g := range got {
				if len(g) != len(wire) {
					t.Fatalf("%s: %d bytes became %d", way, len(wire), len(g))
				}
				if n, _ := differingBits(wire, g); n > 1 {
					t.Fatalf("%s: %d bits were flipped", way, n)
				}
			}
		}
	})
}
