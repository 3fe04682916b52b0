package pcapng

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"pgregory.net/rapid"

	"appliance/tracer"
)

// captured is a packet as another reader of captures sees it.
type captured struct {
	ci   gopacket.CaptureInfo
	opts pcapgo.NgPacketOptions
	link string // the interface's name
	data []byte
}

// capture reads the packets of a pcapng file with gopacket.
func capture(t fataler, file []byte) []captured {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		t.Fatalf("gopacket: %v", err)
	}
	var all []captured
	for {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("gopacket, after %d packets: %v", len(all), err)
		}
		i, err := r.Interface(ci.InterfaceIndex)
		if err != nil {
			t.Fatalf("gopacket: %v", err)
		}
		all = append(all, captured{ci, opts, i.Name, data})
	}
}

var (
	clientEnd = netip.MustParseAddrPort("192.168.12.1:51234")
	serverEnd = netip.MustParseAddrPort("192.168.12.53:9000")
)

// packetEvent is an event of the stack "server" or "client", or of any other, which has the
// server's address.
func packetEvent(n uint64, stack string, dir tracer.Direction, body tracer.Body) tracer.Event {
	e := tracer.Event{N: n, T: time.Duration(n) * time.Microsecond, Stack: stack, Conn: 1, Local: serverEnd, Remote: clientEnd, Body: body}
	if stack == "client" {
		e.Conn, e.Local, e.Remote = 2, clientEnd, serverEnd
	}
	switch b := body.(type) {
	case *tracer.Segment:
		b.Dir = dir
	case *tracer.Datagram:
		b.Dir = dir
	case *tracer.ICMP:
		b.Dir = dir
	default:
	}
	return e
}

// TestSegmentOnTheWire: a segment's frame has what the event tells, and right checksums.
func TestSegmentOnTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := packetEvent(7, "server", rapid.SampledFrom([]tracer.Direction{tracer.In, tracer.Out}).Draw(t, "dir"), drawSegment(t))
		if rapid.Bool().Draw(t, "v6") {
			e.Local, e.Remote = netip.MustParseAddrPort("[fd00:12::53]:9000"), netip.MustParseAddrPort("[fd00:12::1]:51234")
		}
		s := e.Body.(*tracer.Segment)
		packets := capture(t, write(t, tracer.Header{Started: time.Unix(1_700_000_000, 123)}, []tracer.Event{e}, 1))
		if len(packets) != 1 {
			t.Fatalf("%d packets", len(packets))
		}
		p := packets[0]
		src, dst, direction := e.Remote, e.Local, pcapgo.NgEpbFlagDirectionInbound
		if s.Dir == tracer.Out {
			src, dst, direction = e.Local, e.Remote, pcapgo.NgEpbFlagDirectionOutbound
		}
		if p.opts.Flags == nil || p.opts.Flags.Direction != direction || p.opts.PacketID == nil || *p.opts.PacketID != 7 || p.link != "server" {
			t.Fatalf("options %+v on %s", p.opts, p.link)
		}
		if want := time.Unix(1_700_000_000, 123+7000); !p.ci.Timestamp.Equal(want) {
			t.Fatalf("time %v, want %v", p.ci.Timestamp, want)
		}
		got := gopacket.NewPacket(p.data, layers.LayerTypeIPv4, gopacket.Default)
		if src.Addr().Is6() {
			got = gopacket.NewPacket(p.data, layers.LayerTypeIPv6, gopacket.Default)
		}
		checkTCP(t, got, s, src, dst, p.ci)
	})
}

func drawSegment(t *rapid.T) *tracer.Segment {
	s := &tracer.Segment{
		Flags: tracer.Flags(rapid.Uint8().Draw(t, "flags")), Seq: rapid.Uint32().Draw(t, "seq"), Ack: rapid.Uint32().Draw(t, "ack"),
		Len: rapid.SampledFrom([]int{0, 0, 0, 1, 1448, 65000}).Draw(t, "len"), Win: uint32(rapid.Uint16().Draw(t, "win")),
	}
	o := &s.Opts
	o.MSS = rapid.Uint16().Draw(t, "mss")
	if o.HasWS = rapid.Bool().Draw(t, "has ws"); o.HasWS {
		o.WS = rapid.Uint8Range(0, 14).Draw(t, "ws")
	}
	o.SACKOK = rapid.Bool().Draw(t, "sack ok")
	if o.HasTS = rapid.Bool().Draw(t, "has ts"); o.HasTS {
		o.TSVal, o.TSEcr = rapid.Uint32().Draw(t, "val"), rapid.Uint32().Draw(t, "ecr")
	}
	for range rapid.IntRange(0, 1).Draw(t, "sack") {
		o.SACK = append(o.SACK, tracer.SACKBlock{Left: rapid.Uint32().Draw(t, "left"), Right: rapid.Uint32().Draw(t, "right")})
	}
	return s
}

// checkTCP holds a decoded frame to the event.
func checkTCP(t fataler, got gopacket.Packet, s *tracer.Segment, src, dst netip.AddrPort, ci gopacket.CaptureInfo) {
	t.Helper()
	tcp, ok := got.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		t.Fatalf("no TCP: %v", got)
	}
	flow := got.NetworkLayer().NetworkFlow()
	if flow.Src().String() != src.Addr().String() || flow.Dst().String() != dst.Addr().String() ||
		uint16(tcp.SrcPort) != src.Port() || uint16(tcp.DstPort) != dst.Port() {
		t.Fatalf("ends %v %v, want %v → %v", flow, tcp.TransportFlow(), src, dst)
	}
	if tcp.Seq != s.Seq || tcp.Ack != s.Ack || uint32(tcp.Window) != s.Win || tcp.Contents[13] != uint8(s.Flags) {
		t.Fatalf("got %+v, want %+v", tcp, s)
	}
	if diff := cmp.Diff(s.Opts, optionsOf(tcp)); diff != "" {
		t.Fatalf("options (-want +got):\n%s", diff)
	}
	if ci.Length-ci.CaptureLength != s.Len {
		t.Fatalf("%d of %d bytes captured, with %d of payload", ci.CaptureLength, ci.Length, s.Len)
	}
	if err := tcp.SetNetworkLayerForChecksum(got.NetworkLayer()); err != nil {
		t.Fatalf("%v", err)
	}
	for _, layer := range got.Layers() {
		v, ok := layer.(interface {
			VerifyChecksum() (error, gopacket.ChecksumVerificationResult)
		})
		if !ok || layer.LayerType() == layers.LayerTypeTCP && s.Len > 0 {
			continue
		}
		if err, result := v.VerifyChecksum(); err != nil || !result.Valid {
			t.Fatalf("%v: checksum %+v, %v", layer.LayerType(), result, err)
		}
	}
}

// optionsOf reads the options back.
func optionsOf(tcp *layers.TCP) (o tracer.Options) {
	for _, opt := range tcp.Options {
		d := opt.OptionData
		switch opt.OptionType {
		case layers.TCPOptionKindMSS:
			o.MSS = be.Uint16(d)
		case layers.TCPOptionKindWindowScale:
			o.HasWS, o.WS = true, d[0]
		case layers.TCPOptionKindSACKPermitted:
			o.SACKOK = true
		case layers.TCPOptionKindTimestamps:
			o.HasTS, o.TSVal, o.TSEcr = true, be.Uint32(d), be.Uint32(d[4:])
		case layers.TCPOptionKindSACK:
			for ; len(d) >= 8; d = d[8:] {
				o.SACK = append(o.SACK, tracer.SACKBlock{Left: be.Uint32(d), Right: be.Uint32(d[4:])})
			}
		}
	}
	return o
}

// TestWindow: the window is scaled back as the SYNs have said.
func TestWindow(t *testing.T) {
	ws := func(n uint8) tracer.Options { return tracer.Options{HasWS: true, WS: n} }
	type row struct {
		stack string
		dir   tracer.Direction
		flags tracer.Flags
		win   uint32
		opts  tracer.Options
		want  uint16
	}
	for name, rows := range map[string][]row{
		"both scale": {
			{"server", tracer.In, tracer.SYN, 64240, ws(7), 64240},
			{"server", tracer.Out, tracer.SYN | tracer.ACK, 65535, ws(3), 65535},
			{"server", tracer.In, tracer.ACK, 502 << 7, tracer.Options{}, 502},
			{"server", tracer.Out, tracer.ACK, 65535 << 3, tracer.Options{}, 65535},
		},
		"one does not": {
			{"server", tracer.In, tracer.SYN, 64240, ws(7), 64240},
			{"server", tracer.Out, tracer.SYN | tracer.ACK, 8192, tracer.Options{}, 8192},
			{"server", tracer.In, tracer.ACK, 501, tracer.Options{}, 501},
		},
		"the next connection on the same ports": {
			{"server", tracer.In, tracer.SYN, 64240, ws(7), 64240},
			{"server", tracer.Out, tracer.SYN | tracer.ACK, 8192, ws(2), 8192},
			{"server", tracer.In, tracer.SYN, 64240, ws(1), 64240},
			{"server", tracer.Out, tracer.SYN | tracer.ACK, 8192, ws(2), 8192},
			{"server", tracer.In, tracer.ACK, 1000, tracer.Options{}, 500},
		},
		"no SYN in the trace": {
			{"server", tracer.In, tracer.ACK, 1000, tracer.Options{}, 1000},
			{"server", tracer.In, tracer.ACK, 502 << 8, tracer.Options{}, 502 << 7},
		},
	} {
		var events []tracer.Event
		for i, r := range rows {
			events = append(events, packetEvent(uint64(i)+1, r.stack, r.dir, &tracer.Segment{Flags: r.flags, Win: r.win, Opts: r.opts}))
		}
		for i, p := range capture(t, write(t, tracer.Header{}, events, 100)) {
			if got := be.Uint16(p.data[ipv4Header+14:]); got != rows[i].want {
				t.Errorf("%s: packet %d has window %d, want %d", name, i+1, got, rows[i].want)
			}
		}
	}
}

// TestOtherPackets: datagrams and ICMP messages, and what cannot be a packet.
func TestOtherPackets(t *testing.T) {
	v6 := packetEvent(3, "server", tracer.In, &tracer.ICMP{Kind: 1, Code: 4, Len: 48})
	v6.Local, v6.Remote = netip.MustParseAddrPort("[fd00:12::53]:0"), netip.MustParseAddrPort("[fd00:12::1]:0")
	mixed := packetEvent(4, "server", tracer.In, &tracer.Segment{})
	mixed.Local = v6.Local
	nowhere := packetEvent(5, "server", tracer.In, &tracer.Segment{})
	nowhere.Remote = netip.AddrPort{}
	mapped := packetEvent(6, "server", tracer.Out, &tracer.Datagram{Len: 0})
	mapped.Local = netip.AddrPortFrom(netip.AddrFrom16(mapped.Local.Addr().As16()), 7)
	events := []tracer.Event{
		packetEvent(1, "server", tracer.In, &tracer.Datagram{Len: 10}),
		packetEvent(2, "server", tracer.Out, &tracer.ICMP{Kind: 3, Code: 3, Len: 36}),
		v6, mixed, nowhere, mapped,
	}
	packets := capture(t, write(t, tracer.Header{}, events, 100))
	if len(packets) != 4 {
		t.Fatalf("%d packets, want 4", len(packets))
	}
	decode := func(i int, first gopacket.LayerType) gopacket.Packet {
		return gopacket.NewPacket(packets[i].data, first, gopacket.Default)
	}
	udp, ok := decode(0, layers.LayerTypeIPv4).Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || udp.Length != 18 || udp.SrcPort != 51234 || udp.DstPort != 9000 || packets[0].ci.Length != 38 || packets[0].ci.CaptureLength != 28 {
		t.Errorf("datagram: %+v, %+v", udp, packets[0].ci)
	}
	if got := packets[1]; !bytes.Equal(got.data[ipv4Header:ipv4Header+2], []byte{3, 3}) || got.data[9] != protoICMP || got.ci.Length != ipv4Header+36 || len(got.data) != ipv4Header+4 {
		t.Errorf("ICMP: % x, %+v", got.data, got.ci)
	}
	if got := packets[2]; !bytes.Equal(got.data[ipv6Header:ipv6Header+2], []byte{1, 4}) || got.data[6] != protoICMPv6 || got.ci.Length != ipv6Header+48 {
		t.Errorf("ICMPv6: % x, %+v", got.data, got.ci)
	}
	last := decode(3, layers.LayerTypeIPv4)
	udp, ok = last.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || udp.SrcPort != 7 {
		t.Fatalf("an IPv4-mapped address: %v", last)
	}
	if err := udp.SetNetworkLayerForChecksum(last.NetworkLayer()); err != nil {
		t.Fatal(err)
	}
	if err, result := udp.VerifyChecksum(); err != nil || !result.Valid {
		t.Errorf("UDP checksum: %+v, %v", result, err)
	}
}

func TestBadChecksumStaysBad(t *testing.T) {
	e := packetEvent(1, "server", tracer.In, &tracer.Segment{Flags: tracer.ACK, Dropped: badChecksum})
	p := capture(t, write(t, tracer.Header{}, []tracer.Event{e}, 1))[0]
	got := gopacket.NewPacket(p.data, layers.LayerTypeIPv4, gopacket.Default)
	tcp := got.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if err := tcp.SetNetworkLayerForChecksum(got.NetworkLayer()); err != nil {
		t.Fatal(err)
	}
	if err, result := tcp.VerifyChecksum(); err != nil || result.Valid {
		t.Errorf("the checksum is right: %+v, %v", result, err)
	}
	if diff := cmp.Diff([]string{"dropped: bad checksum"}, p.opts.Comments); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
}
