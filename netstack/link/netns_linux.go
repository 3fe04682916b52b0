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
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open the current network namespace: %w", err)
			return
		}
		defer home.Close()
		if err := netns.Set(target); err != nil {
			runtime.UnlockOSThread()
			result <- netnsEnterError(path, err)
			return
		}
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with this goroutine.
		result <- err
	}()
	return <-result
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
