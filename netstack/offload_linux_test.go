package netstack_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// offloadMAC is the address of a stack that frames are made for by hand.
var offloadMAC = []byte{2, 0, 0, 0, 0, 0x53}

// offloadEnds are two links with a virtio header before each frame, joined.
func offloadEnds(t testing.TB) (a, b *link.Ethernet) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*link.Ethernet
	for i, fd := range fds {
		if ends[i], err = link.NewEthernet(fd, link.EthernetConfig{Kind: "socket", Name: "socket", VNetHeader: true}); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// A super-segment's event tells how many segments of a wire it stands for, at the
// sender and at the receiver, and the stack takes its missing checksum for good.
func TestOffloadTrace(t *testing.T) {
	verifyNoLeak(t)
	a, b := offloadEnds(t)
	rec := newRecorder(nil)
	l := &lab{t: t, rec: rec}
	o := setup{level: tracer.LevelSegments}
	client := l.newStack(a, o, netstack.Options{}, "client", clientAddr4)
	server := l.newStack(b, o, netstack.Options{}, "server", serverAddr4)
	const size = 1 << 20
	sendOver(t, client, server, size)
	for _, dir := range []tracer.Direction{tracer.Out, tracer.In} {
		bytes, wire, supers := 0, 0, 0
		for _, e := range rec.Events() {
			s, ok := e.Body.(*tracer.Segment)
			if !ok || s.Dir != dir || s.Len == 0 || (e.Stack == "client") != (dir == tracer.Out) {
				continue
			}
			if s.Dropped != "" {
				t.Errorf("%s segment dropped: %s", dir, s.Dropped)
			}
			bytes += s.Len
			wire += max(s.WireSegments, 1)
			if s.WireSegments > 1 {
				supers++
			}
			if most := 1460 * max(s.WireSegments, 1); s.Len > most {
				t.Errorf("%s: %d bytes in %d wire segments", dir, s.Len, s.WireSegments)
			}
		}
		if bytes < size || supers == 0 || wire < size/1460 {
			t.Errorf("%s: %d bytes in %d wire segments, %d super-segments among them", dir, bytes, wire, supers)
		}
	}
	if c := b.Counters(); c.ChecksumsVouched == 0 || c.ChecksumsCompleted != 0 {
		t.Errorf("counters %+v", c)
	}
	if n := server.Stats().TCP.ChecksumErrors.Value(); n != 0 {
		t.Errorf("%d checksum errors", n)
	}
}

// Without a trace it is the same.
func TestOffloadUntraced(t *testing.T) {
	verifyNoLeak(t)
	a, b := offloadEnds(t)
	var stacks []*netstack.Stack
	for i, end := range []*link.Ethernet{a, b} {
		s, err := netstack.New(end, netstack.Options{Addresses: []netip.Prefix{[]netip.Prefix{clientAddr4, serverAddr4}[i]}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		stacks = append(stacks, s)
	}
	sendOver(t, stacks[0], stacks[1], 1<<20)
	if c := b.Counters(); c.SuperFrames == 0 || c.ChecksumsVouched == 0 || c.ChecksumsCompleted != 0 {
		t.Errorf("counters %+v", c)
	}
}

// sendOver sends size bytes from one stack to the other and waits for the end.
func sendOver(t *testing.T, from, to *netstack.Stack, size int64) {
	t.Helper()
	ln, err := to.Listen("tcp", serverPort)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	received := async(func() (int64, error) {
		c, err := ln.Accept()
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return io.Copy(io.Discard, c)
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := from.DialTCP(ctx, netip.AddrPort{}, netip.MustParseAddrPort(serverPort))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := await(t, "the transfer", received); n != size || err != nil {
		t.Fatalf("%d bytes of %d, %v", n, size, err)
	}
}

// A checksum that nobody vouches for is verified, and the trace says that it is bad,
// to a listener, a connection and nobody; one that the header vouches for is not.
func TestOffloadChecksums(t *testing.T) {
	const vouchedFor, nothingSaid = 1, 0
	for name, test := range map[string]struct {
		flags byte
		port  uint16
		want  string // why the segment was dropped
	}{
		"bad, to a listener":     {nothingSaid, 9000, "bad checksum"},
		"bad, to nobody":         {nothingSaid, 9001, "bad checksum"},
		"vouched, to a listener": {vouchedFor, 9000, ""},
		"vouched, to nobody":     {vouchedFor, 9001, ""},
	} {
		t.Run(name, func(t *testing.T) {
			verifyNoLeak(t)
			l, peer := offloadServer(t)
			frame := partialSYN(test.port)
			head := []byte{test.flags, 0, 0, 0, 0, 0, 34, 0, 16, 0} // csum_start, csum_offset
			if err := unix.Send(peer, append(head, frame...), 0); err != nil {
				t.Fatal(err)
			}
			e, err := l.rec.WaitFor(func(e tracer.Event) bool {
				s, ok := e.Body.(*tracer.Segment)
				return ok && s.Dir == tracer.In
			}, time.Now().Add(patience))
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Body.(*tracer.Segment).Dropped; got != test.want {
				t.Errorf("dropped %q, want %q", got, test.want)
			}
		})
	}
}

// offloadServer is a stack that listens on port 9000, and the descriptor where its
// frames go and come.
func offloadServer(t *testing.T) (*lab, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fds[1]) })
	e, err := link.NewEthernet(fds[0], link.EthernetConfig{Kind: "socket", Name: "socket", VNetHeader: true, MAC: offloadMAC})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, rec: newRecorder(nil)}
	s := l.newStack(e, setup{level: tracer.LevelSegments}, netstack.Options{}, "server", serverAddr4)
	ln, err := s.Listen("tcp", serverPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ln.Close(); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	return l, fds[1]
}

// partialSYN is a SYN to the server whose checksum is as a kernel leaves it for
// hardware to finish.
func partialSYN(port uint16) []byte {
	const at = header.EthernetMinimumSize
	f := make([]byte, at+header.IPv4MinimumSize+header.TCPMinimumSize)
	header.Ethernet(f).Encode(&header.EthernetFields{
		SrcAddr: "\x02\x00\x00\x00\x00\x99", DstAddr: tcpip.LinkAddress(offloadMAC), Type: header.IPv4ProtocolNumber,
	})
	src, dst := tcpip.AddrFrom4(clientAddr4.Addr().As4()), tcpip.AddrFrom4(serverAddr4.Addr().As4())
	ip := header.IPv4(f[at:])
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(f) - at), TTL: 64, Protocol: uint8(header.TCPProtocolNumber), SrcAddr: src, DstAddr: dst}) //nolint:gosec // 40
	ip.SetChecksum(^checksum.Checksum(ip[:header.IPv4MinimumSize], 0))
	tcp := header.TCP(f[at+header.IPv4MinimumSize:])
	tcp.Encode(&header.TCPFields{SrcPort: 1234, DstPort: port, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1000})
	tcp.SetChecksum(header.PseudoHeaderChecksum(header.TCPProtocolNumber, src, dst, header.TCPMinimumSize))
	return f
}
