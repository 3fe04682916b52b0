package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// newImpairedStack is a gVisor stack with one address on ep.
func newImpairedStack(t *testing.T, ep stack.LinkEndpoint, proto tcpip.NetworkProtocolNumber, addr tcpip.Address) *stack.Stack {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	rto := tcpip.TCPMinRTOOption(5 * time.Millisecond)
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &rto); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateNIC(1, ep); err != nil {
		t.Fatal(err)
	}
	bits := len(addr.AsSlice()) * 8
	with := tcpip.ProtocolAddress{Protocol: proto, AddressWithPrefix: tcpip.AddressWithPrefix{Address: addr, PrefixLen: bits}}
	if err := s.AddProtocolAddress(1, with, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}, {Destination: header.IPv6EmptySubnet, NIC: 1}})
	return s
}

// TestImpairUnderTCP moves data both ways between two gVisor stacks, over a pipe
// that delivers on the writer's goroutine, with everything going wrong at once.
func TestImpairUnderTCP(t *testing.T) {
	some := Impairment{
		Loss: 0.03, Duplicate: 0.05, Reorder: 0.05, ReorderBy: 3, ReorderHold: 2 * time.Millisecond,
		Corrupt: 0.03, Delay: 200 * time.Microsecond, Jitter: 200 * time.Microsecond, Rate: 1e9,
	}
	for name, o := range map[string]ImpairOptions{
		"nothing": {},
		"all":     {Seed: 11, In: some, Out: some, Rules: mustRules(t, "drop out SYN nth=1", "drop in FIN nth=1", "corrupt out payload>0 nth=3-4")},
		"at once": {Seed: 12, In: Impairment{Loss: 0.05, Corrupt: 0.05}, Out: Impairment{Duplicate: 0.1, Corrupt: 0.05}},
	} {
		for _, v6 := range []bool{false, true} {
			sub := name + " IPv4"
			if v6 {
				sub = name + " IPv6"
			}
			t.Run(sub, func(t *testing.T) { impairedTransfer(t, o, v6) })
		}
	}
}

func impairedTransfer(t *testing.T, o ImpairOptions, v6 bool) {
	a, b := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", 1500)
	im, err := NewImpair(a, o)
	if err != nil {
		t.Fatal(err)
	}
	proto, here, there := ipv4.ProtocolNumber, ours4, theirs4
	if v6 {
		proto, here, there = ipv6.ProtocolNumber, ours6, theirs6
	}
	client := newImpairedStack(t, im, proto, tcpip.AddrFromSlice(here.AsSlice()))
	server := newImpairedStack(t, b, proto, tcpip.AddrFromSlice(there.AsSlice()))
	at := tcpip.FullAddress{Addr: tcpip.AddrFromSlice(there.AsSlice()), Port: 7}
	l, err := gonet.ListenTCP(server, at, proto)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 256<<10)
	g := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(g.Uint32())
	}
	served := make(chan error, 1)
	go func() { served <- impairEchoOnce(l) }()
	got, err := impairThroughEcho(client, at, proto, data)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(data), err)
	}
	_ = l.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	im.Close()
	withinDeadline(t, "Wait", im.Wait)
	for _, s := range []*stack.Stack{client, server} {
		s.Close()
		withinDeadline(t, "the stack's Wait", s.Wait)
	}
}

func impairEchoOnce(l *gonet.TCPListener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(3 * impairDeadline))
	_, err = io.Copy(c, c)
	return errors.Join(err, c.Close())
}

func impairThroughEcho(s *stack.Stack, at tcpip.FullAddress, proto tcpip.NetworkProtocolNumber, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*impairDeadline)
	defer cancel()
	c, err := gonet.DialContextTCP(ctx, s, at, proto)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(3 * impairDeadline))
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		wrote <- errors.Join(err, c.CloseWrite())
	}()
	got, err := io.ReadAll(c)
	return got, errors.Join(err, <-wrote)
}
