package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/internal/config"
	"appliance/internal/lab"
	"appliance/internal/runner"
	"appliance/netstack"
)

// openFDBased puts a stack on a TAP by gVisor's own link/fdbased, with what it takes to
// work there and no more: what one gets who puts gVisor on a TAP without a link of one's
// own. Nothing is traced.
func (w *world) openFDBased(ctx context.Context) error {
	l, err := w.openLab(ctx, lab.Options{Kind: lab.TAP})
	if err != nil {
		return err
	}
	fd := -1
	if err := l.Do(func() (err error) { fd, err = openTAP(l.AppInterface()); return err }); err != nil {
		return err
	}
	w.closers = append(w.closers, func() error { return unix.Close(fd) })
	addresses := []netip.Prefix{farAddress}
	ep, err := fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: mtu, EthernetHeader: true, Address: tcpip.LinkAddress(runner.StableMAC(addresses)),
	})
	if err != nil {
		return fmt.Errorf("bench: link/fdbased on %s: %w", l.AppInterface(), err)
	}
	cfg := config.Default()
	cfg.Addresses = addresses
	so := cfg.Stack()
	s, err := netstack.New(stopping{ep}, netstack.Options{Addresses: addresses, TCP: so.TCP})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, s.Close)
	return w.serve(ctx, s)
}

// stopping is a link endpoint whose Close stops it, as a Stack wants it: fdbased's own stops
// when the NIC is removed, and a closed stack removes none.
type stopping struct{ stack.LinkEndpoint }

// Close implements stack.LinkEndpoint.
func (s stopping) Close() {
	s.Attach(nil)
	s.LinkEndpoint.Close()
}

// openTAP attaches to a TAP of the calling thread's namespace, without a virtio header.
func openTAP(name string) (int, error) {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: device, Err: err}
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return -1, errors.Join(fmt.Errorf("attach to %s: %w", name, err), unix.Close(fd))
	}
	return fd, nil
}
