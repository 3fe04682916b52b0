package link

import (
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"pgregory.net/rapid"
)

func TestVNetHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b, again [vnetHeaderSize]byte
		copy(b[:], rapid.SliceOfN(rapid.Byte(), len(b), len(b)).Draw(t, "bytes"))
		h := decodeVNetHeader(&b)
		h.encode(&again)
		if again != b {
			t.Fatalf("% x became % x by way of %+v", b, again, h)
		}
	})
}

// outboundPacket is a packet as the stack hands it down: headers and payload.
func outboundPacket(g stack.GSO, network, transport, payload int) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: header.EthernetMinimumSize + network + transport,
		Payload:            buffer.MakeWithData(make([]byte, payload)),
	})
	pkt.TransportHeader().Push(transport)
	pkt.NetworkHeader().Push(network)
	pkt.GSOOptions = g
	return pkt
}

func TestOutboundHeader(t *testing.T) {
	v4 := stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, CsumOffset: 16, MSS: 1448, L3HdrLen: 20}
	v6 := v4
	v6.Type, v6.MSS, v6.L3HdrLen = stack.GSOTCPv6, 1428, 40
	for name, test := range map[string]struct {
		gso                         stack.GSO
		network, transport, payload int
		want                        vnetHeader
	}{
		"no GSO":   {stack.GSO{}, 20, 32, 1448, vnetHeader{}},
		"gVisor's": {stack.GSO{Type: stack.GSOGvisor, MSS: 1448}, 20, 32, 4000, vnetHeader{}},
		"one segment": {v4, 20, 32, 1448, vnetHeader{
			flags: vnetNeedsChecksum, headerSize: 66, csumStart: 34, csumOffset: 16,
		}},
		"two segments": {v4, 20, 32, 1449, vnetHeader{
			flags: vnetNeedsChecksum, gsoType: vnetGSOTCPv4, gsoSize: 1448, headerSize: 66, csumStart: 34, csumOffset: 16,
		}},
		"IPv6": {v6, 40, 32, 60000, vnetHeader{
			flags: vnetNeedsChecksum, gsoType: vnetGSOTCPv6, gsoSize: 1428, headerSize: 86, csumStart: 54, csumOffset: 16,
		}},
		"options leave less room than the MSS": {v4, 20, 60, 1448, vnetHeader{
			flags: vnetNeedsChecksum, gsoType: vnetGSOTCPv4, gsoSize: 1420, headerSize: 94, csumStart: 34, csumOffset: 16,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			pkt := outboundPacket(test.gso, test.network, test.transport, test.payload)
			defer pkt.DecRef()
			if got := outboundHeader(pkt, 1500); got != test.want {
				t.Errorf("header %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestWireSegments(t *testing.T) {
	for _, test := range []struct {
		gso        stack.GSO
		size, want int
	}{
		{stack.GSO{}, 60000, 1},
		{stack.GSO{Type: stack.GSOTCPv4}, 60000, 1},
		{stack.GSO{Type: stack.GSOTCPv4, MSS: 1448}, 0, 1},
		{stack.GSO{Type: stack.GSOTCPv4, MSS: 1448}, 1448, 1},
		{stack.GSO{Type: stack.GSOTCPv6, MSS: 1448}, 1449, 2},
		{stack.GSO{Type: stack.GSOTCPv4, MSS: 1448}, 45 * 1448, 45},
	} {
		pkt := outboundPacket(test.gso, 20, 20, 0)
		if got := WireSegments(pkt, test.size); got != test.want {
			t.Errorf("%d bytes with %+v: %d segments, want %d", test.size, test.gso, got, test.want)
		}
		pkt.DecRef()
	}
}

// KnowVouched finds the link below whatever wraps it, and stops at an impairment
// that does anything.
func TestKnowVouched(t *testing.T) {
	for name, test := range map[string]struct {
		o    ImpairOptions
		want bool
	}{
		"nothing to do": {ImpairOptions{}, true},
		"loss":          {ImpairOptions{In: Impairment{Loss: 0.5}}, false},
	} {
		lower := &vouchingLower{}
		im, err := NewImpair(lower, test.o)
		if err != nil {
			t.Fatal(err)
		}
		KnowVouched(&wrapper{im})
		if lower.told != test.want {
			t.Errorf("%s: told %v, want %v", name, lower.told, test.want)
		}
		if gso := im.SupportedGSO() == stack.HostGSOSupported; gso != test.want {
			t.Errorf("%s: host GSO %v, want %v", name, gso, test.want)
		}
		if size := im.GSOMaxSize(); (size > 0) != test.want {
			t.Errorf("%s: GSO size %d", name, size)
		}
	}
	KnowVouched(&fakeLower{}) // one that does not vouch: nothing happens
	KnowVouched(nil)
}

// vouchingLower is a link that offers host GSO and vouches.
type vouchingLower struct {
	fakeLower
	told bool
}

func (l *vouchingLower) knowVouched()                   { l.told = true }
func (*vouchingLower) GSOMaxSize() uint32               { return gsoMaxSize }
func (*vouchingLower) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// wrapper is a link in another that shows it, as a lab's does.
type wrapper struct{ stack.LinkEndpoint }

func (w *wrapper) Child() stack.LinkEndpoint { return w.LinkEndpoint }
