package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"appliance/internal/capture"
	"appliance/internal/lab"
	"appliance/internal/scenario/host"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// bothLinux is the world where neither end is the appliance: a veth pair between two Linux
// hosts, each with a Python program, and a capture of what passes between them.
type bothLinux struct {
	lab     *lab.Lab
	capture *capture.Capture
}

// neitherOurs tells whether Linux plays both ends.
func neitherOurs(p sequence.Players) bool {
	return p[sequence.Client] == sequence.Linux && p[sequence.Server] == sequence.Linux
}

// listsNeither tells whether a run names a pairing in which Linux plays both ends: without,
// it is not played so, as it would say nothing of the appliance.
func listsNeither(r *sequence.Run) bool { return slices.ContainsFunc(r.Players, neitherOurs) }

// forced tells whether the run has the link make a form that these players do not choose
// by themselves.
func (c *combination) forced() bool {
	for who := range c.run.Forced {
		end, player, _ := strings.Cut(who, "@")
		if c.players[sequence.End(end)] == sequence.Player(player) {
			return true
		}
	}
	return false
}

// unplayableByLinux says why two Linux hosts cannot play the run; "" where they can.
func (c *combination) unplayableByLinux() string {
	switch {
	case c.link == TAP:
		return "a TAP has one end for Linux; the other is a file descriptor, for the appliance"
	case len(c.run.Link) > 0 || c.forced():
		return "what the run has the link do is done at the appliance's end, and neither is the appliance's"
	case len(c.run.Extra) > 0:
		return "the run's extra script is for a link that has an end of the appliance's"
	}
	for _, e := range []sequence.End{sequence.Client, sequence.Server} {
		if slices.ContainsFunc(c.program(e), func(s sequence.Step) bool { return s.Do != sequence.Python }) {
			return fmt.Sprintf("%s's program is not Python's: between two Linux hosts there is no other", e)
		}
	}
	return ""
}

// openBothLinux makes two Linux hosts on a veth pair and starts the capture of it.
func (w *world) openBothLinux(ctx context.Context) error {
	l, err := lab.NewTemporary(ctx, lab.Options{
		Name: "scenario", Kind: lab.Kind(w.c.link), MTU: w.run.MTU,
		Addresses: clientAddresses, AppAddresses: serverAddresses, Ordered: true,
	})
	if err != nil {
		return err
	}
	b := &bothLinux{lab: l}
	w.both = b
	for _, warning := range l.Warnings {
		w.o.Log("lab: %s", warning)
	}
	for _, do := range []func(func() error) error{l.Do, l.DoApp} {
		if err := setSysctl(do, w.run.Sysctl); err != nil {
			return err
		}
	}
	if err := b.offloadsOff(w.o.Log); err != nil {
		return err
	}
	return l.Do(func() error {
		b.capture, err = capture.Open(l.HostInterface(), capture.Options{
			Started: w.clock.started(),
			Read: capture.ReadOptions{Names: map[netip.Addr]string{
				w.addrs[sequence.Client]: clientStack, w.addrs[sequence.Server]: serverStack,
			}},
		})
		return err
	})
}

// offloadsOff has both hosts send segments as a wire would carry them. Nothing puts that
// back: the interfaces go with the lab.
func (b *bothLinux) offloadsOff(log func(string, ...any)) error {
	for _, end := range []struct {
		do           func(func() error) error
		ifname, peer string
	}{
		{b.lab.Do, b.lab.HostInterface(), b.lab.AppNetNS()},
		{b.lab.DoApp, b.lab.AppInterface(), b.lab.HostNetNS()},
	} {
		err := end.do(func() error {
			_, warnings, err := capture.DisableOffload(end.ifname, end.peer)
			for _, warning := range warnings {
				log("%s: %s", end.ifname, warning)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// info is the link, for the trace's header.
func (b *bothLinux) info() tracer.LinkInfo {
	i := b.lab.Info()
	return tracer.LinkInfo{
		Kind: string(i.Kind), Name: i.HostInterface, Peer: i.AppInterface,
		MTU: uint32(i.MTU), //nolint:gosec // an interface's is small
	}
}

// startLinux makes Linux's end.
func (w *world) startLinux(ctx context.Context, e sequence.End) (host.Host, error) {
	if w.both != nil {
		return w.both.host(e), nil
	}
	return w.linux.start(ctx, w)
}

// host is an end's Python.
func (b *bothLinux) host(e sequence.End) host.Host {
	if e == sequence.Client {
		return pythonOnly{b.lab.Exec}
	}
	return pythonOnly{b.lab.ExecApp}
}

// trace returns what was captured of a run whose programs have ended with the error played.
// Where that is nil it waits until the capture shows the end of every connection: the
// kernels still exchange FINs then. It returns played, or what the wait ended with.
func (b *bothLinux) trace(ctx context.Context, played error) ([]tracer.Event, error) {
	if played != nil {
		return b.capture.Events(), played
	}
	err := b.capture.Wait(ctx, allOver)
	if err != nil {
		err = fmt.Errorf("the programs have ended, and their connections not: %w", err)
	}
	return b.capture.Events(), err
}

// allOver tells whether there are connections, and each is in the last state that segments
// can show: CLOSED or TIME-WAIT.
func allOver(events []tracer.Event) bool {
	states := map[connKey]tracer.State{}
	for i := range events {
		e := &events[i]
		if b, ok := e.Body.(*tracer.StateChange); ok && e.Remote.IsValid() { // a listener has no remote
			states[connKey{e.Stack, e.Conn}] = b.To
		}
	}
	for _, s := range states {
		if s != tracer.Closed && s != tracer.TimeWait {
			return false
		}
	}
	return len(states) > 0
}

func (b *bothLinux) close() error {
	var err error
	if b.capture != nil {
		err = b.capture.Close()
	}
	return errors.Join(err, b.lab.Close())
}

// pythonOnly is a Linux host whose programs are Python's: it has no sockets for steps.
type pythonOnly struct{ exec execute }

var (
	_ host.Host  = pythonOnly{}
	_ pythonHost = pythonOnly{}
)

var errPythonOnly = errors.New("between two Linux hosts there are no programs but Python's")

func (pythonOnly) Listen(uint16, int) (host.Listener, error) { return nil, errPythonOnly }
func (pythonOnly) Connect(context.Context, netip.AddrPort, netip.AddrPort) (host.Conn, error) {
	return nil, errPythonOnly
}
func (pythonOnly) DialUDP(netip.AddrPort) (net.Conn, error) { return nil, errPythonOnly }
func (pythonOnly) ListenUDP(uint16) (net.PacketConn, error) { return nil, errPythonOnly }

// Close has nothing to do: a script that is still running ends with the context of its step.
func (pythonOnly) Close() error { return nil }

// Python implements pythonHost.
func (h pythonOnly) Python(ctx context.Context, name string, args []string, listening func()) (string, error) {
	return runPython(ctx, h.exec, name, args, listening)
}
