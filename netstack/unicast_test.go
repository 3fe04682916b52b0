package netstack_test

import (
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"appliance/tracer"
)

// A SYN for a broadcast or multicast address is told and passed over: nothing answers it.
func TestTraceOfSYNNotUnicast(t *testing.T) {
	s, rec := pinged(t)
	mac := s.resolve4(t)
	everyone := header.EthernetBroadcastAddress
	group := header.EthernetAddressFromMulticastIPv4Address(gvisorAddr(netip.MustParseAddr("224.0.0.1")))
	for i, c := range []struct {
		to     string
		mac    tcpip.LinkAddress
		passed bool
	}{
		{"192.168.12.255", everyone, true},
		{"255.255.255.255", everyone, true},
		{"224.0.0.1", group, true},
		{serverAddr4.Addr().String(), mac, false}, // the fence: this one is answered
	} {
		dst := netip.MustParseAddr(c.to)
		s.syn4(t, c.mac, dst, uint16(40000+i)) //nolint:gosec // small
		got := waitFor(t, rec, "the SYN for "+c.to, func(e tracer.Event) bool {
			return segmentOf(e).Flags == tracer.SYN && e.Local.Addr() == dst
		})
		if dropped := segmentOf(got).Dropped; (dropped == "not for a unicast address") != c.passed {
			t.Errorf("the SYN for %s: dropped %q", c.to, dropped)
		}
	}
	waitFor(t, rec, "the RST that answers the last", func(e tracer.Event) bool { return segmentOf(e).Flags.Has(tracer.RST) })
	for _, e := range rec.Events() {
		if b := segmentOf(e); b.Dir == tracer.Out && e.Remote.Port() != 40003 {
			t.Errorf("%s: %s answers what was for everyone", e.Remote, b.Flags)
		}
	}
}

func waitFor(t *testing.T, rec *recorder, what string, m match) tracer.Event {
	t.Helper()
	e, err := rec.WaitFor(m, time.Now().Add(10*time.Second))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return e
}

// syn4 sends a SYN for port 9 of an address.
func (s *station) syn4(t *testing.T, mac tcpip.LinkAddress, to netip.Addr, from uint16) {
	t.Helper()
	src, dst := gvisorAddr(clientAddr4.Addr()), gvisorAddr(to)
	seg := make(header.TCP, header.TCPMinimumSize)
	seg.Encode(&header.TCPFields{
		SrcPort: from, DstPort: 9, SeqNum: 100, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1000,
	})
	seg.SetChecksum(^seg.CalculateChecksum(header.PseudoHeaderChecksum(header.TCPProtocolNumber, src, dst, header.TCPMinimumSize)))
	ip := make(header.IPv4, header.IPv4MinimumSize)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(ip) + len(seg)), TTL: 64, Protocol: uint8(header.TCPProtocolNumber), SrcAddr: src, DstAddr: dst, //nolint:gosec // small
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	s.send(t, mac, header.IPv4ProtocolNumber, ip, seg)
}
