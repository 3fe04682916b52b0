package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// here is a lab whose namespaces this process can enter: a named one, or a
// temporary one, which it also owns.
type here struct {
	info  Info
	owned *temporary
}

func (l here) exec(ctx context.Context, c Command) (int, error) {
	return execIn(ctx, l.info.HostNetNS, c)
}

func (l here) execApp(ctx context.Context, c Command) (int, error) {
	ns, err := l.appNetNS()
	if err != nil {
		return 126, err
	}
	return execIn(ctx, ns, c)
}

// appNetNS is the namespace of the appliance's side, where that is one of its own.
func (l here) appNetNS() (string, error) {
	if l.info.Kind == TAP {
		return "", fmt.Errorf("lab: the appliance's side of %s: a %s has no namespace of its own there: use %s", l.info.Name, TAP, Veth)
	}
	return l.info.AppNetNS, nil
}

// execIn runs a command in the namespace of that path.
func execIn(ctx context.Context, netns string, c Command) (int, error) {
	path, err := lookup(c)
	if err != nil {
		return 127, err
	}
	ns, err := openNS(netns)
	if err != nil {
		return 126, err
	}
	defer ns.Close()
	cmd := &exec.Cmd{Path: path, Args: c.Argv, Env: c.Env, Dir: c.Dir, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr}
	signals, stop := catchSignals()
	defer stop()
	if err := inNamespace(ns, cmd.Start); err != nil {
		return 126, fmt.Errorf("lab: exec %s: %w", c.Argv[0], err)
	}
	done := make(chan outcome, 1)
	go func() {
		err := cmd.Wait()
		if errors.As(err, new(*exec.ExitError)) {
			err = nil // the exit code says it
		}
		ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		done <- outcome{code: exitCode(ws), err: err}
	}()
	ours := ttySignalsReachChildren()
	return supervise(ctx, c, signals, done, func(s syscall.Signal) {
		if ours && (s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGWINCH) {
			return
		}
		// The one error, that it is done, comes out of done.
		_ = cmd.Process.Signal(s)
	})
}

// lookup finds the command's file; a relative path counts from the command's own
// working directory.
func lookup(c Command) (string, error) {
	file := c.Argv[0]
	if strings.Contains(file, "/") && !filepath.IsAbs(file) && c.Dir != "" {
		file = filepath.Join(c.Dir, file)
	}
	path, err := exec.LookPath(file)
	if err == nil || errors.Is(err, exec.ErrDot) {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("lab: exec: %w", err)
	}
	return path, nil
}

// exitCode is as shells count.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// ttySignalsReachChildren says that this process is in its terminal's foreground, so
// that what is typed (^C, ^\) reaches its children without it.
func ttySignalsReachChildren() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// outcome is how a command ended.
type outcome struct {
	code int
	err  error
}

// killGrace is what a command has between SIGTERM and SIGKILL.
const killGrace = 3 * time.Second

// catchSignals collects the signals to pass on to a command; before it starts, or
// one that comes as it does would be lost.
func catchSignals() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	return signals, func() { signal.Stop(signals) }
}

// supervise waits for a command and passes signals on to it.
func supervise(ctx context.Context, c Command, signals <-chan os.Signal, done <-chan outcome, send func(syscall.Signal)) (int, error) {
	cancelled := ctx.Done()
	var grace <-chan time.Time
	for {
		select {
		case o := <-done:
			if o.err == nil && ctx.Err() != nil && cancelled == nil {
				o.err = fmt.Errorf("lab: exec %s: stopped: %w", c.Argv[0], context.Cause(ctx))
			}
			return o.code, o.err
		case s := <-signals:
			if s, ok := s.(syscall.Signal); ok {
				send(s)
			}
		case <-cancelled:
			cancelled = nil
			send(unix.SIGTERM)
			timer := time.NewTimer(killGrace)
			defer timer.Stop()
			grace = timer.C
		case <-grace:
			send(unix.SIGKILL)
		}
	}
}

func (l here) do(fn func() error) error { return doIn(l.info.HostNetNS, fn) }

func (l here) doApp(fn func() error) error {
	ns, err := l.appNetNS()
	if err != nil {
		return err
	}
	return doIn(ns, fn)
}

func doIn(netns string, fn func() error) error {
	ns, err := openNS(netns)
	if err != nil {
		return err
	}
	defer ns.Close()
	return inNamespace(ns, fn)
}

func (l here) openLink(ctx context.Context, args json.RawMessage) (*Opened, error) {
	return openWith(ctx, l.info, args)
}

// openWith calls the opener in the namespace of the appliance's end.
func openWith(ctx context.Context, i Info, args json.RawMessage) (*Opened, error) {
	if opener == nil {
		return nil, errors.New("lab: open link: this program registers no opener (lab.RegisterOpener)")
	}
	r := OpenRequest{Kind: i.Kind, Interface: i.AppInterface, NetNS: i.AppNetNS, MTU: i.MTU, Args: args}
	if i.Kind == Veth {
		r.Peer, r.PeerNetNS = i.HostInterface, i.HostNetNS
	}
	ns, err := openNS(r.NetNS)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	var o *Opened
	err = inNamespace(ns, func() error {
		var err error
		o, err = opener(ctx, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if o.Release == nil {
		o.Release = func() error { return nil }
	}
	return o, nil
}

func (l here) close() error {
	if l.owned == nil {
		return nil
	}
	return l.owned.close()
}

// ReexecInUserNS runs this program again, with args (without the program's name) and
// env (nil: this process's), as root of a user and a network namespace of its own,
// where [NewTemporary] works; and returns its exit code. Its standard input and
// output are this process's. Signals are passed on as by [Lab.Exec]; when ctx ends
// it gets SIGTERM, later SIGKILL. It does not outlive this process. Where user
// namespaces are forbidden the error is a *[PrivilegeError].
func ReexecInUserNS(ctx context.Context, args []string, env []string) (int, error) {
	// The child gets SIGKILL when the thread that started it ends: keep that thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(selfExe, args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = userNS(unix.CLONE_NEWNET)
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	signals, stop := catchSignals()
	defer stop()
	if err := cmd.Start(); err != nil {
		return 1, userNSError("run in a user namespace", err)
	}
	done := make(chan outcome, 1)
	go func() {
		err := cmd.Wait()
		if errors.As(err, new(*exec.ExitError)) {
			err = nil
		}
		ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		done <- outcome{code: exitCode(ws), err: err}
	}()
	ours := ttySignalsReachChildren()
	return supervise(ctx, Command{Argv: cmd.Args}, signals, done, func(s syscall.Signal) {
		if ours && (s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGWINCH) {
			return
		}
		_ = cmd.Process.Signal(s)
	})
}
