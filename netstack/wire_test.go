package netstack_test

import (
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// frames keeps Ethernet frames and tells those who wait of each.
type frames struct {
	mu    sync.Mutex
	all   [][]byte
	grown chan struct{}
}

func (f *frames) add(frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, frame)
	if f.grown != nil {
		close(f.grown)
		f.grown = nil
	}
}

// list returns all frames so far.
func (f *frames) list() []header.Ethernet {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []header.Ethernet
	for _, frame := range f.all {
		list = append(list, frame)
	}
	return list
}

// wait returns the first frame that match accepts, waiting for it.
func (f *frames) wait(t testing.TB, what string, match func(header.Ethernet) bool) header.Ethernet {
	t.Helper()
	timeout := time.After(patience)
	for seen := 0; ; {
		f.mu.Lock()
		fresh := f.all[seen:]
		if f.grown == nil {
			f.grown = make(chan struct{})
		}
		grown := f.grown
		f.mu.Unlock()
		for _, frame := range fresh {
			if match(frame) {
				return frame
			}
		}
		seen += len(fresh)
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("no frame that is %s among %d", what, seen)
		}
	}
}

// wiretap is a link that keeps a copy of every frame that it sends.
type wiretap struct {
	nested.Endpoint
	sent frames
}

func newWiretap(lower stack.LinkEndpoint) *wiretap {
	w := &wiretap{}
	w.Init(lower, w)
	return w
}

// WritePackets implements stack.LinkWriter.
func (w *wiretap) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		b := pkt.ToBuffer()
		w.sent.add(b.Flatten())
		b.Release()
	}
	return w.Endpoint.WritePackets(pkts)
}

// station is a host made by hand at the other end of a link: it keeps what it gets
// and sends what the test tells it to.
type station struct {
	end stack.LinkEndpoint
	got frames
}

// newStation takes the end of a link; the test's end closes it.
func newStation(t testing.TB, end stack.LinkEndpoint) *station {
	s := &station{end: end}
	end.Attach(s)
	t.Cleanup(func() {
		end.Close()
		within(t, "the station's Wait", end.Wait)
	})
	return s
}

// DeliverNetworkPacket implements stack.NetworkDispatcher.
func (s *station) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	b := pkt.ToBuffer()
	s.got.add(b.Flatten())
	b.Release()
}

// DeliverLinkPacket implements stack.NetworkDispatcher.
func (*station) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// send puts a frame with the given parts behind its Ethernet header on the link.
func (s *station) send(t testing.TB, dst tcpip.LinkAddress, proto tcpip.NetworkProtocolNumber, parts ...[]byte) {
	t.Helper()
	frame := make([]byte, header.EthernetMinimumSize)
	header.Ethernet(frame).Encode(&header.EthernetFields{SrcAddr: s.end.LinkAddress(), DstAddr: dst, Type: proto})
	for _, p := range parts {
		frame = append(frame, p...)
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	var list stack.PacketBufferList
	list.PushBack(pkt)
	if _, err := s.end.WritePackets(list); err != nil {
		t.Fatalf("send a frame: %s", err)
	}
}
