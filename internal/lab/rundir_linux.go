package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sockMax is the longest path that a Unix socket's address holds (unix(7)).
const sockMax = 107

// runtimeDirs are where this user's holders' sockets may be, the preferred one first:
// under $XDG_RUNTIME_DIR where that is this user's own, and under /tmp.
func runtimeDirs() []string {
	var dirs []string
	if xdg := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(xdg) && mine(xdg) == nil {
		dirs = append(dirs, filepath.Join(xdg, "appliance"))
	}
	return append(dirs, "/tmp/appliance-"+strconv.Itoa(os.Geteuid()))
}

// mine returns nil for a directory, not a link to one, of this user's own that no
// other user can write to.
func mine(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !st.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !ok || int(sys.Uid) != os.Geteuid():
		return fmt.Errorf("%s is not this user's: remove it, or set XDG_RUNTIME_DIR", dir)
	case st.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s may be written by others (mode %o): chmod 700 %s", dir, st.Mode().Perm(), dir)
	}
	return nil
}

// makeRuntimeDir makes the preferred directory.
func makeRuntimeDir() (string, error) {
	dir := runtimeDirs()[0]
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the directory for the lab's socket: %w", err)
	}
	if err := mine(dir); err != nil {
		return "", fmt.Errorf("use the directory for the lab's socket: %w", err)
	}
	return dir, nil
}

// lockRuntimeDir makes and locks the preferred directory, again when `down` has
// removed it between the two.
func lockRuntimeDir(ctx context.Context) (dir string, lock *os.File, err error) {
	for range 100 {
		if dir, err = makeRuntimeDir(); err != nil {
			return "", nil, err
		}
		if lock, err = lockDir(ctx, dir); !errors.Is(err, fs.ErrNotExist) {
			return dir, lock, err
		}
	}
	return "", nil, err
}

func sockName(name string) string { return "lab-" + name + ".sock" }

// findSocket finds a lab's socket, dead or alive; "" when there is none.
func findSocket(name string) string {
	for _, dir := range runtimeDirs() {
		path := filepath.Join(dir, sockName(name))
		if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSocket != 0 && mine(dir) == nil {
			return path
		}
	}
	return ""
}

// heldNames are the labs that have a socket, dead or alive.
func heldNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, dir := range runtimeDirs() {
		if mine(dir) != nil {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := strings.TrimSuffix(strings.TrimPrefix(e.Name(), "lab-"), ".sock")
			if n, err := checkName(name); err == nil && n == name && e.Name() == sockName(name) && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// lockDir locks a directory among the processes that change labs in it, until the
// file it returns is closed. `ip netns` locks the same way. It leaves no file behind.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			// Whoever had the lock may have removed the directory.
			locked, err := f.Stat()
			if err == nil {
				var now fs.FileInfo
				if now, err = os.Lstat(dir); err == nil && !os.SameFile(locked, now) {
					err = fmt.Errorf("lock %s: it was replaced: %w", dir, fs.ErrNotExist)
				}
			}
			if err != nil {
				f.Close()
				return nil, err
			}
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock %s: another process is changing a lab: %w", dir, ctx.Err())
		case <-tick.C:
		}
	}
}
