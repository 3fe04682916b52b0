package link

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// openLabVeth opens the lab's appliance end.
func openLabVeth(t testing.TB, lab vethLab, o VethOptions) *Veth {
	t.Helper()
	o.Interface, o.NetNS = "app0", lab.app
	v, err := OpenVeth(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.Close()
		v.Wait()
	})
	return v
}

// labStack puts a stack at 192.168.12.53 and fd00:12::53 on the link.
func labStack(t testing.TB, l Link) *stack.Stack {
	t.Helper()
	return newTestStack(t, l, "192.168.12.53/24", "fd00:12::53/64")
}

// exchange has the host's kernel and the stack use each other.
func exchange(t *testing.T, host string, s *stack.Stack, size int) {
	t.Helper()
	for _, to := range []string{"192.168.12.53", "fd00:12::53"} {
		kernelPing(t, host, to)
	}
	for _, to := range []string{"192.168.12.1", "fd00:12::1"} {
		stackPing(t, s, to)
	}
	for _, addr := range []string{"192.168.12.53:9000", "[fd00:12::53]:9000"} {
		l := stackListen(t, s, addr)
		transfer(t, l, func() net.Conn { return kernelDial(t, host, addr) }, size)
	}
	for _, addr := range []string{"192.168.12.1:9001", "[fd00:12::1]:9001"} {
		l := kernelListen(t, host, addr)
		transfer(t, l, func() net.Conn { return stackDial(t, s, addr) }, size)
	}
}

func TestVethOffloadOff(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	v := openLabVeth(t, lab, VethOptions{})
	s := labStack(t, v)
	if w := v.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
	exchange(t, lab.host, s, 2<<20)
	c := v.Counters()
	if c.SuperFrames != 0 || c.ChecksumsCompleted != 0 {
		t.Errorf("with offload off, %d super frames and %d unfinished checksums came in", c.SuperFrames, c.ChecksumsCompleted)
	}
	if n := s.Stats().TCP.ChecksumErrors.Value() + s.Stats().UDP.ChecksumErrors.Value(); n != 0 {
		t.Errorf("%d checksum errors", n)
	}
	info := v.Info()
	if info.Kind != "veth" || info.Name != "app0" || info.MTU != 1500 || info.Offload != "off" || info.MAC != v.LinkAddress().String() {
		t.Errorf("Info %+v", info)
	}
}

func TestVethOffloadOn(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	before := ethtoolShow(t, lab.host, "host0")
	v := openLabVeth(t, lab, VethOptions{Offload: OffloadOn})
	s := labStack(t, v)
	exchange(t, lab.host, s, 4<<20)
	c := v.Counters()
	if c.SuperFrames == 0 {
		t.Error("no super frame came in: the peer's offload was not on")
	}
	if c.ChecksumsCompleted == 0 {
		t.Error("no checksum was completed: the peer's offload was not on")
	}
	if n := s.Stats().TCP.ChecksumErrors.Value(); n != 0 {
		t.Errorf("%d checksum errors: completion is wrong", n)
	}
	if after := ethtoolShow(t, lab.host, "host0"); after != before {
		t.Errorf("the peer's features were changed:\n%s\nwere\n%s", after, before)
	}
}

func TestVethMTU(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1400)
	in(t, lab.host, func() error {
		l, err := netlink.LinkByName("host0")
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(l, 1400)
	})
	v := openLabVeth(t, lab, VethOptions{})
	if v.MTU() != 1400 {
		t.Fatalf("MTU %d, want the interface's 1400", v.MTU())
	}
	s := labStack(t, v)
	exchange(t, lab.host, s, 256<<10)
	if c := v.Counters(); c.SuperFrames != 0 || c.TxErrors != 0 {
		t.Errorf("frames beyond the MTU: %+v", c)
	}
	if n, err := writeRaw(t, v, frameTo("\x02\x00\x00\x00\x00\x01", string(make([]byte, 1500)))); n != 1 || err != nil {
		t.Errorf("write of a frame beyond the MTU: %d, %v", n, err)
	}
	if c := v.Counters(); c.TxErrors != 1 {
		t.Errorf("a frame beyond the MTU: TxErrors %d, want 1", c.TxErrors)
	}
}

// What the socket's buffer has no room for is counted.
func TestVethCountsDrops(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	v := openLabVeth(t, lab, VethOptions{})
	got := newCollector()
	got.hold = make(chan struct{})
	v.Attach(got)
	defer close(got.hold) // Before the link's Wait.
	in(t, lab.host, func() error {
		fd, _, err := OpenPacketSocket("host0", OffloadOff)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		frame := frameTo(v.LinkAddress(), string(make([]byte, 1400)))
		for i := 0; i < 100000 && v.Counters().RxDrops == 0; i++ {
			if _, err := unix.Write(fd, frame); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
				return err
			}
		}
		return nil
	})
	if v.Counters().RxDrops == 0 {
		t.Error("more frames than the buffer holds, and no drop counted")
	}
	v.Close()
}

// A segment whose checksum is wrong, but finished, is not delivered.
func TestVethVerifiesChecksums(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	v := openLabVeth(t, lab, VethOptions{})
	s := labStack(t, v)
	stackListen(t, s, "192.168.12.53:9000")
	frame, field := synFrame(net.HardwareAddr(v.LinkAddress()), 9000)
	frame[field] ^= 0x55
	injectFrame(t, lab.host, frame)
	eventually(t, "the bad checksum is counted", func() bool {
		return s.Stats().TCP.ChecksumErrors.Value() == 1
	})
	frame[field] ^= 0x55
	injectFrame(t, lab.host, frame)
	eventually(t, "the good segment is answered", func() bool {
		return s.Stats().TCP.SegmentsSent.Value() > 0
	})
	if n := s.Stats().TCP.ChecksumErrors.Value(); n != 1 {
		t.Errorf("%d checksum errors, want 1", n)
	}
	// A tagged frame: the kernel takes the tag off before the socket sees it.
	tagged := append([]byte{}, frame[:12]...)
	tagged = append(append(tagged, 0x81, 0, 0, 5), frame[12:]...)
	injectFrame(t, lab.host, tagged)
	eventually(t, "the tagged frame is counted", func() bool { return v.Counters().VLAN == 1 })
}

func TestVethInterfaceDownAndUp(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	v := openLabVeth(t, lab, VethOptions{})
	s := labStack(t, v)
	kernelPing(t, lab.host, "192.168.12.53")
	for range 3 {
		in(t, lab.app, func() error { return setState("app0", false) })
		eventually(t, "the link sees that its interface is down", v.down.Load)
		// What is sent meanwhile is lost, not an error.
		if n, err := writeRaw(t, v, frameTo("\x02\x00\x00\x00\x00\x01", "lost")); n != 1 || err != nil {
			t.Errorf("write while down: %d, %v", n, err)
		}
		in(t, lab.app, func() error { return setState("app0", true) })
		kernelPing(t, lab.host, "192.168.12.53")
		kernelPing(t, lab.host, "fd00:12::53")
	}
	stackPing(t, s, "192.168.12.1")
	select {
	case <-v.Done():
		t.Errorf("the link ended: %v", v.Err())
	default:
	}
}

func TestVethInterfaceVanishes(t *testing.T) {
	for name, vanish := range map[string]func(t *testing.T, lab vethLab, v *Veth){
		"deleted": func(t *testing.T, lab vethLab, _ *Veth) {
			in(t, lab.app, func() error { return deleteLink("app0") })
		},
		"peer deleted": func(t *testing.T, lab vethLab, _ *Veth) {
			in(t, lab.host, func() error { return deleteLink("host0") })
		},
		"peer's namespace deleted": func(t *testing.T, lab vethLab, _ *Veth) {
			deleteNetNS(t, lab.host)
		},
		"down, then deleted": func(t *testing.T, lab vethLab, v *Veth) {
			in(t, lab.app, func() error { return setState("app0", false) })
			eventually(t, "the link sees that its interface is down", v.down.Load)
			in(t, lab.app, func() error { return deleteLink("app0") })
		},
		"moved": func(t *testing.T, lab vethLab, _ *Veth) {
			other, err := netns.GetFromName(lab.host)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			in(t, lab.app, func() error {
				l, err := netlink.LinkByName("app0")
				if err != nil {
					return err
				}
				return netlink.LinkSetNsFd(l, int(other))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			verifyNoLeak(t)
			lab := newVethLab(t, 1500)
			v := openLabVeth(t, lab, VethOptions{})
			labStack(t, v)
			kernelPing(t, lab.host, "192.168.12.53")
			vanish(t, lab, v)
			waitDone(t, v)
			if err := v.Err(); !errors.Is(err, ErrInterfaceGone) || !strings.Contains(err.Error(), "app0") {
				t.Errorf("Err %v, want ErrInterfaceGone with the name", err)
			}
			if n, err := writeRaw(t, v, frameTo("\x02\x00\x00\x00\x00\x01", "late")); n != 0 || err == nil {
				t.Errorf("write to a link that is gone: %d, %v", n, err)
			}
			v.Close()
			if w := v.Warnings(); len(w) != 0 {
				t.Errorf("warnings: %q", w)
			}
		})
	}
}

func TestVethRefuses(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	in(t, lab.app, func() error {
		a := netlink.NewLinkAttrs()
		a.Name = "down0"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "down1"}); err != nil {
			return err
		}
		return addHostAddresses("app0", "192.168.99.1/24", "fd00:99::1/64")
	})
	before := openFDs(t)
	features := ethtoolShow(t, lab.host, "host0")
	app := VethOptions{Interface: "app0", NetNS: lab.app}
	with := func(change func(*VethOptions)) VethOptions {
		o := app
		change(&o)
		return o
	}
	own := net.HardwareAddr{}
	in(t, lab.app, func() error {
		info, err := LookupInterface("app0")
		own, _ = net.ParseMAC(info.MAC)
		return err
	})
	for name, test := range map[string]struct {
		o    VethOptions
		is   error
		says string
	}{
		"no name":         {with(func(o *VethOptions) { o.Interface = "" }), nil, "no interface named"},
		"missing":         {with(func(o *VethOptions) { o.Interface = "nosuch0" }), os.ErrNotExist, "lo, "},
		"loopback":        {with(func(o *VethOptions) { o.Interface = "lo" }), nil, "loopback"},
		"down":            {with(func(o *VethOptions) { o.Interface = "down0" }), unix.ENETDOWN, "ip link set down0 up"},
		"offload":         {with(func(o *VethOptions) { o.Offload = "maybe" }), nil, `"maybe"`},
		"own MAC":         {with(func(o *VethOptions) { o.MAC = own }), nil, "the interface's own"},
		"no namespace":    {with(func(o *VethOptions) { o.NetNS = "linktest-none" }), os.ErrNotExist, "/run/netns/linktest-none"},
		"no peer ns":      {with(func(o *VethOptions) { o.PeerNetNS = "linktest-none" }), os.ErrNotExist, "peer's network namespace"},
		"wrong peer ns":   {with(func(o *VethOptions) { o.PeerNetNS = lab.app }), nil, "is not in network namespace"},
		"not a namespace": {with(func(o *VethOptions) { o.NetNS = "/dev/null" }), unix.EINVAL, "not a network namespace"},
		"kernel's IPv4": {
			with(func(o *VethOptions) { o.Addresses = []netip.Prefix{netip.MustParsePrefix("192.168.99.1/16")} }),
			unix.EADDRINUSE, "RST",
		},
		"kernel's IPv6": {
			with(func(o *VethOptions) { o.Addresses = []netip.Prefix{netip.MustParsePrefix("fd00:99::1/64")} }),
			unix.EADDRINUSE, "app0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenVeth(test.o)
			if err == nil || !strings.Contains(err.Error(), test.says) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want %q (%v)", err, test.says, test.is)
			}
		})
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
	if after := ethtoolShow(t, lab.host, "host0"); after != features {
		t.Errorf("a refusal changed the peer's features:\n%s\nwere\n%s", after, features)
	}
}

// A socket opened in one place and a link made of it in another.
func TestVethFromFD(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	var fd int
	var info InterfaceInfo
	in(t, lab.app, func() (err error) {
		fd, info, err = OpenPacketSocket("app0", OffloadOff)
		return err
	})
	v, err := NewVethFromFD(fd, info, VethOptions{Offload: OffloadOn})
	if err != nil {
		t.Fatal(err)
	}
	labStack(t, v)
	kernelPing(t, lab.host, "192.168.12.53")
}

func TestVethCloseLeavesNothing(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	before := openFDs(t)
	for range 10 {
		v := openLabVeth(t, lab, VethOptions{})
		v.Attach(newCollector())
		v.Close()
		v.Close()
		v.Wait()
		if err := v.Err(); err != nil {
			t.Errorf("Err after Close: %v", err)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

func TestUnprivileged(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs an ordinary user, to be refused")
	}
	_, err := OpenTAP(TAPOptions{Name: "tap7"})
	if err == nil || !strings.Contains(err.Error(), "--link") {
		t.Errorf("TAP: %v, want the way out", err)
	}
	_, err = openPacketSocket(&InterfaceInfo{Name: "eth0", Index: 2}, OffloadOff)
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_RAW") {
		t.Errorf("packet socket: %v, want what is missing", err)
	}
}
