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

// packetReceiveBuffer is the receive buffer asked for, in bytes: the full windows of
// several connections (8 MiB each), so that a burst is not lost before it is traced.
// The kernel takes twice that, for its own bookkeeping, as frames come.
const packetReceiveBuffer = 32 << 20

// InterfaceInfo tells of an Ethernet interface, so that a process in another
// namespace can use a socket on it without seeing it. It can be sent as JSON.
type InterfaceInfo struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
	MTU   uint32 `json:"mtu"`  // bytes, Ethernet header not included
	MAC   string `json:"mac"`  // the interface's own, not the appliance's
	Type  string `json:"type"` // veth, dummy, device, …
	// PeerIndex is the index of a veth's other end in its namespace, 0 when there
	// is none; PeerNetNSID is that namespace's number as seen from the
	// interface's, -1 when it is the same.
	PeerIndex   int `json:"peer_index,omitempty"`
	PeerNetNSID int `json:"peer_netns_id"`
	// Carrier is whether the other end is up too.
	Carrier bool `json:"carrier"`
	// Offload is how a descriptor on it was opened: OffloadOn (a virtio header
	// precedes each frame), OffloadOff, or "" before that.
	Offload string `json:"offload,omitempty"`
}

// OpenPacketSocket opens an AF_PACKET socket that receives every frame on the
// interface, in the calling thread's network namespace, and tells about the
// interface, and in its Offload what became of offload ("" is OffloadOff). It
// refuses an interface that does not exist, is down, or is not Ethernet. Needs
// CAP_NET_RAW.
func OpenPacketSocket(ifname, offload string) (fd int, info InterfaceInfo, err error) {
	if err := checkOffload(offload, 0); err != nil {
		return -1, info, fmt.Errorf("open %s: %w", ifname, err)
	}
	if info, err = LookupInterface(ifname); err != nil {
		return -1, info, err
	}
	if fd, err = openPacketSocket(&info, offload); err != nil {
		return -1, info, fmt.Errorf("open %s: %w", ifname, err)
	}
	return fd, info, nil
}

// LookupInterface tells about an interface in the calling thread's network
// namespace, and refuses one that cannot carry the appliance.
func LookupInterface(ifname string) (InterfaceInfo, error) {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return InterfaceInfo{}, fmt.Errorf("open %s: %w: no such interface in this network namespace, which has %s; "+
				"create one with `appliance lab up` or `ip link add %s type veth peer name NAME`",
				ifname, os.ErrNotExist, interfaceNames(), ifname)
		}
		return InterfaceInfo{}, fmt.Errorf("open %s: look it up: %w", ifname, err)
	}
	a := l.Attrs()
	switch {
	case a.Flags&net.FlagLoopback != 0:
		return InterfaceInfo{}, fmt.Errorf("open %s: it is the loopback interface, which only carries the kernel's own traffic; "+
			"use a veth or TAP, or --link pipe", ifname)
	case a.EncapType != "ether":
		return InterfaceInfo{}, fmt.Errorf("open %s: its link type is %s, not Ethernet; use a veth, TAP or other Ethernet interface",
			ifname, a.EncapType)
	case a.Flags&net.FlagUp == 0:
		return InterfaceInfo{}, fmt.Errorf("open %s: the interface is down (%w); bring it up with `ip link set %s up`",
			ifname, unix.ENETDOWN, ifname)
	}
	info := InterfaceInfo{
		Name: a.Name, Index: a.Index, MTU: uint32(a.MTU), MAC: a.HardwareAddr.String(), Type: l.Type(),
		PeerNetNSID: -1, Carrier: a.OperState != netlink.OperLowerLayerDown && a.OperState != netlink.OperDown,
	}
	if l.Type() == "veth" {
		info.PeerIndex, info.PeerNetNSID = a.ParentIndex, a.NetNsID
	}
	return info, nil
}

// interfaceNames lists the namespace's interfaces for a message.
func interfaceNames() string {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return "interfaces that cannot be listed (" + err.Error() + ")"
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// openPacketSocket opens the socket and sets info.Offload.
func openPacketSocket(info *InterfaceInfo, offload string) (int, error) {
	// Protocol 0 receives nothing: no frame of another interface comes in before
	// the socket is bound to this one.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			return -1, fmt.Errorf("packet socket: %w: needs CAP_NET_RAW; run with sudo, or use --link pipe", err)
		}
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	err = askVNetHeader(fd, info, offload)
	if err == nil {
		err = setUpPacketSocket(fd, *info)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// askVNetHeader asks for the virtio header, where offload wants it.
func askVNetHeader(fd int, info *InterfaceInfo, offload string) error {
	info.Offload = OffloadOff
	if offload != OffloadOn && offload != OffloadAuto {
		return nil
	}
	err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1)
	if err == nil {
		info.Offload = OffloadOn
		return nil
	}
	if offload == OffloadAuto && (errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EINVAL)) {
		return nil
	}
	return fmt.Errorf("ask for the offloads' header (PACKET_VNET_HDR): %w; use offload off, or auto", err)
}

func setUpPacketSocket(fd int, info InterfaceInfo) error {
	// Before Linux 4.20 the link leaves outgoing frames out by their packet type.
	err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		return fmt.Errorf("ignore outgoing frames: %w", err)
	}
	// The force needs CAP_NET_ADMIN; without it net.core.rmem_max is the limit.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, packetReceiveBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, packetReceiveBuffer); err != nil {
			return fmt.Errorf("set the receive buffer: %w", err)
		}
	}
	// The appliance's MAC address is not the interface's: without promiscuous mode
	// hardware would leave its frames out. The kernel undoes it with the socket.
	mreq := unix.PacketMreq{Ifindex: int32(info.Index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
		return fmt.Errorf("receive frames for the appliance's MAC address: %w", err)
	}
	all := uint16(unix.ETH_P_ALL)
	err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: info.Index})
	if err != nil {
		return fmt.Errorf("bind the packet socket: %w", err)
	}
	return nil
}

// CheckAddresses refuses an appliance's address that the kernel of the calling
// thread's network namespace owns.
func CheckAddresses(appliance []netip.Prefix) error {
	if len(appliance) == 0 {
		return nil
	}
	own, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list the kernel's addresses: %w", err)
	}
	for _, k := range own {
		ip, ok := netip.AddrFromSlice(k.IP)
		if !ok {
			continue
		}
		for _, p := range appliance {
			if p.Addr().Unmap().WithZone("") != ip.Unmap() {
				continue
			}
			name := fmt.Sprintf("interface %d", k.LinkIndex)
			if l, err := netlink.LinkByIndex(k.LinkIndex); err == nil {
				name = l.Attrs().Name
			}
			return fmt.Errorf("address %s: %w: the kernel has it on %s and would answer the peer's segments with RST; "+
				"give the appliance another, or remove it with `ip addr del %s dev %s`",
				p.Addr(), unix.EADDRINUSE, name, k.IPNet, name)
		}
	}
	return nil
}
