package importpcap_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"appliance/tracer"
)

// lossy is a whole connection in which data is lost: there are SACKs.
var lossy = []packet{
	{"A", "S", 100, 0, 0},
	{"A", "S", 100, 0, 0},
	{"B", "SA", 300, 101, 0},
	{"A", "A", 101, 301, 0},
	{"A", "A", 101, 301, 10},
	{"A", "A", 121, 301, 10},
	{"B", "AK", 301, 111, 0},
	{"A", "A", 131, 301, 10},
	{"B", "AK", 301, 111, 0},
	{"A", "A", 111, 301, 10},
	{"B", "A", 301, 141, 40},
	{"B", "FA", 341, 141, 0},
	{"A", "A", 141, 342, 0},
	{"A", "FA", 141, 342, 0},
	{"B", "A", 342, 142, 0},
}

// TestSnaplen: whatever the snapshot length, no segment is lost whose first 20 bytes of TCP
// header are there, and all that these tell is told.
func TestSnaplen(t *testing.T) {
	tagged := func(ip []byte) []byte { return ether(ip, 7) }
	behind := func(ip []byte) []byte { return extended(ip, 0, hopByHop) }
	for _, tt := range []struct {
		name   string
		link   layers.LinkType
		data   [][]byte
		enough int // bytes up to the options of TCP
	}{
		{"IPv4", layers.LinkTypeEthernet, wrap(packets(wire{options: true}, lossy), func(ip []byte) []byte { return ether(ip) }), 14 + 20 + 20},
		{"IPv6", layers.LinkTypeEthernet, wrap(packets(wire{options: true, v6: true}, lossy), tagged), 18 + 40 + 20},
		{"raw", layers.LinkTypeRaw, packets(wire{options: true}, lossy), 20 + 20},
		{"extension header", layers.LinkTypeRaw, wrap(packets(wire{options: true, v6: true}, lossy), behind), 40 + 8 + 20},
		{"without options", layers.LinkTypeRaw, packets(wire{}, lossy), 20 + 20},
		{"refused", layers.LinkTypeRaw, packets(wire{options: true}, []packet{lossy[0], {"B", "RA", 0, 101, 0}}), 20 + 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, _, _, err := read(pcapOf(tt.link, tt.data...))
			if err != nil {
				t.Fatal(err)
			}
			before := uint64(0)
			for snaplen := range longest(tt.data) + 1 {
				got, sum, _, err := read(snapped(snaplen, tt.link, tt.data...))
				if err != nil {
					t.Fatalf("%d bytes: %v", snaplen, err)
				}
				if sum.Segments < before || sum.Segments+sum.Skipped["captured too short"] != sum.Packets {
					t.Errorf("%d bytes: %v, before %d", snaplen, sum, before)
				}
				before = sum.Segments
				if snaplen < tt.enough {
					continue
				}
				if sum.Segments != sum.Packets || sum.Cut != longer(tt.data, snaplen) {
					t.Errorf("%d bytes: %v", snaplen, sum)
				}
				if d := cmp.Diff(states(want), states(got)); d != "" {
					t.Errorf("%d bytes: -whole +cut\n%s", snaplen, d)
				}
				if d := cmp.Diff(numbers(want), numbers(got)); d != "" {
					t.Errorf("%d bytes: -whole +cut\n%s", snaplen, d)
				}
			}
		})
	}
}

func longest(data [][]byte) (most int) {
	for _, d := range data {
		most = max(most, len(d))
	}
	return most
}

// longer counts what is longer than a snapshot length.
func longer(data [][]byte, snaplen int) (n uint64) {
	for _, d := range data {
		if len(d) > snaplen {
			n++
		}
	}
	return n
}

// numbers are what the first 20 bytes of the segments' TCP headers, and the IP headers, tell.
func numbers(events []tracer.Event) (all []string) {
	for _, e := range events {
		if s, ok := e.Body.(*tracer.Segment); ok {
			all = append(all, fmt.Sprintf("%d %v %d %v→%v %s %v seq %d (%d) ack %d (%d) len %d %q",
				e.N, e.T, e.Conn, e.Local, e.Remote, s.Dir, s.Flags, s.Seq, s.RelSeq, s.Ack, s.RelAck, s.Len, s.Dropped))
		}
	}
	return all
}

// TestCutOptions: of the options those are there that were captured whole, and no window is
// scaled where a SYN's window scale was not.
func TestCutOptions(t *testing.T) {
	const headers = 40
	ts := func(p packet) tracer.Options { return tracer.Options{HasTS: true, TSVal: p.seq + 7, TSEcr: p.ack} }
	sacked := ts(lossy[6])
	sacked.SACK = []tracer.SACKBlock{{Left: 121, Right: 131}}
	syn := ts(lossy[0])
	syn.MSS, syn.SACKOK = 1460, true
	whole := syn
	whole.HasWS, whole.WS = true, 7
	for _, tt := range []struct {
		name      string
		options   int // bytes that were captured
		syn, sack tracer.Options
		win       uint32 // the SACK's
	}{
		{"none", 0, tracer.Options{}, tracer.Options{}, 1000},
		{"a part of the first", 3, tracer.Options{}, tracer.Options{}, 1000},
		{"the first", 4, tracer.Options{MSS: 1460}, tracer.Options{}, 1000},
		{"a kind without its length", 5, tracer.Options{MSS: 1460}, tracer.Options{}, 1000},
		{"two", 6, tracer.Options{MSS: 1460, SACKOK: true}, tracer.Options{}, 1000},
		{"a part of the timestamps", 11, tracer.Options{MSS: 1460, SACKOK: true}, tracer.Options{}, 1000},
		{"the ACK's timestamps", 12, tracer.Options{MSS: 1460, SACKOK: true}, ts(lossy[6]), 1000},
		{"all but the window scale", 19, syn, ts(lossy[6]), 1000},
		{"the SYN's", 20, whole, ts(lossy[6]), 1000 << 7},
		{"a part of the SACK", 23, whole, ts(lossy[6]), 1000 << 7},
		{"all", 24, whole, sacked, 1000 << 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events, _, _, err := read(snapped(headers+tt.options, layers.LinkTypeRaw, packets(wire{options: true}, lossy)...))
			if err != nil {
				t.Fatal(err)
			}
			var sent []*tracer.Segment
			for _, e := range events {
				if s, ok := e.Body.(*tracer.Segment); ok && s.Dir == tracer.Out {
					sent = append(sent, s)
				}
			}
			if d := cmp.Diff(tt.syn, sent[0].Opts); d != "" {
				t.Errorf("SYN: -want +got\n%s", d)
			}
			if d := cmp.Diff(tt.sack, sent[6].Opts); d != "" || sent[6].Win != tt.win {
				t.Errorf("window %d; -want +got\n%s", sent[6].Win, d)
			}
		})
	}
}

// TestCut: a packet of which only the headers were captured counts with its whole length, also
// one that a network card was to take apart: its IP header has no length.
func TestCut(t *testing.T) {
	whole := ether(wire{}.ip(packet{"A", "A", 101, 301, 1000}))
	super := bytes.Clone(whole)
	super[ethernet+2], super[ethernet+3] = 0, 0
	for _, tt := range []struct {
		name    string
		snaplen int
		data    []byte
		cut     uint64
	}{
		{"cut", 96, whole, 1},
		{"to take apart", 2000, super, 0},
		{"to take apart, cut", 96, super, 1},
	} {
		events, sum, _, err := read(snapped(tt.snaplen, layers.LinkTypeEthernet, tt.data))
		if err != nil {
			t.Fatal(err)
		}
		if sum.Cut != tt.cut || sum.Segments != 1 {
			t.Errorf("%s: %+v", tt.name, sum)
		}
		for _, e := range events {
			if s, ok := e.Body.(*tracer.Segment); ok && s.Len != 1000 {
				t.Errorf("%s: %+v", tt.name, s)
			}
		}
	}
}

// The extension headers of 8 bytes, but for the first: the next header.
const (
	hopByHop = "\x00\x05\x02\x00\x00\x01\x00" // Router Alert
	routing  = "\x00\x04\x00\x00\x00\x00\x00"
	padded   = "\x00\x01\x04\x00\x00\x00\x00" // options that are padding
	atomic   = "\x00\x00\x00\x00\x00\x00\x01" // a fragment that is all
)

// extended puts an extension header before what an IPv6 packet has: kind is its number, body all
// of it but the next header.
func extended(ip []byte, kind uint8, body string) []byte {
	out := append(bytes.Clone(ip[:40]), ip[6])
	out[6] = kind
	out = append(append(out, body...), ip[40:]...)
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-40)) //nolint:gosec // small
	return out
}

// TestReasons: why a packet has no segment.
func TestReasons(t *testing.T) {
	ah := "\x04" + strings.Repeat("\x00", 22) // 24 bytes by its own unit
	first := "\x00\x00\x01\x00\x00\x00\x01"   // of several fragments
	long := "\x02\x01\x14" + strings.Repeat("\x00", 20)
	mld := serialize(&layers.IPv6{Version: 6, NextHeader: layers.IPProtocolICMPv6, SrcIP: net.ParseIP("fe80::1"), DstIP: net.ParseIP("ff02::16")},
		gopacket.Payload("\x8f\x00\x00\x00\x00\x00\x00\x01\x04\x00\x00\x00\xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff\x00\x00\x01"))
	tcp6, tcp4 := wire{v6: true}.ip(hello[0]), wire{}.ip(hello[0])
	broken := func(ip []byte, at int, v byte) []byte {
		ip = bytes.Clone(ip)
		ip[at] = v
		return ip
	}
	for _, tt := range []struct {
		name    string
		ip      []byte
		snaplen int // 0 for the whole
		want    string
	}{
		{"MLD", extended(mld, 0, hopByHop), 0, "not TCP"},
		{"MLD, cut", extended(mld, 0, hopByHop), 48, "not TCP"},
		{"MLD, cut in its extension header", extended(mld, 0, hopByHop), 47, "captured too short"},
		{"routing", extended(mld, 43, routing), 0, "not TCP"},
		{"destination options", extended(mld, 60, padded), 0, "not TCP"},
		{"a long extension header", extended(mld, 60, long), 0, "not TCP"},
		{"authentication", extended(mld, 51, ah), 0, "not TCP"},
		{"an atomic fragment", extended(mld, 44, atomic), 0, "not TCP"},
		{"several", extended(extended(extended(mld, 60, padded), 51, ah), 0, hopByHop), 0, "not TCP"},
		{"no next header", extended(broken(mld, 6, 59), 0, hopByHop), 0, "not TCP"},
		{"a first fragment", extended(mld, 44, first), 0, "fragmented"},
		{"a later fragment", extended(mld, 44, "\x00\x00\x08\x00\x00\x00\x01"), 0, "fragmented"},
		{"a fragment behind hop-by-hop options", extended(extended(mld, 44, first), 0, hopByHop), 0, "fragmented"},
		{"a fragment behind a long extension header", extended(extended(mld, 44, first), 60, long), 0, "fragmented"},
		{"a fragment behind authentication", extended(extended(mld, 44, first), 51, ah), 0, "fragmented"},
		{"TCP", extended(extended(extended(extended(tcp6, 60, long), 44, atomic), 43, routing), 0, hopByHop), 0, ""},
		{"TCP, authenticated", extended(tcp6, 51, ah), 0, "TCP behind an authentication header"},
		{"an extension header that is longer than the packet", extended(tcp6, 60, "\xff\x01\x04\x00\x00\x00\x00"), 0, "malformed"},
		{"the same, cut", extended(tcp6, 60, "\xff\x01\x04\x00\x00\x00\x00"), 60, "captured too short"},
		{"an IPv6 header, cut", tcp6, 39, "captured too short"},
		{"an IPv4 header, cut", tcp4, 19, "captured too short"},
		{"a TCP header, cut", tcp4, 39, "captured too short"},
		{"less than an IPv4 header", tcp4[:19], 0, "malformed"},
		{"less than a TCP header", tcp4[:39], 0, "malformed"},
		{"a data offset of 4", broken(tcp4, 32, 4<<4), 0, "malformed"},
		{"a data offset of 4, cut", broken(wire{}.ip(hello[4]), 32, 4<<4), 40, "malformed"},
		{"options that the packet has no room for", broken(tcp4, 32, 6<<4), 0, "malformed"},
		{"options that the packet has no room for, cut", append(broken(tcp4, 32, 6<<4), 0), 40, "malformed"},
		{"no IP", broken(tcp4, 0, 0x15), 0, "not IP"},
		{"nothing at all", nil, 0, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			snaplen := tt.snaplen
			if snaplen == 0 {
				snaplen = len(tt.ip)
			}
			_, sum, _, err := read(snapped(snaplen, layers.LinkTypeRaw, tt.ip))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]uint64{}
			if tt.want != "" {
				want[tt.want] = 1
			}
			if d := cmp.Diff(want, sum.Skipped); d != "" || (sum.Segments == 1) != (tt.want == "") {
				t.Errorf("%v; -want +got\n%s", sum, d)
			}
		})
	}
}
