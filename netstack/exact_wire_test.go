//go:build exactness

package netstack

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"appliance/netstack/link"
)

// exactWire is what an exactWorld's stacks are joined by. idle tells whether nothing
// is on the way, where that can be told; supers how many super-segments came.
type exactWire struct {
	a, b   link.Link
	idle   func() bool
	supers func() uint64
}

// exactWires make wires: one that carries what a wire would, and one with offloads,
// whose segments are of up to 64 KB and bear no checksum.
var exactWires = map[string]func(t *testing.T) exactWire{
	"pipe": func(*testing.T) exactWire {
		a, b := link.NewPipe(link.PipeOptions{})
		return exactWire{a: a, b: b, idle: a.Idle}
	},
	"offload": func(t *testing.T) exactWire {
		if os.Geteuid() == 0 {
			return exactVeth(t)
		}
		return exactSocketpair(t)
	},
}

// overWires runs a test over each wire.
func overWires(t *testing.T, test func(t *testing.T, o exactOptions)) {
	for _, name := range []string{"pipe", "offload"} {
		t.Run(name, func(t *testing.T) { test(t, exactOptions{wire: name}) })
	}
}

// exactSocketpair is a wire between two sockets, with a virtio header: it needs no
// privileges.
func exactSocketpair(t *testing.T) exactWire {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*link.Ethernet
	for i, fd := range fds {
		if ends[i], err = link.NewEthernet(fd, link.EthernetConfig{Kind: "socket", Name: fmt.Sprintf("socket%d", i), VNetHeader: true}); err != nil {
			t.Fatal(err)
		}
	}
	return exactWire{a: ends[0], b: ends[1], supers: func() uint64 {
		return ends[0].Counters().SuperFrames + ends[1].Counters().SuperFrames
	}}
}

// exactVeth is a veth pair in a namespace of its own, with offloads on. It goes with
// the test.
func exactVeth(t *testing.T) exactWire {
	name := fmt.Sprintf("exact-%d", os.Getpid())
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		made <- makeExactVeth(name)
	}()
	if err := <-made; err != nil {
		t.Fatalf("make a veth pair: %v", err)
	}
	t.Cleanup(func() {
		if err := netns.DeleteNamed(name); err != nil {
			t.Errorf("delete network namespace %s: %v", name, err)
		}
	})
	var ends [2]*link.Veth
	for i := range ends {
		v, err := link.OpenVeth(link.VethOptions{Interface: fmt.Sprintf("exact%d", i), NetNS: name, Offload: link.OffloadOn})
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = v
	}
	return exactWire{a: ends[0], b: ends[1], supers: func() uint64 {
		return ends[0].Counters().SuperFrames + ends[1].Counters().SuperFrames
	}}
}

// makeExactVeth makes the namespace, which this thread is then in, and the pair.
func makeExactVeth(name string) error {
	ns, err := netns.NewNamed(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	// The kernel's own IPv6 says nothing on the pair.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0); err != nil && !os.IsNotExist(err) {
		return err
	}
	a := netlink.NewLinkAttrs()
	a.Name, a.Flags = "exact0", net.FlagUp
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "exact1"}); err != nil {
		return err
	}
	for _, end := range []string{"exact0", "exact1"} {
		l, err := netlink.LinkByName(end)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
	}
	return nil
}
