package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"appliance/netstack/link"
	"appliance/tracer"
)

const (
	// receiveBuffer is the socket's buffer asked for, bytes: what comes in a burst must
	// not be lost before it is read.
	receiveBuffer = 32 << 20
	// maxFrame is the longest frame that is kept whole, bytes: one of GSO's.
	maxFrame = 1 << 17
)

// Capture is a capture that is running, or over. Its methods may be called
// concurrently.
type Capture struct {
	opts    Options
	ifname  string
	file    *os.File
	started time.Time
	done    chan struct{} // closed when the reading has ended

	mu     sync.Mutex
	frames []Frame
	grown  chan struct{} // closed and made anew with each frame
	err    error         // why the reading ended

	once     sync.Once
	closeErr error
}

// Open starts to capture what passes on an Ethernet interface of the calling
// thread's network namespace, in both directions: what is sent from the moment when it
// returns is in the capture. It needs CAP_NET_RAW.
func Open(ifname string, o Options) (*Capture, error) {
	info, err := link.LookupInterface(ifname)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	fd, err := openSocket(info.Index)
	if err != nil {
		return nil, fmt.Errorf("capture: open %s: %w", ifname, err)
	}
	if o.Started.IsZero() {
		o.Started = time.Now()
	}
	c := &Capture{
		opts: o, ifname: ifname, started: o.Started, file: os.NewFile(uintptr(fd), "capture of "+ifname),
		done: make(chan struct{}), grown: make(chan struct{}),
	}
	go c.run()
	return c, nil
}

// openSocket opens a packet socket that gets every frame of one interface.
func openSocket(index int) (int, error) {
	// Protocol 0 receives nothing before the socket is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			return -1, fmt.Errorf("packet socket: %w: needs CAP_NET_RAW; run with sudo", err)
		}
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	if err := setUp(fd, index); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func setUp(fd, index int) error {
	// The force needs CAP_NET_ADMIN; without it net.core.rmem_max is the limit.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return fmt.Errorf("set the receive buffer: %w", err)
		}
	}
	for what, option := range map[string][2]int{
		"timestamps":            {unix.SOL_SOCKET, unix.SO_TIMESTAMPNS},
		"the checksum's status": {unix.SOL_PACKET, unix.PACKET_AUXDATA},
	} {
		if err := unix.SetsockoptInt(fd, option[0], option[1], 1); err != nil {
			return fmt.Errorf("ask for %s: %w", what, err)
		}
	}
	mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC} //nolint:gosec // an interface's index is small
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
		return fmt.Errorf("receive frames for every address: %w", err)
	}
	all := uint16(unix.ETH_P_ALL)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: index}); err != nil {
		return fmt.Errorf("bind the packet socket: %w", err)
	}
	return nil
}

// run reads until Close, and then what the kernel has still queued.
func (c *Capture) run() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		c.end(err)
		return
	}
	buf, oob := make([]byte, maxFrame), make([]byte, 256)
	for {
		var rerr error
		if err := raw.Read(func(fd uintptr) bool {
			rerr = c.readOne(int(fd), buf, oob)
			return !errors.Is(rerr, unix.EAGAIN)
		}); err != nil { // Close has set the deadline
			c.end(c.drain(raw, buf, oob))
			return
		}
		if rerr != nil {
			c.end(rerr)
			return
		}
	}
}

// drain reads what is queued.
func (c *Capture) drain(raw interface{ Control(func(uintptr)) error }, buf, oob []byte) error {
	var rerr error
	if err := raw.Control(func(fd uintptr) {
		for rerr == nil {
			rerr = c.readOne(int(fd), buf, oob)
		}
	}); err != nil {
		return err
	}
	if errors.Is(rerr, unix.EAGAIN) {
		return nil
	}
	return rerr
}

func (c *Capture) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.err = fmt.Errorf("read frames: %w", err)
	}
}

// readOne takes one frame from the kernel.
func (c *Capture) readOne(fd int, buf, oob []byte) error {
	n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return err
	}
	at, unfinished := metaOf(oob[:oobn])
	data := append([]byte(nil), buf[:n]...)
	if unfinished {
		link.CompleteChecksum(data)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := Frame{T: max(at.Sub(c.started), 0), Data: data}
	if len(c.frames) > 0 { // the clock may have been set
		f.T = max(f.T, c.frames[len(c.frames)-1].T)
	}
	c.frames = append(c.frames, f)
	close(c.grown)
	c.grown = make(chan struct{})
	return nil
}

// metaOf reads when a frame was seen, and whether its checksum is unfinished.
func metaOf(oob []byte) (at time.Time, unfinished bool) {
	at = time.Now()
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return at, false
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})):
			ts := *(*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			at = time.Unix(ts.Unix())
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= int(unsafe.Sizeof(unix.TpacketAuxdata{})):
			aux := *(*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
			unfinished = aux.Status&unix.TP_STATUS_CSUMNOTREADY != 0
		}
	}
	return at, unfinished
}

// Frames returns what has been captured so far.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Frame(nil), c.frames...)
}

// Events returns the trace of what has been captured so far.
func (c *Capture) Events() []tracer.Event { return Read(c.Frames(), c.opts.Read) }

// Wait waits until the trace so far fulfils a condition, which it looks at after
// each frame. It errs when ctx ends before, or the capture does.
func (c *Capture) Wait(ctx context.Context, ok func([]tracer.Event) bool) error {
	for {
		c.mu.Lock()
		frames, grown := c.frames[:len(c.frames):len(c.frames)], c.grown
		c.mu.Unlock()
		if ok(Read(frames, c.opts.Read)) {
			return nil
		}
		select {
		case <-grown:
		case <-c.done:
			if len(c.Frames()) == len(frames) {
				return fmt.Errorf("capture: wait for frames on %s: it has ended after %d: %w", c.ifname, len(frames), os.ErrClosed)
			}
		case <-ctx.Done():
			return fmt.Errorf("capture: wait for frames on %s: not among %d: %w", c.ifname, len(frames), context.Cause(ctx))
		}
	}
}

// Close ends the capture, after it has read what the kernel had queued. It errs
// where frames are missing: the kernel had no room for them, or reading failed. A
// further Close returns the same.
func (c *Capture) Close() error {
	c.once.Do(func() {
		err := c.file.SetReadDeadline(time.Unix(1, 0))
		if err == nil {
			<-c.done
			err = errors.Join(c.err, c.dropped())
		}
		if err = errors.Join(err, c.file.Close()); err != nil {
			c.closeErr = fmt.Errorf("capture: %s: %w", c.ifname, err)
		}
		<-c.done
	})
	return c.closeErr
}

// dropped tells of frames that the kernel could not keep.
func (c *Capture) dropped() error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var stats *unix.TpacketStats
	var serr error
	if err := raw.Control(func(fd uintptr) {
		stats, serr = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	}); err != nil {
		return err
	}
	if serr != nil {
		return fmt.Errorf("ask for the number of lost frames: %w", serr)
	}
	if stats.Drops > 0 {
		return fmt.Errorf("%d frames of %d are missing: the socket's buffer was full; raise net.core.rmem_max, or capture less",
			stats.Drops, stats.Packets)
	}
	return nil
}

// DisableOffload turns off what would put segments of up to 64 KB and unfinished
// checksums on a veth pair, as link.DisableOffload does, for the end that the calling
// thread's network namespace has, and the sending ones of its other end, in peerNetNS.
// Where both ends send, it is to be called in both namespaces. What stays on comes as
// warnings; restore puts all back as it was.
func DisableOffload(ifname, peerNetNS string) (restore func() error, warnings []string, err error) {
	info, err := link.LookupInterface(ifname)
	if err != nil {
		return nil, nil, fmt.Errorf("capture: %w", err)
	}
	o, err := link.DisableOffload(info, peerNetNS)
	if err != nil {
		return nil, nil, fmt.Errorf("capture: turn offloads off: %w", err)
	}
	return o.Restore, o.Warnings(), nil
}
