package lab

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

func (b *builder) tapDevice() error {
	tap, err := find(b.hostH, tapName)
	if err != nil || tap != nil {
		return err
	}
	if err := inNamespace(b.host, func() error { return makeTAP(tapName, true) }); err != nil {
		return err
	}
	b.did("made %s, a TAP device", tapName)
	return nil
}

const tunDevice = "/dev/net/tun"

// makeTAP makes a TAP device in this thread's namespace; one that is not to persist
// is gone when makeTAP returns.
func makeTAP(name string, persist bool) error {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return tunError("open "+tunDevice, err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("make TAP %s: %w", name, err)
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return tunError("make TAP "+name, err)
	}
	if !persist {
		return nil
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return fmt.Errorf("keep TAP %s: %w", name, err)
	}
	return nil
}

func tunError(op string, err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return &PrivilegeError{
			Op: op, Err: err, Why: "the device is closed to this user",
			Fix: "run with sudo, or use --link veth or --link pipe",
		}
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s: %w: load the kernel's tun module (sudo modprobe tun), or use --link veth", op, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
