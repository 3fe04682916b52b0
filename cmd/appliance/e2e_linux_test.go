package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deadline bounds what should happen at once, on a machine that is busy.
const deadline = 90 * time.Second

// A user runs the program from a directory of its own: root, or somebody without
// privilege.
type user struct {
	name string
	bin  string // the program
	dir  string // its working directory, else empty
	tmp  string // its TMPDIR
	env  []string
	cred *syscall.Credential
}

// nobody is who has no privilege where the tests run as root.
const nobody = 65534

// root is the superuser; the test is skipped where it is not run by it.
func root(t *testing.T) *user {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes named network namespaces and TAP devices")
	}
	return newUser(t, "root", nil)
}

// unprivileged is this user, or nobody where the tests run as root.
func unprivileged(t *testing.T) *user {
	t.Helper()
	if os.Geteuid() != 0 {
		return newUser(t, "unprivileged", nil)
	}
	return newUser(t, "unprivileged", &syscall.Credential{Uid: nobody, Gid: nobody})
}

// unprivilegedLab is an unprivileged user with a lab that is up.
func unprivilegedLab(t *testing.T) *user {
	t.Helper()
	u := unprivileged(t)
	r := u.run(t, "lab", "up")
	if r.code == exitPrivilege {
		t.Skip("needs user namespaces: ", r.stderr)
	}
	r.want(t, 0, "lab appliance .* is up", "")
	t.Cleanup(func() { u.run(t, "lab", "down").want(t, 0, "lab appliance (is down|was not up)", "") })
	return u
}

// rootLab is root with a lab of that kind that is up, and its name.
func rootLab(t *testing.T, kind string) (*user, string) {
	t.Helper()
	u := root(t)
	name := fmt.Sprintf("e2e-%d-%s", os.Getpid(), strings.TrimPrefix(filepath.Base(filepath.Dir(u.dir)), "appliance-"))
	r := u.run(t, "lab", "up", "--name", name, "--kind", kind)
	if r.code == exitPrivilege {
		t.Skip("needs the right to make network namespaces: ", r.stderr)
	}
	r.want(t, 0, "is up", "")
	t.Cleanup(func() {
		u.run(t, "lab", "down", "--name", name).want(t, 0, "", "")
		left, err := filepath.Glob("/run/netns/" + name + "*")
		if err != nil || len(left) > 0 {
			t.Errorf("lab down left %v, %v", left, err)
		}
	})
	return u, name
}

func newUser(t *testing.T, name string, cred *syscall.Credential) *user {
	t.Helper()
	// A socket's path is short: t.TempDir's may be too long.
	base, err := os.MkdirTemp("/tmp", "appliance-")
	if err != nil {
		t.Fatal(err)
	}
	u := &user{name: name, bin: filepath.Join(base, appName), dir: filepath.Join(base, "work"), tmp: filepath.Join(base, "tmp"), cred: cred}
	t.Cleanup(func() {
		u.checkNothingLeft(t)
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	runtimeDir := filepath.Join(base, "run")
	for _, d := range []string{u.dir, u.tmp, runtimeDir} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if cred != nil {
			if err := os.Chown(d, int(cred.Uid), int(cred.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chmod(base, 0o755); err != nil { //nolint:gosec // for another user to run what is in it
		t.Fatal(err)
	}
	copyProgram(t, u.bin)
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "XDG_RUNTIME_DIR", "TMPDIR", "HOME", "NO_COLOR", "PATH", "GOCOVERDIR":
		default:
			u.env = append(u.env, v)
		}
	}
	u.env = append(u.env, "XDG_RUNTIME_DIR="+runtimeDir, "TMPDIR="+u.tmp, "HOME="+u.dir,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE=1",
		noRaceSleep)
	return u
}

// copyProgram puts this test, which is the program when it has its name, where every
// user may run it.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	if exe, err := os.Executable(); err == nil && os.Link(exe, to) == nil {
		return // which is also free of the race of a fork with a file open for writing
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755) //nolint:gosec // for another user to run
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, self)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

// checkNothingLeft finds processes that still run the program, and temporary files.
func (u *user) checkNothingLeft(t *testing.T) {
	t.Helper()
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, exe := range exes {
		if to, err := os.Readlink(exe); err == nil && strings.TrimSuffix(to, " (deleted)") == u.bin {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(exe), "cmdline"))
			t.Errorf("still running: %s %q", exe, cmdline)
		}
	}
	left, err := os.ReadDir(u.tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

func (u *user) path(name string) string { return filepath.Join(u.dir, name) }

func (u *user) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, u.bin, args...)
	cmd.Dir, cmd.Env = u.dir, u.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u.cred}
	// SIGTERM, which lab exec passes on to its command; SIGKILL where that is of no use.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs the program to its end.
func (u *user) run(t *testing.T, args ...string) result {
	t.Helper()
	return u.start(t, args...).wait(t)
}

// result is what a process left.
type result struct {
	args           []string
	code           int
	stdout, stderr string
}

// want checks the exit code and that both outputs match.
func (r result) want(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if r.code != code {
		t.Errorf("%q: exit code %d, want %d", r.args, r.code, code)
	}
	wantMatch(t, r.args, "standard output", r.stdout, stdout)
	wantMatch(t, r.args, "standard error", r.stderr, stderr)
	if t.Failed() {
		t.Logf("%q: standard output:\n%s\nstandard error:\n%s", r.args, r.stdout, r.stderr)
	}
}

// output keeps what a process writes and lets a test await it.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.buf.Write(b)
}

func (o *output) text() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.buf.String(), o.more
}

// process is the program, running.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{}
}

// start starts the program; the end of the test ends it where it still runs.
func (u *user) start(t *testing.T, args ...string) *process {
	t.Helper()
	return u.startFrom(t, nil, args...)
}

// startFrom is start with a standard input.
func (u *user) startFrom(t *testing.T, stdin io.Reader, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	p := &process{cmd: u.command(ctx, args...), done: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &p.stdout, &p.stderr
	p.cmd.Args[0] = appName
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // ProcessState tells
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// await waits until o holds text.
func (p *process) await(t *testing.T, o *output, text string) {
	t.Helper()
	p.awaitUntil(t, o, strconv.Quote(text), func(got string) bool { return strings.Contains(got, text) })
}

// awaitUntil waits until what o holds is what is wanted.
func (p *process) awaitUntil(t *testing.T, o *output, what string, wanted func(string) bool) {
	t.Helper()
	limit := time.After(deadline)
	for {
		got, more := o.text()
		if wanted(got) {
			return
		}
		select {
		case <-more:
		case <-p.done:
			if got, _ := o.text(); !wanted(got) {
				t.Fatalf("%q ended without %s:\n%s", p.cmd.Args, what, p.all())
			}
			return
		case <-limit:
			t.Fatalf("%q: no %s after %v:\n%s", p.cmd.Args, what, deadline, p.all())
		}
	}
}

func (p *process) all() string {
	out, _ := p.stdout.text()
	errs, _ := p.stderr.text()
	return out + errs
}

// wait waits for the end.
func (p *process) wait(t *testing.T) result {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(deadline):
		t.Fatalf("%q still runs after %v:\n%s", p.cmd.Args, deadline, p.all())
	}
	r := result{args: p.cmd.Args, code: p.cmd.ProcessState.ExitCode()}
	r.stdout, _ = p.stdout.text()
	r.stderr, _ = p.stderr.text()
	return r
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
