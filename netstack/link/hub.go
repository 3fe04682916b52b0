package link

import (
	"fmt"
	"net"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// HubOptions are a hub's settings; only MACs, one for each port, is needed.
type HubOptions struct {
	// MTU is in bytes, Ethernet header not included; 0 means 1500.
	MTU uint32
	// MACs are the ports' addresses, 6 bytes each, all different.
	MACs []net.HardwareAddr
	// Clock is as in PipeOptions.
	Clock tcpip.Clock
}

// NewHub makes a pipe with more than two ends: what one sends comes to all others, of
// which those take it whose address it is for. It panics with fewer than two ports.
func NewHub(o HubOptions) []*Pipe {
	if len(o.MACs) < 2 {
		panic(fmt.Sprintf("a hub of %d ports", len(o.MACs)))
	}
	if o.MTU == 0 {
		o.MTU = DefaultMTU
	}
	shared := &pipeState{}
	ports := make([]*Pipe, len(o.MACs))
	for i, mac := range o.MACs {
		ports[i] = &Pipe{
			name: fmt.Sprintf("pipe%d", i), mac: tcpip.LinkAddress(mac), mtu: o.MTU, shared: shared, clock: o.Clock,
			wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		}
	}
	for i, p := range ports {
		p.peers = append(append(p.peers, ports[:i]...), ports[i+1:]...)
	}
	return ports
}
