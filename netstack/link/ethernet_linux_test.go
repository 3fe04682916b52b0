package link

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"pgregory.net/rapid"
)

// testMAC is the appliance's address in these tests.
var testMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x53}

// openFDs counts the process's descriptors.
func openFDs(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// newSocketEthernet makes a link over one end of a socketpair, and returns the
// other: what is written there comes in, a message a frame.
func newSocketEthernet(t testing.TB) (*Ethernet, int) {
	t.Helper()
	return newSocketLink(t, EthernetConfig{Kind: "veth", Name: "test0", MAC: testMAC})
}

func newSocketLink(t testing.TB, cfg EthernetConfig) (*Ethernet, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEthernet(fds[0], cfg)
	if err != nil {
		t.Fatal(err)
	}
	timeout := unix.Timeval{Sec: int64(testDeadline.Seconds())}
	if err := unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	return e, fds[1]
}

func sendFrame(t testing.TB, fd int, frame []byte) {
	t.Helper()
	if err := unix.Send(fd, frame, 0); err != nil {
		t.Fatalf("send a frame: %v", err)
	}
}

func TestEthernetFilters(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newSocketEthernet(t)
	got := newCollector()
	e.Attach(got)
	tagged := frameTo(linkAddress(testMAC), "tagged")
	tagged[12], tagged[13] = 0x81, 0
	doubly := frameTo(linkAddress(testMAC), "doubly tagged")
	doubly[12], doubly[13] = 0x88, 0xa8
	super := frameTo(linkAddress(testMAC), strings.Repeat("s", 64<<10))
	for _, f := range [][]byte{
		{},
		{1},
		[]byte("thirteen byte"), tagged, doubly,
		frameTo("\x02\x00\x00\x00\x00\x01", "other host"),
		frameTo(linkAddress(testMAC), strings.Repeat("t", 80<<10)), // Beyond what is read.
		frameTo(linkAddress(testMAC), ""),
		frameTo(header.EthernetBroadcastAddress, "broadcast"),
		frameTo("\x01\x00\x5e\x00\x00\x01", "multicast"),
		super,
		frameTo(linkAddress(testMAC), "ours"),
	} {
		sendFrame(t, peer, f)
	}
	for _, want := range []string{"", "broadcast", "multicast", string(super[14:]), "ours"} {
		if f := got.next(t); string(f[14:]) != want {
			t.Errorf("delivered %.40q, want %.40q", f[14:], want)
		}
	}
	e.Close()
	e.Wait()
	c := e.Counters()
	want := Counters{
		FramesIn: 5, BytesIn: c.BytesIn, Runts: 3, VLAN: 2, OtherHost: 1, Truncated: 1, SuperFrames: 1,
	}
	if c != want {
		t.Errorf("counters\n %+v, want\n %+v", c, want)
	}
	if err := e.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
}

func TestEthernetWrites(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newSocketEthernet(t)
	e.Attach(newCollector())
	one, two := frameTo("\x02\x00\x00\x00\x00\x01", "one"), frameTo("\x02\x00\x00\x00\x00\x01", strings.Repeat("two", 400))
	if n, err := writeRaw(t, e, one, two); n != 2 || err != nil {
		t.Fatalf("WritePackets: %d, %v", n, err)
	}
	buf := make([]byte, 4096)
	for _, want := range [][]byte{one, two} {
		n, _, err := unix.Recvfrom(peer, buf, 0)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("on the wire: %q, %v; want %q", buf[:n], err, want)
		}
	}
	// A peer that does not read: the queue fills, and frames are dropped, counted,
	// without an error and without hanging.
	dropped := func() bool { return e.Counters().TxDrops > 0 }
	for i := 0; i < 10000 && !dropped(); i++ {
		if n, err := writeRaw(t, e, two); n != 1 || err != nil {
			t.Fatalf("write to a full queue: %d, %v", n, err)
		}
	}
	if !dropped() {
		t.Error("the queue never filled")
	}
	e.Close()
	e.Wait()
	if n, err := writeRaw(t, e, one); n != 0 || err == nil {
		t.Errorf("write after Close: %d, %v", n, err)
	}
}

func TestEthernetPeerCloses(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newSocketEthernet(t)
	e.Attach(newCollector())
	if err := unix.Shutdown(peer, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	waitDone(t, e)
	if err := e.Err(); err == nil || !strings.Contains(err.Error(), "test0") {
		t.Errorf("Err %v, want one that names the link", err)
	}
	e.Close()
	e.Wait()
}

func TestEthernetCloseLeavesNothing(t *testing.T) {
	verifyNoLeak(t)
	cycle := func(attach, detach bool) {
		e, peer := newSocketEthernet(t)
		if attach {
			e.Attach(newCollector())
			sendFrame(t, peer, frameTo(linkAddress(testMAC), "hello"))
		}
		if detach {
			e.Attach(nil) // As the stack does when it removes its NIC.
			e.Wait()
			waitDone(t, e)
		}
		e.Close()
		e.Close()
		e.Wait()
		waitDone(t, e)
		e.Attach(newCollector())
		if e.IsAttached() {
			t.Error("a closed link can be attached")
		}
	}
	before := openFDs(t)
	for range 10 {
		cycle(false, false)
		cycle(true, false)
		cycle(true, true)
	}
	// The peers' ends, 30 of them, are closed when the test ends.
	if after := openFDs(t); after != before+30 {
		t.Errorf("%d descriptors, %d at the start and 30 of the test's own", after, before)
	}
}

// A stack that is destroyed with its link still open ends the link.
func TestEthernetEndsWithItsStack(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newSocketEthernet(t)
	s := newTestStack(t, e, "10.0.0.2/24")
	sendFrame(t, peer, arpProbe(9))
	awaitARP(t, peer, 9)
	s.Destroy()
	waitDone(t, e)
	if err := e.Err(); err != nil {
		t.Errorf("Err: %v", err)
	}
}

func TestNewEthernetRefuses(t *testing.T) {
	before := openFDs(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	if _, err := NewEthernet(fds[0], EthernetConfig{Name: "x", MAC: net.HardwareAddr{1, 0, 0, 0, 0, 1}}); err == nil {
		t.Error("a multicast MAC address was taken")
	}
	if _, err := NewEthernet(-1, EthernetConfig{Name: "x"}); !errors.Is(err, unix.EBADF) {
		t.Errorf("a bad descriptor: %v", err)
	}
	if after := openFDs(t); after != before+1 {
		t.Errorf("%d descriptors, want %d: NewEthernet owns what it is given", after, before+1)
	}
}

// arpProbe asks for 10.0.0.2 in the name of 10.0.0.id.
func arpProbe(id byte) []byte {
	f := make([]byte, header.EthernetMinimumSize+header.ARPSize)
	src := []byte{2, 0, 0, 0, 1, id}
	header.Ethernet(f).Encode(&header.EthernetFields{
		SrcAddr: linkAddress(src), DstAddr: header.EthernetBroadcastAddress, Type: header.ARPProtocolNumber,
	})
	a := header.ARP(f[header.EthernetMinimumSize:])
	a.SetIPv4OverEthernet()
	a.SetOp(header.ARPRequest)
	copy(a.HardwareAddressSender(), src)
	copy(a.ProtocolAddressSender(), []byte{10, 0, 0, id})
	copy(a.ProtocolAddressTarget(), []byte{10, 0, 0, 2})
	return f
}

// awaitARP reads what the stack sends until it is the answer to arpProbe(id).
func awaitARP(t interface{ Fatalf(string, ...any) }, fd int, id byte) { awaitARPBehind(t, fd, id, 0) }

// awaitARPBehind is awaitARP with that many bytes before each frame.
func awaitARPBehind(t interface{ Fatalf(string, ...any) }, fd int, id byte, head int) {
	message := make([]byte, 1<<17)
	for range 100000 {
		n, _, err := unix.Recvfrom(fd, message, 0)
		buf := message[head:]
		n -= head
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("the stack does not answer any more: %v", err)
		}
		if n < header.EthernetMinimumSize+header.ARPSize || header.Ethernet(buf).Type() != header.ARPProtocolNumber {
			continue
		}
		a := header.ARP(buf[header.EthernetMinimumSize:n])
		if a.Op() == header.ARPReply && bytes.Equal(a.ProtocolAddressTarget(), []byte{10, 0, 0, id}) {
			return
		}
	}
	t.Fatalf("the stack sends without end, but no answer")
}

// seedFrames are starting points for the fuzzer: one of each kind.
func seedFrames() [][]byte {
	tcp4, _, _ := segmentFrame{protocol: 6, payload: []byte("hello")}.build()
	udp4, _, _ := segmentFrame{protocol: 17, payload: []byte("hello"), extensions: 2}.build()
	tcp6, _, _ := segmentFrame{v6: true, protocol: 6, extensions: 1}.build()
	icmp6, _, _ := segmentFrame{v6: true, protocol: 58, payload: []byte{128, 0}}.build()
	vlan := frameTo(linkAddress(testMAC), "\x00\x05\x08\x00E")
	vlan[12], vlan[13] = 0x81, 0
	frames := [][]byte{{}, {0}, make([]byte, 13), make([]byte, 14), arpProbe(9), arpProbe(9)[:20], vlan}
	for _, f := range [][]byte{tcp4, udp4, tcp6, icmp6} {
		copy(f, testMAC)
		frames = append(frames, f, f[:len(f)-7], f[:16])
	}
	return append(frames, frameTo(linkAddress(testMAC), strings.Repeat("x", 100<<10)))
}

// Whatever frame comes in, the link's loop and the stack go on.
func FuzzEthernetFrames(f *testing.F) {
	for _, s := range seedFrames() {
		f.Add(s)
	}
	e, peer := newSocketEthernet(f)
	newTestStack(f, e, "10.0.0.2/24", "fd00::2/64")
	id := byte(100)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > 128<<10 {
			t.Skip("longer than the socket takes")
		}
		sendFrame(t, peer, frame)
		id = 100 + (id+1)%100
		sendFrame(t, peer, arpProbe(id))
		awaitARP(t, peer, id)
	})
}

// The same with frames that are nearly right: a good one, bytes of it changed,
// cut or lengthened.
func TestEthernetSurvivesAnyFrame(t *testing.T) {
	verifyNoLeak(t)
	e, peer := newSocketEthernet(t)
	newTestStack(t, e, "10.0.0.2/24", "fd00::2/64")
	seeds := seedFrames()
	id := byte(100)
	rapid.Check(t, func(rt *rapid.T) {
		frame := append([]byte(nil), rapid.SampledFrom(seeds).Draw(rt, "seed")...)
		for range rapid.IntRange(0, 8).Draw(rt, "changes") {
			if len(frame) > 6 { // Mostly still for the appliance.
				frame[rapid.IntRange(6, min(len(frame), 100)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "byte")
			}
		}
		frame = frame[:rapid.IntRange(0, len(frame)).Draw(rt, "length")]
		sendFrame(t, peer, frame)
		id = 100 + (id+1)%100
		sendFrame(t, peer, arpProbe(id))
		awaitARP(rt, peer, id)
	})
	select {
	case <-e.Done():
		t.Errorf("the loop ended: %v", e.Err())
	default:
	}
}
