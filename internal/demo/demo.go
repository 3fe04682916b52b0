// Package demo is the appliance's first word to a newcomer: with no set-up at all it
// makes a lab, starts the appliance in it with all its programs, lets the Linux side
// run hello's client, tells the story as it happens, writes the trace and removes the
// lab.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"appliance/internal/config"
	"appliance/internal/lab"
	"appliance/internal/runner"
	"appliance/scripts"
	"appliance/tracer"
	"appliance/tracer/view/words"
)

// What the demo shows.
const (
	port = 9000
	// msl makes TIME-WAIT short enough to watch: 2 MSL are 400 ms.
	msl = 200 * time.Millisecond
	// patience bounds the whole of it.
	patience = 30 * time.Second

	traceFile  = "appliance-demo.jsonl"
	serverName = "server"
)

var server = netip.MustParseAddr("192.168.12.53")

// Options say how to run the demo.
type Options struct {
	// Link is the kind of link; "" means veth where it may be had, else pipe.
	Link config.LinkKind
	// Trace is the trace's file; "" means appliance-demo.jsonl here or, where that
	// cannot be written, in the directory for temporary files.
	Trace string
	Level config.Level
	Time  config.Time
	// Out gets the story, Log what the demo says of itself, one line a call.
	Out   io.Writer
	Log   func(format string, args ...any)
	Color bool
	// Lang is the language of the story.
	Lang words.Lang
	// Appliance and GVisor are versions, for the trace's header.
	Appliance, GVisor string
	// Reexec runs the demo again in a user namespace, as root of it, and returns its
	// exit code; nil when this is that run already.
	Reexec func(context.Context) (int, error)
}

// ErrReexec says that the demo has run in another process, which ended with Code.
type ErrReexec struct{ Code int }

// Error implements error.
func (e *ErrReexec) Error() string { return fmt.Sprintf("the demo ended with exit code %d", e.Code) }

// Run runs the demo.
func Run(ctx context.Context, o Options) error {
	limited, cancel := context.WithTimeoutCause(ctx, patience,
		fmt.Errorf("the demo was not through after %v: this host may be too busy; try again, or use --link pipe", patience))
	defer cancel()
	err := o.run(limited)
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		o.Log("interrupted: all is removed again")
		return nil
	case errors.Is(err, context.DeadlineExceeded) && limited.Err() != nil:
		return context.Cause(limited)
	}
	return err
}

// run finds the link and plays on it.
func (o Options) run(ctx context.Context) error {
	if o.Link == config.LinkPipe {
		return o.play(ctx, nil, config.LinkPipe)
	}
	kind := o.Link
	if kind == "" {
		kind = config.LinkVeth
	}
	l, err := lab.NewTemporary(ctx, lab.Options{Name: "demo", Kind: lab.Kind(kind)})
	if err == nil {
		for _, w := range l.Warnings {
			o.Log("warning: %s", w)
		}
		if o.Link == "" {
			o.Log("%s", o.whyVeth())
		}
		return errors.Join(o.play(ctx, l, kind), l.Close())
	}
	if o.Reexec != nil && isPrivilege(err) {
		code, reexecErr := o.Reexec(ctx)
		if reexecErr == nil {
			if code != 0 {
				return &ErrReexec{code}
			}
			return nil
		}
		err = reexecErr
	}
	if o.Link != "" {
		return err
	}
	o.Log("pipe, both ends in this process: a veth pair is not to be had here: %v", err)
	return o.play(ctx, nil, config.LinkPipe)
}

// whyVeth says why the demo runs on a veth pair.
func (o Options) whyVeth() string {
	if o.Reexec == nil {
		return "veth, with Linux's own TCP at the other end: a user namespace makes it possible without root"
	}
	return "veth, with Linux's own TCP at the other end: network namespaces may be made here"
}

func isPrivilege(err error) bool {
	var p *lab.PrivilegeError
	return errors.As(err, &p)
}

// play runs the appliance and its visitor. l is nil on a pipe.
func (o Options) play(ctx context.Context, l *lab.Lab, kind config.LinkKind) error {
	cfg, err := o.config(kind, l)
	if err != nil {
		return err
	}
	ends := 1
	if l == nil {
		ends = 2 // both ends of a pipe are traced
	}
	ended := newEndWatch(ends)
	a, err := runner.Start(ctx, runner.Options{
		Config: cfg, Lab: l, Out: o.Out, Print: prints(o.Log), Keep: story, Log: o.Log, Color: o.Color, Lang: o.Lang,
		Appliance: o.Appliance, GVisor: o.GVisor, Sinks: []tracer.Sink{ended},
	})
	if err != nil {
		return err
	}
	o.Log("%s", a.Greeting())
	if l != nil {
		for _, w := range a.Warnings() {
			o.Log("warning: %s", w)
		}
	}
	err = o.visit(ctx, l, a)
	if err == nil {
		err = ended.wait(ctx)
	}
	err = errors.Join(err, a.Close(ctx))
	if err != nil {
		return err
	}
	counters := a.Counters()
	o.Log("%s", counters[1])
	o.Log("%s", counters[2])
	o.Log("the trace, with the other programs' listeners too, is in %s", cfg.Trace.Files[0])
	return nil
}

// config is the default configuration on that link, with every program.
func (o Options) config(kind config.LinkKind, l *lab.Lab) (*config.Config, error) {
	c := config.Default()
	c.Name = serverName
	c.UseLink(kind, "")
	c.Link.Lab = ""
	if l == nil && kind != config.LinkPipe {
		return nil, fmt.Errorf("demo: no lab for a %s", kind)
	}
	c.TCP.MSL = config.Duration(msl)
	c.Apps = []config.App{
		{Name: config.AppHello},
		{Name: config.AppHTTP},
		{Name: config.AppChargen},
		{Name: config.AppIperf},
		{Name: config.AppEcho, Protocols: []config.Protocol{config.TCPProtocol, config.UDPProtocol}},
		{Name: config.AppDiscard, Protocols: []config.Protocol{config.TCPProtocol, config.UDPProtocol}},
	}
	for i := range c.Apps {
		c.Apps[i].Role = config.RoleServer
	}
	c.Complete()
	c.Link.Lab = ""
	c.Trace.Level, c.Trace.Time = o.Level, o.Time
	path, err := o.tracePath()
	c.Trace.Files = []string{path}
	return c, err
}

// tracePath finds a place for the trace that can be written.
func (o Options) tracePath() (string, error) {
	if o.Trace != "" {
		return o.Trace, nil
	}
	probe, err := os.CreateTemp(".", ".appliance-demo-*")
	if err == nil {
		if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
			return "", err
		}
		return traceFile, nil
	}
	dir, err := os.MkdirTemp("", "appliance-demo-")
	return filepath.Join(dir, traceFile), err
}

// visit lets the other end run hello's client and says what it prints.
func (o Options) visit(ctx context.Context, l *lab.Lab, a *runner.Appliance) error {
	to := netip.AddrPortFrom(server, port)
	if l == nil {
		o.Log("the other end connects to %s", to)
		conn, err := a.Peer().DialContext(ctx, "tcp", to.String())
		if err != nil {
			return err
		}
		return o.client(ctx, conn)
	}
	if python, err := exec.LookPath("python3"); err == nil {
		return o.python(ctx, l, python, to)
	}
	o.Log("Linux connects to %s (no python3 here: the same client in Go, on the kernel's sockets)", to)
	return o.kernelClient(ctx, l, to)
}

// python runs hello_client.py on the Linux side; where Python cannot be started, Go's
// client.
func (o Options) python(ctx context.Context, l *lab.Lab, python string, to netip.AddrPort) error {
	o.Log("Linux runs python3 hello_client.py %s %d", to.Addr(), to.Port())
	var out, errs strings.Builder
	code, err := l.Exec(ctx, lab.Command{
		Argv:  []string{python, "-", to.Addr().String(), fmt.Sprint(to.Port()), "--timeout", "10"},
		Stdin: strings.NewReader(scripts.HelloClient), Stdout: &out, Stderr: &errs,
	})
	if code == 126 || code == 127 { // a shell's codes for what cannot run
		o.Log("%s cannot run here: the same client in Go, on the kernel's sockets", python)
		return o.kernelClient(ctx, l, to)
	}
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("hello_client.py ended with %d: %s", code, strings.TrimSpace(errs.String()))
	}
	o.Log("hello_client.py prints %s", strings.TrimSpace(out.String()))
	return nil
}
