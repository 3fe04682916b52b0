package script

import (
	"fmt"
	"net/netip"

	"appliance/internal/lab"
	"appliance/netstack/link"
)

// OpenLink opens a link for a script on the Linux side of a lab: what is sent goes out of
// the lab's interface to the appliance, and what the appliance sends comes in, beside the
// kernel's own stack. The link's MAC address is a random one of its own.
//
// own are the script's addresses. The kernel there must not have them, as it would answer too: it
// errs if it does. A script that is to play C or S at its usual address needs a lab whose Linux
// side has another, such as lab.Options{Addresses: 192.168.12.2/24, fd00:12::2/64}. A lab
// with a holder refuses (see lab.Lab.Do). Needs CAP_NET_RAW in the lab's namespace.
func OpenLink(l *lab.Lab, own ...netip.Prefix) (link.Link, error) {
	var opened *link.Veth
	err := l.Do(func() error {
		if err := link.CheckAddresses(own); err != nil {
			return err
		}
		fd, info, err := link.OpenPacketSocket(l.HostInterface(), link.OffloadOff)
		if err != nil {
			return err
		}
		if l.Kind() == lab.TAP {
			// The kernel says tun for a TAP.
			info.Type = "tap"
		}
		opened, err = link.NewVethFromFD(fd, info, link.VethOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("script: open the Linux side of the lab: %w", err)
	}
	return opened, nil
}
