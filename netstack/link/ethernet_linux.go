package link

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

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
	// Peer stands in Info.
	Peer string
	// BusyPoll is as in VethOptions.
	BusyPoll time.Duration
	// VNetHeader says that a virtio header precedes each frame on a descriptor that
	// cannot be asked: on one that is no packet socket and no TAP device.
	VNetHeader bool
}

// fdKind is what sort of descriptor carries the frames.
type fdKind int

const (
	fdPacket fdKind = iota // AF_PACKET, SOCK_RAW
	fdSocket               // another message socket: one frame a message
	fdTAP                  // /dev/net/tun: one frame a read
)

// Ethernet is a link over a descriptor that carries one Ethernet frame a read and
// a write: an AF_PACKET socket or a TAP device (or, in tests, one end of a
// socketpair). Where a virtio header precedes each frame, the link takes segments
// of up to 64 KB from the stack (host GSO), and gives it such.
//
// One goroutine, started by Attach, reads until Close, or until the interface is
// gone. An interface that is set down is waited for.
type Ethernet struct {
	cfg  EthernetConfig
	kind fdKind
	vnet bool // a virtio header precedes each frame
	// offloadLeft is whether the other end's offloads could not all be turned off.
	offloadLeft bool
	// wakeFD is an eventfd that interrupts the loop's wait: to stop, or to look
	// again whether the interface is there. woken says so too.
	wakeFD int
	woken  atomic.Bool
	// readiness is what the loop sleeps on, ready its methods.
	readiness *os.File
	ready     syscall.RawConn

	// fdMu is held for reading while fd and wakeFD are used outside the loop, for
	// writing while they are closed.
	fdMu sync.RWMutex
	fd   int // -1 once closed

	// station is who the link is. It is replaced, with mu held, never changed.
	station atomic.Pointer[station]
	// vouches is whether the stack above knows of vouched segments.
	vouches atomic.Bool

	mu      sync.Mutex
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

// station is a link's address and MTU.
type station struct {
	mac tcpip.LinkAddress
	mtu uint32
}

// dispatcher holds the interface value for an atomic pointer.
type dispatcher struct{ stack.NetworkDispatcher }

type ethernetCounters struct {
	framesIn, framesOut, bytesIn, bytesOut atomic.Uint64
	otherHost, outgoing, runts, vlan       atomic.Uint64
	truncated, superFrames, superFramesOut atomic.Uint64
	completed, vouched, datagramsSplit     atomic.Uint64
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
	vnet, err := bearsVNetHeader(fd, kind, cfg.VNetHeader)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	e := &Ethernet{cfg: cfg, kind: kind, vnet: vnet, fd: fd, wakeFD: wake, done: make(chan struct{})}
	if e.readiness, e.ready, err = readiness(fd, wake); err != nil {
		_ = unix.Close(wake)
		return nil, err
	}
	e.station.Store(&station{mac: mac, mtu: cfg.MTU})
	return e, nil
}

// bearsVNetHeader tells whether a virtio header precedes each frame. It refuses one
// of a size that this link does not read.
func bearsVNetHeader(fd int, kind fdKind, told bool) (bool, error) {
	size := 0
	switch kind {
	case fdSocket:
		return told, nil
	case fdPacket:
		// A kernel that does not know the option gives no header.
		on, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR)
		if err != nil || on == 0 {
			return false, nil
		}
		size = vnetHeaderSize
		if n, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR_SZ); err == nil {
			size = n
		}
	case fdTAP:
		ifr, err := unix.NewIfreq("")
		if err != nil {
			return false, err
		}
		if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); err != nil {
			return false, fmt.Errorf("the descriptor is not an attached TAP device's: %w", err)
		}
		if ifr.Uint16()&unix.IFF_VNET_HDR == 0 {
			return false, nil
		}
		n, err := unix.IoctlGetUint32(fd, unix.TUNGETVNETHDRSZ)
		if err != nil {
			return false, fmt.Errorf("ask for the size of the offloads' header: %w", err)
		}
		size = int(n)
	}
	if size != vnetHeaderSize {
		return false, fmt.Errorf("the offloads' header has %d bytes; this link reads one of %d", size, vnetHeaderSize)
	}
	return true, nil
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
	s, offload := e.station.Load(), OffloadOff
	switch {
	case e.vnet:
		offload = OffloadOn
	case e.offloadLeft:
		offload = "off, incomplete"
	}
	return tracer.LinkInfo{
		Kind: e.cfg.Kind, Name: e.cfg.Name, MTU: s.mtu, MAC: s.mac.String(),
		Offload: offload, Peer: e.cfg.Peer,
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
		SuperFrames: c.superFrames.Load(), SuperFramesOut: c.superFramesOut.Load(),
		DatagramsSplit:     c.datagramsSplit.Load(),
		ChecksumsCompleted: c.completed.Load(), ChecksumsVouched: c.vouched.Load(),
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

// Wait implements stack.LinkEndpoint: it returns when the loop has ended and the
// descriptor is closed.
func (e *Ethernet) Wait() { e.wg.Wait() }

// MTU implements stack.LinkEndpoint.
func (e *Ethernet) MTU() uint32 { return e.station.Load().mtu }

// SetMTU implements stack.LinkEndpoint; the interface's own MTU stays.
func (e *Ethernet) SetMTU(mtu uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.station.Store(&station{mac: e.station.Load().mac, mtu: mtu})
}

// LinkAddress implements stack.LinkEndpoint.
func (e *Ethernet) LinkAddress() tcpip.LinkAddress { return e.station.Load().mac }

// SetLinkAddress implements stack.LinkEndpoint.
func (e *Ethernet) SetLinkAddress(mac tcpip.LinkAddress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.station.Store(&station{mac: mac, mtu: e.station.Load().mtu})
}

// knowVouched is KnowVouched's.
func (e *Ethernet) knowVouched() { e.vouches.Store(true) }

// MaxHeaderLength implements stack.LinkEndpoint.
func (*Ethernet) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// Capabilities implements stack.LinkEndpoint: no checksum offload, so that the
// stack verifies every checksum that the link has not vouched for, and computes
// every one, but for TCP's with host GSO.
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
