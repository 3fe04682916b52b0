//go:build exactness

package netstack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// exactTap is a link that wraps a link: it can hold back or swallow what the stack
// sends from or to a port, and deliver frames that no honest stack sends.
type exactTap struct {
	nested.Endpoint

	mu    sync.RWMutex
	ports map[uint16]func(exactOut) bool
	in    sync.Mutex // a link delivers one frame at a time
}

// exactOut is a TCP segment on its way out, and the packet that bears it.
type exactOut struct {
	local, remote tcpip.FullAddress
	h             header.TCP
	pkt           *stack.PacketBuffer
}

func newExactTap(lower stack.LinkEndpoint) *exactTap {
	e := &exactTap{ports: map[uint16]func(exactOut) bool{}}
	e.Init(lower, e)
	return e
}

// intercept calls f with each outbound segment from or to a port, on the sender's
// goroutine, which may hold the stack's locks; f tells whether it goes on. Nil ends it.
func (e *exactTap) intercept(port uint16, f func(exactOut) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f == nil {
		delete(e.ports, port)
		return
	}
	e.ports[port] = f
}

// swallow drops what is sent from or to a port from now on.
func (e *exactTap) swallow(port uint16) { e.intercept(port, func(exactOut) bool { return false }) }

// WritePackets implements stack.LinkWriter.
func (e *exactTap) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		if !e.passes(pkt) {
			continue
		}
		var one stack.PacketBufferList
		one.PushBack(pkt.IncRef())
		_, err := e.Endpoint.WritePackets(one)
		pkt.DecRef()
		if err != nil {
			return 0, err
		}
	}
	return pkts.Len(), nil
}

func (e *exactTap) passes(pkt *stack.PacketBuffer) bool {
	e.mu.RLock()
	none := len(e.ports) == 0
	e.mu.RUnlock()
	id, _, ok := outbound(pkt)
	if none || !ok {
		return true
	}
	e.mu.RLock()
	f := e.ports[id.LocalPort]
	if f == nil {
		f = e.ports[id.RemotePort]
	}
	e.mu.RUnlock()
	return f == nil || f(exactOut{
		local:  tcpip.FullAddress{Addr: id.LocalAddress, Port: id.LocalPort},
		remote: tcpip.FullAddress{Addr: id.RemoteAddress, Port: id.RemotePort},
		h:      append(header.TCP(nil), pkt.TransportHeader().Slice()...), pkt: pkt,
	})
}

// DeliverNetworkPacket implements stack.NetworkDispatcher.
func (e *exactTap) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	e.in.Lock()
	defer e.in.Unlock()
	e.Endpoint.DeliverNetworkPacket(proto, pkt)
}

// inject delivers an IP packet. It must not be called by a function that intercepts.
func (e *exactTap) inject(ip []byte) {
	proto := header.IPv4ProtocolNumber
	if header.IPVersion(ip) == header.IPv6Version {
		proto = header.IPv6ProtocolNumber
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(ip)})
	defer pkt.DecRef()
	pkt.NetworkProtocolNumber = proto
	pkt.PktType = tcpip.PacketHost
	e.DeliverNetworkPacket(proto, pkt)
}

// send lets a packet go on that was held back; it takes the caller's reference.
func (e *exactTap) send(pkt *stack.PacketBuffer) {
	var one stack.PacketBufferList
	one.PushBack(pkt)
	_, _ = e.Endpoint.WritePackets(one) // a closed link loses it
	pkt.DecRef()
}

// exactSegment is a crafted TCP segment.
type exactSegment struct {
	from, to tcpip.FullAddress
	flags    header.TCPFlags
	seq, ack uint32
	data     string
	ts       bool // it bears a timestamp option
}

// bytes is the segment as an IP packet.
func (s exactSegment) bytes() []byte {
	opts := 0
	if s.ts {
		opts = 12
	}
	n := header.TCPMinimumSize + opts + len(s.data)
	ip, body := exactIP(s.from.Addr, s.to.Addr, header.TCPProtocolNumber, n)
	h := header.TCP(body)
	h.Encode(&header.TCPFields{
		SrcPort: s.from.Port, DstPort: s.to.Port, SeqNum: s.seq, AckNum: s.ack,
		DataOffset: uint8(header.TCPMinimumSize + opts), Flags: s.flags, WindowSize: 65535, //nolint:gosec // 20 or 32
	})
	if s.ts {
		h[header.TCPMinimumSize], h[header.TCPMinimumSize+1] = header.TCPOptionNOP, header.TCPOptionNOP
		header.EncodeTSOption(1, 0, h[header.TCPMinimumSize+2:])
	}
	copy(h[header.TCPMinimumSize+opts:], s.data)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, s.from.Addr, s.to.Addr, uint16(n)) //nolint:gosec // small
	h.SetChecksum(^exactSum(body, sum))
	return ip
}
