package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"appliance/internal/config"
	"appliance/internal/lab"
	"appliance/netstack/link"
)

// openArgs is what this process tells the Opener, which may run in a lab's holder.
type openArgs struct {
	Addresses []netip.Prefix `json:"addresses"`
	Offload   string         `json:"offload"`
}

// openMeta is what the Opener tells back.
type openMeta struct {
	Info     link.InterfaceInfo `json:"info"`
	Warnings []string           `json:"warnings,omitempty"`
}

// OpenLabLink is the lab's Opener: it opens the appliance's end of a lab, in the
// namespace that it is in.
func OpenLabLink(_ context.Context, r lab.OpenRequest) (*lab.Opened, error) {
	var args openArgs
	if err := json.Unmarshal(r.Args, &args); err != nil {
		return nil, fmt.Errorf("open %s: %w", r.Interface, err)
	}
	if r.Kind == lab.TAP {
		fd, device, err := link.OpenTAPDevice(link.TAPOptions{Name: r.Interface, Addresses: args.Addresses, Offload: args.Offload})
		if err != nil {
			return nil, err
		}
		return opened(fd, r, openMeta{Info: device.Info}, device.Undo)
	}
	if err := link.CheckAddresses(args.Addresses); err != nil {
		return nil, fmt.Errorf("open %s: %w", r.Interface, err)
	}
	if err := checkPeer(r.PeerNetNS, args.Addresses); err != nil {
		return nil, fmt.Errorf("open %s: %w", r.Interface, err)
	}
	info, err := link.LookupInterface(r.Interface)
	if err != nil {
		return nil, err
	}
	unclaim, err := link.Claim(info)
	if err != nil {
		return nil, err
	}
	o, err := openClaimed(r, args.Offload, unclaim)
	if err != nil {
		return nil, errors.Join(err, unclaim())
	}
	return o, nil
}

// openClaimed opens the interface, which is this appliance's until unclaim is called.
func openClaimed(r lab.OpenRequest, offload string, unclaim func() error) (*lab.Opened, error) {
	fd, info, err := link.OpenPacketSocket(r.Interface, offload)
	if err != nil {
		return nil, err
	}
	meta, release := openMeta{Info: info}, unclaim
	if info.Offload != link.OffloadOn {
		off, err := link.DisableOffload(info, r.PeerNetNS)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %w", r.Interface, err), unix.Close(fd))
		}
		meta.Warnings = off.Warnings()
		release = func() error { return errors.Join(off.Restore(), unclaim()) }
	}
	return opened(fd, r, meta, release)
}

// checkPeer refuses an address of the appliance's that the Linux side has already: the
// kernel there would never send it to the link.
func checkPeer(netNS string, addresses []netip.Prefix) error {
	if netNS == "" {
		return nil
	}
	ns, err := os.Open(netNS)
	if err != nil {
		return fmt.Errorf("network namespace of the Linux side: %w", err)
	}
	checked := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread is in the other namespace and ends with this goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			checked <- fmt.Errorf("enter the network namespace of the Linux side: %w", err)
			return
		}
		checked <- link.CheckAddresses(addresses)
	}()
	return errors.Join(<-checked, ns.Close())
}

func opened(fd int, r lab.OpenRequest, meta openMeta, release func() error) (*lab.Opened, error) {
	b, err := json.Marshal(meta)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", r.Interface, err), unix.Close(fd))
	}
	return &lab.Opened{Files: []*os.File{os.NewFile(uintptr(fd), r.Interface)}, Meta: b, Release: release}, nil //nolint:gosec // a descriptor
}

// openLabLink opens the appliance's end of a lab.
func openLabLink(ctx context.Context, c *config.Config, l *lab.Lab, mac net.HardwareAddr) (link.Link, error) {
	args, err := json.Marshal(openArgs{Addresses: c.Addresses, Offload: string(c.Link.Offload)})
	if err != nil {
		return nil, err
	}
	o, err := l.OpenLink(ctx, args)
	if err != nil {
		return nil, err
	}
	made, err := labLinkOf(o, c, l, mac)
	if err != nil && o.Release != nil {
		err = errors.Join(err, o.Release())
	}
	return made, err
}

// labLinkOf makes a link of what was opened.
func labLinkOf(o *lab.Opened, c *config.Config, l *lab.Lab, mac net.HardwareAddr) (link.Link, error) {
	var meta openMeta
	if err := json.Unmarshal(o.Meta, &meta); err != nil {
		return nil, fmt.Errorf("open %s: %w", l.AppInterface(), err)
	}
	if len(o.Files) != 1 {
		return nil, fmt.Errorf("open %s: got %d descriptors, want 1", l.AppInterface(), len(o.Files))
	}
	fd, err := unix.FcntlInt(o.Files[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err := errors.Join(err, o.Files[0].Close()); err != nil {
		return nil, fmt.Errorf("open %s: %w", l.AppInterface(), err)
	}
	made := &labLink{release: o.Release, warnings: meta.Warnings}
	if l.Kind() == lab.TAP {
		made.Link, err = link.NewTAPFromFD(fd, meta.Info, link.TAPOptions{MAC: mac, BusyPoll: time.Duration(c.Link.BusyPoll)})
	} else {
		made.Link, err = link.NewVethFromFD(fd, meta.Info, link.VethOptions{MAC: mac, BusyPoll: time.Duration(c.Link.BusyPoll)})
	}
	if err != nil {
		return nil, err
	}
	return made, nil
}
