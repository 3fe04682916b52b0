package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// needRoot skips a test that makes namespaces.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and interfaces")
	}
}

// needTAP skips a test where there is no tun driver.
func needTAP(t testing.TB) {
	t.Helper()
	needRoot(t)
	f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs %s: %v", tunDevice, err)
	}
	f.Close()
}

var labCount atomic.Int64

// newNetNS makes a named network namespace with IPv6 autoconfiguration off, and
// deletes it at the test's end.
func newNetNS(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("linktest-%d-%d", os.Getpid(), labCount.Add(1))
	if err := shareNetNSDirectory(); err != nil {
		t.Fatalf("prepare %s: %v", namedNamespaces, err)
	}
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with its namespace.
		ns, err := netns.NewNamed(name)
		if err == nil {
			ns.Close()
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatalf("make network namespace %s: %v", name, err)
	}
	t.Cleanup(func() { deleteNetNS(t, name) })
	in(t, name, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return name
}

// shareNetNSDirectory makes the directory of named namespaces a shared mount, as
// the first `ip netns add` of a system does: done later, by another program, it
// would cover the namespaces made here, and keep them from being deleted.
func shareNetNSDirectory() error {
	if err := os.MkdirAll(namedNamespaces, 0o755); err != nil {
		return err
	}
	share := func() error { return unix.Mount("", namedNamespaces, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err := share()
	if !errors.Is(err, unix.EINVAL) { // EINVAL: it is not a mount point yet.
		return err
	}
	if err := unix.Mount(namedNamespaces, namedNamespaces, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return share()
}

func deleteNetNS(t testing.TB, name string) {
	if err := netns.DeleteNamed(name); err != nil && !errors.Is(err, unix.EINVAL) && !os.IsNotExist(err) {
		t.Errorf("delete network namespace %s: %v", name, err)
	}
}

// in runs f in a network namespace and fails the test when it fails.
func in(t testing.TB, ns string, f func() error) {
	t.Helper()
	if err := inNetNS(ns, f); err != nil {
		t.Fatalf("in %s: %v", ns, err)
	}
}

// vethLab is a veth pair: app0 in namespace app is the appliance's end, host0 in
// namespace host the Linux host's, at 192.168.12.1/24 and fd00:12::1/64.
type vethLab struct{ app, host string }

func newVethLab(t testing.TB, mtu int) vethLab {
	t.Helper()
	needRoot(t)
	lab := vethLab{app: newNetNS(t), host: newNetNS(t)}
	in(t, lab.app, func() error {
		a := netlink.NewLinkAttrs()
		a.Name, a.MTU = "app0", mtu
		host, err := netns.GetFromName(lab.host)
		if err != nil {
			return err
		}
		defer host.Close()
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "host0", PeerNamespace: netlink.NsFd(host)}); err != nil {
			return err
		}
		return setState("app0", true)
	})
	in(t, lab.host, func() error {
		return addHostAddresses("host0", "192.168.12.1/24", "fd00:12::1/64")
	})
	return lab
}

func addHostAddresses(ifname string, addrs ...string) error {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return err
	}
	for _, s := range addrs {
		addr, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(l, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}

func setState(ifname string, up bool) error {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return err
	}
	if up {
		return netlink.LinkSetUp(l)
	}
	return netlink.LinkSetDown(l)
}

func deleteLink(ifname string) error {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}

// kernelPing has the namespace's kernel ping an address, again and again until
// there is a reply: the neighbour may have to be resolved anew.
func kernelPing(t testing.TB, ns, to string) {
	t.Helper()
	ip := netip.MustParseAddr(to)
	network, echo, reply := "ip4:icmp", byte(8), byte(0)
	if ip.Is6() {
		network, echo, reply = "ip6:ipv6-icmp", 128, 129
	}
	var conn net.PacketConn
	in(t, ns, func() (err error) {
		conn, err = net.ListenPacket(network, "")
		return err
	})
	defer conn.Close()
	msg := []byte{echo, 0, 0, 0, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g'}
	if ip.Is4() {
		binary.BigEndian.PutUint16(msg[2:], ^onesComplementSum(msg))
	} // For IPv6 the kernel does it.
	buf := make([]byte, 1500)
	deadline := time.Now().Add(testDeadline)
	for time.Now().Before(deadline) {
		// While the link is down there may be no route: tried again.
		_, sendErr := conn.WriteTo(msg, &net.IPAddr{IP: ip.AsSlice()})
		try := time.Now().Add(200 * time.Millisecond)
		if err := conn.SetReadDeadline(try); err != nil {
			t.Fatal(err)
		}
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				break
			}
			if sendErr == nil && from.String() == to && n >= 8 && buf[0] == reply && bytes.Equal(buf[4:n], msg[4:]) {
				return
			}
		}
	}
	t.Fatalf("%s does not answer a ping from %s", to, ns)
}

// kernelListen listens with the namespace's kernel.
func kernelListen(t testing.TB, ns, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	in(t, ns, func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	t.Cleanup(func() { l.Close() })
	return l
}

// kernelDial connects with the namespace's kernel.
func kernelDial(t testing.TB, ns, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	in(t, ns, func() (err error) {
		c, err = net.DialTimeout("tcp", addr, testDeadline)
		return err
	})
	return c
}

// ethtoolShow is what `ethtool -k` says of an interface, feature by feature; it
// skips the test where there is no ethtool.
func ethtoolShow(t testing.TB, ns, ifname string) string {
	t.Helper()
	if _, err := exec.LookPath("ethtool"); err != nil {
		t.Skip("needs ethtool, to look at the features by other means")
	}
	var out []byte
	in(t, ns, func() (err error) {
		// A child starts in the namespace of the thread that forks it.
		out, err = exec.Command("ethtool", "-k", ifname).CombinedOutput()
		return err
	})
	return string(out)
}

// injectFrame has a namespace send a frame as it is.
func injectFrame(t testing.TB, ns string, frame []byte) {
	t.Helper()
	in(t, ns, func() error {
		fd, _, err := OpenPacketSocket("host0", OffloadOff)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, err = unix.Write(fd, frame)
		return err
	})
}

// synFrame is a SYN from 192.168.12.1 to 192.168.12.53's port, with a right TCP
// checksum and IP header.
func synFrame(dst net.HardwareAddr, port uint16) (frame []byte, field int) {
	frame, start, field := segmentFrame{protocol: 6}.build()
	copy(frame, dst)
	copy(frame[6:], []byte{2, 0, 0, 0, 0, 0x99})
	ip := header.IPv4(frame[14:])
	copy(ip[12:], []byte{192, 168, 12, 1, 192, 168, 12, 53})
	ip.SetTTL(64)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	segment := header.TCP(frame[start:])
	segment.SetSourcePort(40000)
	segment.SetDestinationPort(port)
	segment.SetFlags(uint8(header.TCPFlagSyn))
	segment.SetWindowSize(1000)
	completeChecksum([][]byte{frame})
	return frame, field
}
