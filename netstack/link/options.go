package link

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// What Offload may say in VethOptions and TAPOptions.
const (
	// OffloadOff keeps the link as a wire would be: one frame a segment, with its
	// checksum. It turns a veth peer's offloads off while it runs.
	OffloadOff = "off"
	// OffloadOn is for load: segments of up to 64 KB go and come, one for dozens of
	// a wire's, and what the host's own kernel sends bears no checksum. The
	// offloads of the other end are left as they are.
	OffloadOn = "on"
	// OffloadAuto is OffloadOn where the kernel can, and OffloadOff elsewhere;
	// Info tells which it is.
	OffloadAuto = "auto"
)

// maxBusyPoll bounds BusyPoll: beyond it a processor is simply given away.
const maxBusyPoll = time.Second

// checkOffload refuses an offload setting that is none, and a busy polling time out
// of range. "" is OffloadOff.
func checkOffload(offload string, busyPoll time.Duration) error {
	if busyPoll < 0 || busyPoll > maxBusyPoll {
		return fmt.Errorf("busy polling for %v is out of range: want 0 to %v; 50µs is usual", busyPoll, maxBusyPoll)
	}
	switch offload {
	case "", OffloadOff, OffloadOn, OffloadAuto:
		return nil
	}
	return fmt.Errorf("offload %q is not known; it is %q, %q or %q", offload, OffloadOff, OffloadOn, OffloadAuto)
}

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
	// Offload is OffloadOff ("" means that), OffloadOn or OffloadAuto.
	Offload string
	// BusyPoll is how long the link asks again and again for the next frame before
	// it sleeps: a wake-up less on each, for a processor that does nothing else
	// meanwhile. 0 is never; 50µs is usual.
	BusyPoll time.Duration
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
	if err := checkOffload(o.Offload, o.BusyPoll); err != nil {
		return fmt.Errorf("open %s: %w", o.Interface, err)
	}
	return nil
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
	// Offload is OffloadOff ("" means that), OffloadOn or OffloadAuto.
	Offload string
	// BusyPoll is as in VethOptions.
	BusyPoll time.Duration
	// HostAddresses are given to the device's kernel side, the Linux host's.
	HostAddresses []netip.Prefix
	// Addresses are the appliance's: refused when the kernel owns one of them.
	Addresses []netip.Prefix
}

// linkAddress is gVisor's form of a MAC address.
func linkAddress(mac net.HardwareAddr) tcpip.LinkAddress { return tcpip.LinkAddress(mac) }
