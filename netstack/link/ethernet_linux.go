package link

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// ErrInterfaceGone is what Err wraps once the interface has been deleted, or moved
// to another network namespace.
var ErrInterfaceGone = errors.New("interface is gone")

// EthernetConfig tells NewEthernet what its descriptor is.
type EthernetConfig struct {
	// Kind and Name stand in Info and in errors: "veth" and "veth0".
	Kind, Name string
	// MTU is in bytes, Ethernet header not included; 0 means 1500.
	MTU uint32
	// MAC is the appliance's address, 6 bytes; nil means a random one.
	MAC net.HardwareAddr
	// Offload and Peer stand in Info.
	Offload, Peer string
}

// fdKind is what sort of descriptor carries the frames.
type fdKind int

const (
	fdPacket fdKind = iota // AF_PACKET, SOCK_RAW
	fdSocket               // another message socket: one frame a message
	fdTAP                  // /dev/net/tun: one frame a read
)

// Ethernet is a link over a descriptor that carries one Ethernet frame a read and
// a write, without a virtio header: an AF_PACKET socket or a TAP device (or, in
// tests, one end of a socketpair).
//
// One goroutine, started by Attach, reads until Close, or until the interface is
// gone. An interface that is set down is waited for.
type Ethernet struct {
	cfg  EthernetConfig
	kind fdKind
	// wakeFD is an eventfd that interrupts the loop's wait: to stop, or to look
	// again whether the interface is there.
	wakeFD int

	// fdMu is held for reading while fd and wakeFD are used outside the loop, for
	// writing while they are closed.
	fdMu sync.RWMutex
	fd   int // -1 once closed

	mu      sync.Mutex
	mac     tcpip.LinkAddress
	mtu     uint32
	started bool
	closed  bool
	err     error

	disp atomic.Pointer[dispatcher]
	stop atomic.Bool // asks the loop to end
	down atomic.Bool // the interface was found down

	done chan struct{}
	wg   sync.WaitGroup

	counters ethernetCounters
}

// dispatcher holds the interface value for an atomic pointer.
type dispatcher struct{ stack.NetworkDispatcher }

type ethernetCounters struct {
	framesIn, framesOut, bytesIn, bytesOut atomic.Uint64
	otherHost, outgoing, runts, vlan       atomic.Uint64
	truncated, superFrames, completed      atomic.Uint64
	rxDrops, rxErrors, txDrops, txErrors   atomic.Uint64
}

var _ Link = (*Ethernet)(nil)

// NewEthernet makes a link over fd, which it owns from here on, also when it
// fails. An AF_PACKET socket must be bound to its interface already.
func NewEthernet(fd int, cfg EthernetConfig) (*Ethernet, error) {
	e, err := newEthernet(fd, cfg)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open link %s: %w", cfg.Name, err)
	}
	return e, nil
}

func newEthernet(fd int, cfg EthernetConfig) (*Ethernet, error) {
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	mac := tcpip.LinkAddress(cfg.MAC)
	if mac == "" {
		mac = randomMAC("")
	}
	if !header.IsValidUnicastEthernetAddress(mac) {
		return nil, fmt.Errorf("MAC address %s is not a unicast Ethernet address of 6 bytes", cfg.MAC)
	}
	kind, err := fdKindOf(fd)
	if err != nil {
		return nil, err
	}
	if kind == fdPacket {
		// The auxiliary data tells unfinished checksums and stripped VLAN tags.
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
			return nil, fmt.Errorf("ask for the packets' auxiliary data: %w", err)
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("make the descriptor non-blocking: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &Ethernet{
		cfg: cfg, kind: kind, fd: fd, wakeFD: wake,
		mac: mac, mtu: cfg.MTU, done: make(chan struct{}),
	}, nil
}

func fdKindOf(fd int) (fdKind, error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	switch {
	case errors.Is(err, unix.ENOTSOCK):
		return fdTAP, nil
	case err != nil:
		return 0, fmt.Errorf("look at the descriptor: %w", err)
	case domain == unix.AF_PACKET:
		return fdPacket, nil
	}
	return fdSocket, nil
}

// Info implements Link.
func (e *Ethernet) Info() tracer.LinkInfo {
	e.mu.Lock()
	defer e.mu.Unlock()
	return tracer.LinkInfo{
		Kind: e.cfg.Kind, Name: e.cfg.Name, MTU: e.mtu, MAC: e.mac.String(),
		Offload: e.cfg.Offload, Peer: e.cfg.Peer,
	}
}

// Done implements Link.
func (e *Ethernet) Done() <-chan struct{} { return e.done }

// Err implements Link: nil while the link runs and after Close; an error that
// wraps ErrInterfaceGone when the interface vanished.
func (e *Ethernet) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Counters tells what the link has carried.
func (e *Ethernet) Counters() Counters {
	e.collectDrops()
	c := &e.counters
	return Counters{
		FramesIn: c.framesIn.Load(), FramesOut: c.framesOut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		OtherHost: c.otherHost.Load(), Outgoing: c.outgoing.Load(),
		Runts: c.runts.Load(), VLAN: c.vlan.Load(), Truncated: c.truncated.Load(),
		SuperFrames: c.superFrames.Load(), ChecksumsCompleted: c.completed.Load(),
		RxDrops: c.rxDrops.Load(), RxErrors: c.rxErrors.Load(),
		TxDrops: c.txDrops.Load(), TxErrors: c.txErrors.Load(),
	}
}

// collectDrops adds what the socket's buffer had no room for; the kernel counts
// from zero again after each look.
func (e *Ethernet) collectDrops() {
	e.fdMu.RLock()
	defer e.fdMu.RUnlock()
	if e.kind != fdPacket || e.fd < 0 {
		return
	}
	if s, err := unix.GetsockoptTpacketStats(e.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		e.counters.rxDrops.Add(uint64(s.Drops))
	}
}

// Attach implements stack.LinkEndpoint: it starts the loop. A nil dispatcher ends
// it for good.
func (e *Ethernet) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		e.halt()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.started {
		return
	}
	e.started = true
	e.disp.Store(&dispatcher{d})
	e.wg.Add(1)
	go e.loop()
}

// IsAttached implements stack.LinkEndpoint.
func (e *Ethernet) IsAttached() bool { return e.disp.Load() != nil }

// Close stops the loop, which closes the descriptor; Wait waits for that. It may
// be called more than once, and from the loop.
func (e *Ethernet) Close() { e.halt() }

// halt ends the link, once.
func (e *Ethernet) halt() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.closed = true
	e.disp.Store(nil)
	e.stop.Store(true)
	if e.started {
		e.wake()
		return
	}
	e.closeFDs() // There is no loop to do it.
	close(e.done)
}

// wake makes the loop look at what has happened.
func (e *Ethernet) wake() {
	e.fdMu.RLock()
	defer e.fdMu.RUnlock()
	if e.fd >= 0 {
		// The only possible failure is a counter at its maximum, which wakes too.
		_, _ = unix.Write(e.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (e *Ethernet) closeFDs() {
	e.collectDrops()
	e.fdMu.Lock()
	defer e.fdMu.Unlock()
	_ = unix.Close(e.fd)
	_ = unix.Close(e.wakeFD)
	e.fd = -1
}

// Wait implements stack.LinkEndpoint: it returns when the loop has ended and the
// descriptor is closed.
func (e *Ethernet) Wait() { e.wg.Wait() }

// MTU implements stack.LinkEndpoint.
func (e *Ethernet) MTU() uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mtu
}

// SetMTU implements stack.LinkEndpoint; the interface's own MTU stays.
func (e *Ethernet) SetMTU(mtu uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mtu = mtu
}

// LinkAddress implements stack.LinkEndpoint.
func (e *Ethernet) LinkAddress() tcpip.LinkAddress {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mac
}

// SetLinkAddress implements stack.LinkEndpoint.
func (e *Ethernet) SetLinkAddress(mac tcpip.LinkAddress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mac = mac
}

// MaxHeaderLength implements stack.LinkEndpoint.
func (*Ethernet) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// Capabilities implements stack.LinkEndpoint: no checksum offload, so that the
// stack verifies and computes every checksum.
func (*Ethernet) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired
}

// ARPHardwareType implements stack.LinkEndpoint.
func (*Ethernet) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.LinkEndpoint.
func (*Ethernet) AddHeader(pkt *stack.PacketBuffer) { pushEthernetHeader(pkt) }

// ParseHeader implements stack.LinkEndpoint.
func (*Ethernet) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// SetOnCloseAction implements stack.LinkEndpoint. The action would remove the NIC
// from the stack; here a closed link is an unplugged cable, and the NIC stays.
func (*Ethernet) SetOnCloseAction(func()) {}
