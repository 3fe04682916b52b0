package link

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// kindLab is a lab of one kind whose host side is in a namespace, at 192.168.12.1.
type kindLab struct {
	link Link
	host string
	// counters are the link's.
	counters func() Counters
}

// labKinds are the links that the tests here run over.
var labKinds = map[string]func(t testing.TB, offload string) kindLab{
	"veth": func(t testing.TB, offload string) kindLab {
		lab := newVethLab(t, 1500)
		v := openLabVeth(t, lab, VethOptions{Offload: offload})
		return kindLab{v, lab.host, v.Counters}
	},
	"tap": func(t testing.TB, offload string) kindLab {
		needTAP(t)
		ns := newNetNS(t)
		tap := openLabTAP(t, TAPOptions{Name: "tap7", NetNS: ns, Offload: offload, HostAddresses: tapHost})
		return kindLab{tap, ns, tap.Counters}
	},
}

// With offloads on, super-segments go both ways, over IPv4 and IPv6, whole.
func TestOffloadOn(t *testing.T) {
	for kind, open := range labKinds {
		for _, offload := range []string{OffloadOn, OffloadAuto} {
			t.Run(kind+" "+offload, func(t *testing.T) {
				verifyNoLeak(t)
				lab := open(t, offload)
				s := labStack(t, lab.link)
				exchange(t, lab.host, s, 4<<20)
				c := lab.counters()
				if c.SuperFrames == 0 || c.SuperFramesOut == 0 {
					t.Errorf("%d super frames in, %d out; want some both ways", c.SuperFrames, c.SuperFramesOut)
				}
				if c.ChecksumsVouched != 0 || c.ChecksumsCompleted == 0 {
					t.Errorf("gVisor's own stack knows nothing of vouching: %+v", c)
				}
				if c.TxErrors+c.TxDrops+c.RxDrops+c.RxErrors+c.Truncated != 0 {
					t.Errorf("losses: %+v", c)
				}
				if n := s.Stats().TCP.ChecksumErrors.Value() + s.Stats().UDP.ChecksumErrors.Value(); n != 0 {
					t.Errorf("%d checksum errors", n)
				}
				if info := lab.link.Info(); info.Offload != OffloadOn {
					t.Errorf("Info %+v", info)
				}
			})
		}
	}
}

// Under an impairment a link with offloads carries wire segments.
func TestOffloadOnImpaired(t *testing.T) {
	for kind, open := range labKinds {
		t.Run(kind, func(t *testing.T) {
			verifyNoLeak(t)
			lab := open(t, OffloadOn)
			im, err := NewImpair(lab.link, ImpairOptions{Seed: 1, In: Impairment{Corrupt: 0.01, Loss: 0.01}, Out: Impairment{Corrupt: 0.01, Loss: 0.01}})
			if err != nil {
				t.Fatal(err)
			}
			KnowVouched(im)
			s := labStack(t, im)
			addr := "192.168.12.53:9000"
			l := stackListen(t, s, addr)
			transfer(t, l, func() net.Conn { return kernelDial(t, lab.host, addr) }, 1<<20)
			kl := kernelListen(t, lab.host, "192.168.12.1:9001")
			transfer(t, kl, func() net.Conn { return stackDial(t, s, "192.168.12.1:9001") }, 1<<20)
			c := lab.counters()
			if c.SuperFrames == 0 || c.SuperFramesOut != 0 {
				t.Errorf("%d super frames in, %d out; want some in and none out", c.SuperFrames, c.SuperFramesOut)
			}
			if s.Stats().TCP.ChecksumErrors.Value() == 0 {
				t.Error("segments were corrupted, and the stack saw none")
			}
		})
	}
}

// A datagram's boundaries hold when the kernel sends many in one frame, and its
// unfinished checksum is no obstacle.
func TestOffloadOnUDP(t *testing.T) {
	for kind, open := range labKinds {
		t.Run(kind, func(t *testing.T) {
			verifyNoLeak(t)
			lab := open(t, OffloadOn)
			s := labStack(t, lab.link)
			for _, to := range []string{"192.168.12.53:9000", "[fd00:12::53]:9000"} {
				fa, proto := fullAddress(to)
				conn, err := gonet.DialUDP(s, &fa, nil, proto)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				sendDatagrams(t, lab.host, to, 500, 1000)
				if err := conn.SetDeadline(time.Now().Add(testDeadline)); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 1<<16)
				for _, want := range []int{1000, 1000, 1000, 500} {
					if n, _, err := conn.ReadFrom(buf); n != want || err != nil {
						t.Fatalf("a datagram of %d bytes, %v; want %d", n, err, want)
					}
				}
			}
			if n := s.Stats().UDP.ChecksumErrors.Value(); n != 0 {
				t.Errorf("%d checksum errors", n)
			}
		})
	}
}

// sendDatagrams has the namespace's kernel send three datagrams of size bytes and
// one of last, in one call (UDP_SEGMENT).
func sendDatagrams(t *testing.T, ns, to string, last, size int) {
	t.Helper()
	in(t, ns, func() error {
		d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) }); e != nil {
				return e
			}
			return err
		}}
		c, err := d.Dial("udp", to)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write(make([]byte, 3*size+last))
		return err
	})
}

// A TAP device that stays is left without offloads, as another program expects it.
func TestTAPOffloadIsTakenBack(t *testing.T) {
	verifyNoLeak(t)
	needTAP(t)
	ns := newNetNS(t)
	in(t, ns, func() error {
		a := netlink.NewLinkAttrs()
		a.Name = "mytap"
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI})
	})
	use := func(offload string) *TAP {
		tap := openLabTAP(t, TAPOptions{Name: "mytap", NetNS: ns, Offload: offload, HostAddresses: tapHost})
		labStack(t, tap)
		kernelPing(t, ns, "192.168.12.53")
		if info := tap.Info(); info.Offload != offload {
			t.Errorf("Info %+v, want offload %s", info, offload)
		}
		return tap
	}
	end := func(tap *TAP) {
		tap.Close()
		tap.Wait()
	}
	end(use(OffloadOff)) // which leaves it without offloads
	before := ethtoolShow(t, ns, "mytap")
	tap := use(OffloadOn)
	if during := ethtoolShow(t, ns, "mytap"); during == before {
		t.Error("the device's features are as they were: its offloads were not on")
	}
	end(tap)
	if after := ethtoolShow(t, ns, "mytap"); after != before {
		t.Errorf("after Close:\n%s\nwere\n%s", after, before)
	}
	end(use(OffloadOff))
}

// A corrupted segment is seen with offloads on too: nobody vouches for what came
// from a wire.
func TestOffloadOnVerifiesChecksums(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	v := openLabVeth(t, lab, VethOptions{Offload: OffloadOn})
	KnowVouched(v)
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
}

func TestOffloadRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"veth setting": {errOf(OpenVeth(VethOptions{Interface: "x", Offload: "maybe"})), `"maybe"`},
		"veth polling": {errOf(OpenVeth(VethOptions{Interface: "x", BusyPoll: time.Hour})), "1h0m0s"},
		"TAP setting":  {errOf(OpenTAP(TAPOptions{Offload: "maybe"})), `"maybe"`},
		"TAP polling":  {errOf(OpenTAP(TAPOptions{BusyPoll: -1})), "-1ns"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("%s: %v, want %s", name, test.err, test.says)
		}
	}
	_, _, err := OpenPacketSocket("nosuch0", "maybe")
	if err == nil || !strings.Contains(err.Error(), `"maybe"`) || errors.Is(err, os.ErrNotExist) {
		t.Errorf("packet socket: %v", err)
	}
}

func errOf[T any](_ T, err error) error { return err }
