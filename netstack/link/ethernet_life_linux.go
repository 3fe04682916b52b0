package link

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

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
		e.wakeLocked()
	}
}

// wakeLocked is wake for one who holds fdMu, with the descriptors open.
func (e *Ethernet) wakeLocked() {
	e.woken.Store(true) // first: a loop that is about to sleep sees this, one that sleeps the other
	// The only possible failure is a counter at its maximum, which wakes too.
	_, _ = unix.Write(e.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (e *Ethernet) closeFDs() {
	e.collectDrops()
	e.fdMu.Lock()
	defer e.fdMu.Unlock()
	if e.kind == fdTAP && e.vnet {
		// On a device that stays, for the next program, which may not know of offloads.
		_ = unix.IoctlSetInt(e.fd, unix.TUNSETOFFLOAD, 0)
	}
	_ = e.readiness.Close()
	_ = unix.Close(e.fd)
	_ = unix.Close(e.wakeFD)
	e.fd = -1
}

// readiness makes a file that is readable when one of the descriptors is, for the
// runtime's poller: an epoll in its epoll. A descriptor of its own there would report
// that it can be written to as well, which a packet socket can again with each frame
// that it has sent.
func readiness(fds ...int) (*os.File, syscall.RawConn, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, nil, os.NewSyscallError("epoll_create1", err)
	}
	for _, fd := range fds {
		if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
			_ = unix.Close(set)
			return nil, nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	if err := unix.SetNonblock(set, true); err != nil { // which has NewFile poll it
		_ = unix.Close(set)
		return nil, nil, err
	}
	f := os.NewFile(uintptr(set), "epoll")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, raw, nil
}
