package link

import (
	"fmt"
	"net"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// TAP is a link over a TAP device: its other side is the Linux host's kernel.
type TAP struct {
	*Ethernet
	device *TAPDevice // nil when another process looks after it

	mu       sync.Mutex
	warnings []string
}

var _ Link = (*TAP)(nil)

// OpenTAP creates a TAP device, or attaches to one that exists, and makes a link
// of it. Close removes what it created, and puts back what it changed on a device
// that was there. Needs CAP_NET_ADMIN and /dev/net/tun.
func OpenTAP(o TAPOptions) (*TAP, error) {
	var t *TAP
	err := inNetNS(o.NetNS, func() error {
		fd, device, err := OpenTAPDevice(o)
		if err != nil {
			return err
		}
		if t, err = NewTAPFromFD(fd, device.Info, o); err != nil {
			_ = device.Undo() // The first error tells more.
			return err
		}
		t.device = device
		return nil
	})
	if err != nil && o.NetNS != "" {
		return nil, fmt.Errorf("in network namespace %s: %w", netnsPath(o.NetNS), err)
	}
	return t, err
}

// NewTAPFromFD makes a link of a descriptor that OpenTAPDevice has opened, perhaps
// in another process, which then looks after the device's settings as well. It owns
// fd, also when it fails. Of the options it uses MAC and BusyPoll: whether there are
// offloads, the descriptor says itself.
func NewTAPFromFD(fd int, info InterfaceInfo, o TAPOptions) (*TAP, error) {
	mac := o.MAC
	if err := checkTAPDescriptor(fd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open TAP device %s: %w", info.Name, err)
	}
	if len(mac) > 0 && strings.EqualFold(mac.String(), info.MAC) {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open TAP device %s: MAC address %s is that of its host side; leave it out to get a random one", info.Name, mac)
	}
	if len(mac) == 0 {
		host, _ := net.ParseMAC(info.MAC) // Empty when there is none to avoid.
		mac = net.HardwareAddr(randomMAC(linkAddress(host)))
	}
	e, err := NewEthernet(fd, EthernetConfig{
		Kind: "tap", Name: info.Name, MTU: info.MTU, MAC: mac, BusyPoll: o.BusyPoll,
	})
	if err != nil {
		return nil, err
	}
	return &TAP{Ethernet: e}, nil
}

// checkTAPDescriptor refuses a descriptor whose frames this link cannot read.
func checkTAPDescriptor(fd int) error {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); err != nil {
		return fmt.Errorf("the descriptor is not an attached TAP device's: %w", err)
	}
	switch flags := ifr.Uint16(); {
	case flags&unix.IFF_TAP == 0:
		return fmt.Errorf("the descriptor is a TUN device's, which carries no Ethernet; make the device with IFF_TAP")
	case flags&unix.IFF_NO_PI == 0:
		return fmt.Errorf("the descriptor puts a header of its own before each frame; make it with IFF_NO_PI")
	}
	return nil
}

// Warnings tells what could not be put back by Close.
func (t *TAP) Warnings() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.warnings...)
}

// Close stops the link and puts the device back as it was; a device that OpenTAP
// created is gone once Wait has returned.
func (t *TAP) Close() {
	t.Ethernet.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.device == nil {
		return
	}
	if err := t.device.Undo(); err != nil {
		t.warnings = append(t.warnings, err.Error())
	}
	t.device = nil
}
