package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pair is a lab's two namespaces; app is nil for a TAP.
type pair struct {
	host, app *os.File
}

func (p *pair) close() error {
	err := p.host.Close()
	if p.app != nil {
		err = errors.Join(err, p.app.Close())
	}
	return err
}

// builder brings a pair to what a spec wants, and notes what it had to do.
type builder struct {
	pair
	spec     spec
	hostH    *netlink.Handle
	appH     *netlink.Handle // nil for a TAP
	changes  []string
	warnings []string
}

// ensure makes p what s wants, whatever it is now: addresses of old that s has no
// more are removed, others that somebody added are left alone.
func (p pair) ensure(ctx context.Context, s spec, old []netip.Prefix) (changes, warnings []string, err error) {
	b := &builder{pair: p, spec: s}
	if b.hostH, err = handleIn(p.host); err != nil {
		return nil, nil, err
	}
	defer b.hostH.Close()
	if p.app != nil {
		if b.appH, err = handleIn(p.app); err != nil {
			return nil, nil, err
		}
		defer b.appH.Close()
	}
	steps := []func() error{
		b.quieten, b.loopback, b.device, b.mtu,
		func() error { return b.addresses(old) },
		b.up,
		func() error { return setMark(b.hostH, s.side(sideHost)) },
		func() error { return b.carrier(ctx) },
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return b.changes, b.warnings, err
		}
		if err := step(); err != nil {
			return b.changes, b.warnings, err
		}
	}
	return b.changes, b.warnings, nil
}

func (b *builder) did(format string, args ...any) {
	b.changes = append(b.changes, fmt.Sprintf(format, args...))
}

// quieten sets what interfaces made from now on take over. On the Linux side: IPv6
// on, no duplicate address detection, no router solicitations, no autoconfiguration. The link-local
// address stays: without one the kernel could not probe its neighbours. On the
// appliance's side: no IPv6, no forwarding, so that the kernel there never answers;
// unless it is a Linux host too.
func (b *builder) quieten() error {
	host := []sysctl{
		{"ipv6/conf/all/disable_ipv6", "0"},
		{"ipv6/conf/default/disable_ipv6", "0"},
		{"ipv6/conf/default/accept_ra", "0"},
		{"ipv6/conf/default/autoconf", "0"},
		{"ipv6/conf/default/router_solicitations", "0"},
		{"ipv6/conf/default/accept_dad", "0"},
		{"ipv6/conf/default/dad_transmits", "0"},
	}
	for _, e := range b.linuxEnds() {
		if err := b.set(e.ns, host); err != nil {
			return err
		}
	}
	if err := b.order(); err != nil {
		return err
	}
	if b.app == nil || len(b.spec.AppAddrs) > 0 {
		return nil
	}
	return b.set(b.app, []sysctl{
		{"ipv6/conf/all/disable_ipv6", "1"},
		{"ipv6/conf/default/disable_ipv6", "1"},
		{"ipv4/ip_forward", "0"},
	})
}

// order has one processor take in what comes on the interfaces made from now on
// (receive packet steering), where the lab is to keep packets in order.
func (b *builder) order() error {
	if !b.spec.Ordered {
		return nil
	}
	for _, ns := range []*os.File{b.host, b.app} {
		if ns == nil {
			continue
		}
		if err := b.set(ns, []sysctl{{"core/rps_default_mask", "1"}}); err != nil {
			return err
		}
	}
	return nil
}

type sysctl struct{ key, value string }

// set writes sysctls in ns. Where /proc/sys is read-only (some containers) or IPv6 is
// not in the kernel, the lab goes without and says so.
func (b *builder) set(ns *os.File, all []sysctl) error {
	return inNamespace(ns, func() error {
		_, no6 := os.Stat("/proc/sys/net/ipv6")
		for _, s := range all {
			if no6 != nil && strings.HasPrefix(s.key, "ipv6/") {
				continue // adding an address says it, once
			}
			path := "/proc/sys/net/" + s.key
			now, err := os.ReadFile(path)
			if err == nil && string(now) == s.value+"\n" {
				continue
			}
			if err == nil {
				// O_WRONLY alone: sysctl files are neither created nor truncated.
				var f *os.File
				if f, err = os.OpenFile(path, os.O_WRONLY, 0); err == nil {
					_, err = f.WriteString(s.value)
					err = errors.Join(err, f.Close())
				}
			}
			switch {
			case err == nil:
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
				b.warn("cannot set " + s.key + "=" + s.value + ": " + err.Error())
			default:
				return fmt.Errorf("set %s=%s: %w", s.key, s.value, err)
			}
		}
		return nil
	})
}

func (b *builder) warn(w string) {
	if !slices.Contains(b.warnings, w) {
		b.warnings = append(b.warnings, w)
	}
}

func (b *builder) loopback() error {
	for _, e := range b.linuxEnds() {
		lo, err := e.h.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo: %w", err)
		}
		if err := b.linkUp(e.h, lo); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) linkUp(h *netlink.Handle, l netlink.Link) error {
	if l.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := h.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", l.Attrs().Name, err)
	}
	b.did("set %s up", l.Attrs().Name)
	return nil
}

// find returns the link of that name, nil when there is none.
func find(h *netlink.Handle, name string) (netlink.Link, error) {
	l, err := h.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	return l, nil
}

// device makes the veth pair or the TAP, where it is not there whole.
func (b *builder) device() error {
	if b.spec.Kind == TAP {
		return b.tapDevice()
	}
	host, err := find(b.hostH, hostVeth)
	if err != nil {
		return err
	}
	app, err := find(b.appH, appVeth)
	if err != nil || host != nil && app != nil {
		return err
	}
	if host != nil { // its other end is not where it should be
		if err := b.hostH.LinkDel(host); err != nil {
			return fmt.Errorf("remove half a veth pair, %s: %w", hostVeth, err)
		}
	}
	if app != nil {
		if err := b.appH.LinkDel(app); err != nil {
			return fmt.Errorf("remove half a veth pair, %s: %w", appVeth, err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = hostVeth, b.spec.MTU
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: appVeth, PeerNamespace: netlink.NsFd(b.app.Fd())}
	if err := b.hostH.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the veth pair %s, %s: %w", hostVeth, appVeth, err)
	}
	b.did("made %s and %s, a veth pair", hostVeth, appVeth)
	return nil
}

func (b *builder) mtu() error {
	if err := b.linkMTU(b.hostH, b.spec.hostInterface()); err != nil || b.appH == nil {
		return err
	}
	return b.linkMTU(b.appH, appVeth)
}

func (b *builder) linkMTU(h *netlink.Handle, name string) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if l.Attrs().MTU == b.spec.MTU {
		return nil
	}
	if err := h.LinkSetMTU(l, b.spec.MTU); err != nil {
		return fmt.Errorf("set %s's MTU to %d: %w", name, b.spec.MTU, err)
	}
	b.did("set %s's MTU to %d", name, b.spec.MTU)
	return nil
}

func (b *builder) up() error {
	if b.appH != nil {
		app, err := b.appH.LinkByName(appVeth)
		if err != nil {
			return fmt.Errorf("find %s: %w", appVeth, err)
		}
		if err := b.linkUp(b.appH, app); err != nil {
			return err
		}
	}
	host, err := b.hostH.LinkByName(b.spec.hostInterface())
	if err != nil {
		return fmt.Errorf("find %s: %w", b.spec.hostInterface(), err)
	}
	return b.linkUp(b.hostH, host)
}

// carrier waits until both ends of a veth pair carry: the kernel starts their queues
// a moment after they are set up, and drops what is sent before. A TAP has no
// carrier until the appliance attaches.
func (b *builder) carrier(ctx context.Context) error {
	if b.appH == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		host, err := b.hostH.LinkByName(hostVeth)
		if err != nil {
			return fmt.Errorf("find %s: %w", hostVeth, err)
		}
		app, err := b.appH.LinkByName(appVeth)
		if err != nil {
			return fmt.Errorf("find %s: %w", appVeth, err)
		}
		if host.Attrs().OperState == netlink.OperUp && app.Attrs().OperState == netlink.OperUp {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s and %s to carry: they are %s and %s: %w", hostVeth, appVeth,
				host.Attrs().OperState, app.Attrs().OperState, ctx.Err())
		case <-tick.C:
		}
	}
}

// unlink removes the pair's interfaces, so that whoever still holds a namespace, or
// a socket in it, sees them go.
func (p pair) unlink() error {
	for _, at := range []struct {
		ns    *os.File
		names []string
	}{{p.host, []string{hostVeth, tapName}}, {p.app, []string{appVeth}}} {
		if at.ns == nil {
			continue
		}
		if err := removeLinks(at.ns, at.names); err != nil {
			return err
		}
	}
	return nil
}

func removeLinks(ns *os.File, names []string) error {
	h, err := handleIn(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	for _, name := range names {
		l, err := find(h, name)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		if err := h.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}
