package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// peerFeatures make a veth's other end send what no wire would carry: checksums
// left to hardware, and segments of up to 64 KB; and its GRO merges what it gets.
var peerFeatures = []string{
	"tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6", "tx-checksum-sctp",
	"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-accecn-segmentation",
	"tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation",
	"tx-sctp-segmentation", "tx-generic-segmentation", "tx-gso-list",
	"rx-gro", "rx-gro-list", "rx-gro-hw", "rx-udp-gro-forwarding", "rx-lro",
}

// ownFeatures merge what comes in before a packet socket sees it. The sending ones
// do not matter here: the stack's frames leave finished.
var ownFeatures = []string{"rx-gro", "rx-gro-list", "rx-gro-hw", "rx-lro"}

// ethtoolOff is the command that does by hand what DisableOffload does to a peer.
const ethtoolOff = "ethtool -K %s tx off tso off gso off gro off"

// Offload remembers the offloads that DisableOffload turned off.
type Offload struct {
	mu       sync.Mutex
	ends     []*offloadEnd
	warnings []string
}

// offloadEnd is an interface whose features were changed.
type offloadEnd struct {
	index  int
	change featureChange
	ctl    int // a socket in the interface's namespace, or -1: then by path and id
	path   string
	id     netnsID
}

// netnsID identifies a network namespace. A namespace of a peer is remembered by
// this and its path: an open descriptor would keep it, and so the link, alive after
// its owner has deleted it.
type netnsID struct{ dev, ino uint64 }

// DisableOffload turns off what would put unfinished checksums and merged segments
// on the link: the veth peer's tx checksum, TSO, GSO and GRO, and the interface's
// own GRO and LRO. It reads them back. What it could not do is a warning, not an
// error. It works from the calling thread's network namespace, which must be the
// interface's; peerNetNS is a path or a name of `ip netns`, or "" to look the
// peer's namespace up. Needs CAP_NET_ADMIN in both.
func DisableOffload(info InterfaceInfo, peerNetNS string) (*Offload, error) {
	ctl, err := controlSocket()
	if err != nil {
		return nil, err
	}
	o := &Offload{}
	own := &offloadEnd{index: info.Index, ctl: ctl}
	o.ends = append(o.ends, own)
	if err := o.switchOff(own, ownFeatures, "ethtool -K %s gro off lro off"); err != nil {
		o.warnings = append(o.warnings, fmt.Sprintf("%s: merging of received segments may stay on: %v", info.Name, err))
	}
	if info.PeerIndex == 0 {
		return o, nil
	}
	peer, err := findPeer(info, peerNetNS, ctl)
	if err != nil {
		if peerNetNS != "" {
			return nil, errors.Join(err, o.Restore())
		}
		o.warnPeer(info, fmt.Sprintf("interface %d of its network namespace", info.PeerIndex), err)
		return o, nil
	}
	o.ends = append(o.ends, peer)
	if err := o.switchOff(peer, peerFeatures, ethtoolOff); err != nil {
		o.warnPeer(info, fmt.Sprintf("interface %d in %s", info.PeerIndex, peer.place()), err)
	}
	return o, nil
}

func (o *Offload) warnPeer(info InterfaceInfo, where string, err error) {
	o.warnings = append(o.warnings, fmt.Sprintf(
		"%s: the offloads of its veth peer (%s) stay on, so that checksums may come unfinished and segments merged: %v; run `"+ethtoolOff+"` there",
		info.Name, where, err, "PEER"))
}

// switchOff turns the features off at one end and notes what stayed on.
func (o *Offload) switchOff(end *offloadEnd, names []string, command string) error {
	return end.do(func(ctl int, ifname string) error {
		change, still, err := switchOff(ctl, ifname, names)
		end.change = change
		if err != nil {
			return fmt.Errorf("%w; needs CAP_NET_ADMIN in its network namespace", err)
		}
		if len(still) > 0 {
			o.warnings = append(o.warnings, fmt.Sprintf("%s in %s: %s cannot be turned off; `"+command+"` is what was tried",
				ifname, end.place(), strings.Join(still, ", "), ifname))
		}
		return nil
	})
}

// Warnings tells what could not be turned off, with the command that would do it;
// after a Restore that failed, also what could not be put back.
func (o *Offload) Warnings() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.warnings...)
}

// Restore puts back exactly what was turned off. An interface or namespace that is
// gone needs nothing. It may be called more than once.
func (o *Offload) Restore() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, end := range o.ends {
		err := end.do(func(ctl int, ifname string) error { return end.change.restore(ctl, ifname) })
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("restore the offloads of interface %d in %s: %w", end.index, end.place(), err))
		}
	}
	for _, end := range o.ends {
		if end.ctl >= 0 && end.index > 0 {
			end.closeControl(o.ends)
		}
	}
	o.ends = nil
	err := errors.Join(errs...)
	if err != nil {
		o.warnings = append(o.warnings, err.Error())
	}
	return err
}

// closeControl closes the end's socket, which another end may share.
func (end *offloadEnd) closeControl(all []*offloadEnd) {
	ctl := end.ctl
	_ = unix.Close(ctl)
	for _, other := range all {
		if other.ctl == ctl {
			other.ctl = -1
		}
	}
}

func (end *offloadEnd) place() string {
	if end.ctl >= 0 || end.path == "" {
		return "the interface's network namespace"
	}
	return end.path
}

// do runs f with a control socket in the end's namespace and the interface's
// present name; an interface may be renamed while it is up.
func (end *offloadEnd) do(f func(ctl int, ifname string) error) error {
	named := func(ctl int) error {
		name, err := interfaceName(ctl, end.index)
		if err != nil {
			return err
		}
		return f(ctl, name)
	}
	if end.ctl >= 0 {
		return named(end.ctl)
	}
	path, err := end.currentPath()
	if err != nil {
		return err
	}
	return inNetNS(path, func() error {
		ctl, err := controlSocket()
		if err != nil {
			return err
		}
		defer unix.Close(ctl)
		return named(ctl)
	})
}

// currentPath is where the end's namespace is now: the process or the name that it
// was found by may be gone while others keep it.
func (end *offloadEnd) currentPath() (string, error) {
	if id, err := netnsIDOf(end.path); err == nil && id == end.id {
		return end.path, nil
	}
	for _, path := range netnsPaths() {
		if id, err := netnsIDOf(path); err == nil && id == end.id {
			return path, nil
		}
	}
	return "", fmt.Errorf("network namespace %s: %w", end.path, os.ErrNotExist)
}

// findPeer finds the veth's other end. It runs in the interface's namespace, where
// the kernel numbers the peer's (RTM_GETNSID).
func findPeer(info InterfaceInfo, peerNetNS string, ctl int) (*offloadEnd, error) {
	if info.PeerNetNSID < 0 {
		return &offloadEnd{index: info.PeerIndex, ctl: ctl}, nil
	}
	candidates := netnsPaths()
	if peerNetNS != "" {
		candidates = []string{netnsPath(peerNetNS)}
	}
	seen := map[netnsID]bool{}
	for _, path := range candidates {
		id, err := netnsIDOf(path)
		if err != nil {
			if peerNetNS != "" {
				return nil, fmt.Errorf("open the peer's network namespace: %w", err)
			}
			continue // Another user's process, or one that has just ended.
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		if nsid, err := netnsNumber(path); err == nil && nsid == info.PeerNetNSID {
			return &offloadEnd{index: info.PeerIndex, ctl: -1, path: path, id: id}, nil
		}
	}
	if peerNetNS != "" {
		return nil, fmt.Errorf("the other end of %s is not in network namespace %s; leave the peer's namespace out to have it looked up",
			info.Name, netnsPath(peerNetNS))
	}
	return nil, fmt.Errorf("its network namespace is not among %s/* and /proc/*/ns/net as far as they may be read", namedNamespaces)
}

// netnsPaths lists where network namespaces may be found.
func netnsPaths() []string {
	named, _ := filepath.Glob(namedNamespaces + "/*") // The patterns are well-formed.
	processes, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	return append(named, processes...)
}

func netnsIDOf(path string) (netnsID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return netnsID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return netnsID{uint64(st.Dev), st.Ino}, nil
}

// netnsNumber is a namespace's number as seen from the current one, -1 for none.
func netnsNumber(path string) (int, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return -1, err
	}
	defer ns.Close()
	return netlink.GetNetNsIdByFd(int(ns))
}

// controlSocket opens a socket for interface ioctls in the current namespace.
func controlSocket() (int, error) {
	ctl, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a socket for interface control: %w", err)
	}
	return ctl, nil
}

// interfaceName is the name of the interface with that index.
func interfaceName(ctl, index int) (string, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	ifr.SetUint32(uint32(index))
	if err := unix.IoctlIfreq(ctl, unix.SIOCGIFNAME, ifr); err != nil {
		return "", fmt.Errorf("look up interface %d: %w", index, err)
	}
	return ifr.Name(), nil
}
