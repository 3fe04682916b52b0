package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"appliance/tracer"
)

// A wireSegment is what a capture and a trace both tell of a segment.
type wireSegment struct {
	from, to netip.AddrPort
	flags    tracer.Flags
	seq, ack uint32
	len      int
}

func (s wireSegment) String() string {
	return fmt.Sprintf("%v → %v flags %08b seq %d ack %d len %d", s.from, s.to, s.flags, s.seq, s.ack, s.len)
}

// readCapture returns the TCP segments over IPv4 of a capture file (the classic
// format, Ethernet, this machine's byte order), in order, as far as it goes.
func readCapture(t *testing.T, data []byte) []wireSegment {
	t.Helper()
	const fileHeader, packetHeader = 24, 16
	if len(data) < fileHeader || binary.NativeEndian.Uint32(data) != 0xa1b2c3d4 || binary.NativeEndian.Uint32(data[20:]) != 1 {
		t.Fatalf("no Ethernet capture: % x", data[:min(len(data), fileHeader)])
	}
	var segments []wireSegment
	for data = data[fileHeader:]; len(data) >= packetHeader; {
		n := int(binary.NativeEndian.Uint32(data[8:]))
		if len(data) < packetHeader+n {
			break // it is still being written
		}
		if s, ok := parseFrame(data[packetHeader : packetHeader+n]); ok {
			segments = append(segments, s)
		}
		data = data[packetHeader+n:]
	}
	return segments
}

// parseFrame reads an Ethernet frame with a TCP segment over IPv4.
func parseFrame(b []byte) (wireSegment, bool) {
	if len(b) < 14+20 || binary.BigEndian.Uint16(b[12:]) != 0x0800 {
		return wireSegment{}, false
	}
	ip := b[14:]
	headerLen, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if ip[9] != 6 || len(ip) < total || total < headerLen+20 {
		return wireSegment{}, false
	}
	tcp := ip[headerLen:total]
	end := func(addr, port []byte) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr)), binary.BigEndian.Uint16(port))
	}
	s := wireSegment{
		from: end(ip[12:16], tcp[0:]), to: end(ip[16:20], tcp[2:]),
		flags: tracer.Flags(tcp[13]), seq: binary.BigEndian.Uint32(tcp[4:]),
		len: len(tcp) - int(tcp[12]>>4)*4,
	}
	if s.flags&tracer.ACK != 0 {
		s.ack = binary.BigEndian.Uint32(tcp[8:])
	}
	return s, true
}

// tracedSegments returns a trace's segments as a capture has them.
func tracedSegments(events []tracer.Event) []wireSegment {
	var segments []wireSegment
	for _, e := range events {
		s, ok := e.Body.(*tracer.Segment)
		if !ok {
			continue
		}
		w := wireSegment{from: e.Local, to: e.Remote, flags: s.Flags, seq: s.Seq, ack: s.Ack, len: s.Len}
		if s.Dir == tracer.In {
			w.from, w.to = e.Remote, e.Local
		}
		if w.flags&tracer.ACK == 0 {
			w.ack = 0
		}
		segments = append(segments, w)
	}
	return segments
}

// TestCapture: two independent accounts agree with the trace, on veth and on TAP: a
// packet capture on the Linux side has the same segments, in the same order in each
// direction; and ss, asked while the connection is open, is in the state that the
// trace implies.
func TestCapture(t *testing.T) {
	// A tcpdump in a user namespace cannot drop the privilege that it seems to have.
	for _, s := range settings()[:2] {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			iface := "tap0"
			if !slices.Contains(s.run, "tap") {
				iface = "eth0"
				keepOrder(t, lab[1]+"-host", iface)
				keepOrder(t, lab[1]+"-app", "app0")
			}
			p := u.start(t, append([]string{"run", "--app", "echo", "--app", "hello", "-w", "t.jsonl"}, runFlags(lab, s.run)...)...)
			p.await(t, &p.stderr, "hello on tcp port")
			// -Z root: to keep the privilege of writing where the user may.
			dump := u.startExec(t, lab, "tcpdump", "-Z", "root", "-U", "-n", "-i", iface, "-w", "-", "tcp")
			dump.await(t, &dump.stderr, "listening on")

			u.openEcho(t, lab)
			state := u.exec(t, lab, "ss", "-Htin", "dst", "192.168.12.53")
			state.want(t, 0, "^ESTAB +0 +0 +192.168.12.1:[0-9]+ +192.168.12.53:7", "")
			wantMatch(t, state.args, "ss", state.stdout, "bytes_sent:6 bytes_acked:7 bytes_received:6")
			for range 3 {
				u.exec(t, lab, "python3", u.script(t, "hello_client.py"), "--timeout", "60").want(t, 0, "^b'hello'$", "")
			}
			p.signal(t, syscall.SIGINT)
			p.wait(t).want(t, 0, "", "")
			events := readTrace(t, u.path("t.jsonl"), false)
			traced := tracedSegments(events)
			// The kernel hands them over in batches.
			dump.awaitUntil(t, &dump.stdout, "capture of what the trace has", func(capture string) bool {
				return len(readCapture(t, []byte(capture))) >= len(traced)
			})
			dump.signal(t, syscall.SIGINT)
			r := dump.wait(t)
			wantMatch(t, r.args, "tcpdump", r.stderr, "^0 packets dropped by kernel")
			compareSegments(t, traced, readCapture(t, []byte(r.stdout)))
			wantOpenConnection(t, events, state.stdout)
		})
	}
}

// keepOrder has one processor take in what comes on a veth's end: Linux queues what two
// processors send on each apart, and the capture is made before that.
func keepOrder(t *testing.T, netns, iface string) {
	t.Helper()
	set := "echo 1 > /sys/class/net/" + iface + "/queues/rx-0/rps_cpus"
	if out, err := exec.Command("ip", "netns", "exec", netns, "sh", "-c", set).CombinedOutput(); err != nil { //nolint:gosec // the test's own words
		t.Skipf("cannot keep the order in %s: %v\n%s", netns, err, out)
	}
}

// compareSegments compares what was sent each way, in order.
func compareSegments(t *testing.T, traced, captured []wireSegment) {
	t.Helper()
	if len(traced) < 30 {
		t.Errorf("the trace has only %d segments", len(traced))
	}
	for _, dir := range []string{"to the appliance", "from the appliance"} {
		pick := func(all []wireSegment) []wireSegment {
			return slices.DeleteFunc(slices.Clone(all), func(s wireSegment) bool {
				return (s.to.Addr() == netip.MustParseAddr("192.168.12.53")) != (dir == "to the appliance")
			})
		}
		a, b := pick(traced), pick(captured)
		for i := range max(len(a), len(b)) {
			switch {
			case i >= len(a):
				t.Errorf("%s: segment %d is only in the capture: %v", dir, i+1, b[i])
			case i >= len(b):
				t.Errorf("%s: segment %d is only in the trace: %v", dir, i+1, a[i])
			case a[i] != b[i]:
				t.Fatalf("%s: segment %d differs:\ntrace   %v\ncapture %v", dir, i+1, a[i], b[i])
			}
		}
	}
}

// wantOpenConnection checks that the connection that ss saw is the trace's, and was
// in ESTABLISHED there too until the appliance was stopped.
func wantOpenConnection(t *testing.T, events []tracer.Event, ss string) {
	t.Helper()
	m := regexp.MustCompile(`192\.168\.12\.1:\d+`).FindString(ss)
	for _, c := range servedConns(events, 7) {
		for _, e := range events {
			s, ok := e.Body.(*tracer.StateChange)
			if ok && e.Conn == c && s.To == tracer.Established && e.Remote.String() == m {
				return
			}
		}
	}
	t.Errorf("ss has the connection %s, which the trace does not have in ESTABLISHED", m)
}
