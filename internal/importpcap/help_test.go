package importpcap_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"appliance/internal/importpcap"
	"appliance/tracer"
	"appliance/tracer/tracertest"
)

var start = time.Date(2026, 11, 20, 21, 6, 0, 123456000, time.UTC)

// wire makes the IP packets of a connection of A's (port 40000) to B (port 9000).
type wire struct {
	v6      bool
	port    uint16 // A's, where it is not 40000
	options bool   // TCP's, as Linux has them
}

// packet is one of a table's: who sent it, its flags ("S", "SA", "F", …; "K" for a SACK block,
// where there are options), numbers and payload.
type packet struct {
	from     string
	flags    string
	seq, ack uint32
	len      int
}

// ip returns the packet.
func (w wire) ip(p packet) []byte {
	src, dst := uint16(40000), uint16(9000)
	if w.port != 0 {
		src = w.port
	}
	a, b := net.IP{192, 168, 12, 1}, net.IP{192, 168, 12, 53}
	if w.v6 {
		a, b = net.ParseIP("fd00:12::1"), net.ParseIP("fd00:12::53")
	}
	if p.from == "B" {
		a, b, src, dst = b, a, dst, src
	}
	payload := gopacket.Payload(bytes.Repeat([]byte("x"), p.len))
	if w.v6 {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: a, DstIP: b}
		return serialize(ip, w.tcp(p, ip, src, dst), payload)
	}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: a, DstIP: b}
	return serialize(ip, w.tcp(p, ip, src, dst), payload)
}

// tcp is a packet's TCP header, with its options.
func (w wire) tcp(p packet, ip gopacket.NetworkLayer, src, dst uint16) *layers.TCP {
	tcp := tcpOf(p, ip, src, dst)
	if w.options {
		tcp.Options = optionsOf(p)
	}
	return tcp
}

// optionsOf are a packet's options, in the order and with the padding that Linux gives them.
func optionsOf(p packet) []layers.TCPOption {
	be := binary.BigEndian
	nop := layers.TCPOption{OptionType: layers.TCPOptionKindNop, OptionLength: 1}
	ts := layers.TCPOption{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: be.AppendUint32(be.AppendUint32(nil, p.seq+7), p.ack)}
	if strings.Contains(p.flags, "S") {
		return []layers.TCPOption{
			{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}},
			{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2},
			ts,
			nop,
			{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{7}},
		}
	}
	all := []layers.TCPOption{nop, nop, ts}
	if strings.Contains(p.flags, "K") {
		block := be.AppendUint32(be.AppendUint32(nil, p.ack+10), p.ack+20)
		all = append(all, nop, nop, layers.TCPOption{OptionType: layers.TCPOptionKindSACK, OptionLength: 10, OptionData: block})
	}
	return all
}

// tcpOf is a packet's TCP header.
func tcpOf(p packet, ip gopacket.NetworkLayer, src, dst uint16) *layers.TCP {
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(src), DstPort: layers.TCPPort(dst), Seq: p.seq, Ack: p.ack, Window: 1000,
		SYN: strings.Contains(p.flags, "S"), ACK: strings.Contains(p.flags, "A"),
		FIN: strings.Contains(p.flags, "F"), RST: strings.Contains(p.flags, "R"),
	}
	_ = tcp.SetNetworkLayerForChecksum(ip)
	return tcp
}

func serialize(all ...gopacket.SerializableLayer) []byte {
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		panic(err)
	}
	return append([]byte(nil), buf.Bytes()...)
}

// hello is a whole connection: B closes first.
var hello = []packet{
	{"A", "S", 100, 0, 0},
	{"B", "SA", 300, 101, 0},
	{"A", "A", 101, 301, 0},
	{"B", "A", 301, 101, 5},
	{"A", "A", 101, 306, 6},
	{"B", "FA", 306, 107, 0},
	{"A", "A", 107, 307, 0},
	{"A", "FA", 107, 307, 0},
	{"B", "A", 307, 108, 0},
}

// helloStates are what both ends go through.
var helloStates = []string{
	"client CLOSED → SYN-SENT by call", "server CLOSED → LISTEN by call", "server LISTEN → SYN-RECEIVED by segment",
	"client SYN-SENT → ESTABLISHED by segment", "server SYN-RECEIVED → ESTABLISHED by segment",
	"server ESTABLISHED → FIN-WAIT-1 by call", "client ESTABLISHED → CLOSE-WAIT by segment",
	"server FIN-WAIT-1 → FIN-WAIT-2 by segment", "client CLOSE-WAIT → LAST-ACK by call",
	"server FIN-WAIT-2 → TIME-WAIT by segment", "client LAST-ACK → CLOSED by segment",
}

func packets(w wire, all []packet) [][]byte {
	var out [][]byte
	for _, p := range all {
		out = append(out, w.ip(p))
	}
	return out
}

// ether puts an Ethernet header before an IP packet, with VLAN tags.
func ether(ip []byte, tags ...uint16) []byte {
	b := append([]byte(nil), "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01"...)
	for i, id := range tags {
		tag := uint16(0x8100)
		if i == 0 && len(tags) > 1 {
			tag = 0x88a8
		}
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, tag), id)
	}
	return append(binary.BigEndian.AppendUint16(b, protoOf(ip)), ip...)
}

func protoOf(ip []byte) uint16 {
	if ip[0]>>4 == 6 {
		return 0x86dd
	}
	return 0x0800
}

// pcapOf makes a file by gopacket's writer, a packet a millisecond.
func pcapOf(link layers.LinkType, data ...[]byte) []byte { return snapped(262144, link, data...) }

// snapped is pcapOf with a snapshot length.
func snapped(snaplen int, link layers.LinkType, data ...[]byte) []byte {
	var buf bytes.Buffer
	w := pcapgo.NewWriterNanos(&buf)
	if err := w.WriteFileHeader(uint32(snaplen), link); err != nil { //nolint:gosec // small
		panic(err)
	}
	for i, d := range data {
		kept := d[:min(len(d), snaplen)]
		ci := gopacket.CaptureInfo{Timestamp: start.Add(time.Duration(i) * time.Millisecond), CaptureLength: len(kept), Length: len(d)}
		if err := w.WritePacket(ci, kept); err != nil {
			panic(err)
		}
	}
	return buf.Bytes()
}

// pcapngOf does so in the other format, with an interface of another link before.
func pcapngOf(link layers.LinkType, data ...[]byte) []byte {
	var buf bytes.Buffer
	w, err := pcapgo.NewNgWriter(&buf, layers.LinkTypeIEEE802_11)
	if err != nil {
		panic(err)
	}
	id, err := w.AddInterface(pcapgo.NgInterface{Name: "eth0", LinkType: link, TimestampResolution: 9})
	if err != nil {
		panic(err)
	}
	for i, d := range data {
		ci := gopacket.CaptureInfo{Timestamp: start.Add(time.Duration(i) * time.Millisecond), CaptureLength: len(d), Length: len(d), InterfaceIndex: id}
		if err := w.WritePacket(ci, d); err != nil {
			panic(err)
		}
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func read(file []byte) ([]tracer.Event, *importpcap.Summary, *tracertest.Sink, error) {
	sink := &tracertest.Sink{}
	sum, err := importpcap.Import(bytes.NewReader(file), sink, importpcap.Options{Name: "x.pcap", Appliance: "1.0"})
	return sink.Events(), sum, sink, err
}

func states(events []tracer.Event) []string {
	var out []string
	for _, e := range events {
		if c, ok := e.Body.(*tracer.StateChange); ok {
			out = append(out, fmt.Sprintf("%s %v → %v by %s", e.Stack, c.From, c.To, c.Cause.Kind))
			if c.Via != "inferred" {
				out = append(out, "not marked")
			}
		}
	}
	return out
}

func wrap(all [][]byte, f func([]byte) []byte) [][]byte {
	var out [][]byte
	for _, p := range all {
		out = append(out, f(p))
	}
	return out
}
