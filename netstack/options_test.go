package netstack_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// Each option is shown by what it does on the wire or in time: those of the stack
// and the link here, TCP's in options_tcp_test.go and options_time_test.go.

func TestOptionName(t *testing.T) {
	for name, want := range map[string]string{"": "appliance", "left": "left"} {
		t.Run(want, func(t *testing.T) {
			verifyNoLeak(t)
			a, b := link.NewPipe(link.PipeOptions{})
			defer b.Close()
			rec := newRecorder(nil)
			s, err := netstack.New(a, netstack.Options{Name: name, Recorder: rec, Level: tracer.LevelStates})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if _, err := s.Listen("tcp", ":1"); err != nil {
				t.Fatal(err)
			}
			for _, e := range rec.Events() {
				if e.Stack != want {
					t.Errorf("an event of stack %q, want %q: %s", e.Stack, want, tell(e))
				}
			}
			if len(rec.Events()) == 0 {
				t.Error("no event")
			}
		})
	}
}

func TestOptionAddresses(t *testing.T) {
	addrs := []netip.Prefix{
		serverAddr4, netip.MustParsePrefix("192.168.12.54/24"),
		serverAddr6, netip.MustParsePrefix("fd00:12::54/64"),
	}
	l := newLab(t, setup{server: netstack.Options{Addresses: addrs}})
	if got := l.server.Addresses(); len(got) != len(addrs) {
		t.Errorf("Addresses: %v, want %v", got, addrs)
	}
	ln := l.listen(":9000")
	for _, a := range addrs {
		at := netip.AddrPortFrom(a.Addr(), 9000).String()
		c, s := l.connectTo(ln, at)
		l.send(c, "hello")
		if got := l.recv(s, 5); got != "hello" {
			t.Errorf("at %s the server got %q", at, got)
		}
		if got := s.LocalAddr().String(); got != at {
			t.Errorf("the server is at %s, want %s", got, at)
		}
		l.close(c, s)
	}
}

// A datagram to what is not on the link goes to the gateway's MAC address; with no
// gateway its own address is asked for.
func TestOptionRoutes(t *testing.T) {
	routes := []netstack.Route{
		{Destination: netip.MustParsePrefix("198.51.100.0/24"), Gateway: serverAddr4.Addr()},
		{Destination: netip.MustParsePrefix("2001:db8::/32"), Gateway: serverAddr6.Addr()},
		{Destination: netip.MustParsePrefix("203.0.113.0/24")},
	}
	l := newLab(t, setup{client: netstack.Options{Routes: routes}})
	gateway := l.serverLink.LinkAddress()
	sendUDP := func(to string) error {
		c, err := l.client.DialContext(context.Background(), "udp", to)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_, err = c.Write([]byte("x"))
		return err
	}
	for _, to := range []string{"198.51.100.7:9", "[2001:db8::7]:9"} {
		if err := sendUDP(to); err != nil {
			t.Errorf("send to %s: %v", to, err)
			continue
		}
		dst := netip.MustParseAddrPort(to).Addr()
		l.wire.sent.wait(t, "to "+to+" by way of the gateway", func(f header.Ethernet) bool {
			return f.DestinationAddress() == gateway && destinationOf(f) == dst
		})
	}
	if err := sendUDP("203.0.113.9:9"); err != nil {
		t.Errorf("send to what is on the link: %v", err)
	}
	l.wire.sent.wait(t, "an ARP request for 203.0.113.9", func(f header.Ethernet) bool {
		return f.Type() == header.ARPProtocolNumber &&
			string(header.ARP(f[header.EthernetMinimumSize:]).ProtocolAddressTarget()) == string([]byte{203, 0, 113, 9})
	})
	if err := sendUDP("192.0.2.1:9"); err == nil {
		t.Error("a datagram to where no route leads was sent")
	}
}

// destinationOf is the IP destination of a frame; invalid where it bears no IP.
func destinationOf(f header.Ethernet) netip.Addr {
	switch ip := f[header.EthernetMinimumSize:]; f.Type() {
	case header.IPv4ProtocolNumber:
		return netip.AddrFrom4(header.IPv4(ip).DestinationAddress().As4())
	case header.IPv6ProtocolNumber:
		return netip.AddrFrom16(header.IPv6(ip).DestinationAddress().As16())
	default:
		return netip.Addr{}
	}
}

// The link's MTU bounds TCP's segments: the SYN's MSS is the MTU without the two
// headers, a segment's payload that without what is reserved for options.
func TestOptionMTU(t *testing.T) {
	for _, c := range []struct {
		mtu     uint32
		address string
		headers int
	}{
		{1500, serverPort, 40},
		{600, serverPort, 40},
		{9000, serverPort, 40},
		{1500, "[fd00:12::53]:9000", 60},
		{1280, "[fd00:12::53]:9000", 60},
	} {
		l := newLab(t, setup{pipe: link.PipeOptions{MTU: c.mtu}})
		a, b := l.connectTo(l.listen(c.address), c.address)
		l.send(a, string(make([]byte, 4*c.mtu)))
		l.recv(b, 4*int(c.mtu))
		mss := int(c.mtu) - c.headers
		for _, s := range l.segments(seg(tracer.Out, tracer.SYN)) {
			if int(s.Opts.MSS) != mss {
				t.Errorf("MTU %d to %s: a SYN with MSS %d, want %d", c.mtu, c.address, s.Opts.MSS, mss)
			}
		}
		longest := 0
		for _, s := range l.segments(on("client"), withData) {
			longest = max(longest, s.Len)
		}
		if longest != mss-options {
			t.Errorf("MTU %d to %s: the longest segment has %d bytes, want %d", c.mtu, c.address, longest, mss-options)
		}
	}
}

func TestOptionMAC(t *testing.T) {
	macs := [2]net.HardwareAddr{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
	l := newLab(t, setup{pipe: link.PipeOptions{MACs: macs}})
	l.connect()
	l.wire.sent.wait(t, "IPv4 between the two MAC addresses", func(f header.Ethernet) bool {
		return f.Type() == header.IPv4ProtocolNumber &&
			f.SourceAddress() == tcpip.LinkAddress(macs[0]) && f.DestinationAddress() == tcpip.LinkAddress(macs[1])
	})
}
