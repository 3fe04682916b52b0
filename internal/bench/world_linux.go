package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"appliance/internal/bench/load"
	"appliance/internal/bench/report"
	"appliance/internal/config"
	"appliance/internal/lab"
	"appliance/internal/runner"
	"appliance/internal/tuning"
	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// openWorld makes the world of a case. After an error nothing of it is left.
func openWorld(ctx context.Context, c report.Case, o Options) (*world, error) {
	w := &world{at: farAddress.Addr()}
	var err error
	switch c.Who {
	case report.Kernel:
		err = w.openKernel(ctx, c)
	case report.Appliance:
		err = w.openAppliance(ctx, c, o)
	case report.FDBased:
		err = w.openFDBased(ctx)
	default:
		err = fmt.Errorf("bench: nobody is called %q", c.Who)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// openLab makes the namespaces and the near end.
func (w *world) openLab(ctx context.Context, o lab.Options) (*lab.Lab, error) {
	o.Name, o.Addresses, o.MTU = "bench", []netip.Prefix{nearAddress}, mtu
	l, err := lab.NewTemporary(ctx, o)
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, l.Close)
	w.near, err = startPeer(l.Exec)
	return l, err
}

// execute is [lab.Lab.Exec] or ExecApp.
type execute func(context.Context, lab.Command) (int, error)

// startPeer runs this program again as an end on the kernel's sockets.
func startPeer(exec execute) (*load.Peer, error) {
	return load.StartPeer(func(ctx context.Context, stdin, stdout *os.File, stderr io.Writer) (int, error) {
		return exec(ctx, lab.Command{
			Argv: []string{"/proc/self/exe"}, Env: load.PeerEnv(congestion), Stdin: stdin, Stdout: stdout, Stderr: stderr,
		})
	})
}

// openBothKernel makes a lab with Linux at both ends.
func (w *world) openBothKernel(ctx context.Context, c report.Case) (*lab.Lab, error) {
	l, err := w.openLab(ctx, lab.Options{Kind: lab.Veth, AppAddresses: []netip.Prefix{farAddress}})
	if err != nil || c.Offload == report.On {
		return l, err
	}
	return l, w.offloadsOff(l)
}

func (w *world) openKernel(ctx context.Context, c report.Case) error {
	l, err := w.openBothKernel(ctx, c)
	if err != nil {
		return err
	}
	p, err := startPeer(l.ExecApp)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, p.Close)
	w.far = peerEnd{p}
	return p.Serve(ctx)
}

// offloadsOff turns the offloads of both ends of a veth pair off: each is the other's peer.
func (w *world) offloadsOff(l *lab.Lab) error {
	i := l.Info()
	off := func(own, peerNetNS string) func() error {
		return func() error {
			found, err := netlink.LinkByName(own)
			if err != nil {
				return fmt.Errorf("bench: find %s: %w", own, err)
			}
			peer, err := netlink.VethPeerIndex(&netlink.Veth{LinkAttrs: *found.Attrs()})
			if err != nil {
				return fmt.Errorf("bench: find the other end of %s: %w", own, err)
			}
			info := link.InterfaceInfo{Name: own, Index: found.Attrs().Index, PeerIndex: peer, PeerNetNSID: found.Attrs().NetNsID}
			o, err := link.DisableOffload(info, peerNetNS)
			if err != nil {
				return fmt.Errorf("bench: turn the offloads of the other end of %s off: %w", own, err)
			}
			w.closers = append(w.closers, o.Restore)
			w.warnings = append(w.warnings, o.Warnings()...)
			return nil
		}
	}
	return errors.Join(l.Do(off(i.HostInterface, i.AppNetNS)), l.DoApp(off(i.AppInterface, i.HostNetNS)))
}

// stackNetwork is the sockets of a stack of ours.
type stackNetwork struct{ *netstack.Stack }

// Listen implements load.Network.
func (n stackNetwork) Listen(_ context.Context, port uint16) (net.Listener, error) {
	l, err := n.Stack.Listen("tcp4", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Dial implements load.Network.
func (n stackNetwork) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return n.DialContext(ctx, "tcp4", to.String())
}

// applianceConfig is the configuration of the appliance, as its users would write it.
func applianceConfig(c report.Case) *config.Config {
	cfg := config.Default()
	cfg.UseLink(config.LinkKind(c.Link), "")
	cfg.Link.Lab = ""
	cfg.Addresses = []netip.Prefix{farAddress}
	cfg.Link.Offload = config.Offload(c.Offload)
	if c.Busy {
		cfg.Link.BusyPoll = config.Duration(busyPoll)
	}
	cfg.Apps = nil
	cfg.Trace.Level = config.Level(cmp.Or(c.Level, report.Off))
	cfg.Trace.Screen = config.ScreenOff
	cfg.Trace.Files = nil
	return cfg
}

// openAppliance starts the appliance on a lab's link, with its trace, in this process.
func (w *world) openAppliance(ctx context.Context, c report.Case, o Options) error {
	l, err := w.openLab(ctx, lab.Options{Kind: lab.Kind(c.Link)})
	if err != nil {
		return err
	}
	ro := runner.Options{
		Config: applianceConfig(c), Lab: l, Out: io.Discard, Log: o.Log,
		Appliance: o.Appliance, GVisor: o.GVisor,
	}
	if ro.Config.Trace.Level != config.LevelOff {
		if w.sink, err = newSink(o); err != nil {
			return err
		}
		w.closers = append(w.closers, w.sink.free)
		ro.Sinks = []tracer.Sink{w.sink}
	}
	restore := tuning.Apply()
	w.closers = append(w.closers, func() error { restore(); return nil })
	a, err := runner.Start(ctx, ro)
	if err != nil {
		return err
	}
	w.sync = a.Sync
	w.closers = append(w.closers, func() error { return a.Close(context.Background()) })
	w.warnings = append(w.warnings, a.Warnings()...)
	return w.serve(ctx, a.Stack())
}

// serve makes a stack the far end.
func (w *world) serve(ctx context.Context, s *netstack.Stack) error {
	server, err := load.Serve(ctx, stackNetwork{s})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, server.Close)
	w.far = localEnd{server}
	return nil
}
