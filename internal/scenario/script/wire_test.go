package script

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"pgregory.net/rapid"

	"appliance/netstack/link"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// wire is a link that keeps what is sent, and brings nothing.
type wire struct {
	*link.Pipe
	mu     sync.Mutex
	frames [][]byte
}

func newWire() *wire {
	a, _ := link.NewPipe(link.PipeOptions{})
	return &wire{Pipe: a}
}

// WritePackets implements stack.LinkWriter.
func (w *wire) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range pkts.AsSlice() {
		v := p.ToView()
		w.frames = append(w.frames, append([]byte(nil), v.AsSlice()...))
		v.Release()
	}
	return pkts.Len(), nil
}

// sent takes what was sent.
func (w *wire) sent() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.frames
	w.frames = nil
	return f
}

// deliver brings a frame to a script, as a link does.
func deliver(s *Script, frame []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	if !s.link.ParseHeader(pkt) {
		return
	}
	pkt.NetworkProtocolNumber = header.Ethernet(pkt.LinkHeader().Slice()).Type()
	s.DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
}

// The MAC addresses of the script and of the other end.
var (
	ownMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	peerMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// newWired makes a script on a wire, that knows the other end's MAC address.
func newWired(t testing.TB, family int, seed uint64) (*Script, *wire) {
	t.Helper()
	peer := prefixes(false)[0].Addr()
	if family == 6 {
		peer = prefixes(false)[1].Addr()
	}
	w := newWire()
	s, err := New(w, Options{Addresses: prefixes(true), MAC: ownMAC, Peer: peer, Client: true, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.learn(peer, tcpip.LinkAddress(peerMAC))
	return s, w
}

// TestWire looks at where frames go to and come from.
func TestWire(t *testing.T) {
	tests := []struct {
		family             int
		frame              sequence.Frame
		mac, local, remote string
	}{
		{4, snd(syn, 0, 0), "02:00:00:00:00:02", "192.168.12.1:40000", "192.168.12.53:9000"},
		{4, snd(syn, 0, 0, to("192.168.12.53:9999")), "02:00:00:00:00:02", "192.168.12.1:40000", "192.168.12.53:9999"},
		{4, snd(syn, 0, 0, to("broadcast")), "ff:ff:ff:ff:ff:ff", "192.168.12.1:40000", "192.168.12.255:9000"},
		{4, snd(syn, 0, 0, to("255.255.255.255")), "ff:ff:ff:ff:ff:ff", "192.168.12.1:40000", "255.255.255.255:9000"},
		{4, snd(syn, 0, 0, to("multicast")), "01:00:5e:00:00:01", "192.168.12.1:40000", "224.0.0.1:9000"},
		{4, snd(syn, 0, 0, to("ff02::1")), "33:33:00:00:00:01", "[fd00:12::1]:40000", "[ff02::1]:9000"},
		{4, snd(syn, 0, 0, from("192.168.12.7:8")), "02:00:00:00:00:02", "192.168.12.7:8", "192.168.12.53:9000"},
		{6, snd(syn, 0, 0), "02:00:00:00:00:02", "[fd00:12::1]:40000", "[fd00:12::53]:9000"},
		{6, snd(syn, 0, 0, to("broadcast")), "33:33:00:00:00:01", "[fd00:12::1]:40000", "[ff02::1]:9000"},
		{6, snd(syn, 0, 0, to("multicast"), from("fd00:12::7")), "33:33:00:00:00:01", "[fd00:12::7]:40000", "[ff02::1]:9000"},
		{6, snd(syn, 0, 0, from("[fd00:12::7]:8")), "02:00:00:00:00:02", "[fd00:12::7]:8", "[fd00:12::53]:9000"},
	}
	for _, test := range tests {
		t.Run(describe(&test.frame), func(t *testing.T) {
			s, w := newWired(t, test.family, 0)
			if err := s.Play(t.Context(), []sequence.Frame{test.frame}); err != nil {
				t.Fatal(err)
			}
			frames := w.sent()
			if len(frames) == 0 {
				t.Fatal("nothing was sent")
			}
			frame := frames[len(frames)-1] // before it, a question for the other end's MAC address
			eth := header.Ethernet(frame)
			if eth.DestinationAddress().String() != test.mac || eth.SourceAddress().String() != ownMAC.String() {
				t.Errorf("from %s to %s", eth.SourceAddress(), eth.DestinationAddress())
			}
			local, remote := ends(t, frame[header.EthernetMinimumSize:])
			if local.String() != test.local || remote.String() != test.remote {
				t.Errorf("from %s to %s", local, remote)
			}
		})
	}
}

// ends reads the ends of a packet, and wants its checksums to hold.
func ends(t *testing.T, packet []byte) (local, remote netip.AddrPort) {
	t.Helper()
	var src, dst tcpip.Address
	body := packet
	if header.IPVersion(packet) == header.IPv4Version {
		ip := header.IPv4(packet)
		if !ip.IsValid(len(packet)) || !ip.IsChecksumValid() {
			t.Errorf("the IP header does not hold: %x", packet)
		}
		src, dst, body = ip.SourceAddress(), ip.DestinationAddress(), ip.Payload()
	} else {
		ip := header.IPv6(packet)
		src, dst, body = ip.SourceAddress(), ip.DestinationAddress(), ip.Payload()
	}
	h := header.TCP(body)
	data := h.Payload()
	if !h.IsChecksumValid(src, dst, checksum.Checksum(data, 0), uint16(len(data))) {
		t.Errorf("the checksum does not hold: %x", packet)
	}
	return netip.AddrPortFrom(fromAddress(src), h.SourcePort()), netip.AddrPortFrom(fromAddress(dst), h.DestinationPort())
}

// TestSeed wants the same frames of the same seed, and other numbers of another.
func TestSeed(t *testing.T) {
	play := func(seed uint64) string {
		s, w := newWired(t, 4, seed)
		if err := s.Play(t.Context(), []sequence.Frame{
			snd(syn, 0, 0), snd(syn, 0, 0, of("b")), snd(syn, 0, 0, from("flood"), times(5)),
		}); err != nil {
			t.Fatal(err)
		}
		return string(slices.Concat(w.sent()...))
	}
	one, again, two := play(1), play(1), play(2)
	if one != again {
		t.Error("the same seed gives other frames")
	}
	if one == two {
		t.Error("another seed gives the same frames")
	}
}

// TestBetweenScripts has one script send anything, and another see it.
func TestBetweenScripts(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b := link.NewPipe(link.PipeOptions{})
		family := rapid.IntRange(0, 1).Draw(r, "family")
		client, err := New(a, Options{Addresses: prefixes(true), Peer: prefixes(false)[family].Addr(), Client: true, Seed: rapid.Uint64().Draw(r, "seed")})
		if err != nil {
			r.Fatal(err)
		}
		defer client.Close()
		server, err := New(b, Options{Addresses: prefixes(false), Peer: prefixes(true)[family].Addr()})
		if err != nil {
			r.Fatal(err)
		}
		defer server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		both := func(c, s []sequence.Frame) {
			done := make(chan error, 1)
			go func() { done <- client.Play(ctx, c) }()
			if err := errors.Join(server.Play(ctx, s), <-done); err != nil {
				r.Fatal(err)
			}
		}
		ts := rapid.Bool().Draw(r, "ts")
		with := func(f *sequence.Frame) { f.Opts.HasTS = ts }
		both([]sequence.Frame{snd(syn, 0, 0, with), exp(syn | ack)}, []sequence.Frame{exp(syn), snd(syn|ack, 0, 1, with)})
		for range rapid.IntRange(1, 5).Draw(r, "segments") {
			f := drawFrame(r)
			want := sequence.Frame{Do: sequence.FrameAwait, Flags: f.Flags, Seq: f.Seq, Ack: f.Ack, Len: f.Len, Text: f.Text}
			both([]sequence.Frame{f}, []sequence.Frame{want})
			seen := server.Seen()
			checkSeen(r, &f, &seen[len(seen)-1], ts)
		}
	})
}

// drawFrame is any segment but a SYN, which would begin to count anew.
func drawFrame(r *rapid.T) sequence.Frame {
	f := snd(tracer.Flags(rapid.Byte().Draw(r, "flags"))&^syn|ack, rapid.Uint32().Draw(r, "seq"), rapid.Uint32().Draw(r, "ack"))
	if rapid.Bool().Draw(r, "text") {
		f.Text = rapid.StringN(1, 100, 300).Draw(r, "payload")
	} else {
		f.Len = is(rapid.Uint32Range(0, 1400).Draw(r, "len"))
	}
	f.Win = is(rapid.Uint32Range(0, 65535).Draw(r, "win"))
	f.Opts = tracer.Options{
		MSS: rapid.Uint16().Draw(r, "mss"), HasWS: rapid.Bool().Draw(r, "ws"), WS: rapid.Byte().Draw(r, "shift"),
		SACKOK: rapid.Bool().Draw(r, "sack"), HasTS: rapid.Bool().Draw(r, "ts"),
	}
	if !f.Opts.HasWS {
		f.Opts.WS = 0
	}
	if f.Opts.MSS == 0 && !f.Opts.HasWS {
		for range rapid.IntRange(0, 2).Draw(r, "blocks") {
			f.Opts.SACK = append(f.Opts.SACK, tracer.SACKBlock{Left: rapid.Uint32().Draw(r, "left"), Right: rapid.Uint32().Draw(r, "right")})
		}
	}
	return f
}

func checkSeen(r *rapid.T, f *sequence.Frame, g *Segment, ts bool) {
	if g.Flags != f.Flags || g.RelSeq != f.Seq.N || g.RelAck != f.Ack.N || uint32(g.Win) != f.Win.N || !g.Awaited {
		r.Fatalf("sent %s, seen %s, window %d", describe(f), g, g.Win)
	}
	if want := f.Text; want != "" && string(g.Payload) != want || want == "" && uint32(len(g.Payload)) != f.Len.N {
		r.Fatalf("sent %s, seen %q", describe(f), g.Payload)
	}
	o := g.Opts
	if o.MSS != f.Opts.MSS || o.HasWS != f.Opts.HasWS || o.WS != f.Opts.WS || o.SACKOK != f.Opts.SACKOK || o.NumOther != 0 {
		r.Fatalf("sent %+v, seen %+v", f.Opts, o)
	}
	if o.HasTS != (ts || f.Opts.HasTS) || len(o.SACK) != len(f.Opts.SACK) || ts && o.TSEcr == 0 {
		r.Fatalf("sent %+v, timestamps agreed: %v, seen %+v", f.Opts, ts, o)
	}
}

func TestChecks(t *testing.T) {
	with := func(f sequence.Frame, changes ...change) sequence.Frame {
		for _, c := range changes {
			c(&f)
		}
		return f
	}
	tests := []struct {
		frame sequence.Frame
		want  string
	}{
		{sequence.Frame{Do: "wait"}, `"wait" is no step`},
		{with(pause(-1)), "delay of -1ns"},
		{snd(syn, 0, 0, times(-1)), "times=-1"},
		{sequence.Frame{Do: sequence.FrameSend, Flags: syn}, "needs seq=N"},
		{sequence.Frame{Do: sequence.FrameSend, Flags: ack, Seq: is(1)}, "needs ack=N"},
		{snd(ack, 1, 1, func(f *sequence.Frame) { f.Len.Op = sequence.More }), "len=N"},
		{snd(ack, 1, 1, text("abc"), length(2)), "the text has 3 bytes"},
		{snd(ack, 1, 1, func(f *sequence.Frame) { f.Win = is(65536) }), "win=0 to win=65535"},
		{snd(ack, 1, 1, length(1461)), "1501 bytes and the link carries 1500"},
		{snd(ack, 1, 1, length(1<<31)), "the link carries 1500"},
		{snd(syn, 0, 0, allOpts, func(f *sequence.Frame) { f.Opts.SACK = make([]tracer.SACKBlock, 3) }), "header has room for 40"},
		{snd(syn, 0, 0, func(f *sequence.Frame) { f.Opts.SACK = make([]tracer.SACKBlock, 5) }), "5 SACK blocks"},
		{snd(syn, 0, 0, to("everywhere")), "to=everywhere: give"},
		{snd(syn, 0, 0, to("0.0.0.0")), "to=0.0.0.0: give"},
		{snd(syn, 0, 0, from("nowhere")), "from=nowhere: give"},
		{snd(syn, 0, 0, from("224.0.0.1")), "from=224.0.0.1: give"},
		{snd(syn, 0, 0, from("fd00:12::7")), "of the other family"},
		{exp(syn, from("192.168.12.7")), "belong to send"},
		{exp(syn, ackIs(1)), "leave ack out"},
	}
	for _, test := range tests {
		s, _ := newWired(t, 4, 0)
		if err := s.Play(t.Context(), []sequence.Frame{test.frame}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", describe(&test.frame), err, test.want)
		}
	}
}

func TestNewErrors(t *testing.T) {
	peer := prefixes(false)[0].Addr()
	tests := []struct {
		o    Options
		want string
	}{
		{Options{Addresses: prefixes(true)}, "no unicast address"},
		{Options{Addresses: prefixes(true), Peer: netip.MustParseAddr("224.0.0.1")}, "no unicast address"},
		{Options{Addresses: prefixes(true)[1:], Peer: peer}, "no own address of the same family"},
		{Options{Addresses: prefixes(false), Peer: peer}, "both the script's and the other end's"},
		{Options{Addresses: []netip.Prefix{{}}, Peer: peer}, "own address"},
		{Options{Addresses: prefixes(true), Peer: peer, MAC: net.HardwareAddr{1, 0, 0, 0, 0, 0}}, "not a unicast Ethernet address"},
	}
	for _, test := range tests {
		if _, err := New(newWire(), test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v; want %q", test.o, err, test.want)
		}
	}
	s, w := newWired(t, 4, 0)
	if _, err := New(w, s.o); err == nil || !strings.Contains(err.Error(), "has a stack already") {
		t.Errorf("a second script: %v", err)
	}
}

// FuzzDeliver brings anything to a script: it must not fall, and must not answer but as a
// neighbour.
func FuzzDeliver(f *testing.F) {
	for _, family := range []int{4, 6} {
		s, w := newWired(f, family, 0)
		s.o.Client = true
		frames := []sequence.Frame{snd(syn, 0, 0, allOpts), snd(pshACK, 1, 1, text("hello")), snd(syn, 0, 0, from("flood"))}
		if err := s.Play(f.Context(), frames); err != nil {
			f.Fatal(err)
		}
		for _, frame := range w.sent() {
			f.Add(frame)
		}
	}
	f.Add(make([]byte, header.EthernetMinimumSize)) // nothing behind the header
	f.Fuzz(func(t *testing.T, frame []byte) {
		w := newWire()
		s, err := New(w, Options{Addresses: prefixes(false), MAC: ownMAC, Peer: prefixes(true)[0].Addr()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		deliver(s, frame)
		deliver(s, frame)
		for _, answer := range w.sent() {
			b := answer[header.EthernetMinimumSize:]
			switch header.Ethernet(answer).Type() {
			case header.ARPProtocolNumber:
				if header.ARP(b).Op() == header.ARPReply {
					continue
				}
			case header.IPv6ProtocolNumber:
				if header.ICMPv6(header.IPv6(b).Payload()).Type() == header.ICMPv6NeighborAdvert {
					continue
				}
			}
			t.Errorf("%x is answered with %x", frame, answer)
		}
		for _, g := range s.Seen() {
			if !s.isOwn(g.Local.Addr()) {
				t.Errorf("%s was for %s", &g, g.Local)
			}
		}
	})
}
