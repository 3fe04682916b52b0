package tracefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notifier is inotify's waiter.
type notifier struct {
	file   *os.File // the file itself, whatever becomes of its name
	in     *os.File // inotify's descriptor, which Go's poller waits for
	closed bool     // a program that wrote the file has closed it
}

func newWaiter(path string) (waiter, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("inotify: %w", err), f.Close())
	}
	const events = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF | unix.IN_ATTRIB
	if _, err := unix.InotifyAddWatch(fd, path, events); err != nil {
		return nil, errors.Join(fmt.Errorf("inotify: watch %s: %w", path, err), unix.Close(fd), f.Close())
	}
	return &notifier{file: f, in: os.NewFile(uintptr(fd), "inotify")}, nil
}

// wait implements waiter. The watch stands since before the file's end was read, so that
// nothing written since goes unnoticed; and a lease tells, whenever it is asked, whether a
// program has the file open for writing.
func (n *notifier) wait(ctx context.Context) (more bool, err error) {
	if written, known := n.beingWritten(); known && !written || !known && n.closed {
		return false, nil
	}
	// The deadline cannot be set only where the descriptor is closed, which ends the read too.
	stop := context.AfterFunc(ctx, func() { _ = n.in.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var buf [4096]byte
	size, err := n.in.Read(buf[:])
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return false, fmt.Errorf("inotify: %w", err)
	}
	for at := 0; at+unix.SizeofInotifyEvent <= size; {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at])) // the kernel aligns them
		if e.Mask&(unix.IN_CLOSE_WRITE|unix.IN_DELETE_SELF|unix.IN_IGNORED) != 0 {
			n.closed = true
		}
		at += unix.SizeofInotifyEvent + int(e.Len)
	}
	return true, nil
}

// beingWritten asks for a read lease, which the kernel refuses while any program has the
// file open for writing (fcntl(2), F_SETLEASE). known is false where it does not say: the
// file is another user's, or lies on a filesystem without leases.
func (n *notifier) beingWritten() (written, known bool) {
	_, err := unix.FcntlInt(n.file.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	switch {
	case err == nil:
		_, err = unix.FcntlInt(n.file.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		return false, err == nil
	case errors.Is(err, unix.EAGAIN):
		return true, true
	default:
		return false, false
	}
}

// Close implements waiter.
func (n *notifier) Close() error { return errors.Join(n.in.Close(), n.file.Close()) }
