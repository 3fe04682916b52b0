package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const tunDevice = "/dev/net/tun"

// TAPDevice is a TAP device that OpenTAPDevice has set up.
type TAPDevice struct {
	// Info tells of the device's kernel side.
	Info InterfaceInfo
	// Created is whether the device is new: it goes with its descriptor. One that
	// existed stays.
	Created bool

	undo []func() error
	// handle speaks netlink in the device's namespace, for undo.
	handle *netlink.Handle
}

// OpenTAPDevice creates the device, or attaches to one that exists, in the calling
// thread's network namespace (NetNS and MAC are not looked at), sets its MTU, host
// addresses and state, and returns the descriptor that carries its frames. A
// device that it created goes when the last copy of the descriptor is closed,
// also when the program is killed. Needs CAP_NET_ADMIN.
func OpenTAPDevice(o TAPOptions) (fd int, d *TAPDevice, err error) {
	if err := o.check(); err != nil {
		return -1, nil, err
	}
	if err := CheckAddresses(o.Addresses); err != nil {
		return -1, nil, fmt.Errorf("open TAP device %s: %w", o.Name, err)
	}
	exists, err := tapExists(o.Name)
	if err != nil {
		return -1, nil, err
	}
	fd, name, on, err := attachTAP(o.Name, exists, o.Offload)
	if err != nil {
		return -1, nil, err
	}
	d = &TAPDevice{Created: !exists, Info: InterfaceInfo{Name: name, Offload: on}}
	if err := d.setUp(name, o); err != nil {
		err = errors.Join(fmt.Errorf("set up TAP device %s: %w", name, err), d.Undo())
		_ = unix.Close(fd)
		return -1, nil, err
	}
	return fd, d, nil
}

// check refuses what the kernel would refuse with less to say.
func (o TAPOptions) check() error {
	switch {
	case len(o.Name) >= unix.IFNAMSIZ:
		return fmt.Errorf("open TAP device %s: the name has %d bytes; Linux allows %d", o.Name, len(o.Name), unix.IFNAMSIZ-1)
	case strings.ContainsAny(o.Name, "/:% \t\n") || o.Name == "." || o.Name == "..":
		return fmt.Errorf("open TAP device %q: Linux does not allow that name; use letters, digits, '-' and '_'", o.Name)
	case o.MTU != 0 && (o.MTU < 68 || o.MTU > 65521):
		return fmt.Errorf("open TAP device %s: MTU %d is out of range; a TAP's is 68 to 65521 (1280 or more for IPv6)", o.Name, o.MTU)
	}
	if err := checkOffload(o.Offload, o.BusyPoll); err != nil {
		return fmt.Errorf("open TAP device %s: %w", o.Name, err)
	}
	for _, h := range o.HostAddresses {
		if !h.IsValid() {
			return fmt.Errorf("open TAP device %s: a host address is not valid; give address/length, such as 192.168.12.1/24", o.Name)
		}
		for _, a := range o.Addresses {
			if h.Addr() == a.Addr() {
				return fmt.Errorf("open TAP device %s: %s is given to both the host and the appliance; the host would answer the peer's segments with RST", o.Name, h.Addr())
			}
		}
	}
	return nil
}

// tapExists tells whether the device is there, and refuses what is no TAP.
func tapExists(name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	l, err := netlink.LinkByName(name)
	switch {
	case errors.As(err, &netlink.LinkNotFoundError{}):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("open TAP device %s: look it up: %w", name, err)
	}
	if t, ok := l.(*netlink.Tuntap); ok && t.Mode == netlink.TUNTAP_MODE_TAP {
		return true, nil
	}
	return false, fmt.Errorf("open TAP device %s: %w: an interface of that name is there, but it is a %s device and no TAP; choose another name",
		name, os.ErrExist, l.Type())
}

// setUp gives the device its MTU, addresses and state, noting how to undo that on a
// device that was there before.
func (d *TAPDevice) setUp(name string, o TAPOptions) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	d.handle = h
	l, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("look it up: %w", err)
	}
	a := l.Attrs()
	if o.MTU == 0 && d.Created {
		o.MTU = DefaultMTU
	}
	if old := a.MTU; o.MTU != 0 && int(o.MTU) != old {
		if err := h.LinkSetMTU(l, int(o.MTU)); err != nil {
			return fmt.Errorf("set its MTU to %d: %w", o.MTU, err)
		}
		d.onUndo(func() error { return h.LinkSetMTU(l, old) })
		a.MTU = int(o.MTU)
	}
	for _, p := range o.HostAddresses {
		if err := d.addAddress(l, p); err != nil {
			return err
		}
	}
	if a.Flags&net.FlagUp == 0 {
		if err := h.LinkSetUp(l); err != nil {
			return fmt.Errorf("bring it up: %w", err)
		}
		d.onUndo(func() error { return h.LinkSetDown(l) })
	}
	d.Info = InterfaceInfo{
		Name: name, Index: a.Index, MTU: uint32(a.MTU), MAC: a.HardwareAddr.String(),
		Type: "tap", PeerNetNSID: -1, Carrier: true, Offload: d.Info.Offload,
	}
	return nil
}

// addAddress gives the device's kernel side an address, unless it has it.
func (d *TAPDevice) addAddress(l netlink.Link, p netip.Prefix) error {
	addr := &netlink.Addr{IPNet: &net.IPNet{
		IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD // Usable at once; the appliance is its only neighbour.
	}
	switch err := d.handle.AddrAdd(l, addr); {
	case errors.Is(err, unix.EEXIST):
		return nil
	case err != nil:
		return fmt.Errorf("give it the host address %s: %w", p, err)
	}
	d.onUndo(func() error { return d.handle.AddrDel(l, addr) })
	return nil
}

// onUndo notes a step for a device that stays.
func (d *TAPDevice) onUndo(f func() error) {
	if !d.Created {
		d.undo = append(d.undo, f)
	}
}

// Undo puts an existing device back as it was; one that was created goes with its
// descriptor, and one that is gone needs nothing. It may be called more than once.
func (d *TAPDevice) Undo() error {
	var errs []error
	for i := len(d.undo) - 1; i >= 0; i-- {
		err := d.undo[i]()
		// Taking the device down has removed its IPv6 addresses already.
		if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, err)
		}
	}
	d.undo = nil
	if d.handle != nil {
		d.handle.Close()
		d.handle = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("put TAP device %s back as it was: %w", d.Info.Name, err)
	}
	return nil
}
