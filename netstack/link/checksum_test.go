package link

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"pgregory.net/rapid"
)

// onesComplementSum is RFC 1071's sum, written out.
func onesComplementSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// segmentFrame describes a frame for the tests.
type segmentFrame struct {
	v6         bool
	protocol   byte
	extensions int // 8-byte words of one IPv6 destination options header, or of IPv4 options / 4
	payload    []byte
	padding    int // after the IP packet
}

// build makes the frame, its checksum field holding rubbish, and tells where the
// segment and its checksum are.
func (s segmentFrame) build() (frame []byte, start, field int) {
	minimum, at := 20, 16
	if s.protocol == 17 {
		minimum, at = 8, 6
	}
	segment := append(make([]byte, minimum), s.payload...)
	if s.protocol == 17 {
		binary.BigEndian.PutUint16(segment[4:], uint16(len(segment)))
	} else {
		segment[12] = 5 << 4
	}
	binary.BigEndian.PutUint16(segment[at:], 0xdead)
	frame = make([]byte, 14)
	var ip []byte
	if s.v6 {
		frame[12], frame[13] = 0x86, 0xdd
		ip = make([]byte, 40+8*s.extensions)
		ip[0] = 0x60
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-40+len(segment)))
		ip[6] = s.protocol
		if s.extensions > 0 {
			ip[6], ip[40], ip[41] = 60, s.protocol, byte(s.extensions-1)
		}
		ip[8+15], ip[24+15] = 1, 2
	} else {
		frame[12], frame[13] = 0x08, 0x00
		ip = make([]byte, 20+4*s.extensions)
		ip[0] = 0x40 | byte(len(ip)/4)
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(segment)))
		ip[9] = s.protocol
		copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	}
	frame = append(frame, ip...)
	start = len(frame)
	frame = append(frame, segment...)
	return append(frame, bytes.Repeat([]byte{0xee}, s.padding)...), start, start + at
}

// pseudoHeader is RFC 9293's (3.1) or RFC 8200's (8.1), byte by byte.
func (s segmentFrame) pseudoHeader(frame []byte, length int) []byte {
	if s.v6 {
		b := append([]byte(nil), frame[14+8:14+40]...)
		b = binary.BigEndian.AppendUint32(b, uint32(length))
		return append(b, 0, 0, 0, s.protocol)
	}
	b := append([]byte(nil), frame[14+12:14+20]...)
	b = append(b, 0, s.protocol)
	return binary.BigEndian.AppendUint16(b, uint16(length))
}

// A completed checksum makes the sum over pseudo-header and segment all ones,
// wherever the frame is cut into parts, and nothing else changes.
func TestCompleteChecksum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := segmentFrame{
			v6:         rapid.Bool().Draw(t, "v6"),
			protocol:   rapid.SampledFrom([]byte{6, 17}).Draw(t, "protocol"),
			extensions: rapid.IntRange(0, 3).Draw(t, "extensions"),
			payload:    rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "payload"),
			padding:    rapid.IntRange(0, 9).Draw(t, "padding"),
		}
		frame, start, field := s.build()
		original := append([]byte(nil), frame...)
		var parts [][]byte
		rest := frame
		cut := min(len(rest), rapid.IntRange(200, 2100).Draw(t, "first part"))
		for len(rest) > 0 {
			parts, rest = append(parts, rest[:cut]), rest[cut:]
			cut = min(len(rest), rapid.IntRange(1, 800).Draw(t, "next part"))
		}
		if !completeChecksum(parts) {
			t.Fatal("no segment found")
		}
		segment := frame[start : len(frame)-s.padding]
		sum := onesComplementSum(append(s.pseudoHeader(frame, len(segment)), segment...))
		if sum != 0xffff {
			t.Fatalf("the sum with the checksum is %#x, want 0xffff", sum)
		}
		if s.protocol == 17 && binary.BigEndian.Uint16(frame[field:]) == 0 {
			t.Fatal("a UDP checksum of zero means none")
		}
		copy(frame[field:field+2], original[field:])
		if !bytes.Equal(frame, original) {
			t.Fatal("bytes beside the checksum were changed")
		}
	})
}

// A UDP datagram whose sum comes out as zero carries 0xffff.
func TestCompleteChecksumZeroUDP(t *testing.T) {
	s := segmentFrame{protocol: 17, payload: []byte{0, 0}}
	frame, start, field := s.build()
	binary.BigEndian.PutUint16(frame[field:], 0)
	segment := frame[start:]
	rest := ^onesComplementSum(append(s.pseudoHeader(frame, len(segment)), segment...))
	binary.BigEndian.PutUint16(frame[len(frame)-2:], rest)
	if !completeChecksum([][]byte{frame}) {
		t.Fatal("no segment found")
	}
	if got := binary.BigEndian.Uint16(frame[field:]); got != 0xffff {
		t.Errorf("checksum %#x, want 0xffff", got)
	}
}

// What has no TCP or UDP checksum to complete is left alone, and nothing panics.
func TestCompleteChecksumLeavesTheRest(t *testing.T) {
	fragment, _, _ := segmentFrame{protocol: 6, payload: make([]byte, 64)}.build()
	fragment[14+6] = 0x20 // More fragments.
	short, _, _ := segmentFrame{protocol: 6}.build()
	icmp, _, _ := segmentFrame{protocol: 1, payload: make([]byte, 64)}.build()
	for name, f := range map[string][]byte{
		"empty": {}, "fragment": fragment, "cut short": short[:40], "ICMP": icmp,
		"not IP": frameTo(header.EthernetBroadcastAddress, "hello"),
	} {
		before := append([]byte(nil), f...)
		if completeChecksum([][]byte{f}) || !bytes.Equal(f, before) {
			t.Errorf("%s: was changed", name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SliceOfN(rapid.Byte(), 0, 120).Draw(t, "frame")
		if len(f) > 14 { // Half of them look like IP.
			copy(f[12:], rapid.SampledFrom([]string{"\x08\x00\x45", "\x86\xdd\x60", "\x12"}).Draw(t, "type"))
		}
		completeChecksum([][]byte{f})
	})
}
