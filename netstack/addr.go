package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// toAddr converts an address of gVisor's to the standard library's.
func toAddr(a tcpip.Address) netip.Addr {
	switch a.Len() {
	case 4:
		return netip.AddrFrom4(a.As4())
	case 16:
		return netip.AddrFrom16(a.As16())
	default:
		return netip.Addr{}
	}
}

// fromAddr converts an address of the standard library's to gVisor's.
func fromAddr(a netip.Addr) tcpip.Address {
	if !a.IsValid() {
		return tcpip.Address{}
	}
	return tcpip.AddrFromSlice(a.AsSlice())
}

// protocolOf returns the network protocol of an address.
func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// fullAddress converts an address and port; a zero address is any.
func fullAddress(ap netip.AddrPort) tcpip.FullAddress {
	full := tcpip.FullAddress{Port: ap.Port()}
	if ap.Addr().IsValid() && !ap.Addr().IsUnspecified() {
		full.Addr = fromAddr(ap.Addr())
	}
	if ap.Addr().IsLinkLocalUnicast() || ap.Addr().IsMulticast() {
		full.NIC = nicID
	}
	return full
}

func addrPort(full tcpip.FullAddress) netip.AddrPort {
	return netip.AddrPortFrom(toAddr(full.Addr), full.Port)
}

// resolve parses "host:port" where host is an IP address or empty. Names are not
// looked up: the stack has no resolver. network ends in 4, 6 or neither.
func (s *Stack) resolve(network, address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.LookupPort(network, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var ip netip.Addr
	if host != "" {
		if ip, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, fmt.Errorf("%q is not an IP address: the stack has no name resolver", host)
		}
		ip = ip.Unmap().WithZone("")
	}
	family := network[len(network)-1]
	switch {
	case family == '4' && ip.IsValid() && !ip.Is4(), family == '6' && ip.IsValid() && ip.Is4():
		return netip.AddrPort{}, fmt.Errorf("%s is not an address of %s", ip, network)
	case !ip.IsValid() && family == '4':
		ip = netip.IPv4Unspecified()
	case !ip.IsValid() && family == '6':
		ip = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil //nolint:gosec // LookupPort bounds it
}

// listenProtocol returns the protocol of the socket that listens on ip: an IPv6
// socket on an invalid (any) address takes both families where the stack has both.
func (s *Stack) listenProtocol(ip netip.Addr) tcpip.NetworkProtocolNumber {
	if ip.IsValid() {
		return protocolOf(ip)
	}
	return ipv6.ProtocolNumber
}

// checkNetwork checks that network is one of names.
func checkNetwork(network string, names ...string) error {
	for _, n := range names {
		if network == n {
			return nil
		}
	}
	return net.UnknownNetworkError(network)
}

// hostPort formats an address for an error or an event: "192.0.2.1:80", ":80".
func hostPort(ap netip.AddrPort) string {
	if !ap.Addr().IsValid() {
		return ":" + strconv.Itoa(int(ap.Port()))
	}
	return ap.String()
}

func tcpAddr(ap netip.AddrPort) *net.TCPAddr { return net.TCPAddrFromAddrPort(ap) }

func udpAddr(ap netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(ap) }

// ctxError returns why ctx ended, as net does: a deadline is a time-out.
func ctxError(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded { //nolint:errorlint // ctx.Err returns it bare
		return errTimeout
	}
	return context.Cause(ctx)
}
