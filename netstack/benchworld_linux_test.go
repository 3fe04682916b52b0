package netstack_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"appliance/netstack/link"
)

// The networks of a benchWorld, with Linux's first address in each; the appliance's
// is the next.
var (
	benchVeth = netip.MustParsePrefix("10.71.0.1/24")
	benchTAP  = netip.MustParsePrefix("10.72.0.1/24")
	benchBase = netip.MustParsePrefix("10.73.0.1/24")
)

// benchWorld is two network namespaces. app0 in app is the appliance's end of a
// veth pair; base0 is one end of another, which joins kernel to kernel.
type benchWorld struct{ app, host string }

// newBenchWorld makes one, which goes with the benchmark. Without offloads, neither
// end of the kernels' pair has any.
func newBenchWorld(b *testing.B, offload bool) *benchWorld {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("needs root: makes network namespaces and interfaces")
	}
	w := &benchWorld{app: fmt.Sprintf("bench-app-%d", os.Getpid()), host: fmt.Sprintf("bench-host-%d", os.Getpid())}
	for _, ns := range []string{w.app, w.host} {
		if err := makeNamespace(ns); err != nil {
			b.Fatalf("make network namespace %s: %v", ns, err)
		}
		b.Cleanup(func() {
			if err := netns.DeleteNamed(ns); err != nil {
				b.Errorf("delete network namespace %s: %v", ns, err)
			}
		})
	}
	err := errors.Join(
		inNamespace(w.app, func() error { return errors.Join(addPair("app0", "host0", w.host), addPair("base0", "base1", w.host)) }),
		inNamespace(w.host, func() error { return errors.Join(raise("host0", benchVeth), raise("base1", baseAddress(1))) }),
		inNamespace(w.app, func() error { return errors.Join(raise("app0"), raise("base0", baseAddress(2))) }),
	)
	if err == nil && !offload {
		err = errors.Join(withoutOffload(b, w.app, "base0", w.host), withoutOffload(b, w.host, "base1", w.app))
	}
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// baseAddress is the nth address of the kernels' network.
func baseAddress(n int) netip.Prefix {
	a := benchBase.Addr()
	for range n {
		a = a.Next()
	}
	return netip.PrefixFrom(a, benchBase.Bits())
}

func withoutOffload(b *testing.B, ns, ifname, peerNS string) error {
	return inNamespace(ns, func() error {
		info, err := link.LookupInterface(ifname)
		if err != nil {
			return err
		}
		off, err := link.DisableOffload(info, peerNS)
		if err != nil {
			return err
		}
		b.Cleanup(func() { _ = off.Restore() }) // the pair goes anyway
		if w := off.Warnings(); len(w) > 0 {
			return fmt.Errorf("offloads of %s: %q", ifname, w)
		}
		return nil
	})
}

// makeNamespace makes a network namespace, on a thread that ends with it.
func makeNamespace(name string) error {
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		ns, err := netns.NewNamed(name)
		if err == nil {
			err = ns.Close()
		}
		made <- err
	}()
	return <-made
}

// inNamespace runs f on a thread in the network namespace, which ends with it.
func inNamespace(name string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		ns, err := netns.GetFromName(name)
		if err == nil {
			err = errors.Join(netns.Set(ns), ns.Close())
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func addPair(name, peer, peerNS string) error {
	ns, err := netns.GetFromName(peerNS)
	if err != nil {
		return err
	}
	defer ns.Close()
	a := netlink.NewLinkAttrs()
	a.Name = name
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: peer, PeerNamespace: netlink.NsFd(ns)})
}

func raise(name string, addrs ...netip.Prefix) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, p := range addrs {
		addr, err := netlink.ParseAddr(p.String())
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(l, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}
