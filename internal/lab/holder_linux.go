package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What this program is called when it is re-executed as a part of the lab.
const (
	argLaunch = "appliance-lab-launch"
	argHolder = "appliance-lab-holder"
	argProbe  = "appliance-lab-probe"
)

// hooked says that main called RunHolderIfAsked: else re-executing this program would
// run all of it again, and that again, without end.
var hooked bool

// RunHolderIfAsked is for the first line of main: in a process that this package
// started as a lab's holder (or to launch one, or to probe) it does that and exits;
// in any other it returns at once.
func RunHolderIfAsked() {
	hooked = true
	switch os.Args[0] {
	case argLaunch:
		os.Exit(launchMain(os.Args[1:]))
	case argHolder:
		os.Exit(HolderMain(os.Args[1:]))
	case argProbe:
		os.Exit(probeMain())
	}
}

var errNotHooked = errors.New("lab: main must call lab.RunHolderIfAsked before anything else")

// readyFile is the pipe on which a starting holder tells how it went.
var readyFile = sync.OnceValue(func() *os.File { return os.NewFile(3, "ready") })

// readiness is what comes through it, one line of JSON.
type readiness struct {
	Ready    bool     `json:"ready"`
	Error    string   `json:"error,omitempty"`
	Why      string   `json:"why,omitempty"` // of a PrivilegeError
	Fix      string   `json:"fix,omitempty"`
	Changes  []string `json:"changes,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func tell(r readiness) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = readyFile().Write(append(b, '\n'))
	return err
}

func tellError(err error) int {
	r := readiness{Error: err.Error()}
	var p *PrivilegeError
	if errors.As(err, &p) {
		r.Error, r.Why, r.Fix = p.Op+": "+p.Err.Error(), p.Why, p.Fix
	}
	_ = tell(r) // nobody reads it any more: nothing is left to tell
	return 1
}

// launchMain starts the holder and ends, so that the holder is nobody's child who
// would have to wait for it.
func launchMain(args []string) int {
	cmd := exec.Command(selfExe, args...)
	cmd.Args[0] = argHolder
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{readyFile()}
	cmd.Stderr = readyFile() // what the runtime says if it dies before it is ready
	cmd.SysProcAttr = userNS(unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS)
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return tellError(userNSError("make a user namespace", err))
	}
	return 0
}

// holder is a lab's process: the first of its PID namespace, so that the kernel ends
// with it whatever was started in it.
type holder struct {
	pair
	path     string // of the socket
	socket   fs.FileInfo
	listener *net.UnixListener
	kids     *children

	mu   sync.Mutex // guards spec, and who changes the lab
	spec spec

	quit chan struct{} // closed to end
	once sync.Once
	gone chan struct{} // closed when all has ended
	wg   sync.WaitGroup
}

// HolderMain is the holder's main: args are the socket's path and the lab's spec as
// JSON. [RunHolderIfAsked] calls it. It returns the exit code.
func HolderMain(args []string) int {
	if len(args) != 2 || os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "appliance: the lab's holder is started by `appliance lab up`")
		return 2
	}
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	privateMounts()
	h := &holder{path: args[0], kids: newChildren(), quit: make(chan struct{}), gone: make(chan struct{})}
	go h.kids.reap()
	ready, err := h.start(args[1])
	if err != nil {
		return tellError(err)
	}
	if tell(ready) != nil { // whoever asked for the lab is gone
		h.teardown()
		return 1
	}
	hush()
	go func() {
		<-stop
		h.end()
	}()
	go h.watch()
	h.serve()
	h.teardown()
	return 0
}

// privateMounts gives the lab's commands a /proc and a /sys that show its processes
// and interfaces. Where that is not allowed (inside some containers) they see the
// host's, which is no harm.
func privateMounts() {
	if unix.Mount("none", "/", "", unix.MS_REC|unix.MS_SLAVE, "") != nil {
		return
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	_ = unix.Mount("proc", "/proc", "proc", flags, "")
	_ = unix.Mount("sysfs", "/sys", "sysfs", flags, "")
}

// hush closes the way back to who started the lab.
func hush() {
	readyFile().Close()
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		for fd := range 3 {
			_ = unix.Dup3(int(null.Fd()), fd, 0)
		}
		null.Close()
	}
}

// start makes the lab and listens.
func (h *holder) start(specJSON string) (readiness, error) {
	r := readiness{Ready: true}
	if err := json.Unmarshal([]byte(specJSON), &h.spec); err != nil {
		return r, fmt.Errorf("lab: read the holder's arguments: %w", err)
	}
	var err error
	if h.host, err = openNS("/proc/self/ns/net"); err != nil {
		return r, err
	}
	if h.spec.Kind == Veth {
		if h.app, err = newNS(nil); err != nil {
			return r, userNSError("make the appliance's network namespace", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if r.Changes, r.Warnings, err = h.ensure(ctx, h.spec, nil); err != nil {
		return r, err
	}
	h.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: h.path, Net: "unix"})
	if err != nil {
		return r, fmt.Errorf("lab: listen: %w", err)
	}
	h.listener.SetUnlinkOnClose(false) // by then the name may be another's
	if err := os.Chmod(h.path, 0o600); err != nil {
		return r, err
	}
	h.socket, err = os.Lstat(h.path)
	return r, err
}

// end begins the end; teardown follows.
func (h *holder) end() {
	h.once.Do(func() {
		close(h.quit)
		// While the listener is open its file's number is not given to another: so
		// remove the socket first, and not one that somebody else has put there.
		if now, err := os.Lstat(h.path); err == nil && os.SameFile(h.socket, now) {
			_ = os.Remove(h.path) // a dead socket is found and removed by `up` and `down`
		}
		h.listener.Close()
	})
}

// watch ends the holder when its socket is deleted, as then nobody can reach it.
func (h *holder) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-tick.C:
		}
		now, err := os.Lstat(h.path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(h.socket, now) {
			h.end()
			return
		}
	}
}

// serve takes connections until the end.
func (h *holder) serve() {
	for {
		c, err := h.listener.AcceptUnix()
		if err != nil {
			select {
			case <-h.quit:
				return
			case <-time.After(50 * time.Millisecond): // out of descriptors, perhaps
				continue
			}
		}
		h.wg.Go(func() {
			defer c.Close()
			if _, err := peer(c); err == nil {
				h.handle(c)
			}
		})
	}
}

// teardown ends the commands, removes the interfaces and the socket, and lets the
// requests finish.
func (h *holder) teardown() {
	h.end()
	_ = h.unlink() // the namespaces end with this process, and their interfaces with them
	h.kids.endAll(time.Second)
	close(h.gone)
	served := make(chan struct{})
	go func() { h.wg.Wait(); close(served) }()
	select {
	case <-served:
	case <-time.After(2 * time.Second): // a client that neither reads nor closes
	}
}
