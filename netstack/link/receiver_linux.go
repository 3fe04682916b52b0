package link

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// overflowSizes are the sizes of the views behind a slot's first one, which holds a
// whole frame of the link's MTU. Together they take a 64 KB super frame with its
// header; those not written to serve the next frame. They are few, as gVisor counts
// references to each, and not one, as it clears each, all of it, before it is used.
var overflowSizes = []int{32 << 10, 32 << 10}

// receiveBatch is how many frames one call takes at most.
const receiveBatch = 32

// receiveEnough is how many bytes a call should take, or less: what was read is still in
// the processor's cache when the stack and the program get it, and the memory that
// they give back still is when the next frames are read into it. Of small frames one
// call takes many, of super frames one or two.
const receiveEnough = 64 << 10

// receiver is the loop's reading state. It lives on the heap: the kernel is given
// addresses within it.
type receiver struct {
	fd    int
	kind  fdKind
	vnet  bool
	slots []slot
	msgs  []multiMessage // of a socket, one a slot
	batch int            // how many frames the next call takes

	ready syscall.RawConn // see readiness
	woken *atomic.Bool    // whether not to sleep
	try   func(uintptr) bool
	// Of the last take:
	slept bool // and did not find it at once
	size  int  // bytes, of all frames
	n     int
	err   error
}

// multiMessage is struct mmsghdr.
type multiMessage struct {
	hdr unix.Msghdr
	len uint32
}

// slot is room for a frame.
type slot struct {
	sizes []int
	views []*buffer.View
	iov   []unix.Iovec // the virtio header's, if there is one, then the views'
	n     int          // bytes of the frame that was read
	flags int32        // of the message: MSG_TRUNC
	head  [vnetHeaderSize]byte
	from  unix.RawSockaddrLinklayer
	// control has room for the auxiliary data's message, aligned for its header.
	control    [8]uint64
	controlLen int
}

// frameMeta is what the kernel says about a frame.
type frameMeta struct {
	truncated, unfinished, vlan, outgoing bool
	vnet                                  vnetHeader
}

func newReceiver(fd int, kind fdKind, vnet bool, mtu uint32) *receiver {
	first := 2048
	for first < int(mtu)+header.EthernetMinimumSize && first < 1<<16 {
		first *= 2
	}
	sizes := append([]int{first}, overflowSizes...)
	count := receiveBatch
	if kind == fdTAP { // a frame a read
		count = 1
	}
	r := &receiver{fd: fd, kind: kind, vnet: vnet, slots: make([]slot, count), batch: 1}
	if kind != fdTAP {
		r.msgs = make([]multiMessage, count)
	}
	for i := range r.slots {
		s := &r.slots[i]
		s.sizes = sizes
		s.views = make([]*buffer.View, len(sizes))
		s.iov = make([]unix.Iovec, len(sizes))
		if vnet {
			s.iov = make([]unix.Iovec, 1+len(sizes))
			s.iov[0].Base = &s.head[0]
			s.iov[0].SetLen(len(s.head))
		}
	}
	return r
}

// refill replaces the views that the last frame has taken.
func (s *slot) refill() {
	iov := s.iov[len(s.iov)-len(s.views):]
	for i := range s.views {
		if s.views[i] != nil {
			return // Frames take views from the front.
		}
		s.views[i] = buffer.NewViewSize(s.sizes[i])
		iov[i].Base = s.views[i].BasePtr()
		iov[i].SetLen(s.sizes[i])
	}
}

// sleepOn says what to wait on, and when not to.
func (r *receiver) sleepOn(ready syscall.RawConn, woken *atomic.Bool) {
	r.ready, r.woken = ready, woken
	r.try = func(uintptr) bool {
		r.n, r.err = r.read()
		if r.slept || r.err != unix.EAGAIN || r.woken.Load() { //nolint:errorlint // read returns a bare number
			return true
		}
		r.slept = true
		return false
	}
}

// take takes frames into the slots and returns how many. Where there are none it may
// sleep until there are, or until something else is to be looked at, which is EAGAIN.
//
// It sleeps in the runtime's poller, as a socket of package net does: then the thread
// that the frame wakes goes on with all that the frame sets going. A thread that sleeps
// in poll(2) itself keeps its share of the scheduler for a while, and others must be
// woken to do the work, on another processor, whose cache does not have the frame.
func (r *receiver) take(doze bool) (int, error) {
	r.slept = false
	if !doze {
		return r.read()
	}
	if err := r.ready.Read(r.try); err != nil {
		return 0, err
	}
	return r.n, r.err
}

// read takes frames into the slots, as many as there are, without blocking, and
// returns how many.
func (r *receiver) read() (int, error) {
	if r.kind == fdTAP {
		s := &r.slots[0]
		s.refill()
		// Raw: the call does not block, and the scheduler need not be told.
		n, _, errno := unix.RawSyscall(unix.SYS_READV, uintptr(r.fd), uintptr(unsafe.Pointer(&s.iov[0])), uintptr(len(s.iov)))
		if errno != 0 {
			return 0, errno
		}
		s.took(r, int(n))
		r.size = s.n
		return 1, nil
	}
	for i := range r.batch {
		s := &r.slots[i]
		s.refill()
		h := &r.msgs[i].hdr
		*h = unix.Msghdr{Iov: &s.iov[0]}
		h.SetIovlen(len(s.iov))
		if r.kind == fdPacket {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.from)), unix.SizeofSockaddrLinklayer
			h.Control = (*byte)(unsafe.Pointer(&s.control[0]))
			h.SetControllen(len(s.control) * 8)
		}
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.msgs[0])), uintptr(r.batch), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	size := 0
	for i := range int(n) {
		s, m := &r.slots[i], &r.msgs[i]
		s.flags, s.controlLen = m.hdr.Flags, int(m.hdr.Controllen)
		s.took(r, int(m.len))
		size += s.n
	}
	r.size = size
	r.adapt(int(n), size)
	return int(n), nil
}

// adapt chooses the next batch by the last one: n frames of size bytes.
func (r *receiver) adapt(n, size int) {
	switch {
	case size > receiveEnough:
		r.batch = max(1, r.batch/2)
	case n == r.batch && 2*size <= receiveEnough:
		r.batch = min(len(r.slots), 2*r.batch)
	}
}

// took notes that n bytes were read, the virtio header among them. What is shorter
// than that is no frame.
func (s *slot) took(r *receiver, n int) {
	if r.vnet {
		n = max(n-vnetHeaderSize, 0)
	}
	s.n = n
}

// meta reads what came along with the slot's frame.
func (s *slot) meta(r *receiver) frameMeta {
	m := frameMeta{truncated: s.flags&unix.MSG_TRUNC != 0}
	if r.vnet {
		m.vnet = decodeVNetHeader(&s.head)
	}
	if r.kind != fdPacket {
		return m
	}
	m.outgoing = s.from.Pkttype == unix.PACKET_OUTGOING
	if s.controlLen < unix.CmsgLen(int(unsafe.Sizeof(unix.TpacketAuxdata{}))) {
		return m
	}
	// PACKET_AUXDATA is the only control message that was asked for.
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.control[0]))
	if h.Level != unix.SOL_PACKET || h.Type != unix.PACKET_AUXDATA {
		return m
	}
	aux := (*unix.TpacketAuxdata)(unsafe.Add(unsafe.Pointer(&s.control[0]), unix.CmsgLen(0)))
	m.unfinished = aux.Status&unix.TP_STATUS_CSUMNOTREADY != 0
	m.vlan = aux.Status&unix.TP_STATUS_VLAN_VALID != 0
	return m
}

// first is the frame's beginning, as far as it is in one piece.
func (s *slot) first() []byte {
	b := s.views[0].AsSlice()
	return b[:min(s.n, len(b))]
}

// parts are the frame's bytes, as they lie in the views.
func (s *slot) parts() [][]byte {
	var parts [][]byte
	n := s.n
	for _, v := range s.views {
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

// take hands over the frame's bytes.
func (s *slot) take() buffer.Buffer {
	var b buffer.Buffer
	n := s.n
	for i, v := range s.views {
		if n <= 0 {
			break
		}
		v.CapLength(n)
		n -= v.Size()
		// A view is only refused when it has no bytes, which none here has.
		_ = b.Append(v)
		s.views[i] = nil
	}
	return b
}

func (r *receiver) release() {
	for i := range r.slots {
		for k, v := range r.slots[i].views {
			if v != nil {
				v.Release()
				r.slots[i].views[k] = nil
			}
		}
	}
}
