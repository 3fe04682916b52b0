package importpcap_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"appliance/tracer/sink/pcapng"
)

// between makes the IP packets of a connection of a's to b.
func between(a, b string, all []packet) [][]byte {
	client, server := netip.MustParseAddrPort(a), netip.MustParseAddrPort(b)
	var out [][]byte
	for _, p := range all {
		src, dst := client, server
		if p.from == "B" {
			src, dst = dst, src
		}
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		out = append(out, serialize(ip, tcpOf(p, ip, src.Port(), dst.Port()), gopacket.Payload(make([]byte, p.len))))
	}
	return out
}

// alternate puts the packets of several connections in turn.
func alternate(all ...[][]byte) (out [][]byte) {
	for i := 0; len(all) > 0; i++ {
		for at := 0; at < len(all); {
			if i == len(all[at]) {
				all = append(all[:at:at], all[at+1:]...)
				continue
			}
			out = append(out, all[at][i])
			at++
		}
	}
	return out
}

// TestExport: the packets of a capture, imported and exported, are the capture's in number
// and order, and the exported trace is the imported one.
func TestExport(t *testing.T) {
	again := append(append([]packet{}, hello[:4]...), hello[3], hello[3], packet{"A", "A", 101, 306, 0}, packet{"A", "A", 101, 306, 0})
	for name, data := range map[string][][]byte{
		"two hosts":                    between("192.168.12.1:40000", "192.168.12.53:9000", hello),
		"loopback":                     between("127.0.0.1:40000", "127.0.0.1:9000", hello),
		"repeats":                      between("127.0.0.1:40000", "127.0.0.1:9000", again),
		"several":                      alternate(between("127.0.0.1:1", "127.0.0.1:2", hello), between("127.0.0.1:3", "127.0.0.1:2", hello[:5]), between("127.0.0.1:2", "127.0.0.1:4", hello)),
		"a client that is a server":    alternate(between("10.0.0.3:40000", "10.0.0.2:9000", hello), between("10.0.0.2:40000", "10.0.0.1:9000", hello)),
		"a server that then is client": append(between("10.0.0.3:40000", "10.0.0.2:9000", hello), between("10.0.0.2:9000", "10.0.0.1:9000", hello)...),
		"the same ends, turned":        append(between("10.0.0.1:9000", "10.0.0.2:9000", hello), between("10.0.0.2:9000", "10.0.0.1:9000", hello)...),
		"an end that talks to itself":  between("127.0.0.1:9000", "127.0.0.1:9000", hello),
		"from the middle on":           between("127.0.0.1:40000", "127.0.0.1:9000", hello[3:]),
		"refused":                      between("127.0.0.1:40000", "127.0.0.1:9000", []packet{{"A", "S", 1, 0, 0}, {"B", "RA", 0, 2, 0}, {"A", "S", 1, 0, 0}, {"B", "RA", 0, 2, 0}}),
		"nobody answers":               between("127.0.0.1:40000", "127.0.0.1:9000", []packet{hello[0], hello[0], hello[0]}),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, trace, err := read(pcapOf(layers.LinkTypeRaw, data...))
			if err != nil {
				t.Fatal(err)
			}
			var file bytes.Buffer
			s := pcapng.New(&file)
			if err := errors.Join(s.Start(trace.Header()), s.Write(trace.Events()), s.Close()); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, ip := range data {
				want = append(want, segmentOf(t, ip))
			}
			if diff := cmp.Diff(want, packetsOf(t, file.Bytes())); diff != "" {
				t.Errorf("-captured +exported\n%s", diff)
			}
			r, err := pcapng.NewReader(&file)
			if err != nil {
				t.Fatal(err)
			}
			var back []string
			for e, err := r.Next(); !errors.Is(err, io.EOF); e, err = r.Next() {
				if err != nil {
					t.Fatal(err)
				}
				back = append(back, lines(append(trace.Events()[:0:0], e))...)
			}
			if diff := cmp.Diff(lines(trace.Events()), back); diff != "" {
				t.Errorf("-imported +exported\n%s", diff)
			}
		})
	}
}

// packetsOf are the packets of a pcapng file.
func packetsOf(t *testing.T, file []byte) (all []string) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, segmentOf(t, data))
	}
}

// segmentOf is a packet in a line, its payload's length by the IP header's.
func segmentOf(t *testing.T, data []byte) string {
	t.Helper()
	p := gopacket.NewPacket(data, layers.LayerTypeIPv4, gopacket.Default)
	ip, _ := p.NetworkLayer().(*layers.IPv4)
	tcp, _ := p.TransportLayer().(*layers.TCP)
	if ip == nil || tcp == nil {
		t.Fatalf("no segment: %v", p)
	}
	size := int(ip.Length) - len(ip.Contents) - len(tcp.Contents)
	return fmt.Sprintf("%v:%d → %v:%d %#x seq %d ack %d win %d len %d",
		ip.SrcIP, tcp.SrcPort, ip.DstIP, tcp.DstPort, tcp.Contents[13], tcp.Seq, tcp.Ack, tcp.Window, size)
}
