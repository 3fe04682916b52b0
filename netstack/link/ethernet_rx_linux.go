package link

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

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

// loop reads and delivers until the link is stopped or its interface is gone.
func (e *Ethernet) loop() {
	defer e.wg.Done()
	r := newReceiver(e.fd, e.kind, e.vnet, e.MTU())
	r.sleepOn(e.ready, &e.woken)
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

// receive reads until the link is stopped. No frame ends it: an error that a frame
// brings about takes that frame with it, and is counted.
func (e *Ethernet) receive(r *receiver) error {
	failures := 0
	idle := idler{most: e.cfg.BusyPoll}
	sleep := idle.most == 0
	// Where goroutines run one at a time, what was read is seen through by TCP and the program
	// before more is: some 32 KB, which are in the cache still when they copy them, and the
	// memory that they give back is the next frames'; or what ended a sleep, the answer to which
	// does not wait for what else there is. Where goroutines run beside each other that would
	// only send this one from processor to processor.
	alone, read := runtime.GOMAXPROCS(0) == 1, 0
	for !e.stop.Load() {
		down := e.down.Load()
		n, err := r.take(sleep && !down)
		switch {
		case err == nil:
			failures = 0
			idle.stop()
			sleep = idle.most == 0
			if down {
				e.down.Store(false)
			}
			if err := e.deliverAll(r, n); err != nil {
				return err
			}
			if read += r.size; alone && (r.slept || read >= receiveEnough/2) {
				read = 0
				runtime.Gosched()
			}
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if !sleep && !down {
				sleep = !idle.spin()
				continue
			}
			if err = e.look(); err == nil {
				failures = 0
				continue
			}
		case e.vnet && errors.Is(err, unix.EINVAL):
			e.counters.rxErrors.Add(1) // a super-segment that the virtio header cannot tell of
			continue
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

// deliverAll delivers the frames in the first n slots. It errs where the other end
// of a socket has closed it.
func (e *Ethernet) deliverAll(r *receiver, n int) error {
	for i := range n {
		s := &r.slots[i]
		if s.n == 0 && e.kind == fdSocket && hungUp(e.fd) {
			return fmt.Errorf("link %s: the other end closed it", e.cfg.Name)
		}
		e.deliver(r, s)
	}
	return nil
}

// idler tells how long to ask again before sleeping.
type idler struct {
	most  time.Duration
	until time.Time // zero while there are frames
}

// spin lets others run and tells whether to ask again.
func (i *idler) spin() bool {
	if i.most <= 0 {
		return false
	}
	now := time.Now()
	if i.until.IsZero() {
		i.until = now.Add(i.most)
	}
	if now.After(i.until) {
		i.until = time.Time{} // what the sleep ends with is spun for again
		return false
	}
	runtime.Gosched()
	return true
}

func (i *idler) stop() {
	if i.most > 0 {
		i.until = time.Time{}
	}
}

// look tells why there was nothing to read: nil for no reason, an error that the
// descriptor reports, and ENETDOWN when it is time to look whether the interface is
// still there. For one that is down it waits first.
func (e *Ethernet) look() error {
	if e.woken.Swap(false) {
		e.drainWake()
		return unix.ENETDOWN
	}
	fds := []unix.PollFd{
		{Fd: int32(e.fd), Events: unix.POLLIN},
		{Fd: int32(e.wakeFD), Events: unix.POLLIN},
	}
	down, timeout := e.down.Load(), 0
	if down {
		timeout = int(downPoll.Milliseconds())
	}
	n, err := unix.Poll(fds, timeout)
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0 && down:
		return unix.ENETDOWN
	case n == 0:
		return nil
	case fds[1].Revents != 0:
		e.drainWake()
		return unix.ENETDOWN
	case fds[0].Revents&unix.POLLIN == 0:
		return e.pollError(fds[0].Revents)
	}
	return nil
}

// drainWake makes the eventfd quiet again.
func (e *Ethernet) drainWake() {
	var b [8]byte
	_, _ = unix.Read(e.wakeFD, b[:])
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

// deliver looks at a slot's frame and hands it to the stack if it is for us.
func (e *Ethernet) deliver(r *receiver, s *slot) {
	c := &e.counters
	meta := s.meta(r)
	switch {
	case meta.outgoing:
		c.outgoing.Add(1)
		return
	case meta.truncated:
		c.truncated.Add(1)
		return
	case s.n < header.EthernetMinimumSize:
		c.runts.Add(1)
		return
	}
	eth := header.Ethernet(s.first())
	own := e.station.Load()
	kind := packetTypeOf(eth[:header.EthernetAddressSize], own.mac)
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
	c.bytesIn.Add(uint64(s.n))
	if s.n > int(own.mtu)+header.EthernetMinimumSize {
		c.superFrames.Add(1)
	}
	if meta.vnet.udpGSO() && e.deliverDatagrams(d, s, meta.vnet, kind) {
		return
	}
	mark := e.judge(s, meta)
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: s.take()})
	if mark.vouched {
		vouch(pkt)
	}
	if mark.super {
		setWireSize(pkt, meta.vnet)
	}
	e.hand(d, pkt, kind)
}

// judgement is what the link has to say of a frame's segment.
type judgement struct{ vouched, super bool }

// judge sees to a frame's checksum: it is left to the stack to verify, unless the
// kernel says that there is none yet. Then it is finished, or, where the stack
// knows of that, vouched for.
func (e *Ethernet) judge(s *slot, meta frameMeta) (j judgement) {
	c, h := &e.counters, &meta.vnet
	if !e.vnet {
		if meta.unfinished && completeChecksum(s.parts()) {
			c.completed.Add(1)
		}
		return j
	}
	partial := h.flags&vnetNeedsChecksum != 0
	if !partial && h.flags&vnetDataValid == 0 && !h.tcpGSO() {
		return j
	}
	seg, ok := findSegment(s.first(), s.n)
	isTCP := ok && !seg.udp
	j.super = isTCP && h.tcpGSO()
	if partial && isTCP {
		isTCP = int(h.csumStart) == seg.start && seg.start+int(h.csumOffset) == seg.field
	}
	switch {
	case isTCP && e.vouches.Load() && (partial || h.flags&vnetDataValid != 0):
		j.vouched = true
		c.vouched.Add(1)
	case partial && completeChecksumAt(s.parts(), int(h.csumStart), int(h.csumOffset)):
		c.completed.Add(1)
	}
	return j
}

// deliverDatagrams delivers a frame that stands for several UDP datagrams. It is
// false where it does not hold any.
func (e *Ethernet) deliverDatagrams(d *dispatcher, s *slot, h vnetHeader, kind tcpip.PacketType) bool {
	frames := splitFrame(slices.Concat(s.parts()...), int(h.gsoSize))
	for _, f := range frames {
		e.counters.datagramsSplit.Add(1)
		e.hand(d, stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f)}), kind)
	}
	return len(frames) > 0
}

// hand gives a frame to the stack, and lets go of it.
func (e *Ethernet) hand(d *dispatcher, pkt *stack.PacketBuffer, kind tcpip.PacketType) {
	defer pkt.DecRef()
	e.ParseHeader(pkt)
	protocol := header.Ethernet(pkt.LinkHeader().Slice()).Type()
	pkt.NetworkProtocolNumber = protocol
	pkt.PktType = kind
	d.DeliverNetworkPacket(protocol, pkt)
}
