package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var tapHost = []netip.Prefix{netip.MustParsePrefix("192.168.12.1/24"), netip.MustParsePrefix("fd00:12::1/64")}

func openLabTAP(t testing.TB, o TAPOptions) *TAP {
	t.Helper()
	tap, err := OpenTAP(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tap.Close()
		tap.Wait()
	})
	return tap
}

// linkState is what an interface has, for comparison; "gone" if there is none.
func linkState(t testing.TB, ns, ifname string) string {
	t.Helper()
	state := "gone"
	in(t, ns, func() error {
		l, err := netlink.LinkByName(ifname)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		} else if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		a := l.Attrs()
		state = fmt.Sprintf("mtu %d up %v", a.MTU, a.RawFlags&unix.IFF_UP != 0)
		for _, addr := range addrs {
			state += " " + addr.IPNet.String()
		}
		return nil
	})
	return state
}

func TestTAPCarriesPingAndTCP(t *testing.T) {
	verifyNoLeak(t)
	needTAP(t)
	ns := newNetNS(t)
	tap := openLabTAP(t, TAPOptions{Name: "tap7", NetNS: ns, MTU: 1450, HostAddresses: tapHost})
	s := labStack(t, tap)
	exchange(t, ns, s, 1<<20)
	if info := tap.Info(); info.Kind != "tap" || info.Name != "tap7" || info.MTU != 1450 {
		t.Errorf("Info %+v", info)
	}
	if c := tap.Counters(); c.SuperFrames != 0 {
		t.Errorf("%d super frames from a TAP without offloads", c.SuperFrames)
	}
	if n := s.Stats().TCP.ChecksumErrors.Value(); n != 0 {
		t.Errorf("%d checksum errors", n)
	}
	if got := linkState(t, ns, "tap7"); got != "mtu 1450 up true 192.168.12.1/24" {
		t.Errorf("the host's side: %s", got)
	}
	tap.Close()
	tap.Wait()
	if got := linkState(t, ns, "tap7"); got != "gone" {
		t.Errorf("after Close: %s, want it gone", got)
	}
}

func TestTAPNamedByKernel(t *testing.T) {
	verifyNoLeak(t)
	needTAP(t)
	ns := newNetNS(t)
	one, two := openLabTAP(t, TAPOptions{NetNS: ns}), openLabTAP(t, TAPOptions{NetNS: ns})
	if one.Info().Name != "tap0" || two.Info().Name != "tap1" {
		t.Errorf("names %q and %q", one.Info().Name, two.Info().Name)
	}
}

// A device that was there is left as it was.
func TestTAPExisting(t *testing.T) {
	verifyNoLeak(t)
	needTAP(t)
	ns := newNetNS(t)
	in(t, ns, func() error {
		a := netlink.NewLinkAttrs()
		a.Name = "mytap"
		if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI}); err != nil {
			return err
		}
		if err := addHostAddresses("mytap", "10.1.1.1/24"); err != nil {
			return err
		}
		return setState("mytap", false)
	})
	before := linkState(t, ns, "mytap")
	tap := openLabTAP(t, TAPOptions{Name: "mytap", NetNS: ns, MTU: 1300, HostAddresses: tapHost})
	labStack(t, tap)
	kernelPing(t, ns, "192.168.12.53")
	if got, want := linkState(t, ns, "mytap"), "mtu 1300 up true 10.1.1.1/24 192.168.12.1/24"; got != want {
		t.Errorf("while in use: %s, want %s", got, want)
	}

	_, err := OpenTAP(TAPOptions{Name: "mytap", NetNS: ns})
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "another program has it") {
		t.Errorf("a second one: %v, want EBUSY", err)
	}

	tap.Close()
	tap.Wait()
	if w := tap.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
	if got := linkState(t, ns, "mytap"); got != before {
		t.Errorf("after Close: %s, was %s", got, before)
	}
}

func TestTAPInterfaceDownAndUp(t *testing.T) {
	verifyNoLeak(t)
	needTAP(t)
	ns := newNetNS(t)
	tap := openLabTAP(t, TAPOptions{Name: "tap7", NetNS: ns, HostAddresses: tapHost})
	labStack(t, tap)
	kernelPing(t, ns, "192.168.12.53")
	for range 3 {
		in(t, ns, func() error { return setState("tap7", false) })
		if n, err := writeRaw(t, tap, frameTo("\x02\x00\x00\x00\x00\x01", "lost")); n != 1 || err != nil {
			t.Errorf("write while down: %d, %v", n, err)
		}
		in(t, ns, func() error { return setState("tap7", true) })
		kernelPing(t, ns, "192.168.12.53")
	}
}

func TestTAPInterfaceVanishes(t *testing.T) {
	verifyNoLeak(t)
	needTAP(t)
	ns := newNetNS(t)
	tap := openLabTAP(t, TAPOptions{Name: "tap7", NetNS: ns, HostAddresses: tapHost})
	labStack(t, tap)
	kernelPing(t, ns, "192.168.12.53")
	in(t, ns, func() error { return deleteLink("tap7") })
	waitDone(t, tap)
	if err := tap.Err(); !errors.Is(err, ErrInterfaceGone) || !strings.Contains(err.Error(), "tap7") {
		t.Errorf("Err %v, want ErrInterfaceGone with the name", err)
	}
	tap.Close()
	if w := tap.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
}

func TestTAPRefuses(t *testing.T) {
	verifyNoLeak(t)
	needTAP(t)
	ns := newNetNS(t)
	in(t, ns, func() error {
		a := netlink.NewLinkAttrs()
		a.Name = "veth0"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "veth1"}); err != nil {
			return err
		}
		if err := addHostAddresses("veth0", "192.168.99.1/24"); err != nil {
			return err
		}
		a.Name = "tun0"
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TUN, Flags: netlink.TUNTAP_NO_PI})
	})
	before := openFDs(t)
	for name, test := range map[string]struct {
		o    TAPOptions
		is   error
		says string
	}{
		"long name":     {TAPOptions{Name: "sixteen-bytes-xx"}, nil, "Linux allows 15"},
		"bad name":      {TAPOptions{Name: "a/b"}, nil, "does not allow"},
		"MTU":           {TAPOptions{MTU: 10}, nil, "out of range"},
		"not a TAP":     {TAPOptions{Name: "veth0"}, os.ErrExist, "veth device"},
		"a TUN":         {TAPOptions{Name: "tun0"}, os.ErrExist, "no TAP"},
		"shared":        {TAPOptions{HostAddresses: tapHost, Addresses: tapHost}, nil, "both the host and the appliance"},
		"host address":  {TAPOptions{HostAddresses: []netip.Prefix{{}}}, nil, "not valid"},
		"kernel's own":  {TAPOptions{Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.99.1/24")}}, unix.EADDRINUSE, "RST"},
		"multicast MAC": {TAPOptions{MAC: []byte{1, 2, 3, 4, 5, 6}}, nil, "not a unicast"},
	} {
		t.Run(name, func(t *testing.T) {
			test.o.NetNS = ns
			_, err := OpenTAP(test.o)
			if err == nil || !strings.Contains(err.Error(), test.says) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want %q (%v)", err, test.says, test.is)
			}
		})
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
	if got := linkState(t, ns, "tap0"); got != "gone" {
		t.Errorf("a refusal left a device: %s", got)
	}
}

// A device opened in one place and a link made of it in another.
func TestTAPFromFD(t *testing.T) {
	verifyNoLeak(t)
	needTAP(t)
	ns := newNetNS(t)
	before := openFDs(t)
	var fd int
	var device *TAPDevice
	in(t, ns, func() (err error) {
		fd, device, err = OpenTAPDevice(TAPOptions{HostAddresses: tapHost})
		return err
	})
	tap, err := NewTAPFromFD(fd, device.Info, TAPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	labStack(t, tap)
	kernelPing(t, ns, "fd00:12::53")
	tap.Close()
	tap.Wait()
	if err := device.Undo(); err != nil {
		t.Error(err)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
	if _, err := NewTAPFromFD(int(mustOpen(t, os.DevNull)), device.Info, TAPOptions{}); err == nil {
		t.Error("/dev/null was taken for a TAP device")
	}
}

func mustOpen(t testing.TB, path string) uintptr {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(fd)
}
