package link

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tapOffloads are what a TAP device's kernel side may leave to the reader: TCP's
// checksums and its segmentation (TUN_F_CSUM, _TSO4, _TSO6, _TSO_ECN). UDP's is not
// among them: it would have to be taken apart here.
const tapOffloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN

// attachTAP opens the device's descriptor and returns it with the device's name,
// and whether its offloads are on or off.
func attachTAP(name string, exists bool, offload string) (fd int, device, resolved string, err error) {
	fd, err = unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, "", "", openTunError(name, err)
	}
	on, err := tapCanOffload(fd, offload)
	if err == nil {
		device, err = setInterface(fd, name, exists, on)
	}
	if err == nil {
		err = setTAPOffloads(fd, on)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, "", "", attachError(name, exists, err)
	}
	if on {
		return fd, device, OffloadOn, nil
	}
	return fd, device, OffloadOff, nil
}

// tapCanOffload tells whether the descriptor is to bear the virtio header.
func tapCanOffload(fd int, offload string) (bool, error) {
	if offload != OffloadOn && offload != OffloadAuto {
		return false, nil
	}
	features, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES)
	switch {
	case err == nil && features&unix.IFF_VNET_HDR != 0:
		return true, nil
	case offload == OffloadAuto:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask what the tun driver can: %w; use offload off", err)
	}
	return false, fmt.Errorf("its driver has no offloads (IFF_VNET_HDR): %w; use offload off, or auto", errors.ErrUnsupported)
}

// setInterface ties the descriptor to the device and returns its name.
func setInterface(fd int, name string, exists, header bool) (string, error) {
	pattern, flags := name, uint16(unix.IFF_TAP|unix.IFF_NO_PI)
	if name == "" {
		pattern = "tap%d"
	}
	if !exists && name != "" {
		flags |= unix.IFF_TUN_EXCL // Not one that has appeared since the look-up.
	}
	if header {
		flags |= unix.IFF_VNET_HDR
	}
	ifr, err := unix.NewIfreq(pattern)
	if err != nil {
		return "", err
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return "", err
	}
	return ifr.Name(), nil
}

// setTAPOffloads tells the kernel what it may leave to the reader. Without offloads
// it hands over finished frames of at most the MTU.
func setTAPOffloads(fd int, on bool) error {
	if !on {
		if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0); err != nil {
			return fmt.Errorf("turn its offloads off: %w", err)
		}
		return nil
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetHeaderSize); err != nil {
		return fmt.Errorf("set the size of its offloads' header: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tapOffloads); err != nil {
		return fmt.Errorf("turn its offloads on: %w; use offload off, or auto", err)
	}
	return nil
}

// openTunError says what to do when the driver's file cannot be opened.
func openTunError(name string, err error) error {
	err = &os.PathError{Op: "open", Path: tunDevice, Err: err}
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("open TAP device %s: %w: the tun driver is not there; load it with `modprobe tun`, "+
			"in a container pass the device (--device %s), or use --link veth or pipe", name, err, tunDevice)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("open TAP device %s: %w: it is closed to this user; run with sudo, or use --link pipe", name, err)
	}
	return fmt.Errorf("open TAP device %s: %w", name, err)
}

// attachError says what to do when the device cannot be had.
func attachError(name string, exists bool, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("open TAP device %s: %w: another program has it; end that one, or choose another name", name, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("open TAP device %s: %w: needs CAP_NET_ADMIN, or a device that `ip tuntap add %s mode tap user USER` made for this user; "+
			"run with sudo, or use --link pipe", name, err, name)
	case errors.Is(err, unix.EINVAL) && exists:
		return fmt.Errorf("open TAP device %s: %w: it was made with multi_queue, which the appliance does not use; make it without, or choose another name", name, err)
	}
	return fmt.Errorf("open TAP device %s: %w", name, err)
}
