package netstack

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"appliance/netstack/link"
	"appliance/tracer"
)

// nicID is the stack's one interface.
const nicID tcpip.NICID = 1

// defaultBacklog is Listen's where the options name none: what Linux's somaxconn
// was for decades, and Python's listen() uses.
const defaultBacklog = 128

// maxBacklog is the longest queue of a listener's.
const maxBacklog = 65535

// Stack is a TCP/IP stack on a link. It has ARP, NDP, ICMP and ICMPv6 echo, TCP
// and UDP over IPv4 and IPv6.
type Stack struct {
	opts  Options
	stack *stack.Stack
	link  stack.LinkEndpoint
	clock tcpip.Clock
	obs   *observer // nil when tracing is off

	mu      sync.Mutex
	sockets map[io.Closer]struct{}
	closed  bool
	done    chan struct{} // closed when Close is done

	ends ends
}

// New puts a stack on a link, which it then owns: Close closes the link. It errs
// when an option has no meaning; the link is then closed too.
func New(l stack.LinkEndpoint, opts Options) (*Stack, error) {
	if opts.Name == "" {
		opts.Name = "appliance"
	}
	opts.TCP.Backlog = opts.TCP.backlog()
	s := &Stack{opts: opts, link: l, clock: opts.Clock, sockets: map[io.Closer]struct{}{}, done: make(chan struct{})}
	if s.clock == nil {
		s.clock = tcpip.NewStdClock()
	}
	s.obs = newObserver(opts)
	s.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{s.obs.tcpFactory(), udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		Clock:              s.obs.wrapClock(s.clock),
	})
	s.obs.attach(s.stack)
	if err := s.configure(); err != nil {
		s.destroy()
		l.Close()
		l.Wait()
		return nil, fmt.Errorf("set up stack %q: %w", opts.Name, err)
	}
	return s, nil
}

// configure sets the options and brings the interface up, last of all.
func (s *Stack) configure() error {
	if err := setTCP(s.stack, s.opts.TCP); err != nil {
		return err
	}
	link.KnowVouched(s.link)
	// A SYN or an ARP request must find the stack whole: the link delivers from
	// CreateNIC on, so everything that needs no interface comes before it.
	if err := s.stack.CreateNICWithOptions(nicID, s.obs.wrapLink(s.link), stack.NICOptions{Name: s.opts.Name}); err != nil {
		return fmt.Errorf("attach the link: %s", err)
	}
	for _, p := range s.opts.Addresses {
		if err := s.addAddress(p); err != nil {
			return err
		}
	}
	for _, r := range s.opts.Routes {
		if !r.Destination.IsValid() {
			return fmt.Errorf("route to %s: want a destination and its prefix length, such as 0.0.0.0/0", r.Destination)
		}
		if r.Gateway.IsValid() && r.Gateway.Is4() != r.Destination.Addr().Is4() {
			return fmt.Errorf("route to %s by way of %s: not of the same family", r.Destination, r.Gateway)
		}
		s.stack.AddRoute(tcpip.Route{Destination: subnetOf(r.Destination), Gateway: fromAddr(r.Gateway), NIC: nicID})
	}
	return nil
}

// addAddress gives the stack an address and the route to its network.
func (s *Stack) addAddress(p netip.Prefix) error {
	if !p.IsValid() {
		return fmt.Errorf("address %s: want an address and its prefix length, such as 192.168.12.53/24", p)
	}
	pa := tcpip.ProtocolAddress{
		Protocol:          protocolOf(p.Addr()),
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: fromAddr(p.Addr()), PrefixLen: p.Bits()},
	}
	if err := s.stack.AddProtocolAddress(nicID, pa, stack.AddressProperties{}); err != nil {
		return fmt.Errorf("address %s: %s", p, err)
	}
	s.stack.AddRoute(tcpip.Route{Destination: subnetOf(p), NIC: nicID})
	return nil
}

func subnetOf(p netip.Prefix) tcpip.Subnet {
	p = p.Masked()
	sub, err := tcpip.NewSubnet(fromAddr(p.Addr()), tcpip.MaskFromBytes(maskBytes(p)))
	if err != nil {
		panic(fmt.Sprintf("masked prefix %s is no subnet: %v", p, err)) // Masked makes it one
	}
	return sub
}

// maskBytes returns a prefix's mask: Bits ones, then zeros.
func maskBytes(p netip.Prefix) []byte {
	mask := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// Addresses returns the stack's own addresses with their prefix lengths.
func (s *Stack) Addresses() []netip.Prefix { return s.opts.Addresses }

// Stats returns gVisor's own counters. They are live: read a counter's Value.
func (s *Stack) Stats() tcpip.Stats { return s.stack.Stats() }

// Pause lets the TCP processors drain and halts them until Resume: what the
// segments delivered before it caused has then happened and is in the trace.
func (s *Stack) Pause() { s.stack.Pause() }

// Resume ends a Pause.
func (s *Stack) Resume() { s.stack.Resume() }

// Close closes every socket as its program's exit would, aborts what is left,
// closes the link and waits for every goroutine. It may be called again.
func (s *Stack) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	open := make([]io.Closer, 0, len(s.sockets))
	for c := range s.sockets {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // a socket that its program closed meanwhile says so: no news
	}
	s.destroy()
	close(s.done)
	return nil
}

func (s *Stack) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// destroy aborts what is left and waits.
func (s *Stack) destroy() {
	s.obs.closing()
	s.stack.Close()
	s.obs.settle()
	s.link.Close()
	s.link.Wait() // before the stack's own: that one waits for the link with a lock that a delivery may need
	s.stack.Wait()
	s.obs.wait()
	s.ends.watchers.Wait()
}

// own registers an open socket, to be closed with the stack. It errs on a closed stack.
func (s *Stack) own(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.sockets[c] = struct{}{}
	return true
}

func (s *Stack) disown(c io.Closer) {
	s.mu.Lock()
	delete(s.sockets, c)
	s.mu.Unlock()
}

// Drain waits until every connection of the stack's is closed or in TIME-WAIT,
// which needs no program, or until ctx ends: it then returns ctx's error.
// Listeners do not count.
func (s *Stack) Drain(ctx context.Context) error {
	return s.await(ctx, tracer.Closed, tracer.Listen, tracer.TimeWait)
}

// Quiesce is Drain that waits for the end of TIME-WAIT too.
func (s *Stack) Quiesce(ctx context.Context) error {
	return s.await(ctx, tracer.Closed, tracer.Listen)
}
