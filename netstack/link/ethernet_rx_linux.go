package link

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// downPoll is how often the loop looks whether an interface that is down is
	// still there. The kernel reports "down" on the socket but not the removal
	// that may follow.
	downPoll = 100 * time.Millisecond
	// errorPause is the wait after a failed read, maxErrors how many failed reads
	// in a row end the link.
	errorPause = 10 * time.Millisecond
	maxErrors  = 100
)

// frameSizes are the sizes of the views behind the first one, which holds a whole
// frame of the link's MTU. Together they take a 64 KB super frame with its header;
// those not written to serve the next frame.
var frameSizes = []int{4096, 8192, 16384, 32768, 8192}

// receiver is the loop's reading state. It lives on the heap: the kernel is given
// addresses within it.
type receiver struct {
	fd    int
	kind  fdKind
	sizes []int
	views []*buffer.View
	iov   []unix.Iovec
	msg   unix.Msghdr
	from  unix.RawSockaddrLinklayer
	// control has room for the auxiliary data's message, aligned for its header.
	control [16]uint64
}

// frameMeta is what the kernel says about a frame.
type frameMeta struct {
	truncated, unfinished, vlan, outgoing bool
}

func newReceiver(fd int, kind fdKind, mtu uint32) *receiver {
	first := 2048
	for first < int(mtu)+header.EthernetMinimumSize && first < 1<<16 {
		first *= 2
	}
	sizes := append([]int{first}, frameSizes...)
	return &receiver{
		fd: fd, kind: kind, sizes: sizes,
		views: make([]*buffer.View, len(sizes)),
		iov:   make([]unix.Iovec, len(sizes)),
	}
}

// refill replaces the views that the last frame has taken.
func (r *receiver) refill() {
	for i := range r.views {
		if r.views[i] != nil {
			return // Frames take views from the front.
		}
		r.views[i] = buffer.NewViewSize(r.sizes[i])
		r.iov[i].Base = r.views[i].BasePtr()
		r.iov[i].SetLen(r.sizes[i])
	}
}

// read takes one frame into the views, without blocking.
func (r *receiver) read() (int, frameMeta, error) {
	r.refill()
	if r.kind == fdTAP {
		n, _, errno := unix.Syscall(unix.SYS_READV, uintptr(r.fd), uintptr(unsafe.Pointer(&r.iov[0])), uintptr(len(r.iov)))
		if errno != 0 {
			return 0, frameMeta{}, errno
		}
		return int(n), frameMeta{}, nil
	}
	r.msg = unix.Msghdr{Iov: &r.iov[0], Control: (*byte)(unsafe.Pointer(&r.control[0]))}
	r.msg.SetIovlen(len(r.iov))
	r.msg.SetControllen(len(r.control) * 8)
	if r.kind == fdPacket {
		r.msg.Name = (*byte)(unsafe.Pointer(&r.from))
		r.msg.Namelen = unix.SizeofSockaddrLinklayer
	}
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, frameMeta{}, errno
	}
	return int(n), r.meta(), nil
}

// meta reads what came along with the last message.
func (r *receiver) meta() frameMeta {
	m := frameMeta{truncated: r.msg.Flags&unix.MSG_TRUNC != 0}
	if r.kind != fdPacket {
		return m
	}
	m.outgoing = r.from.Pkttype == unix.PACKET_OUTGOING
	have := int(r.msg.Controllen)
	if have < unix.CmsgLen(int(unsafe.Sizeof(unix.TpacketAuxdata{}))) {
		return m
	}
	// PACKET_AUXDATA is the only control message that was asked for.
	h := (*unix.Cmsghdr)(unsafe.Pointer(&r.control[0]))
	if h.Level != unix.SOL_PACKET || h.Type != unix.PACKET_AUXDATA {
		return m
	}
	aux := (*unix.TpacketAuxdata)(unsafe.Add(unsafe.Pointer(&r.control[0]), unix.CmsgLen(0)))
	m.unfinished = aux.Status&unix.TP_STATUS_CSUMNOTREADY != 0
	m.vlan = aux.Status&unix.TP_STATUS_VLAN_VALID != 0
	return m
}

// head is the frame's first bytes, up to n of them, before it is taken.
func (r *receiver) head(n int) []byte {
	b := r.views[0].AsSlice()
	return b[:min(n, len(b))]
}

// parts are the n bytes that were read, as they lie in the views.
func (r *receiver) parts(n int) [][]byte {
	var parts [][]byte
	for _, v := range r.views {
		if n <= 0 {
			break
		}
		b := v.AsSlice()
		b = b[:min(n, len(b))]
		parts = append(parts, b)
		n -= len(b)
	}
	return parts
}

// take hands over the n bytes that were read.
func (r *receiver) take(n int) buffer.Buffer {
	var b buffer.Buffer
	for i, v := range r.views {
		if n <= 0 {
			break
		}
		v.CapLength(n)
		n -= v.Size()
		// A view is only refused when it has no bytes, which none here has.
		_ = b.Append(v)
		r.views[i] = nil
	}
	return b
}

func (r *receiver) release() {
	for i, v := range r.views {
		if v != nil {
			v.Release()
			r.views[i] = nil
		}
	}
}

// loop reads and delivers until the link is stopped or its interface is gone.
func (e *Ethernet) loop() {
	defer e.wg.Done()
	r := newReceiver(e.fd, e.kind, e.MTU())
	err := e.receive(r)
	r.release()

	e.mu.Lock()
	if !e.closed {
		e.err = err
	}
	e.mu.Unlock()
	e.stop.Store(true) // Writers see that nothing is sent any more.
	e.closeFDs()
	close(e.done)
}

func (e *Ethernet) receive(r *receiver) error {
	failures := 0
	for !e.stop.Load() {
		n, meta, err := r.read()
		switch {
		case err == nil:
			failures = 0
			e.down.Store(false)
			e.deliver(r, n, meta)
			if n == 0 && e.kind == fdSocket && hungUp(e.fd) {
				return fmt.Errorf("link %s: the other end closed it", e.cfg.Name)
			}
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if err = e.await(); err == nil {
				failures = 0
				continue
			}
		}
		if gone := e.lost(err); gone != nil {
			return gone
		}
		if errors.Is(err, unix.ENETDOWN) {
			e.down.Store(true)
			continue
		}
		e.counters.rxErrors.Add(1)
		if failures++; failures >= maxErrors {
			return fmt.Errorf("read from %s: %w (%d times in a row)", e.cfg.Name, err, failures)
		}
		e.pause(errorPause)
	}
	return nil
}

// await waits until there is something to read. It returns an error when the
// descriptor reports one, and ENETDOWN when it is time to look whether the
// interface is still there.
func (e *Ethernet) await() error {
	fds := []unix.PollFd{
		{Fd: int32(e.fd), Events: unix.POLLIN},
		{Fd: int32(e.wakeFD), Events: unix.POLLIN},
	}
	timeout := -1
	if e.down.Load() {
		timeout = int(downPoll.Milliseconds())
	}
	n, err := unix.Poll(fds, timeout)
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return unix.ENETDOWN
	case fds[1].Revents != 0:
		var b [8]byte
		_, _ = unix.Read(e.wakeFD, b[:])
		return unix.ENETDOWN
	case fds[0].Revents&unix.POLLIN == 0:
		return e.pollError(fds[0].Revents)
	}
	return nil
}

// pollError tells what POLLERR, POLLHUP or POLLNVAL stand for.
func (e *Ethernet) pollError(revents int16) error {
	switch {
	case e.kind == fdTAP:
		return unix.EIO
	case e.kind == fdSocket && revents&unix.POLLHUP != 0:
		return unix.ECONNRESET
	}
	pending, err := unix.GetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return err
	case pending != 0:
		return unix.Errno(pending)
	}
	e.pause(errorPause) // A send has taken the error, and wakes the loop.
	return nil
}

// pause waits, unless the link is stopped meanwhile.
func (e *Ethernet) pause(d time.Duration) {
	fds := []unix.PollFd{{Fd: int32(e.wakeFD), Events: unix.POLLIN}}
	_, _ = unix.Poll(fds, int(d.Milliseconds()))
}

// lost returns the error to end with if the interface is gone, nil if it is there.
// A packet socket says "network is down" both when its interface is set down and
// when it is removed; only its index tells which.
func (e *Ethernet) lost(cause error) error {
	gone := false
	switch e.kind {
	case fdPacket:
		sa, err := unix.Getsockname(e.fd)
		if err != nil {
			return fmt.Errorf("link %s: look at its socket: %w", e.cfg.Name, err)
		}
		ll, ok := sa.(*unix.SockaddrLinklayer)
		// The kernel sets the index to -1 when the interface is unregistered; Hatype
		// is 0 when the namespace has no interface of that index.
		gone = ok && (ll.Ifindex <= 0 || ll.Hatype == 0)
	case fdTAP:
		ifr, err := unix.NewIfreq("")
		if err == nil {
			err = unix.IoctlIfreq(e.fd, unix.TUNGETIFF, ifr)
		}
		gone = err != nil
	case fdSocket:
		if errors.Is(cause, unix.ECONNRESET) {
			return fmt.Errorf("link %s: the other end closed it: %w", e.cfg.Name, cause)
		}
	}
	if !gone {
		return nil
	}
	return fmt.Errorf("link %s: %w: it was deleted, or moved to another network namespace, while in use (%w)",
		e.cfg.Name, ErrInterfaceGone, cause)
}

// hungUp tells whether a socket's other end is closed.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents&unix.POLLHUP != 0
}

// deliver looks at a frame of n bytes and hands it to the stack if it is for us.
func (e *Ethernet) deliver(r *receiver, n int, meta frameMeta) {
	c := &e.counters
	switch {
	case meta.outgoing:
		c.outgoing.Add(1)
		return
	case meta.truncated:
		c.truncated.Add(1)
		return
	case n < header.EthernetMinimumSize:
		c.runts.Add(1)
		return
	}
	eth := header.Ethernet(r.head(header.EthernetMinimumSize))
	e.mu.Lock()
	own, mtu := e.mac, int(e.mtu)
	e.mu.Unlock()
	kind := packetTypeOf(eth.DestinationAddress(), own)
	switch {
	case meta.vlan || vlanTPID(eth.Type()):
		c.vlan.Add(1)
		return
	case kind == tcpip.PacketOtherHost:
		c.otherHost.Add(1)
		return
	}
	d := e.disp.Load()
	if d == nil {
		return
	}
	c.framesIn.Add(1)
	c.bytesIn.Add(uint64(n))
	if n > mtu+header.EthernetMinimumSize {
		c.superFrames.Add(1)
	}
	if meta.unfinished && completeChecksum(r.parts(n)) {
		c.completed.Add(1)
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: r.take(n)})
	defer pkt.DecRef()
	e.ParseHeader(pkt)
	protocol := header.Ethernet(pkt.LinkHeader().Slice()).Type()
	pkt.NetworkProtocolNumber = protocol
	pkt.PktType = kind
	d.DeliverNetworkPacket(protocol, pkt)
}
