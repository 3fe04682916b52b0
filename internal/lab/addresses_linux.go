package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linuxEnd is an end of the lab at which the kernel's own TCP answers.
type linuxEnd struct {
	ns    *os.File
	h     *netlink.Handle
	name  string
	addrs []netip.Prefix
}

// linuxEnds are the Linux side and, where it has addresses, the appliance's.
func (b *builder) linuxEnds() []linuxEnd {
	ends := []linuxEnd{{b.host, b.hostH, b.spec.hostInterface(), b.spec.Addrs}}
	if b.app != nil && len(b.spec.AppAddrs) > 0 {
		ends = append(ends, linuxEnd{b.app, b.appH, b.spec.appInterface(), b.spec.AppAddrs})
	}
	return ends
}

// addresses gives each Linux end its addresses, and takes those of old that it has
// no more.
func (b *builder) addresses(old []netip.Prefix) error {
	for _, e := range b.linuxEnds() {
		if err := b.addressesOf(e, old); err != nil {
			return err
		}
	}
	return nil
}

// ipv6Of has IPv6 use the addresses that it is given at once, and find none by itself.
func (b *builder) ipv6Of(e linuxEnd) error {
	if b.spec.MTU < minMTU6 {
		return nil // there is no IPv6 on such an interface
	}
	conf := "ipv6/conf/" + e.name + "/"
	return b.set(e.ns, []sysctl{
		{conf + "disable_ipv6", "0"},
		{conf + "accept_ra", "0"},
		{conf + "autoconf", "0"},
		{conf + "router_solicitations", "0"},
		{conf + "accept_dad", "0"},
		{conf + "dad_transmits", "0"},
	})
}

func (b *builder) addressesOf(e linuxEnd, old []netip.Prefix) error {
	if err := b.ipv6Of(e); err != nil {
		return err
	}
	l, err := e.h.LinkByName(e.name)
	if err != nil {
		return fmt.Errorf("find %s: %w", e.name, err)
	}
	list, err := e.h.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list %s's addresses: %w", e.name, err)
	}
	has := map[netip.Prefix]netlink.Addr{}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			ones, _ := a.Mask.Size()
			has[netip.PrefixFrom(ip.Unmap(), ones)] = a
		}
	}
	for _, a := range old {
		if have, ok := has[a]; ok && !slices.Contains(e.addrs, a) {
			if err := e.h.AddrDel(l, &have); err != nil {
				return fmt.Errorf("remove %s from %s: %w", a, e.name, err)
			}
			b.did("removed %s from %s", a, e.name)
		}
	}
	for _, a := range e.addrs {
		if _, ok := has[a]; ok {
			continue
		}
		if err := b.addAddress(e.h, l, a); err != nil {
			return err
		}
	}
	return nil
}

// addAddress adds a to l, usable at once: without duplicate address detection
// (RFC 4862, 5.4), as nobody else is on this link.
func (b *builder) addAddress(h *netlink.Handle, l netlink.Link, a netip.Prefix) error {
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}}
	if a.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	err := h.AddrReplace(l, addr)
	if a.Addr().Is6() && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES)) {
		b.warn(fmt.Sprintf("no IPv6: add %s to %s: %v: this kernel has IPv6 turned off", a, l.Attrs().Name, err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("add %s to %s: %w", a, l.Attrs().Name, err)
	}
	b.did("added %s to %s", a, l.Attrs().Name)
	return nil
}
