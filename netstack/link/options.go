package link

import (
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// What VethOptions.Offload may say.
const (
	// OffloadOff turns the veth peer's offloads off: what is traced is what a wire
	// would carry.
	OffloadOff = "off"
	// OffloadOn leaves them: segments of up to 64 KB come in, whose unfinished
	// checksums the link completes.
	OffloadOn = "on"
)

// VethOptions are the settings of a link over a veth end or any other Ethernet
// interface; only Interface is needed.
type VethOptions struct {
	Interface string
	// NetNS is the interface's network namespace: a path, or a name of `ip netns`;
	// "" is the current one.
	NetNS string
	// MAC is the appliance's address, not the interface's own; nil means a random
	// one, locally administered.
	MAC net.HardwareAddr
	// Offload is OffloadOff ("" means that) or OffloadOn.
	Offload string
	// PeerNetNS is the network namespace of the veth's other end, a path or name;
	// "" has it looked up.
	PeerNetNS string
	// Addresses are the appliance's: refused when the kernel owns one of them.
	Addresses []netip.Prefix
}

func (o VethOptions) check() error {
	if o.Interface == "" {
		return fmt.Errorf("open veth: no interface named; give the appliance's end of a veth pair")
	}
	switch o.Offload {
	case "", OffloadOff, OffloadOn:
		return nil
	}
	return fmt.Errorf("open %s: offload %q is not known; it is %q or %q", o.Interface, o.Offload, OffloadOff, OffloadOn)
}

// TAPOptions are the settings of a link over a TAP device; the zero value makes a
// device that the kernel names.
type TAPOptions struct {
	// Name is the device's, up to 15 bytes; one that exists is attached to. ""
	// has the kernel name a new one (tap0, tap1, …).
	Name string
	// NetNS is the device's network namespace, where its host side is: a path, or
	// a name of `ip netns`; "" is the current one.
	NetNS string
	// MAC is the appliance's address; nil means a random one.
	MAC net.HardwareAddr
	// MTU is in bytes, Ethernet header not included; 0 means 1500 for a new
	// device, and an existing one's own.
	MTU uint32
	// HostAddresses are given to the device's kernel side, the Linux host's.
	HostAddresses []netip.Prefix
	// Addresses are the appliance's: refused when the kernel owns one of them.
	Addresses []netip.Prefix
}

// linkAddress is gVisor's form of a MAC address.
func linkAddress(mac net.HardwareAddr) tcpip.LinkAddress { return tcpip.LinkAddress(mac) }
