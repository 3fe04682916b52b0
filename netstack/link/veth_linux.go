package link

import (
	"fmt"
	"net"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Veth is a link over one end of a veth pair, or any other Ethernet interface.
type Veth struct {
	*Ethernet
	close    sync.Once
	release  func() error // of its claim; nil where another looks after that
	offload  *Offload     // nil when nothing was changed
	warnings []string
}

var _ Link = (*Veth)(nil)

// OpenVeth opens a packet socket on the interface and makes a link of it. It
// refuses an interface that is missing, down, not Ethernet, or another appliance's (see
// Claim), and an appliance's address that the kernel owns. Needs CAP_NET_RAW, and CAP_NET_ADMIN to change
// offloads.
func OpenVeth(o VethOptions) (*Veth, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var v *Veth
	err := inNetNS(o.NetNS, func() error {
		var err error
		v, err = openVeth(o)
		return err
	})
	if err != nil && o.NetNS != "" {
		return nil, fmt.Errorf("in network namespace %s: %w", netnsPath(o.NetNS), err)
	}
	return v, err
}

// openVeth does what has to be done in the interface's namespace.
func openVeth(o VethOptions) (*Veth, error) {
	info, err := LookupInterface(o.Interface)
	if err != nil {
		return nil, err
	}
	if err := CheckAddresses(o.Addresses); err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Interface, err)
	}
	release, err := Claim(info)
	if err != nil {
		return nil, err
	}
	v, err := openClaimed(info, o)
	if err != nil {
		_ = release() // The first error tells more.
		return nil, err
	}
	v.release = release
	return v, nil
}

// openClaimed opens an interface that is this appliance's.
func openClaimed(info InterfaceInfo, o VethOptions) (*Veth, error) {
	fd, err := openPacketSocket(&info, o.Offload)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Interface, err)
	}
	var off *Offload
	if info.Offload != OffloadOn {
		if off, err = DisableOffload(info, o.PeerNetNS); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("open %s: %w", o.Interface, err)
		}
	}
	v, err := NewVethFromFD(fd, info, o)
	if err != nil {
		if off != nil {
			_ = off.Restore() // The first error tells more.
		}
		return nil, err
	}
	v.offload = off
	if off != nil && len(off.Warnings()) > 0 {
		v.offloadLeft = true
	}
	return v, nil
}

// NewVethFromFD makes a link of a socket that OpenPacketSocket has opened, perhaps
// in another process, which then looks after claim, offloads and addresses as well. It
// owns fd, also when it fails. Of the options it uses MAC and BusyPoll: whether
// there are offloads, the socket says itself.
func NewVethFromFD(fd int, info InterfaceInfo, o VethOptions) (*Veth, error) {
	if len(o.MAC) > 0 && strings.EqualFold(o.MAC.String(), info.MAC) {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open %s: MAC address %s is the interface's own, and the kernel would take the appliance's frames for its own; leave it out to get a random one",
			info.Name, o.MAC)
	}
	if len(o.MAC) == 0 {
		own, _ := net.ParseMAC(info.MAC) // Empty when there is none to avoid.
		o.MAC = net.HardwareAddr(randomMAC(linkAddress(own)))
	}
	peer := ""
	if info.PeerIndex != 0 {
		peer = fmt.Sprintf("interface %d", info.PeerIndex)
	}
	kind := info.Type
	if kind == "device" {
		kind = "ethernet"
	}
	e, err := NewEthernet(fd, EthernetConfig{
		Kind: kind, Name: info.Name, MTU: info.MTU, MAC: o.MAC, Peer: peer, BusyPoll: o.BusyPoll,
	})
	if err != nil {
		return nil, err
	}
	v := &Veth{Ethernet: e}
	if !info.Carrier {
		v.warnings = append(v.warnings, fmt.Sprintf(
			"%s has no carrier: its other end is down; bring that up with `ip link set PEER up` in its network namespace", info.Name))
	}
	return v, nil
}

// Warnings tells what is not as it should be but does not prevent the link from
// working, with what to do.
func (v *Veth) Warnings() []string {
	w := append([]string(nil), v.warnings...)
	if v.offload != nil {
		w = append(w, v.offload.Warnings()...)
	}
	return w
}

// Close stops the link, puts the offloads back that it had turned off (if that failed,
// Warnings says so), and gives up the claim. Wait waits for the loop.
func (v *Veth) Close() {
	v.Ethernet.Close()
	v.close.Do(func() {
		if v.offload != nil {
			_ = v.offload.Restore() // Kept among its warnings.
		}
		if v.release != nil {
			_ = v.release() // A descriptor that cannot be closed is closed nevertheless.
		}
	})
}
