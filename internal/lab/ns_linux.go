package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// errNotNamespace is of a file that should be a namespace and is none.
var errNotNamespace = errors.New("not a network namespace")

// onThread runs fn on a thread of its own, which ends with fn: so what fn does to
// its thread (unshare, setns) reaches nothing else. Never the main thread: it would
// not end, and /proc/self/ns is that thread's.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the runtime ends the thread
		if unix.Gettid() != unix.Getpid() {
			done <- fn()
			return
		}
		err := onThread(fn) // elsewhere, as this thread is locked here
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// inNamespace runs fn on a thread in ns.
func inNamespace(ns *os.File, fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", ns.Name(), err)
		}
		return fn()
	})
}

// openNS opens a namespace by its path.
func openNS(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var st unix.Statfs_t
	err = unix.Fstatfs(int(f.Fd()), &st)
	if err == nil && st.Type != unix.NSFS_MAGIC {
		err = errNotNamespace
	}
	if err == nil {
		var kind int
		kind, err = unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
		if err == nil && kind != unix.CLONE_NEWNET {
			err = errNotNamespace
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	return f, nil
}

// newNS makes a network namespace, runs then in it, and returns it open.
func newNS(then func() error) (*os.File, error) {
	var ns *os.File
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if then != nil {
			if err := then(); err != nil {
				return err
			}
		}
		var err error
		ns, err = openNS("/proc/thread-self/ns/net")
		return err
	})
	return ns, err
}

// fdPath is a path of an open file in this process.
func fdPath(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// handleIn returns an rtnetlink handle into ns. Not netlink.NewHandleAt: that enters
// ns on the caller's thread and says nothing when it cannot go back.
func handleIn(ns *os.File) (*netlink.Handle, error) {
	var h *netlink.Handle
	err := inNamespace(ns, func() error {
		var err error
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink in %s: %w", ns.Name(), err)
	}
	return h, nil
}

// setMark marks the namespace that h is in as a lab's.
func setMark(h *netlink.Handle, s spec) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if lo.Attrs().Alias == s.mark() {
		return nil
	}
	if err := h.LinkSetAlias(lo, s.mark()); err != nil {
		return fmt.Errorf("mark lo: %w", err)
	}
	return nil
}

// readMark reads the mark of ns; false when it has none.
func readMark(ns *os.File) (spec, bool, error) {
	h, err := handleIn(ns)
	if err != nil {
		return spec{}, false, err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return spec{}, false, fmt.Errorf("find lo in %s: %w", ns.Name(), err)
	}
	s, ok := parseMark(lo.Attrs().Alias)
	return s, ok, nil
}

// processesIn finds the processes, this one apart, whose main thread is in ns.
func processesIn(ns *os.File) ([]Process, error) {
	want, err := ns.Stat()
	if err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var in []Process
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		have, err := os.Stat(dir + "/ns/net")
		if err != nil || !os.SameFile(want, have) { // gone meanwhile, or not ours to see
			continue
		}
		comm, err := os.ReadFile(dir + "/comm")
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return nil, err
		}
		in = append(in, Process{PID: pid, Command: strings.TrimSpace(string(comm))})
	}
	return in, nil
}
