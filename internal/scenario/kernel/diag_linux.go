package kernel

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

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

// SegmentsIn is how many segments a TCP connection of the lab's Linux side has got so far
// (tcpi_segs_in), 0 for one that is half-open. there is false where it has no such
// connection, or one in TIME-WAIT, of which the kernel keeps no count.
func SegmentsIn(l *lab.Lab, local, remote netip.AddrPort) (n uint32, there bool, err error) {
	family := uint8(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	var found []*netlink.InetDiagTCPInfoResp
	err = l.Do(func() (err error) {
		for range diagTries {
			if found, err = netlink.SocketDiagTCPInfo(family); !errors.Is(err, netlink.ErrDumpInterrupted) {
				return err
			}
		}
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("ask sock_diag for %s – %s of lab %s: %w", local, remote, l.Name(), err)
	}
	for _, s := range found {
		id := s.InetDiagMsg.ID
		switch {
		case toAddrPort(id.Source, id.SourcePort) != local || toAddrPort(id.Destination, id.DestinationPort) != remote:
		case s.TCPInfo != nil:
			return s.TCPInfo.Segs_in, true, nil
		default:
			return 0, RawState(s.InetDiagMsg.State) == rawSynRecv, nil
		}
	}
	return 0, false, nil
}
