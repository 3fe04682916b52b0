package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// handle serves one connection.
func (h *holder) handle(c *net.UnixConn) {
	var r request
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	files, err := readFrame(c, &r)
	if err != nil {
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	defer func() { closeAll(files) }()
	if r.V != wireVersion && r.Op != opDown { // any version may take the lab down
		h.refuse(c, fmt.Errorf("the lab was made by another version of this program: take it down and up again"))
		return
	}
	switch r.Op {
	case opInfo:
		h.mu.Lock()
		i := h.spec.info()
		h.mu.Unlock()
		h.answer(c, reply{Info: &i})
	case opUp:
		h.handleUp(c, r)
	case opDown:
		h.end()
		<-h.gone
		h.answer(c, reply{})
	case opExec:
		h.handleExec(c, r, files)
		files = nil
	case opOpen:
		h.handleOpen(c, r)
	default:
		h.refuse(c, fmt.Errorf("unknown request %q", r.Op))
	}
}

func (h *holder) answer(c *net.UnixConn, r reply, files ...*os.File) bool {
	r.V = wireVersion
	_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	return writeFrame(c, r, files...) == nil
}

func (h *holder) refuse(c *net.UnixConn, err error) { h.answer(c, reply{Error: err.Error()}) }

// handleUp repairs or changes the lab.
func (h *holder) handleUp(c *net.UnixConn, r request) {
	if r.Want == nil {
		h.refuse(c, errors.New("up: no spec"))
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w, err := want(r.Want.options(), &h.spec)
	var out reply
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		out.Changes, out.Warnings, err = h.ensure(ctx, w, h.spec.Addrs)
	}
	if err != nil {
		h.refuse(c, err)
		return
	}
	h.spec = w
	i := w.info()
	out.Info = &i
	h.answer(c, out)
}

// handleExec runs a command with the client's files; this whole process is in the
// Linux side's namespace, so its children are too.
func (h *holder) handleExec(c *net.UnixConn, r request, files []*os.File) {
	if len(files) != 4 || len(r.Argv) == 0 {
		closeAll(files)
		h.refuse(c, errors.New("exec: needs a command, its stdin, stdout, stderr and working directory"))
		return
	}
	cmd := &exec.Cmd{
		Path: r.Path, Args: r.Argv, Env: append([]string{}, r.Env...),
		// The directory by its descriptor: its path may be closed to this user.
		Dir:   fdPath(files[3]),
		Stdin: files[0], Stdout: files[1], Stderr: files[2],
		// A session of its own: a group to signal, and no terminal to lose.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	pid, status, err := h.kids.start(cmd)
	closeAll(files)
	if err != nil {
		code := 126
		h.answer(c, reply{Error: err.Error(), Exit: &code})
		return
	}
	h.answer(c, reply{Started: true})
	signals := make(chan syscall.Signal)
	done := make(chan struct{})
	go func() {
		defer close(signals)
		for {
			var s request
			files, err := readFrame(c, &s)
			closeAll(files)
			if err != nil || s.Op != opSignal {
				return
			}
			select {
			case signals <- syscall.Signal(s.Signal):
			case <-done:
				return
			}
		}
	}()
	code := h.attend(pid, status, signals)
	close(done)
	h.answer(c, reply{Exit: &code})
}

// attend waits for a command; signals closes when its client is gone.
func (h *holder) attend(pid int, status <-chan syscall.WaitStatus, signals <-chan syscall.Signal) int {
	var grace <-chan time.Time
	for {
		select {
		case ws := <-status:
			return exitCode(ws)
		case s, ok := <-signals:
			if ok {
				h.kids.signalGroup(pid, s)
				continue
			}
			signals = nil
			h.kids.signalGroup(pid, unix.SIGHUP)
			h.kids.signalGroup(pid, unix.SIGTERM)
			h.kids.signalGroup(pid, unix.SIGCONT)
			timer := time.NewTimer(killGrace)
			defer timer.Stop()
			grace = timer.C
		case <-grace:
			h.kids.signalGroup(pid, unix.SIGKILL)
		}
	}
}

// handleOpen opens the appliance's end for a client, and undoes what that took when
// the client asks or is gone.
func (h *holder) handleOpen(c *net.UnixConn, r request) {
	h.mu.Lock()
	i := inProcess(h.spec, h.pair)
	h.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o, err := openWith(ctx, i, r.Args)
	if err != nil {
		h.refuse(c, err)
		return
	}
	ok := h.answer(c, reply{Meta: o.Meta}, o.Files...)
	closeAll(o.Files)
	if !ok {
		_ = o.Release() // there is nobody to tell
		return
	}
	// The client asks for release, or goes, or the lab does.
	asked := make(chan bool, 1)
	go func() {
		var s request
		files, err := readFrame(c, &s)
		closeAll(files)
		asked <- err == nil && s.Op == opRelease
	}()
	tell := false
	select {
	case tell = <-asked:
	case <-h.quit:
	}
	err = o.Release()
	if tell && err != nil {
		h.refuse(c, err)
	} else if tell {
		h.answer(c, reply{})
	}
}
