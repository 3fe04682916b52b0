package kernel

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"appliance/internal/lab"
)

// diagTries is how often Diag asks when sockets come and go meanwhile.
const diagTries = 10

// Diag lists the TCP sockets of the lab's Linux side, by sock_diag, also what is half-open
// and in TIME-WAIT. family is AF_INET or AF_INET6; an AF_INET6 socket that takes IPv4 is
// among the latter.
func Diag(l *lab.Lab, family uint8) ([]Socket, error) {
	var found []*netlink.Socket
	err := l.Do(func() (err error) {
		for range diagTries {
			if found, err = netlink.SocketDiagTCP(family); !errors.Is(err, netlink.ErrDumpInterrupted) {
				return err
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask sock_diag for the TCP sockets of lab %s: %w", l.Name(), err)
	}
	sockets := make([]Socket, 0, len(found))
	for _, s := range found {
		sockets = append(sockets, Socket{
			Local:  toAddrPort(s.ID.Source, s.ID.SourcePort),
			Remote: toAddrPort(s.ID.Destination, s.ID.DestinationPort),
			State:  RawState(s.State),
		})
	}
	return sockets, nil
}

func toAddrPort(ip []byte, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port)
}

// NetNS is the inode of the lab's network namespace on the Linux side, as
// [Change].NetNS has it.
func NetNS(l *lab.Lab) (uint64, error) {
	var ns uint64
	err := l.Do(func() error {
		if ns = inode("/proc/thread-self/ns/net"); ns == 0 {
			return errors.New("/proc/thread-self/ns/net cannot be read")
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("find the network namespace of lab %s: %w", l.Name(), err)
	}
	return ns, nil
}
