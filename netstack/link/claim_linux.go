package link

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// claimWait is how long a claim waits for the one before it to be let go: its holder may
// be about to learn that its appliance is gone.
const claimWait = time.Second

// Claim makes the interface this appliance's own, in the calling thread's network
// namespace, until release is called or the process ends. It refuses an interface that is
// claimed: two appliances on it would answer each other's segments with RST, and the first
// to end would turn the offloads on again under the other.
//
// The claim is an abstract Unix socket: each network namespace has names of its own for
// these, and the kernel takes them back however a process ends.
func Claim(info InterfaceInfo) (release func() error, err error) {
	name := fmt.Sprintf("@appliance/interface/%d", info.Index)
	for deadline := time.Now().Add(claimWait); ; {
		fd, err := bindNew(name)
		if err == nil {
			return func() error { return unix.Close(fd) }, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("open %s: claim it: %w", info.Name, err)
		}
		if !awaitEnd(name, time.Until(deadline)) {
			return nil, fmt.Errorf("open %s: %w: another appliance is on it; end that one first, or make another lab with `appliance lab up --name NAME`",
				info.Name, unix.EBUSY)
		}
	}
}

// bindNew returns a socket that listens under the name.
func bindNew(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	if err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN) // who waits for its end connects to it
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// awaitEnd tells whether the socket of that name was closed within the time.
func awaitEnd(name string, limit time.Duration) bool {
	if limit <= 0 {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); {
	case errors.Is(err, unix.ECONNREFUSED):
		return true // it has ended just now
	case err != nil:
		return false
	}
	ready := []unix.PollFd{{Fd: int32(fd)}} //nolint:gosec // a descriptor
	for {
		n, err := unix.Poll(ready, int(limit.Milliseconds())+1)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n > 0 // it hangs up: nothing is ever sent
		}
	}
}
