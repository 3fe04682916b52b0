package link

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// DefaultMTU is Ethernet's, in bytes.
const DefaultMTU = 1500

// pipeQueue is how many frames a pipe holds in one direction; more are dropped
// and counted. It is far beyond what the windows of a stack's connections fill,
// and bounds what a flood can take.
const pipeQueue = 1 << 16

// PipeOptions are a pipe's settings; the zero value is ready.
type PipeOptions struct {
	// MTU is in bytes, Ethernet header not included; 0 means 1500.
	MTU uint32
	// MACs are the two ends' addresses, 6 bytes each; nil means a random one.
	MACs [2]net.HardwareAddr
	// Names are the ends' names in Info; "" means pipe0 and pipe1.
	Names [2]string
	// Clock, when not nil, delivers each frame by a timer of its own, which is due at
	// once. On a clock that fires one timer at a time when all is at rest, such as package
	// virtual's, frames then come one at a time too.
	Clock tcpip.Clock
}

// pipeState is what both ends share.
type pipeState struct {
	// pending counts frames queued or being delivered, in both directions. A
	// reply sent from within a delivery is counted before that delivery ends, so
	// that 0 means that nothing moves.
	pending atomic.Int64
}

// Pipe is one end of an Ethernet cable between two stacks in one process. It needs
// no privileges and works on every system.
//
// A frame is queued by its sender and delivered by a goroutine of the receiving
// end, in order: never on the sender's, which holds its stack's locks. What is sent
// while the other end is not attached, or closed, is lost, as on an unplugged cable.
type Pipe struct {
	name   string
	peers  []*Pipe // the other end; a hub's, all others
	shared *pipeState
	clock  tcpip.Clock // nil for delivery at once

	mu     sync.Mutex
	mac    tcpip.LinkAddress
	mtu    uint32
	disp   stack.NetworkDispatcher
	closed bool
	queue  []*stack.PacketBuffer
	ripe   int // how many of the queue may be delivered now

	wake chan struct{} // holds one token: the queue is worth a look
	stop chan struct{} // closed by Close
	done chan struct{} // closed when the loop has ended
	wg   sync.WaitGroup

	counters pipeCounters
}

type pipeCounters struct {
	framesIn, framesOut, bytesIn, bytesOut atomic.Uint64
	otherHost, runts, vlan                 atomic.Uint64
	rxDrops, txErrors                      atomic.Uint64
}

var _ Link = (*Pipe)(nil)

// NewPipe makes a pipe and returns its two ends.
func NewPipe(o PipeOptions) (a, b *Pipe) {
	if o.MTU == 0 {
		o.MTU = DefaultMTU
	}
	shared := &pipeState{}
	ends := make([]*Pipe, 2)
	for i := range ends {
		mac := tcpip.LinkAddress(o.MACs[i])
		if mac == "" {
			mac = randomMAC(tcpip.LinkAddress(o.MACs[1-i]))
		}
		if o.Names[i] == "" {
			o.Names[i] = [2]string{"pipe0", "pipe1"}[i]
		}
		ends[i] = &Pipe{
			name: o.Names[i], mac: mac, mtu: o.MTU, shared: shared, clock: o.Clock,
			wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		}
	}
	ends[0].peers, ends[1].peers = ends[1:], ends[:1]
	return ends[0], ends[1]
}

// Idle tells whether nothing is queued and nothing is being delivered, in either
// direction.
func (p *Pipe) Idle() bool { return p.shared.pending.Load() == 0 }

// Info implements Link.
func (p *Pipe) Info() tracer.LinkInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return tracer.LinkInfo{Kind: "pipe", Name: p.name, MTU: p.mtu, MAC: p.mac.String(), Peer: p.peers[0].name}
}

// Done implements Link.
func (p *Pipe) Done() <-chan struct{} { return p.done }

// Err implements Link: a pipe only ever ends by Close.
func (*Pipe) Err() error { return nil }

// GSOMaxSize implements stack.GSOEndpoint.
func (*Pipe) GSOMaxSize() uint32 { return 0 }

// SupportedGSO implements stack.GSOEndpoint: a pipe carries what a wire would.
func (*Pipe) SupportedGSO() stack.SupportedGSO { return stack.GSONotSupported }

// Counters tells what this end has carried.
func (p *Pipe) Counters() Counters {
	c := &p.counters
	return Counters{
		FramesIn: c.framesIn.Load(), FramesOut: c.framesOut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		OtherHost: c.otherHost.Load(), Runts: c.runts.Load(), VLAN: c.vlan.Load(),
		RxDrops: c.rxDrops.Load(), TxErrors: c.txErrors.Load(),
	}
}

// WritePackets implements stack.LinkWriter. It queues and returns.
func (p *Pipe) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	p.mu.Lock()
	closed, longest := p.closed, int(p.mtu)+header.EthernetMinimumSize
	p.mu.Unlock()
	if closed {
		return 0, &tcpip.ErrClosedForSend{}
	}
	for _, pkt := range pkts.AsSlice() {
		if pkt.Size() > longest {
			p.counters.txErrors.Add(1)
			continue
		}
		p.counters.framesOut.Add(1)
		p.counters.bytesOut.Add(uint64(pkt.Size()))
		for _, peer := range p.peers {
			peer.enqueue(pkt)
		}
	}
	return pkts.Len(), nil
}

// enqueue takes a copy of a frame that the peer sends; the payload is shared, as
// gVisor's buffers are copied when written to.
func (p *Pipe) enqueue(pkt *stack.PacketBuffer) {
	p.mu.Lock()
	if p.closed || p.disp == nil || len(p.queue) >= pipeQueue {
		p.mu.Unlock()
		p.counters.rxDrops.Add(1)
		return
	}
	p.shared.pending.Add(1)
	p.queue = append(p.queue, stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: pkt.ToBuffer()}))
	p.mu.Unlock()
	if p.clock != nil {
		p.clock.AfterFunc(0, p.ripen) // the timer of a closed pipe finds nothing to do
		return
	}
	p.ripen()
}

// ripen lets one more frame be delivered.
func (p *Pipe) ripen() {
	p.mu.Lock()
	p.ripe++
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take moves the frames that may be delivered to batch.
func (p *Pipe) take(batch []*stack.PacketBuffer) []*stack.PacketBuffer {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.ripe
	p.ripe = 0
	if n == len(p.queue) { // all: change places, as no copy is needed
		batch, p.queue = p.queue, batch[:0]
		return batch
	}
	batch = append(batch[:0], p.queue[:n]...)
	p.queue = slices.Delete(p.queue, 0, n)
	return batch
}

// loop delivers until Close.
func (p *Pipe) loop() {
	defer p.wg.Done()
	defer close(p.done)
	var batch []*stack.PacketBuffer
	for {
		select {
		case <-p.stop:
			p.drop()
			return
		case <-p.wake:
		}
		batch = p.take(batch)
		for i, pkt := range batch {
			p.deliver(pkt)
			pkt.DecRef()
			batch[i] = nil
			p.shared.pending.Add(-1)
		}
	}
}

// drop empties the queue; the pipe is closed, nothing is added any more.
func (p *Pipe) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pkt := range p.queue {
		pkt.DecRef()
	}
	p.shared.pending.Add(-int64(len(p.queue)))
	p.queue = nil
}

func (p *Pipe) deliver(pkt *stack.PacketBuffer) {
	size := pkt.Size()
	p.mu.Lock()
	disp, own := p.disp, p.mac
	p.mu.Unlock()
	if disp == nil {
		p.counters.rxDrops.Add(1)
		return
	}
	if !p.ParseHeader(pkt) {
		p.counters.runts.Add(1)
		return
	}
	eth := header.Ethernet(pkt.LinkHeader().Slice())
	pkt.NetworkProtocolNumber = eth.Type()
	pkt.PktType = packetTypeOf(eth[:header.EthernetAddressSize], own)
	switch {
	case vlanTPID(eth.Type()):
		p.counters.vlan.Add(1)
	case pkt.PktType == tcpip.PacketOtherHost:
		p.counters.otherHost.Add(1)
	default:
		p.counters.framesIn.Add(1)
		p.counters.bytesIn.Add(uint64(size))
		disp.DeliverNetworkPacket(eth.Type(), pkt)
	}
}

// Attach implements stack.LinkEndpoint; a nil dispatcher ends the pipe's end.
func (p *Pipe) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		p.shut()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.disp != nil {
		return
	}
	p.disp = d
	p.wg.Add(1)
	go p.loop()
}

// IsAttached implements stack.LinkEndpoint.
func (p *Pipe) IsAttached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.disp != nil
}

// Close stops delivery to this end; Wait waits until it has stopped. The other end
// stays up until it is closed. It may be called more than once.
func (p *Pipe) Close() { p.shut() }

func (p *Pipe) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	if p.disp == nil {
		close(p.done) // There is no loop to do it.
	}
	p.disp = nil
	close(p.stop)
}

// Wait implements stack.LinkEndpoint.
func (p *Pipe) Wait() { p.wg.Wait() }

// MTU implements stack.LinkEndpoint.
func (p *Pipe) MTU() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mtu
}

// SetMTU implements stack.LinkEndpoint, for frames that this end sends.
func (p *Pipe) SetMTU(mtu uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mtu = mtu
}

// LinkAddress implements stack.LinkEndpoint.
func (p *Pipe) LinkAddress() tcpip.LinkAddress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mac
}

// SetLinkAddress implements stack.LinkEndpoint.
func (p *Pipe) SetLinkAddress(mac tcpip.LinkAddress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mac = mac
}

// MaxHeaderLength implements stack.LinkEndpoint.
func (*Pipe) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// Capabilities implements stack.LinkEndpoint: no offload.
func (*Pipe) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired
}

// ARPHardwareType implements stack.LinkEndpoint.
func (*Pipe) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.LinkEndpoint.
func (*Pipe) AddHeader(pkt *stack.PacketBuffer) { pushEthernetHeader(pkt) }

// ParseHeader implements stack.LinkEndpoint.
func (*Pipe) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// SetOnCloseAction implements stack.LinkEndpoint. The action would remove the NIC
// from the stack; here a closed link is an unplugged cable, and the NIC stays.
func (*Pipe) SetOnCloseAction(func()) {}
