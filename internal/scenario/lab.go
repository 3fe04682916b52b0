package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"appliance/internal/lab"
	"appliance/internal/runner"
	"appliance/internal/scenario/host"
	"appliance/internal/scenario/kernel"
	"appliance/internal/scenario/script"
	"appliance/scripts"
	"appliance/tracer"
	"appliance/tracer/infer"
	"appliance/tracer/sequence"
)

// bystanderAddresses are Linux's where it plays neither end.
var bystanderAddresses = prefixes("192.168.12.3/24", "fd00:12::3/64")

// linuxSide is the Linux side of a world on a lab's link.
type linuxSide struct {
	lab *lab.Lab
	end sequence.End // "" where Linux plays none
	// states are nil where the kernel does not tell.
	states *kernel.States
	host   *kernel.Host  // nil where a process of its own has the sockets
	offset time.Duration // from the kernel's clock to the trace's
	until  time.Duration // the run's end
}

// openLab makes a lab and opens both ends of its link, and the extra script's.
func (w *world) openLab(ctx context.Context) error {
	own := bystanderAddresses
	side := &linuxSide{}
	for e, who := range w.players {
		if who == sequence.Linux {
			own, side.end = addressesOf(e), e
		}
	}
	var err error
	side.lab, err = lab.NewTemporary(ctx, lab.Options{
		Name: "scenario", Kind: lab.Kind(w.c.link), MTU: w.run.MTU, Addresses: own, Ordered: true,
	})
	if err != nil {
		return err
	}
	w.linux = side
	if side.end != "" {
		w.took = side.segmentsIn
	}
	for _, warning := range side.lab.Warnings {
		w.o.Log("lab: %s", warning)
	}
	if err := setSysctl(side.lab.Do, w.run.Sysctl); err != nil {
		return err
	}
	for e, who := range w.players {
		switch who {
		case sequence.Stack:
			w.links[e], err = runner.OpenLabEnd(ctx, side.lab, addressesOf(e))
		case sequence.Script:
			w.links[e], err = script.OpenLink(side.lab, addressesOf(e)...)
		default:
		}
		if err != nil {
			delete(w.links, e)
			return err
		}
	}
	if len(w.run.Extra) > 0 {
		w.spare, err = script.OpenLink(side.lab, extraAddresses...)
	}
	return err
}

// patientSysctl is for Linux what patience is for the appliance, where a run sets nothing
// else. A kernel that lacks one of them (those before 6.11 have no tcp_rto_min_us) does without.
var patientSysctl = map[string]string{
	"net.ipv4.tcp_early_retrans": "0",
	"net.ipv4.tcp_rto_min_us":    "1000000",
}

// setSysctl sets a namespace's settings, in which do runs its function: they go with it.
func setSysctl(do func(func() error) error, values map[string]string) error {
	return do(func() error { // /proc/sys/net is that of the thread's namespace
		all := maps.Clone(patientSysctl)
		maps.Copy(all, values)
		for key, value := range all {
			err := writeSysctl(key, value)
			if _, optional := patientSysctl[key]; optional && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func writeSysctl(key, value string) error {
	path := filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("sysctl %s = %s on the Linux side: %w", key, value, err)
	}
	return nil
}

// start makes the sockets of the Linux end.
func (s *linuxSide) start(ctx context.Context, w *world) (host.Host, error) {
	var err error
	s.states, err = kernel.OpenStates(ctx, kernel.StatesOptions{Ports: []uint16{w.port, clientPort}})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		w.o.Log("the kernel's states are inferred from the segments: %v", err)
	}
	s.offset = kernel.Clock(w.bus)
	var local4, local6 netip.Addr
	if w.c.family == 4 {
		local4 = w.addrs[s.end]
	} else {
		local6 = w.addrs[s.end]
	}
	if slices.ContainsFunc(flatten(w.c.program(s.end)), func(st sequence.Step) bool {
		return st.Do == sequence.Exit || st.Do == sequence.Kill
	}) {
		return kernel.StartProcess(ctx, s.lab, kernel.ProcessOptions{Local4: local4, Local6: local6})
	}
	s.host, err = kernel.New(s.lab, kernel.Options{Recorder: w.bus, Stack: peerStack, Local4: local4, Local6: local6})
	if err != nil {
		return nil, err
	}
	return &linuxHost{Host: s.host, lab: s.lab}, nil
}

// merged puts into a trace what is learned of the Linux end only after the run: its
// states, from the kernel where it tells them, and inferred.
func (s *linuxSide) merged(w *world, events []tracer.Event) ([]tracer.Event, error) {
	if s.end == "" {
		return events, nil
	}
	o := w.inferring(s.end)
	o.NewConn = w.bus.NewConn
	late, err := infer.Infer(w.without(events, s.end), o), error(nil)
	if s.states != nil {
		late, err = s.reconciled(w, events, late)
	}
	return merge(events, late), err
}

// without returns the events but for what the other end has with third parties: a flood's
// sources are no states of this end's.
func (w *world) without(events []tracer.Event, e sequence.End) []tracer.Event {
	return slices.DeleteFunc(slices.Clone(events), func(ev tracer.Event) bool {
		return ev.Stack == w.stackOf(e.Other()) && ev.Remote.IsValid() && ev.Remote.Addr().Unmap() != w.addrs[e]
	})
}

// reconciled joins the states that were inferred with the kernel's account of them.
func (s *linuxSide) reconciled(w *world, events, inferred []tracer.Event) ([]tracer.Event, error) {
	raw, err := s.states.Flush()
	if err != nil {
		return inferred, err
	}
	ns, err := kernel.NetNS(s.lab)
	if err != nil {
		return inferred, err
	}
	o := kernel.ReconcileOptions{
		Offset: s.offset, NetNS: ns, Trace: events, Until: s.until, NewConn: w.bus.NewConn, Stack: peerStack,
	}
	if s.host != nil {
		o.Calls = s.host.Calls()
	}
	return kernel.Reconcile(inferred, raw, o)
}

func (s *linuxSide) close() error {
	var err error
	if s.states != nil {
		_, err = s.states.Close()
	}
	return errors.Join(err, s.lab.Close())
}

// linuxHost is the kernel's sockets, and Python beside them.
type linuxHost struct {
	*kernel.Host
	lab *lab.Lab
}

var _ pythonHost = (*linuxHost)(nil)

// pythonScripts are those that a step may name.
var pythonScripts = map[string]string{
	"hello_client.py": scripts.HelloClient,
	"hello_server.py": scripts.HelloServer,
	"echo_client.py":  scripts.EchoClient,
}

// Python implements pythonHost.
func (h *linuxHost) Python(ctx context.Context, name string, args []string, listening func()) (string, error) {
	return runPython(ctx, h.lab.Exec, name, args, listening)
}

// execute runs a command on a Linux host, as [lab.Lab.Exec] does.
type execute func(context.Context, lab.Command) (int, error)

// runPython runs a script, as pythonHost says.
func runPython(ctx context.Context, exec execute, name string, args []string, listening func()) (string, error) {
	source, ok := pythonScripts[name]
	if !ok {
		return "", fmt.Errorf("no script %q", name)
	}
	var out bytes.Buffer
	stderr := &listenWatch{listening: listening}
	code, err := exec(ctx, lab.Command{
		Argv: append([]string{"python3", "-I", "-c", source}, args...), Stdout: &out, Stderr: stderr,
	})
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d: %s", code, strings.TrimSpace(stderr.String()))
	}
	return out.String(), err
}

// listenWatch is a server's standard error: it says there that it listens.
type listenWatch struct {
	listening func()

	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *listenWatch) Write(b []byte) (int, error) {
	l.mu.Lock()
	n, err := l.buf.Write(b)
	ready := strings.Contains(l.buf.String(), "listening on")
	l.mu.Unlock()
	if ready {
		l.listening()
	}
	return n, err
}

// String is what was written.
func (l *listenWatch) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
