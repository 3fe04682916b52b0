package capture_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/internal/capture"
	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
	"appliance/tracer/tracertest"
)

// tap is a link that keeps a copy of every frame that passes it.
type tap struct {
	nested.Endpoint
	mu     sync.Mutex
	frames []capture.Frame
}

func newTap(lower stack.LinkEndpoint) *tap {
	w := &tap{}
	w.Init(lower, w)
	return w
}

func (w *tap) keep(proto tcpip.NetworkProtocolNumber, packet []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	frame := make([]byte, header.EthernetMinimumSize, header.EthernetMinimumSize+len(packet))
	header.Ethernet(frame).Encode(&header.EthernetFields{Type: proto})
	w.frames = append(w.frames, capture.Frame{T: time.Duration(len(w.frames)), Data: append(frame, packet...)})
}

func (w *tap) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		b := pkt.ToBuffer()
		b.TrimFront(int64(len(pkt.LinkHeader().Slice())))
		w.keep(pkt.NetworkProtocolNumber, b.Flatten())
		b.Release()
	}
	return w.Endpoint.WritePackets(pkts)
}

func (w *tap) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	b := pkt.Data().ToBuffer()
	w.keep(proto, b.Flatten())
	b.Release()
	w.Endpoint.DeliverNetworkPacket(proto, pkt)
}

// tapped is two traced stacks on a pipe with a tap at the client's end, below its
// impairment: what the client's traces as lost never passes the tap on its way out.
type tapped struct {
	t              testing.TB
	client, server *netstack.Stack
	trace          *tracertest.Sink
	tap            *tap
	stop           func()
}

func newTapped(t testing.TB, rules ...string) *tapped {
	a, b := link.NewPipe(link.PipeOptions{})
	w := &tapped{t: t, trace: &tracertest.Sink{}, tap: newTap(a)}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, w.trace)
	if err != nil {
		t.Fatal(err)
	}
	var o link.ImpairOptions
	for _, r := range rules {
		rule, err := link.ParseRule(r)
		if err != nil {
			t.Fatal(err)
		}
		o.Rules = append(o.Rules, rule)
	}
	im, err := link.NewImpair(w.tap, o)
	if err != nil {
		t.Fatal(err)
	}
	start := func(l stack.LinkEndpoint, name string, addresses ...string) *netstack.Stack {
		// Which timer sent a segment again is the stack's own knowledge, and a busy machine is late
		// with its ACKs: only what the rules lose is to be sent again.
		rack := false
		tcp := netstack.TCPOptions{MSL: 50 * time.Millisecond, RACK: &rack, MinRTO: time.Second}
		opts := netstack.Options{Name: name, Recorder: bus, Level: tracer.LevelSegments, TCP: tcp}
		for _, a := range addresses {
			opts.Addresses = append(opts.Addresses, netip.MustParsePrefix(a))
		}
		s, err := netstack.New(l, opts)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	w.client = start(im, "client", "192.168.12.1/24", "fd00:12::1/64")
	w.server = start(b, "server", "192.168.12.53/24", "fd00:12::53/64")
	w.stop = sync.OnceFunc(func() {
		w.client.Close()
		w.server.Close()
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// wait waits for a stack's state.
func (w *tapped) wait(name string, to tracer.State) {
	w.t.Helper()
	_, err := w.trace.WaitFor(func(e tracer.Event) bool {
		c, ok := e.Body.(*tracer.StateChange)
		return ok && e.Stack == name && c.To == to
	}, time.Now().Add(20*time.Second))
	if err != nil {
		w.t.Fatal(err)
	}
}

// talk lets the client send 4000 bytes, the server answer 10, and both close.
func (w *tapped) talk(address string) {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	l, err := w.server.Listen("tcp", address)
	must(err)
	served := make(chan error, 1)
	go func() {
		served <- func() error {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			if _, err := io.ReadFull(c, make([]byte, 4000)); err != nil {
				return err
			}
			if _, err := c.Write(make([]byte, 10)); err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, c); err != nil {
				return err
			}
			return c.Close()
		}()
	}()
	c, err := w.client.DialContext(context.Background(), "tcp", address)
	must(err)
	_, err = c.Write(make([]byte, 4000))
	must(err)
	_, err = io.ReadFull(c, make([]byte, 10))
	must(err)
	must(c.Close())
	must(<-served)
	w.wait("server", tracer.Closed)
	w.wait("client", tracer.Closed) // or the end of its TIME-WAIT would be a RST
	must(l.Close())
}

// lane gives a stack's segments, those that came in and those that went out, and the
// changes of its connections' states, each in order, but those that no segment shows. A
// segment that comes while another goes has no order with it: the tap and the stack may see
// them the other way round.
func lane(events []tracer.Event, name string) (segments []tracer.Segment, states []string) {
	for _, e := range events {
		if e.Stack != name {
			continue
		}
		switch b := e.Body.(type) {
		case *tracer.Segment:
			segments = append(segments, *b)
		case *tracer.StateChange:
			if b.From != tracer.TimeWait && (b.From != tracer.Listen || b.To != tracer.Closed) {
				states = append(states, fmt.Sprintf("%v-%v parent %v: %s → %s by %s %s", e.Local, e.Remote, e.Parent != 0, b.From, b.To, b.Cause.Kind, b.RFC))
			}
		default:
		}
	}
	slices.SortStableFunc(segments, func(a, b tracer.Segment) int { return strings.Compare(string(a.Dir), string(b.Dir)) })
	return segments, states
}

// TestReadLikeAStack: what passes a tap reads as the stacks themselves tell it.
func TestReadLikeAStack(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, tt := range []struct {
		name, address string
		rules         []string
		same          []string // the stacks whose segments are the tap's, one for one
	}{
		{"IPv4", "192.168.12.53:9000", nil, []string{"client", "server"}},
		{"IPv6", "[fd00:12::53]:9000", nil, []string{"client", "server"}},
		{"SYN ACK lost behind the tap", "192.168.12.53:9000", []string{"drop in SYN,ACK nth=1"}, nil},
		{"data lost before the tap", "192.168.12.53:9000", []string{"drop out payload>0 nth=2"}, []string{"server"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTapped(t, tt.rules...)
			w.talk(tt.address)
			w.stop()
			got := capture.Read(w.tap.frames, capture.ReadOptions{Verify: true})
			for _, name := range []string{"client", "server"} {
				segments, states := lane(got, name)
				want, wantStates := lane(w.trace.Events(), name)
				if d := cmp.Diff(want, segments, cmpopts.EquateEmpty()); d != "" && slices.Contains(tt.same, name) {
					t.Errorf("%s: -its own +read\n%s", name, d)
				}
				if d := cmp.Diff(wantStates, states); d != "" {
					t.Errorf("%s: -its own +read\n%s", name, d)
				}
			}
		})
	}
}

// frameOf makes an IPv4 frame of a segment, "A" 192.168.12.1:40000 to "B"
// 192.168.12.53:9000 or back.
func frameOf(from string, flags tracer.Flags, seq, ack uint32, payload int) capture.Frame {
	a, b := tcpip.AddrFrom4([4]byte{192, 168, 12, 1}), tcpip.AddrFrom4([4]byte{192, 168, 12, 53})
	fields := header.TCPFields{SrcPort: 40000, DstPort: 9000, SeqNum: seq, AckNum: ack, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlags(flags), WindowSize: 1000}
	if from == "B" {
		a, b = b, a
		fields.SrcPort, fields.DstPort = 9000, 40000
	}
	size := header.TCPMinimumSize + payload
	frame := make([]byte, header.EthernetMinimumSize+header.IPv4MinimumSize+size)
	header.Ethernet(frame).Encode(&header.EthernetFields{Type: header.IPv4ProtocolNumber})
	ip := header.IPv4(frame[header.EthernetMinimumSize:])
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(ip)), TTL: 64, Protocol: uint8(header.TCPProtocolNumber), SrcAddr: a, DstAddr: b})
	ip.SetChecksum(^ip.CalculateChecksum())
	h := header.TCP(ip[header.IPv4MinimumSize:])
	h.Encode(&fields)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, a, b, uint16(size))
	h.SetChecksum(^h.CalculateChecksum(checksum.Checksum(h[header.TCPMinimumSize:], sum)))
	return capture.Frame{Data: frame}
}

// inWords tells a trace: who, the connection and its parent, and what.
func inWords(events []tracer.Event) []string {
	var words []string
	for _, e := range events {
		who := fmt.Sprintf("%s %d.%d", e.Stack, e.Parent, e.Conn)
		switch b := e.Body.(type) {
		case *tracer.Segment:
			words = append(words, fmt.Sprintf("%s %s %s seq %d (%v %d) len %d %v %s", who, b.Dir, b.Flags, b.Seq, b.HasRel, b.RelSeq, b.Len, b.Notes, b.Dropped))
		case *tracer.StateChange:
			words = append(words, fmt.Sprintf("%s %s → %s", who, b.From, b.To))
		case *tracer.Datagram:
			words = append(words, fmt.Sprintf("%s %s datagram len %d", who, b.Dir, b.Len))
		default:
		}
	}
	return words
}

const (
	syn    = tracer.SYN
	ack    = tracer.ACK
	synAck = tracer.SYN | tracer.ACK
	finAck = tracer.FIN | tracer.ACK
	rstAck = tracer.RST | tracer.ACK
)

// TestRead has which event belongs to which connection.
func TestRead(t *testing.T) {
	damaged := frameOf("A", finAck, 101, 301, 0)
	damaged.Data[header.EthernetMinimumSize+header.IPv4MinimumSize+header.TCPChecksumOffset]++
	for _, tt := range []struct {
		name   string
		frames []capture.Frame
		opts   capture.ReadOptions
		want   []string
	}{
		{"refused", []capture.Frame{frameOf("A", syn, 100, 0, 0), frameOf("B", rstAck, 0, 101, 0)}, capture.ReadOptions{}, []string{
			"client 0.1 CLOSED → SYN-SENT",
			"client 0.1 out SYN seq 100 (true 0) len 0 [] ", "server 0.0 in SYN seq 100 (true 0) len 0 [] ",
			"server 0.0 out RST ACK seq 0 (false 0) len 0 [] ", "client 0.1 in RST ACK seq 0 (false 0) len 0 [] ",
			"client 0.1 SYN-SENT → CLOSED",
		}},
		{"one after the other", []capture.Frame{
			frameOf("A", syn, 100, 0, 0), frameOf("A", syn, 100, 0, 0), frameOf("B", synAck, 300, 101, 0), frameOf("A", rstAck, 101, 301, 0),
			frameOf("A", syn, 500, 0, 0), frameOf("B", synAck, 700, 501, 0),
		}, capture.ReadOptions{}, []string{
			"client 0.1 CLOSED → SYN-SENT",
			"client 0.1 out SYN seq 100 (true 0) len 0 [] ",
			"server 0.2 CLOSED → LISTEN",
			"server 0.2 in SYN seq 100 (true 0) len 0 [] ",
			"server 2.3 LISTEN → SYN-RECEIVED",
			"client 0.1 out SYN seq 100 (true 0) len 0 [retransmission] ", "server 0.2 in SYN seq 100 (true 0) len 0 [retransmission] ",
			"server 2.3 out SYN ACK seq 300 (true 0) len 0 [] ", "client 0.1 in SYN ACK seq 300 (true 0) len 0 [] ",
			"client 0.1 SYN-SENT → ESTABLISHED",
			"client 0.1 ESTABLISHED → CLOSED",
			"client 0.1 out RST ACK seq 101 (true 1) len 0 [] ", "server 2.3 in RST ACK seq 101 (true 1) len 0 [] ",
			"server 2.3 SYN-RECEIVED → CLOSED",
			"client 0.4 CLOSED → SYN-SENT",
			"client 0.4 out SYN seq 500 (true 0) len 0 [] ", "server 0.2 in SYN seq 500 (true 0) len 0 [] ",
			"server 2.5 LISTEN → SYN-RECEIVED",
			"server 2.5 out SYN ACK seq 700 (true 0) len 0 [] ", "client 0.4 in SYN ACK seq 700 (true 0) len 0 [] ",
		}},
		{"half open", []capture.Frame{
			frameOf("A", syn, 100, 0, 0), frameOf("B", synAck, 300, 101, 0), frameOf("A", ack, 101, 301, 0),
			frameOf("A", syn, 500, 0, 0), frameOf("B", ack, 301, 101, 0),
		}, capture.ReadOptions{NoStates: true}, []string{
			"client 0.1 out SYN seq 100 (true 0) len 0 [] ", "server 0.2 in SYN seq 100 (true 0) len 0 [] ",
			"server 2.3 out SYN ACK seq 300 (true 0) len 0 [] ", "client 0.1 in SYN ACK seq 300 (true 0) len 0 [] ",
			"client 0.1 out ACK seq 101 (true 1) len 0 [] ", "server 2.3 in ACK seq 101 (true 1) len 0 [] ",
			"client 0.4 out SYN seq 500 (true 0) len 0 [] ", "server 2.3 in SYN seq 500 (true 0) len 0 [] ",
			"server 2.3 out ACK seq 301 (true 1) len 0 [] ", "client 0.4 in ACK seq 301 (false 0) len 0 [] ",
		}},
		{"simultaneous open", []capture.Frame{
			frameOf("A", syn, 100, 0, 0), frameOf("B", syn, 300, 0, 0), frameOf("A", synAck, 100, 301, 0), frameOf("B", synAck, 300, 101, 0),
		}, capture.ReadOptions{Names: map[netip.Addr]string{netip.MustParseAddr("192.168.12.53"): "B"}}, []string{
			"client 0.1 CLOSED → SYN-SENT",
			"client 0.1 out SYN seq 100 (true 0) len 0 [] ", "B 0.2 in SYN seq 100 (true 0) len 0 [] ",
			"B 0.2 CLOSED → SYN-SENT", "B 0.2 SYN-SENT → SYN-RECEIVED",
			"B 0.2 out SYN seq 300 (true 0) len 0 [] ", "client 0.1 in SYN seq 300 (true 0) len 0 [] ",
			"client 0.1 SYN-SENT → SYN-RECEIVED",
			"client 0.1 out SYN ACK seq 100 (true 0) len 0 [retransmission] ", "B 0.2 in SYN ACK seq 100 (true 0) len 0 [retransmission] ",
			"B 0.2 SYN-RECEIVED → ESTABLISHED",
			"B 0.2 out SYN ACK seq 300 (true 0) len 0 [retransmission] ", "client 0.1 in SYN ACK seq 300 (true 0) len 0 [retransmission] ",
			"client 0.1 SYN-RECEIVED → ESTABLISHED",
		}},
		{"open before", []capture.Frame{
			frameOf("B", ack, 300, 100, 5), frameOf("A", ack, 100, 305, 5), frameOf("A", finAck, 105, 305, 0),
		}, capture.ReadOptions{}, []string{
			"server 0.1 out ACK seq 300 (false 0) len 5 [] ", "client 0.2 in ACK seq 300 (false 0) len 5 [] ",
			"client 0.2 CLOSED → ESTABLISHED",
			"client 0.2 out ACK seq 100 (false 0) len 5 [] ", "server 0.1 in ACK seq 100 (false 0) len 5 [] ",
			"server 0.1 CLOSED → ESTABLISHED", "client 0.2 ESTABLISHED → FIN-WAIT-1",
			"client 0.2 out FIN ACK seq 105 (false 0) len 0 [] ", "server 0.1 in FIN ACK seq 105 (false 0) len 0 [] ",
		}},
		{"damaged", []capture.Frame{
			frameOf("A", syn, 100, 0, 0), frameOf("B", synAck, 300, 101, 0), damaged,
		}, capture.ReadOptions{Verify: true, NoStates: true}, []string{
			"client 0.1 out SYN seq 100 (true 0) len 0 [] ", "server 0.2 in SYN seq 100 (true 0) len 0 [] ",
			"server 2.3 out SYN ACK seq 300 (true 0) len 0 [] ", "client 0.1 in SYN ACK seq 300 (true 0) len 0 [] ",
			"client 0.1 out FIN ACK seq 101 (true 1) len 0 [corrupted] ", "server 2.3 in FIN ACK seq 101 (true 1) len 0 [] bad checksum",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, inWords(capture.Read(tt.frames, tt.opts))); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// FuzzRead: no frame, however malformed, breaks it.
func FuzzRead(f *testing.F) {
	f.Add(frameOf("A", syn, 100, 0, 10).Data, frameOf("B", synAck, 300, 101, 0).Data)
	f.Add([]byte("0123456789ab\x86\xdd`\x00\x00\x00\x00\x08\x00\x40"), []byte("0123456789ab\x81\x00\x00\x01\x08\x00"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		events := capture.Read([]capture.Frame{{T: 5, Data: a}, {T: 3, Data: b}, {T: 4, Data: a}}, capture.ReadOptions{Verify: true})
		last := time.Duration(0)
		for i, e := range events {
			if e.N != uint64(i+1) || e.T < last || e.Stack == "" {
				t.Errorf("%+v", e)
			}
			last = e.T
		}
	})
}
