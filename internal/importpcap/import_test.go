package importpcap_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"appliance/tracer"
)

// TestLinks: whatever the link and the file's format, the trace is the same.
func TestLinks(t *testing.T) {
	before := func(header string) func([]byte) []byte {
		return func(ip []byte) []byte { return append([]byte(header), ip...) }
	}
	for _, tt := range []struct {
		name string
		link layers.LinkType
		wrap func([]byte) []byte
	}{
		{"Ethernet", layers.LinkTypeEthernet, func(ip []byte) []byte { return ether(ip) }},
		{"Ethernet, padded", layers.LinkTypeEthernet, func(ip []byte) []byte { return append(ether(ip), make([]byte, 18)...) }},
		{"VLAN", layers.LinkTypeEthernet, func(ip []byte) []byte { return ether(ip, 7) }},
		{"QinQ", layers.LinkTypeEthernet, func(ip []byte) []byte { return ether(ip, 7, 8) }},
		{"raw", layers.LinkTypeRaw, before("")},
		{"raw of BSD", 12, before("")},
		{"raw of OpenBSD", 14, before("")},
		{"IP of one version", 0, nil},
		{"loopback", layers.LinkTypeNull, func(ip []byte) []byte { return append(family(binary.LittleEndian, ip), ip...) }},
		{"loopback, other byte order", layers.LinkTypeNull, func(ip []byte) []byte { return append(family(binary.BigEndian, ip), ip...) }},
		{"OpenBSD's loopback", layers.LinkTypeLoop, func(ip []byte) []byte { return append(family(binary.BigEndian, ip), ip...) }},
		{"cooked", layers.LinkTypeLinuxSLL, func(ip []byte) []byte {
			return append(binary.BigEndian.AppendUint16([]byte("\x00\x00\x00\x01\x00\x06abcdefgh"), protoOf(ip)), ip...)
		}},
		{"cooked, VLAN", layers.LinkTypeLinuxSLL, func(ip []byte) []byte {
			return append(binary.BigEndian.AppendUint16([]byte("\x00\x00\x00\x01\x00\x06abcdefgh\x81\x00\x00\x07"), protoOf(ip)), ip...)
		}},
		{"cooked 2", layers.LinkTypeLinuxSLL2, func(ip []byte) []byte {
			return append(append(binary.BigEndian.AppendUint16(nil, protoOf(ip)), "\x00\x00\x00\x00\x00\x02\x00\x01\x00\x06abcdefgh"...), ip...)
		}},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/IPv6=%v", tt.name, v6), func(t *testing.T) {
				plain := packets(wire{v6: v6}, hello)
				link, data := tt.link, plain
				if tt.wrap != nil {
					data = wrap(plain, tt.wrap)
				} else if link = layers.LinkTypeIPv4; v6 {
					link = layers.LinkTypeIPv6
				}
				want, _, _, err := read(pcapOf(layers.LinkTypeEthernet, wrap(plain, func(ip []byte) []byte { return ether(ip) })...))
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(helloStates, states(want)); d != "" {
					t.Fatalf("-want +got\n%s", d)
				}
				for format, file := range map[string][]byte{"pcap": pcapOf(link, data...), "pcapng": pcapngOf(link, data...)} {
					got, sum, sink, err := read(file)
					if err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(lines(want), lines(got)); d != "" {
						t.Errorf("%s: -Ethernet +got\n%s", format, d)
					}
					if sum.Segments != uint64(len(hello)) || sum.Events != uint64(len(got)) || len(sum.Skipped) != 0 {
						t.Errorf("%s: %+v", format, sum)
					}
					if h := sink.Header(); !h.Started.Equal(start) || h.Link.Kind != "capture" || h.Link.Name != "x.pcap" || h.Appliance != "1.0" {
						t.Errorf("%s: %+v", format, h)
					}
				}
			})
		}
	}
}

// family is a loopback's header: BSD's number for IPv6.
func family(order binary.AppendByteOrder, ip []byte) []byte {
	n := uint32(2)
	if protoOf(ip) == 0x86dd {
		n = 30
	}
	return order.AppendUint32(nil, n)
}

func lines(events []tracer.Event) []string {
	out := make([]string, len(events))
	for i := range events {
		out[i] = string(tracer.AppendJSON(nil, &events[i]))
	}
	return out
}

// TestTimes: packets have the times of the capture, in each resolution; those without one,
// and those that are early, come with the packet before.
func TestTimes(t *testing.T) {
	file := pcapOf(layers.LinkTypeRaw, packets(wire{}, hello)...)
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   time.Duration
	}{
		"nanoseconds":  {func(b []byte) []byte { return b }, time.Millisecond},
		"microseconds": {func(b []byte) []byte { return micros(b, binary.LittleEndian) }, time.Millisecond},
		"big endian":   {func(b []byte) []byte { return micros(b, binary.BigEndian) }, time.Millisecond},
		"packed":       {pack, time.Millisecond},
	} {
		got, _, _, err := read(c.change(bytes.Clone(file)))
		if err != nil {
			t.Fatal(name, err)
		}
		if last := got[len(got)-1].T; last != c.want*time.Duration(len(hello)-1) {
			t.Errorf("%s: the last event is at %v", name, last)
		}
	}
	early := pcapOf(layers.LinkTypeRaw, packets(wire{}, hello)...)
	binary.LittleEndian.PutUint32(early[24+16+len(wire{}.ip(hello[0])):], 7) // the second packet's
	got, _, _, err := read(early)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(got); i++ {
		if got[i].T < got[i-1].T {
			t.Errorf("event %d is earlier than the one before", got[i].N)
		}
	}
}

// micros makes of a file with nanoseconds one with microseconds, in another byte order.
func micros(b []byte, order binary.ByteOrder) []byte {
	put := func(at int, v uint32) { order.PutUint32(b[at:], v) }
	get := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	put(0, 0xa1b2c3d4)
	order.PutUint16(b[4:], 2)
	order.PutUint16(b[6:], 4)
	put(16, get(16))
	put(20, get(20))
	for at := 24; at < len(b); {
		n := get(at + 8)
		put(at, get(at))
		put(at+4, get(at+4)/1000)
		put(at+8, n)
		put(at+12, get(at+12))
		at += 16 + int(n)
	}
	return b
}

func pack(b []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// TestSkipped: what is not read is counted by its reason.
func TestSkipped(t *testing.T) {
	udp := func(v6 bool) []byte {
		u := &layers.UDP{SrcPort: 53, DstPort: 53}
		if v6 {
			ip := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolUDP, SrcIP: net.ParseIP("::1"), DstIP: net.ParseIP("::1")}
			_ = u.SetNetworkLayerForChecksum(ip)
			return ether(serialize(ip, u))
		}
		ip := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{1, 1, 1, 1}, DstIP: net.IP{1, 1, 1, 2}}
		_ = u.SetNetworkLayerForChecksum(ip)
		return ether(serialize(ip, u))
	}
	fragment := wire{}.ip(hello[3])
	binary.BigEndian.PutUint16(fragment[6:], 0x2000)
	fragment6 := serialize(&layers.IPv6{Version: 6, NextHeader: layers.IPProtocolIPv6Fragment, SrcIP: net.ParseIP("::1"), DstIP: net.ParseIP("::1")},
		gopacket.Payload("\x06\x00\x00\x01\x00\x00\x00\x0123456789012345678901234567890"))
	icmp := serialize(&layers.IPv4{Version: 4, Protocol: layers.IPProtocolICMPv4, SrcIP: net.IP{1, 1, 1, 1}, DstIP: net.IP{1, 1, 1, 2}},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)})
	arp := append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06"), make([]byte, 28)...)
	whole := ether(wire{}.ip(packet{"A", "A", 101, 301, 100}))
	file := pcapOf(layers.LinkTypeEthernet, udp(false), udp(true), ether(fragment), ether(fragment6), ether(icmp), arp,
		whole[:40], whole[:10], ether(wire{}.ip(hello[0])), whole)
	_, sum, _, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{"not TCP": 3, "not IP": 1, "fragmented": 2, "malformed": 2}
	if d := cmp.Diff(want, sum.Skipped); d != "" || sum.Packets != 10 || sum.Segments != 2 {
		t.Errorf("%+v\n%s", sum, d)
	}
	for _, want := range []string{"10 packets: 2 segments", "skipped: 2 fragmented, 2 malformed, 1 not IP, 3 not TCP"} {
		if !strings.Contains(sum.String(), want) {
			t.Errorf("%q is not in %q", want, sum)
		}
	}
}

const ethernet = 14

// TestMany: many connections at once, port reuse, and those that the capture does not have from
// their start.
func TestMany(t *testing.T) {
	var data [][]byte
	const conns = 300
	for _, p := range hello {
		for i := range conns {
			data = append(data, wire{port: uint16(20000 + i)}.ip(p)) //nolint:gosec // small
		}
	}
	again := []packet{{"A", "S", 7000, 0, 0}, {"B", "SA", 8000, 7001, 0}, {"A", "RA", 7001, 8001, 0}}
	data = append(data, packets(wire{port: 20000}, again)...)
	data = append(data, packets(wire{port: 30000}, hello[3:])...) // data from both: it was open
	data = append(data, packets(wire{port: 30001}, hello[5:])...) // a FIN first: nobody knows
	events, sum, _, err := read(pcapOf(layers.LinkTypeRaw, data...))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]int{}
	for _, e := range events {
		c, ok := e.Body.(*tracer.StateChange)
		if !ok {
			continue
		}
		port := max(e.Local.Port(), e.Remote.Port())
		name := fmt.Sprint(port)
		if port < 20000+conns && port > 20000 {
			name = "others"
		}
		if got[name] == nil {
			got[name] = map[string]int{}
		}
		got[name][fmt.Sprintf("%s %v → %v", e.Stack, c.From, c.To)]++
	}
	for _, line := range helloStates {
		change, _, _ := strings.Cut(line, " by")
		if want := conns - 1; !strings.Contains(line, "LISTEN by") && got["others"][change] != want {
			t.Errorf("%s: %d of %d connections", change, got["others"][change], want)
		}
	}
	if g := got["20000"]; g["client CLOSED → SYN-SENT"] != 2 || g["client ESTABLISHED → CLOSED"] != 1 || g["server SYN-RECEIVED → CLOSED"] != 1 {
		t.Errorf("the port that was used again: %v", g)
	}
	if g := got["30000"]; g["server CLOSED → ESTABLISHED"] != 1 || g["client CLOSED → ESTABLISHED"] != 1 || g["client LAST-ACK → CLOSED"] != 1 {
		t.Errorf("open before: %v", g)
	}
	if g := got["30001"]; len(g) != 0 {
		t.Errorf("claimed of a connection that nothing is known of: %v", g)
	}
	if sum.Open != 2 || sum.Unknown != 2 || sum.Conns != 2*conns+2+4 {
		t.Errorf("%+v", sum)
	}
	if text := sum.String(); !strings.Contains(text, "2 ends were open before") || !strings.Contains(text, "of 2 ends no state is known") {
		t.Error(text)
	}
}

// TestCounts: a summary's numbers. A listener is no end of a connection.
func TestCounts(t *testing.T) {
	for name, c := range map[string]struct {
		data [][]byte
		want string
	}{
		"one connection": {packets(wire{}, hello), "9 packets: 9 segments, 2 ends of connections"},
		"four": {
			alternate(packets(wire{}, hello), packets(wire{port: 1}, hello), packets(wire{port: 2}, hello), packets(wire{port: 3}, hello)),
			"36 packets: 36 segments, 8 ends of connections",
		},
		"without its SYN": {packets(wire{}, hello[1:]), "8 packets: 8 segments, 2 ends of connections; 1 end was open before the first packet"},
		"one packet":      {packets(wire{}, hello[:1]), "1 packet: 1 segment, 1 end of a connection"},
		"nothing known":   {packets(wire{}, hello[6:7]), "1 packet: 1 segment, 1 end of a connection; of 1 end no state is known: what the capture has does not show it"},
		"no packet":       {nil, "0 packets: 0 segments, 0 ends of connections"},
	} {
		_, sum, _, err := read(pcapOf(layers.LinkTypeRaw, c.data...))
		if err != nil {
			t.Fatal(err)
		}
		if sum.String() != c.want {
			t.Errorf("%s: %s, want %s", name, sum, c.want)
		}
	}
}
