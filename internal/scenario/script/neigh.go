package script

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// askAgain is how long an answer to ARP or NDP is waited for before it is asked again
// (RFC 4861, 10: RETRANS_TIMER).
const askAgain = time.Second

// macOf is where a packet for an address goes.
func (s *Script) macOf(ctx context.Context, dst netip.Addr) (tcpip.LinkAddress, error) {
	switch {
	case dst.Is4() && dst.IsMulticast():
		return header.EthernetAddressFromMulticastIPv4Address(toAddress(dst)), nil
	case dst.IsMulticast():
		return header.EthernetAddressFromMulticastIPv6Address(toAddress(dst)), nil
	case dst.Is4() && s.isBroadcast(dst):
		return header.EthernetBroadcastAddress, nil
	}
	mac, err := s.resolve(ctx, dst)
	if err != nil && !errors.Is(err, errLinkGone) {
		err = fmt.Errorf("no answer from %s to its MAC address being asked for: %w", dst, err)
	}
	return mac, err
}

// isBroadcast tells whether an address is 255.255.255.255 or the broadcast address of one of the
// script's own networks.
func (s *Script) isBroadcast(a netip.Addr) bool {
	if a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return true
	}
	for _, p := range s.o.Addresses {
		if !p.Addr().Is4() {
			continue
		}
		if b, err := broadcastOf(p); err == nil && a == b {
			return true
		}
	}
	return false
}

// resolve finds a station's MAC address: it asks until it is answered or ctx ends.
func (s *Script) resolve(ctx context.Context, dst netip.Addr) (mac tcpip.LinkAddress, err error) {
	known := func() (ok bool) {
		mac, ok = s.macs[dst]
		return ok
	}
	s.mu.Lock()
	found := known()
	s.mu.Unlock()
	for !found {
		if err := s.ask(s.ownAddr(dst), dst); err != nil {
			return "", err
		}
		over := make(chan struct{})
		timer := s.o.Clock.AfterFunc(askAgain, func() { close(over) })
		found, err = s.wait(ctx, over, known)
		timer.Stop()
		if err != nil {
			return "", err
		}
	}
	return mac, nil
}

// tell makes an address that the script sends from known to the other end, unless it is: as any
// station does, by asking for the other end's. Without, a flood of unknown sources would
// fill the other end's queue for address resolution before its queue of connections.
func (s *Script) tell(from netip.Addr) error {
	s.mu.Lock()
	told := s.told[from]
	s.mu.Unlock()
	if told || from.Is4() != s.o.Peer.Is4() {
		return nil
	}
	return s.ask(from, s.o.Peer)
}

// ask asks who has an address: by ARP (RFC 826) or a neighbour solicitation (RFC 4861, 4.3).
func (s *Script) ask(own, dst netip.Addr) error {
	if own.Is4() != dst.Is4() {
		return fmt.Errorf("the script has no address of the family of %s to ask from: give it one", dst)
	}
	if dst.Is4() {
		return s.sendARP(header.ARPRequest, header.EthernetBroadcastAddress, own, "", dst)
	}
	s.tells(own)
	target := toAddress(dst)
	to := header.SolicitedNodeAddr(target)
	body := make([]byte, header.NDPNSMinimumSize+header.NDPLinkLayerAddressSize)
	ns := header.NDPNeighborSolicit(body)
	ns.SetTargetAddress(target)
	ns.Options().Serialize(header.NDPOptionsSerializer{header.NDPSourceLinkLayerAddressOption(s.link.LinkAddress())})
	return s.sendNDP(header.ICMPv6NeighborSolicit, header.EthernetAddressFromMulticastIPv6Address(to), toAddress(own), to, body)
}

// tells notes that an address's MAC address is about to be told.
func (s *Script) tells(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[a] = true
}

func (s *Script) sendARP(op header.ARPOp, mac tcpip.LinkAddress, sender netip.Addr, targetMAC tcpip.LinkAddress, target netip.Addr) error {
	s.tells(sender)
	a := header.ARP(make([]byte, header.ARPSize))
	a.SetIPv4OverEthernet()
	a.SetOp(op)
	copy(a.HardwareAddressSender(), s.link.LinkAddress())
	copy(a.ProtocolAddressSender(), sender.AsSlice())
	copy(a.HardwareAddressTarget(), targetMAC)
	copy(a.ProtocolAddressTarget(), target.AsSlice())
	return s.transmit(mac, header.ARPProtocolNumber, a)
}

func (s *Script) sendNDP(kind header.ICMPv6Type, mac tcpip.LinkAddress, src, dst tcpip.Address, body []byte) error {
	packet, b := encodeIP(src, dst, header.ICMPv6ProtocolNumber, header.NDPHopLimit, header.ICMPv6HeaderSize+len(body))
	m := header.ICMPv6(b)
	m.SetType(kind)
	copy(m.MessageBody(), body)
	m.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: src, Dst: dst}))
	return s.transmit(mac, header.IPv6ProtocolNumber, packet)
}

// learn notes where an address is. Several may answer for one: the last counts.
func (s *Script) learn(a netip.Addr, mac tcpip.LinkAddress) {
	if !header.IsValidUnicastEthernetAddress(mac) || !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mine[a] {
		return // somebody else has it too: nothing that goes to it is ours to send
	}
	_, known := s.macs[a]
	if !known && len(s.macs) >= maxNeighbours {
		return
	}
	s.macs[a] = mac
	if !known {
		s.change()
	}
}

// maxNeighbours bounds what a flood of claims can take.
const maxNeighbours = 1 << 12

func (s *Script) answersFor(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mine[a]
}

// arp takes an ARP packet, and answers a request for an address of the script's.
func (s *Script) arp(b []byte) {
	a := header.ARP(b)
	if !a.IsValid() {
		return
	}
	sender, _ := netip.AddrFromSlice(a.ProtocolAddressSender())
	target, _ := netip.AddrFromSlice(a.ProtocolAddressTarget())
	mac := tcpip.LinkAddress(a.HardwareAddressSender())
	s.learn(sender, mac)
	if a.Op() == header.ARPRequest && s.answersFor(target) && header.IsValidUnicastEthernetAddress(mac) {
		// A closed link needs no answer.
		_ = s.sendARP(header.ARPReply, mac, target, mac, sender)
	}
}

// icmp6 takes an ICMPv6 message: neighbour solicitations and advertisements matter (RFC 4861,
// 7.1).
func (s *Script) icmp6(ip header.IPv6, b []byte, from tcpip.LinkAddress) {
	m := header.ICMPv6(b)
	if len(b) < header.ICMPv6HeaderSize || ip.HopLimit() != header.NDPHopLimit || m.Code() != 0 {
		return
	}
	sum := header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: ip.SourceAddress(), Dst: ip.DestinationAddress()})
	if sum != m.Checksum() {
		return
	}
	body := m.MessageBody()
	switch {
	case m.Type() == header.ICMPv6NeighborSolicit && len(body) >= header.NDPNSMinimumSize:
		s.solicited(ip.SourceAddress(), header.NDPNeighborSolicit(body), from)
	case m.Type() == header.ICMPv6NeighborAdvert && len(body) >= header.NDPNAMinimumSize:
		na := header.NDPNeighborAdvert(body)
		s.learn(fromAddress(na.TargetAddress()), linkAddressOf(na.Options(), from))
	}
}

// solicited answers a neighbour solicitation (RFC 4861, 7.2.4), also one of duplicate address
// detection, which has no source.
func (s *Script) solicited(src tcpip.Address, ns header.NDPNeighborSolicit, from tcpip.LinkAddress) {
	target := ns.TargetAddress()
	mac, solicited := linkAddressOf(ns.Options(), from), true
	s.learn(fromAddress(src), mac)
	if !s.answersFor(fromAddress(target)) {
		return
	}
	if src.Unspecified() {
		src, solicited = header.IPv6AllNodesMulticastAddress, false
		mac = header.EthernetAddressFromMulticastIPv6Address(src)
	}
	s.tells(fromAddress(target))
	body := make([]byte, header.NDPNAMinimumSize+header.NDPLinkLayerAddressSize)
	na := header.NDPNeighborAdvert(body)
	na.SetSolicitedFlag(solicited)
	na.SetOverrideFlag(true)
	na.SetTargetAddress(target)
	na.Options().Serialize(header.NDPOptionsSerializer{header.NDPTargetLinkLayerAddressOption(s.link.LinkAddress())})
	// A closed link needs no answer.
	_ = s.sendNDP(header.ICMPv6NeighborAdvert, mac, target, src, body)
}

// linkAddressOf is the link-layer address that NDP's options tell, or else the frame's source.
func linkAddressOf(options header.NDPOptions, from tcpip.LinkAddress) tcpip.LinkAddress {
	it, err := options.Iter(true)
	if err != nil {
		return from
	}
	for {
		option, done, err := it.Next()
		if err != nil || done {
			return from
		}
		switch o := option.(type) {
		case header.NDPSourceLinkLayerAddressOption:
			return o.EthernetAddress()
		case header.NDPTargetLinkLayerAddressOption:
			return o.EthernetAddress()
		}
	}
}
