package link

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namedNamespaces is where `ip netns` keeps the namespaces it has named.
const namedNamespaces = "/run/netns"

// netnsPath turns a name of `ip netns` into its path; a path stays.
func netnsPath(nameOrPath string) string {
	if nameOrPath == "" || strings.Contains(nameOrPath, "/") {
		return nameOrPath
	}
	return filepath.Join(namedNamespaces, nameOrPath)
}

// inNetNS runs f in the network namespace at path ("" is the current one), on a
// thread that is locked for it. A thread that cannot be put back ends.
func inNetNS(path string, f func() error) error {
	if path == "" {
		// Two calls of f's must see the same namespace even where the program's
		// threads differ.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return f()
	}
	path = netnsPath(path)
	target, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w: `ip netns list` shows the named ones", path, err)
	}
	defer target.Close()

	result := make(chan error, 1)
	go func() { result <- onThreadIn(target, path, f) }()
	return <-result
}

// onThreadIn runs f in the namespace target on this goroutine's thread, which ends
// with the goroutine if it cannot be put back.
func onThreadIn(target netns.NsHandle, path string, f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open the current network namespace: %w", err)
	}
	defer home.Close()
	if err := netns.Set(target); err != nil {
		runtime.UnlockOSThread()
		return netnsEnterError(path, err)
	}
	err = f()
	if netns.Set(home) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

func netnsEnterError(path string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("enter network namespace %s: %w: needs CAP_SYS_ADMIN; run with sudo", path, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("enter network namespace %s: %w: it is not a network namespace (any more)", path, err)
	}
	return fmt.Errorf("enter network namespace %s: %w", path, err)
}
