package link

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// testDeadline bounds every wait in the tests.
const testDeadline = 15 * time.Second

// verifyNoLeak fails the test if goroutines that it started are left at its end.
func verifyNoLeak(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(testDeadline)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", testDeadline, what)
		}
		<-tick.C
	}
}

// waitDone waits for the link's end.
func waitDone(t testing.TB, l Link) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(testDeadline):
		t.Fatalf("link is not done after %v", testDeadline)
	}
}

// newTestStack puts a gVisor stack on the link; both are closed at the test's end.
func newTestStack(t testing.TB, l Link, addrs ...string) *stack.Stack {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			arp.NewProtocol, ipv4.NewProtocol, ipv6.NewProtocol,
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	t.Cleanup(func() {
		l.Close()
		l.Wait()
		s.Close()
		s.Wait()
	})
	if err := s.CreateNIC(1, l); err != nil {
		t.Fatalf("CreateNIC: %v", err)
	}
	for _, a := range addrs {
		p := netip.MustParsePrefix(a)
		pa := tcpip.ProtocolAddress{
			Protocol: protocolOf(p.Addr()),
			AddressWithPrefix: tcpip.AddressWithPrefix{
				Address: tcpip.AddrFromSlice(p.Addr().AsSlice()), PrefixLen: p.Bits(),
			},
		}
		if err := s.AddProtocolAddress(1, pa, stack.AddressProperties{}); err != nil {
			t.Fatalf("AddProtocolAddress(%s): %v", a, err)
		}
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: 1},
		{Destination: header.IPv6EmptySubnet, NIC: 1},
	})
	return s
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func fullAddress(addrPort string) (tcpip.FullAddress, tcpip.NetworkProtocolNumber) {
	ap := netip.MustParseAddrPort(addrPort)
	return tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFromSlice(ap.Addr().AsSlice()), Port: ap.Port()}, protocolOf(ap.Addr())
}

// stackListen listens on the stack's address.
func stackListen(t *testing.T, s *stack.Stack, addrPort string) net.Listener {
	t.Helper()
	fa, proto := fullAddress(addrPort)
	l, err := gonet.ListenTCP(s, fa, proto)
	if err != nil {
		t.Fatalf("listen on %s: %v", addrPort, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// stackDial connects from the stack.
func stackDial(t *testing.T, s *stack.Stack, addrPort string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testDeadline)
	defer cancel()
	fa, proto := fullAddress(addrPort)
	c, err := gonet.DialContextTCP(ctx, s, fa, proto)
	if err != nil {
		t.Fatalf("connect to %s: %v", addrPort, err)
	}
	return c
}

// stackPing sends an ICMP echo from the stack and waits for its reply.
func stackPing(t *testing.T, s *stack.Stack, to string) {
	t.Helper()
	fa, proto := fullAddress(netip.AddrPortFrom(netip.MustParseAddr(to), 0).String())
	trans, echo := icmp.ProtocolNumber4, []byte{byte(header.ICMPv4Echo), 0, 0, 0, 0, 0, 0, 1}
	if proto == ipv6.ProtocolNumber {
		trans, echo[0] = icmp.ProtocolNumber6, byte(header.ICMPv6EchoRequest)
	}
	var wq waiter.Queue
	ep, terr := s.NewEndpoint(trans, proto, &wq)
	if terr != nil {
		t.Fatalf("ICMP endpoint: %v", terr)
	}
	defer ep.Close()
	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if terr := ep.Connect(fa); terr != nil {
		t.Fatalf("ICMP connect to %s: %v", to, terr)
	}
	echo = append(echo, "are you there?"...)
	if _, terr := ep.Write(bytes.NewReader(echo), tcpip.WriteOptions{}); terr != nil {
		t.Fatalf("ping %s: %v", to, terr)
	}
	select {
	case <-readable:
	case <-time.After(testDeadline):
		t.Fatalf("ping %s: no reply", to)
	}
	var reply bytes.Buffer
	if _, terr := ep.Read(&reply, tcpip.ReadOptions{}); terr != nil {
		t.Fatalf("ping %s: %v", to, terr)
	}
	if !bytes.HasSuffix(reply.Bytes(), []byte("are you there?")) {
		t.Fatalf("ping %s: reply %x", to, reply.Bytes())
	}
}

// transfer sends size random bytes one way over a connection that dial makes and l
// accepts, and checks that they arrive whole.
func transfer(t *testing.T, l net.Listener, dial func() net.Conn, size int) {
	t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	type result struct {
		sum [sha256.Size]byte
		err error
	}
	received := make(chan result, 1)
	go func() {
		sum, err := receiveAll(l)
		received <- result{sum, err}
	}()
	c := dial()
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(testDeadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(data); err != nil {
		t.Fatalf("send: %v", err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatalf("close the sending side: %v", err)
	}
	select {
	case r := <-received:
		if r.err != nil {
			t.Fatalf("receive: %v", r.err)
		}
		if r.sum != sha256.Sum256(data) {
			t.Fatal("what arrived is not what was sent")
		}
	case <-time.After(testDeadline):
		t.Fatal("the transfer did not end")
	}
	// The receiver has closed: read its FIN, so that no connection outlives the test.
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read at the end: %d, %v; want EOF", n, err)
	}
}

func receiveAll(l net.Listener) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	c, err := l.Accept()
	if err != nil {
		return sum, fmt.Errorf("accept: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(testDeadline)); err != nil {
		return sum, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, c); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}

// rawPacket makes an outgoing packet of a whole Ethernet frame.
func rawPacket(frame []byte) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: len(frame)})
	copy(pkt.LinkHeader().Push(len(frame)), frame)
	return pkt
}

// writeRaw writes whole Ethernet frames to a link.
func writeRaw(t testing.TB, w stack.LinkWriter, frames ...[]byte) (int, tcpip.Error) {
	t.Helper()
	var list stack.PacketBufferList
	defer list.Reset()
	for _, f := range frames {
		list.PushBack(rawPacket(f))
	}
	return w.WritePackets(list)
}

// collector is a stack.NetworkDispatcher that keeps what it is given.
type collector struct {
	frames chan []byte
	// hold, if set, is received from before a delivery returns.
	hold chan struct{}
}

func newCollector() *collector { return &collector{frames: make(chan []byte, 1024)} }

func (c *collector) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	c.frames <- pkt.ToView().ToSlice()
	if c.hold != nil {
		<-c.hold
	}
}

func (*collector) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

func (c *collector) next(t testing.TB) []byte {
	t.Helper()
	select {
	case f := <-c.frames:
		return f
	case <-time.After(testDeadline):
		t.Fatal("no frame delivered")
		return nil
	}
}

// frameTo makes an Ethernet frame of an experimental EtherType (IEEE 802).
func frameTo(dst tcpip.LinkAddress, payload string) []byte {
	f := make([]byte, header.EthernetMinimumSize, header.EthernetMinimumSize+len(payload))
	header.Ethernet(f).Encode(&header.EthernetFields{
		SrcAddr: "\x02\x00\x00\x00\x00\x99", DstAddr: dst, Type: 0x88b5,
	})
	return append(f, payload...)
}
