package netstack_test

import (
	"bytes"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// pinged is a stack at serverAddr4 and serverAddr6 whose link's other end is a
// station made by hand.
func pinged(t *testing.T) (*station, *recorder) {
	t.Helper()
	verifyNoLeak(t)
	a, b := link.NewPipe(link.PipeOptions{})
	rec := newRecorder(nil)
	s, err := netstack.New(a, netstack.Options{
		Name: "server", Addresses: []netip.Prefix{serverAddr4, serverAddr6}, Recorder: rec, Level: tracer.LevelSegments,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "Close", func() { _ = s.Close() }) })
	return newStation(t, b), rec
}

func gvisorAddr(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

// resolve4 asks for the stack's MAC address by ARP, by which the stack learns ours.
func (s *station) resolve4(t *testing.T) tcpip.LinkAddress {
	t.Helper()
	arp := make(header.ARP, header.ARPSize)
	arp.SetIPv4OverEthernet()
	arp.SetOp(header.ARPRequest)
	copy(arp.HardwareAddressSender(), s.end.LinkAddress())
	copy(arp.ProtocolAddressSender(), clientAddr4.Addr().AsSlice())
	copy(arp.ProtocolAddressTarget(), serverAddr4.Addr().AsSlice())
	s.send(t, header.EthernetBroadcastAddress, header.ARPProtocolNumber, arp)
	reply := s.got.wait(t, "an ARP reply", func(f header.Ethernet) bool {
		return f.Type() == header.ARPProtocolNumber && header.ARP(f[header.EthernetMinimumSize:]).Op() == header.ARPReply
	})
	return reply.SourceAddress()
}

// send6 sends an ICMPv6 message from clientAddr6; its checksum is filled in.
func (s *station) send6(t *testing.T, mac tcpip.LinkAddress, dst tcpip.Address, msg header.ICMPv6) {
	t.Helper()
	src := gvisorAddr(clientAddr6.Addr())
	msg.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: msg, Src: src, Dst: dst}))
	ip := make(header.IPv6, header.IPv6MinimumSize)
	ip.Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(msg)), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: 255, SrcAddr: src, DstAddr: dst,
	})
	s.send(t, mac, header.IPv6ProtocolNumber, ip, msg)
}

// resolve6 does by NDP what resolve4 does by ARP.
func (s *station) resolve6(t *testing.T) tcpip.LinkAddress {
	t.Helper()
	target := gvisorAddr(serverAddr6.Addr())
	options := header.NDPOptionsSerializer{header.NDPSourceLinkLayerAddressOption(s.end.LinkAddress())}
	msg := make(header.ICMPv6, header.ICMPv6NeighborSolicitMinimumSize+options.Length())
	msg.SetType(header.ICMPv6NeighborSolicit)
	ns := header.NDPNeighborSolicit(msg.MessageBody())
	ns.SetTargetAddress(target)
	ns.Options().Serialize(options)
	group := header.SolicitedNodeAddr(target)
	s.send6(t, header.EthernetAddressFromMulticastIPv6Address(group), group, msg)
	reply := s.got.wait(t, "a neighbour advertisement", func(f header.Ethernet) bool {
		return isICMPv6(f, header.ICMPv6NeighborAdvert)
	})
	return reply.SourceAddress()
}

func isICMPv6(f header.Ethernet, typ header.ICMPv6Type) bool {
	if f.Type() != header.IPv6ProtocolNumber {
		return false
	}
	ip := header.IPv6(f[header.EthernetMinimumSize:])
	return ip.NextHeader() == uint8(header.ICMPv6ProtocolNumber) && header.ICMPv6(ip.Payload()).Type() == typ
}

// wantEcho fails unless the trace has the request and its answer.
func wantEcho(t *testing.T, rec *recorder, request, reply tracer.ICMP) {
	t.Helper()
	var got []tracer.ICMP
	for _, e := range rec.Events() {
		if m, ok := e.Body.(*tracer.ICMP); ok {
			got = append(got, *m)
		}
	}
	if len(got) != 2 || got[0] != request || got[1] != reply {
		t.Errorf("the trace has %+v, want %+v, %+v", got, request, reply)
	}
}

func TestPing(t *testing.T) {
	s, rec := pinged(t)
	mac := s.resolve4(t)
	payload := []byte("0123456789abcdef")
	echo := append(make(header.ICMPv4, header.ICMPv4MinimumSize), payload...)
	echo.SetType(header.ICMPv4Echo)
	echo.SetIdent(77)
	echo.SetSequence(3)
	echo.SetChecksum(^checksum.Checksum(echo, 0))
	ip := make(header.IPv4, header.IPv4MinimumSize)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(ip) + len(echo)), TTL: 64, Protocol: uint8(header.ICMPv4ProtocolNumber),
		SrcAddr: gvisorAddr(clientAddr4.Addr()), DstAddr: gvisorAddr(serverAddr4.Addr()),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	s.send(t, mac, header.IPv4ProtocolNumber, ip, echo)
	f := s.got.wait(t, "an echo reply", func(f header.Ethernet) bool {
		if f.Type() != header.IPv4ProtocolNumber {
			return false
		}
		ip := header.IPv4(f[header.EthernetMinimumSize:])
		return ip.TransportProtocol() == header.ICMPv4ProtocolNumber && header.ICMPv4(ip.Payload()).Type() == header.ICMPv4EchoReply
	})
	reply := header.ICMPv4(header.IPv4(f[header.EthernetMinimumSize:]).Payload())
	if reply.Ident() != 77 || reply.Sequence() != 3 || !bytes.Equal(reply.Payload(), payload) || destinationOf(f) != clientAddr4.Addr() {
		t.Errorf("the reply to %s: %x", destinationOf(f), reply)
	}
	wantEcho(t, rec, tracer.ICMP{Dir: tracer.In, Name: "echo request", Kind: 8, Len: 24}, tracer.ICMP{Dir: tracer.Out, Name: "echo reply", Len: 24})
}

func TestPing6(t *testing.T) {
	s, rec := pinged(t)
	mac := s.resolve6(t)
	payload := []byte("0123456789abcdef")
	echo := append(make(header.ICMPv6, header.ICMPv6EchoMinimumSize), payload...)
	echo.SetType(header.ICMPv6EchoRequest)
	echo.SetIdent(77)
	echo.SetSequence(3)
	s.send6(t, mac, gvisorAddr(serverAddr6.Addr()), echo)
	f := s.got.wait(t, "an echo reply", func(f header.Ethernet) bool { return isICMPv6(f, header.ICMPv6EchoReply) })
	reply := header.ICMPv6(header.IPv6(f[header.EthernetMinimumSize:]).Payload())
	if reply.Ident() != 77 || reply.Sequence() != 3 || !bytes.HasSuffix(reply, payload) || destinationOf(f) != clientAddr6.Addr() {
		t.Errorf("the reply to %s: %x", destinationOf(f), reply)
	}
	wantEcho(t, rec, tracer.ICMP{Dir: tracer.In, Name: "echo request", Kind: 128, Len: 24}, tracer.ICMP{Dir: tracer.Out, Name: "echo reply", Kind: 129, Len: 24})
}
