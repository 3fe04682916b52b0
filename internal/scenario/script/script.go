package script

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"appliance/netstack/link"
)

// defaultPort is the server's.
const defaultPort = 9000

// Options are a Script's settings; Addresses and Peer are needed.
type Options struct {
	// Addresses are the script's own, IPv4 and IPv6, with their prefix lengths: the first of
	// Peer's family is the one that it sends from. The kernel must not own them on the same
	// link, or it answers as well (with RST): see [OpenLink].
	Addresses []netip.Prefix
	// MAC is the script's, 6 bytes; nil means the link's own.
	MAC net.HardwareAddr
	// Peer is the address of the end that the script plays against.
	Peer netip.Addr
	// Port is the server's, whoever that is; 0 means 9000.
	Port uint16
	// Client says that the script plays C; else it plays S.
	Client bool
	// Clock is for delays, timestamps, and for asking again for a MAC address; nil means the
	// machine's.
	Clock tcpip.Clock
	// Seed decides the initial sequence numbers, and the flood's.
	Seed uint64
}

// Script is a scripted end on a link. Its methods may be called concurrently, but it plays one
// list of steps at a time.
type Script struct {
	link  link.Link
	o     Options
	own   netip.Prefix // of Peer's family
	start tcpip.MonotonicTime

	playing sync.Mutex

	mu sync.Mutex
	// changed is closed, and made anew, when something came that a step may wait for.
	changed chan struct{}
	// mine are the addresses that the script answers for.
	mine map[netip.Addr]bool
	// told are those of mine that the other end has been told the MAC address of.
	told map[netip.Addr]bool
	// macs are those of other stations.
	macs  map[netip.Addr]tcpip.LinkAddress
	named map[string]*conn
	// byTuple has every connection under each of the tuples that it has used.
	byTuple map[tuple]*conn
	// unnamed are those that a segment has begun and no step has named yet, the oldest first.
	unnamed []*conn
	seen    []*Segment
	floods  int // sources used
}

// New attaches a script to a link, which it then owns: Close closes it. The link must have no
// stack. It errs when an option has no meaning, and then leaves the link as it is.
func New(l link.Link, o Options) (*Script, error) {
	own, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	if l.IsAttached() {
		return nil, errors.New("script: the link has a stack already: give the script a link of its own")
	}
	s := &Script{
		link: l, o: o, own: own, start: o.Clock.NowMonotonic(),
		changed: make(chan struct{}),
		mine:    map[netip.Addr]bool{}, told: map[netip.Addr]bool{}, macs: map[netip.Addr]tcpip.LinkAddress{},
		named: map[string]*conn{}, byTuple: map[tuple]*conn{},
	}
	for _, p := range o.Addresses {
		s.mine[p.Addr()] = true
	}
	if len(o.MAC) > 0 {
		l.SetLinkAddress(tcpip.LinkAddress(o.MAC))
	}
	l.Attach(s)
	return s, nil
}

// complete fills in the defaults, checks the rest, and returns the address of Peer's family.
func (o *Options) complete() (netip.Prefix, error) {
	if o.Port == 0 {
		o.Port = defaultPort
	}
	if o.Clock == nil {
		o.Clock = tcpip.NewStdClock()
	}
	if mac := tcpip.LinkAddress(o.MAC); len(mac) > 0 && !header.IsValidUnicastEthernetAddress(mac) {
		return netip.Prefix{}, fmt.Errorf("MAC address %s is not a unicast Ethernet address of 6 bytes", o.MAC)
	}
	if !o.Peer.IsValid() || o.Peer.IsMulticast() || o.Peer.IsUnspecified() {
		return netip.Prefix{}, fmt.Errorf("the other end's address %s is no unicast address", o.Peer)
	}
	o.Peer = o.Peer.Unmap().WithZone("")
	o.Addresses = append([]netip.Prefix(nil), o.Addresses...)
	var own netip.Prefix
	for i, p := range o.Addresses {
		if !p.IsValid() || p.Addr().Is4In6() {
			return own, fmt.Errorf("own address %s: not an IPv4 or IPv6 address with a prefix length", p)
		}
		o.Addresses[i] = netip.PrefixFrom(p.Addr().WithZone(""), p.Bits())
		if p.Addr() == o.Peer {
			return own, fmt.Errorf("%s is both the script's and the other end's address", o.Peer)
		}
		if !own.IsValid() && p.Addr().Is4() == o.Peer.Is4() {
			own = o.Addresses[i]
		}
	}
	if !own.IsValid() {
		return own, fmt.Errorf("no own address of the same family as the other end's, %s: give one", o.Peer)
	}
	return own, nil
}

// Close closes the link and waits for it. A Play that waits returns an error. It must not be
// called from within a delivery.
func (s *Script) Close() {
	s.link.Close()
	s.link.Wait()
}

// ownAddr is the script's address of a family; without one, it is that of Peer's.
func (s *Script) ownAddr(like netip.Addr) netip.Addr {
	for _, p := range s.o.Addresses {
		if p.Addr().Is4() == like.Is4() {
			return p.Addr()
		}
	}
	return s.own.Addr()
}

// isOwn tells whether an address is one of the script's own.
func (s *Script) isOwn(a netip.Addr) bool {
	return slices.ContainsFunc(s.o.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// change wakes the step that waits. mu is held.
func (s *Script) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}
