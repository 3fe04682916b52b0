package link

import (
	"errors"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// sendWait bounds how long a full queue is waited for: the caller holds an
// endpoint's lock. What still does not fit is dropped, as a NIC does.
const sendWait = 10 * time.Millisecond

// maxSendParts is how many pieces of a packet are gathered without a copy; gVisor
// makes a handful of each.
const maxSendParts = 32

// GSOMaxSize implements stack.GSOEndpoint, in bytes.
func (e *Ethernet) GSOMaxSize() uint32 {
	if !e.vnet {
		return 0
	}
	return gsoMaxSize
}

// SupportedGSO implements stack.GSOEndpoint: with a virtio header the kernel makes
// wire segments of what the stack sends, where there is a wire.
func (e *Ethernet) SupportedGSO() stack.SupportedGSO {
	if !e.vnet {
		return stack.GSONotSupported
	}
	return stack.HostGSOSupported
}

// WritePackets implements stack.LinkWriter. What the device does not take is
// dropped and counted, and TCP sends it again: a NIC does not say either. It fails
// only when the link is closed or gone.
func (e *Ethernet) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	e.fdMu.RLock()
	defer e.fdMu.RUnlock()
	for i, pkt := range pkts.AsSlice() {
		if e.fd < 0 || e.stop.Load() {
			return i, &tcpip.ErrClosedForSend{}
		}
		e.writePacket(pkt)
	}
	return pkts.Len(), nil
}

// frameOut is a frame on its way to the kernel, which is given addresses within it.
type frameOut struct {
	iov   [1 + maxSendParts]unix.Iovec
	head  [vnetHeaderSize]byte
	count int // of iov
	size  int // of the frame, bytes
	super bool
}

var framesOut = sync.Pool{New: func() any { return new(frameOut) }}

// writePacket sends one frame. The caller holds fdMu.
func (e *Ethernet) writePacket(pkt *stack.PacketBuffer) {
	f := framesOut.Get().(*frameOut)
	defer framesOut.Put(f)
	e.prepare(f, pkt)
	defer clear(f.iov[:f.count]) // the packet's memory is not the pool's to keep
	c := &e.counters
	if f.size == 0 {
		return
	}
	deadline := time.Time{}
	for {
		// Raw: the descriptor does not block. What the call does take is the receiver's
		// part too, a copy of 64 KB at most.
		_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(e.fd), uintptr(unsafe.Pointer(&f.iov[0])), uintptr(f.count))
		switch errno {
		case 0:
			c.framesOut.Add(1)
			c.bytesOut.Add(uint64(f.size))
			if f.super {
				c.superFramesOut.Add(1)
			}
			return
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			if deadline.IsZero() {
				deadline = time.Now().Add(sendWait)
			}
			if e.awaitRoom(deadline) {
				continue
			}
			c.txDrops.Add(1)
			return
		case unix.ENOBUFS:
			c.txDrops.Add(1)
			return
		default:
		}
		c.txErrors.Add(1)
		e.noteSendError(errno)
		return
	}
}

// prepare lists what is to be written of a packet.
func (e *Ethernet) prepare(f *frameOut, pkt *stack.PacketBuffer) {
	iov := f.iov[:]
	f.super = false
	if e.vnet {
		h := outboundHeader(pkt, int(e.station.Load().mtu))
		h.encode(&f.head)
		f.super = h.gsoType != vnetGSONone
		iov[0].Base = &f.head[0]
		iov[0].SetLen(len(f.head))
		iov = iov[1:]
	}
	f.count, f.size = gather(iov, pkt)
	f.count += len(f.iov) - len(iov)
}

// gather lists the packet's bytes, without the room its headers left unused.
func gather(iov []unix.Iovec, pkt *stack.PacketBuffer) (count, size int) {
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b, skip = b[skip:], 0
		if count == len(iov) { // More pieces than ever seen: one copy of all.
			whole := pkt.ToView().ToSlice()
			iov[0].Base = &whole[0]
			iov[0].SetLen(len(whole))
			return 1, len(whole)
		}
		iov[count].Base = &b[0]
		iov[count].SetLen(len(b))
		count++
		size += len(b)
	}
	return count, size
}

// awaitRoom waits until the device takes more, but not beyond deadline.
func (e *Ethernet) awaitRoom(deadline time.Time) bool {
	left := time.Until(deadline)
	if left <= 0 || e.stop.Load() {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, int(left.Milliseconds())+1)
	return errors.Is(err, unix.EINTR) || err == nil && n > 0
}

// noteSendError has the loop look at the interface. A send takes a packet socket's
// pending error from the read that would have seen it. The caller holds fdMu.
func (e *Ethernet) noteSendError(errno unix.Errno) {
	switch errno {
	case unix.ENETDOWN, unix.ENXIO, unix.ENODEV, unix.EIO, unix.EBADFD:
		e.down.Store(true)
		e.wakeLocked()
	default: // no matter of the interface
	}
}
