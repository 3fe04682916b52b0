package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errDead is of a socket on which nobody listens: its holder was killed.
var errDead = errors.New("its holder is gone")

// dialHolder connects to a lab's holder and checks that it is this user's.
func dialHolder(ctx context.Context, path string) (c *net.UnixConn, pid int, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w (%w)", errDead, err)
	}
	if err != nil {
		return nil, 0, err
	}
	c = conn.(*net.UnixConn)
	if pid, err = peer(c); err != nil {
		c.Close()
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return c, pid, nil
}

// ask sends a request and waits for its first reply; the connection stays open when
// there is no error, and is the caller's.
func ask(ctx context.Context, path string, r request, files ...*os.File) (c *net.UnixConn, out reply, got []*os.File, pid int, err error) {
	c, pid, err = dialHolder(ctx, path)
	if err != nil {
		return nil, out, nil, 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r.V = wireVersion
	if err = writeFrame(c, r, files...); err == nil {
		got, err = readFrame(c, &out)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		err = fmt.Errorf("%w (%w)", errDead, err) // it was just ending
	}
	if err == nil && out.Error != "" {
		err = errors.New(out.Error)
	}
	if err == nil && !stop() { // ctx ended just now and spoilt the deadline
		err = context.Cause(ctx)
	}
	if err != nil {
		closeAll(got)
		c.Close()
		return nil, out, nil, pid, err
	}
	return c, out, got, pid, nil
}

// heldInfo asks a holder what it holds.
func heldInfo(ctx context.Context, path string) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, out, files, pid, err := ask(ctx, path, request{Op: opInfo})
	if err != nil {
		return Info{}, err
	}
	c.Close()
	closeAll(files)
	if out.Info == nil {
		return Info{}, errors.New("the holder did not say what it holds")
	}
	i := *out.Info
	i.Holder = pid
	return i, nil
}

// heldUp is Up without privilege.
func heldUp(ctx context.Context, o Options) (l *Lab, err error) {
	if !hooked {
		return nil, errNotHooked
	}
	dir, lock, err := lockRuntimeDir(ctx)
	if err != nil {
		return nil, fmt.Errorf("lab: up %s: %w", o.Name, err)
	}
	defer lock.Close()
	defer func() {
		if err != nil {
			_ = os.Remove(dir) // refused while a lab's socket is there
		}
	}()
	path := findSocket(o.Name)
	if path != "" {
		i, err := heldInfo(ctx, path)
		switch {
		case err == nil:
			return heldRepair(ctx, path, i, o)
		case !errors.Is(err, errDead):
			return nil, fmt.Errorf("lab: ask the holder of %s: %w: take the lab down and up again", o.Name, err)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	w, err := want(o, nil)
	if err != nil {
		return nil, fmt.Errorf("lab: up %s: %w", o.Name, err)
	}
	path = filepath.Join(dir, sockName(w.Name))
	if len(path) > sockMax {
		return nil, fmt.Errorf("lab: the socket's path %s is longer than %d bytes: set a shorter XDG_RUNTIME_DIR", path, sockMax)
	}
	r, err := startHolder(ctx, path, w)
	if err != nil {
		return nil, err
	}
	i, err := heldInfo(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("lab: ask the new holder of %s: %w", o.Name, err)
	}
	return &Lab{Created: true, Changes: r.Changes, Warnings: r.Warnings, info: i, impl: held{path: path, info: i}}, nil
}

// heldRepair brings a lab that is up to what o asks.
func heldRepair(ctx context.Context, path string, i Info, o Options) (*Lab, error) {
	have := spec{Name: i.Name, Kind: i.Kind, MTU: i.MTU, Addrs: i.Addresses}
	w, err := want(o, &have)
	if err != nil {
		return nil, fmt.Errorf("lab: up %s: %w", o.Name, err)
	}
	c, out, files, pid, err := ask(ctx, path, request{Op: opUp, Want: &w})
	if err != nil {
		return nil, fmt.Errorf("lab: repair %s: %w", o.Name, err)
	}
	c.Close()
	closeAll(files)
	i = w.info()
	i.Holder = pid
	return &Lab{Changes: out.Changes, Warnings: out.Warnings, info: i, impl: held{path: path, info: i}}, nil
}

// startHolder starts a holder and waits until its lab is ready.
func startHolder(ctx context.Context, path string, w spec) (readiness, error) {
	var r readiness
	specJSON, err := json.Marshal(w)
	if err != nil {
		return r, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return r, err
	}
	defer in.Close()
	cmd := exec.Command(selfExe, path, string(specJSON))
	cmd.Args[0] = argLaunch
	cmd.ExtraFiles = []*os.File{out}
	err = cmd.Start()
	out.Close()
	if err != nil {
		return r, fmt.Errorf("lab: start the holder: %w", err)
	}
	// When ctx ends nobody reads the pipe any more, and the holder, if there is one
	// already, ends as it cannot tell that it is ready.
	stop := context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	r, err = readReady(in)
	// The launcher is a moment's work, and ends whatever becomes of the holder.
	werr := cmd.Wait()
	if ctx.Err() != nil && err != nil {
		return r, fmt.Errorf("lab: start the holder: %w", context.Cause(ctx))
	}
	if err != nil {
		return r, errors.Join(err, werr)
	}
	return r, nil
}

// readReady reads what a starting holder tells; whatever else comes is what the
// runtime said as it died.
func readReady(in *os.File) (readiness, error) {
	var said bytes.Buffer
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var r readiness
		if json.Unmarshal(lines.Bytes(), &r) != nil || !r.Ready && r.Error == "" {
			if said.Len() < 4096 {
				said.WriteString(lines.Text() + "\n")
			}
			continue
		}
		switch {
		case r.Ready:
			return r, nil
		case r.Fix != "":
			return r, &PrivilegeError{Op: "lab: start the holder", Err: errors.New(r.Error), Why: r.Why, Fix: r.Fix}
		}
		return r, fmt.Errorf("lab: start the holder: %s", r.Error)
	}
	return readiness{}, fmt.Errorf("lab: start the holder: it ended before it was ready: %s", strings.TrimSpace(said.String()))
}

// heldDown is Down for a lab with a holder, dead or alive.
func heldDown(ctx context.Context, name, path string) (Removed, error) {
	lock, err := lockDir(ctx, filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) { // somebody else has just done it
		return Removed{}, nil
	}
	r := Removed{Existed: true}
	if err == nil {
		defer lock.Close()
		err = endHolder(ctx, path)
	}
	if err != nil {
		return r, fmt.Errorf("lab: down %s: %w", name, err)
	}
	// A holder that was killed leaves its socket; one that ended has removed it. With
	// the lock nobody else is about to put one there.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("lab: down %s: %w", name, err)
	}
	_ = os.Remove(filepath.Dir(path)) // refused while another lab is in it
	return r, nil
}

// endHolder ends a lab's holder, and returns when it has ended.
func endHolder(ctx context.Context, path string) error {
	c, pid, err := dialHolder(ctx, path)
	if errors.Is(err, errDead) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	// The connection is open, so pid is the holder's still.
	pidfd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) { // it has just been killed
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch the holder, process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	// From now on pid cannot become another's; before, if the holder was killed, it could.
	cmdline, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || !strings.HasPrefix(string(cmdline), argHolder+"\x00") {
		return nil
	}
	asked := writeFrame(c, request{V: wireVersion, Op: opDown})
	if asked == nil && waitExit(ctx, pidfd, 8*time.Second) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("the holder, process %d, has not ended yet: %w", pid, context.Cause(ctx))
	}
	// It does not answer (stopped, perhaps): all of the lab ends with it.
	err = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	if err == nil {
		err = waitExit(ctx, pidfd, 5*time.Second)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end the holder, process %d: %w", pid, err)
	}
	return nil
}

// waitExit waits until the process of pidfd has ended.
func waitExit(ctx context.Context, pidfd int, limit time.Duration) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 50)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("it has not ended after %s", limit)
}
