package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netnsDir is where `ip netns` keeps names, each a mount of its namespace.
const netnsDir = "/run/netns"

func hostPath(name string) string { return filepath.Join(netnsDir, name+HostSuffix) }
func appPath(name string) string  { return filepath.Join(netnsDir, name+AppSuffix) }

// found is what stands behind a name in netnsDir.
type found struct {
	ns   *os.File // nil when there is nothing, or a stale file
	mark spec
	// stale says that the name is a plain file: what a crash between making the file
	// and mounting on it, or a lost mount, leaves.
	stale bool
}

// look opens the namespace of a lab's side; an error when it is not the lab's.
func look(path, name, side string) (found, error) {
	ns, err := openNS(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found{}, nil
	case errors.Is(err, errNotNamespace):
		st, err := os.Lstat(path)
		if err != nil {
			return found{}, err
		}
		if !st.Mode().IsRegular() || st.Size() != 0 {
			return found{}, foreignError("the file " + path)
		}
		return found{stale: true}, nil
	case errors.Is(err, fs.ErrPermission) && isStale(path):
		return found{stale: true}, nil
	case err != nil:
		return found{}, err
	}
	mark, ok, err := readMark(ns)
	if err == nil && (!ok || mark.Name != name || mark.Side != side) {
		err = foreignError("the network namespace " + filepath.Base(path))
	}
	if err != nil {
		ns.Close()
		return found{}, err
	}
	return found{ns: ns, mark: mark}, nil
}

// isStale tells an empty mount point, which `ip netns` makes with no permissions.
func isStale(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode().IsRegular() && st.Size() == 0
}

// prepareDir makes netnsDir as `ip netns` does: a shared mount, so that other mount
// namespaces see names come and go.
func prepareDir(ctx context.Context) error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", netnsDir, err)
	}
	lock, err := lockDir(ctx, netnsDir)
	if err != nil {
		return err
	}
	defer lock.Close()
	err = unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // not a mount point yet
		if err = unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("share the mounts of %s: %w", netnsDir, err)
	}
	return nil
}

// makeNamed makes a namespace that carries mark before it has a name, so that no
// crash leaves a name without a mark.
func makeNamed(path string, mark spec) (*os.File, error) {
	ns, err := newNS(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer h.Close()
		if err := setMark(h, mark); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o444)
		if err != nil {
			return err
		}
		f.Close()
		if err := unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, ""); err != nil {
			return errors.Join(fmt.Errorf("name the namespace %s: %w", path, err), os.Remove(path))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ns, nil
}

// removeName takes a name away; the namespace lives on while somebody is in it.
func removeName(path string) error {
	for range 16 { // mounts may be stacked
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// namedUp is Up with privilege.
func namedUp(ctx context.Context, o Options) (*Lab, error) {
	if err := prepareDir(ctx); err != nil {
		return nil, err
	}
	lock, err := lockDir(ctx, netnsDir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()

	host, err := look(hostPath(o.Name), o.Name, sideHost)
	if err != nil {
		return nil, err
	}
	app, err := look(appPath(o.Name), o.Name, sideApp)
	if err != nil {
		return nil, errors.Join(err, closeFile(host.ns))
	}
	defer func() { _ = errors.Join(closeFile(host.ns), closeFile(app.ns)) }()

	created := host.ns == nil
	var have *spec
	if !created {
		have = &host.mark
	}
	w, err := want(o, have)
	if err != nil {
		return nil, err
	}
	p, changes, err := makeSides(w, &host, &app)
	var did, warnings []string
	if err == nil {
		did, warnings, err = p.ensure(ctx, w, host.mark.Addrs)
	}
	if err != nil {
		if created { // leave nothing of what never was
			_, undo := removeNamed(o.Name)
			err = errors.Join(err, undo)
		}
		return nil, err
	}
	l := namedLab(w)
	l.Created, l.Changes, l.Warnings = created, append(changes, did...), warnings
	return l, nil
}

// makeSides makes the namespaces that w needs and that are not there.
func makeSides(w spec, host, app *found) (p pair, changes []string, err error) {
	if host.ns == nil {
		if host.ns, err = makeNamed(hostPath(w.Name), w.side(sideHost)); err != nil {
			return p, changes, err
		}
		changes = append(changes, "made network namespace "+w.Name+HostSuffix)
	}
	p.host = host.ns
	if w.Kind == TAP {
		return p, changes, nil
	}
	if app.ns == nil {
		if app.ns, err = makeNamed(appPath(w.Name), w.side(sideApp)); err != nil {
			return p, changes, err
		}
		changes = append(changes, "made network namespace "+w.Name+AppSuffix)
	}
	p.app = app.ns
	return p, changes, nil
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

func namedLab(s spec) *Lab {
	i := s.info()
	i.HostNetNS, i.AppNetNS = hostPath(s.Name), appPath(s.Name)
	if s.Kind == TAP {
		i.AppNetNS = i.HostNetNS
	}
	return &Lab{info: i, impl: here{info: i}}
}

// namedOpen is Open with privilege.
func namedOpen(name string) (*Lab, error) {
	i, err := namedInfo(name)
	if err != nil {
		return nil, err
	}
	if i.Problem != "" {
		return nil, fmt.Errorf("lab %s is not whole: %s: run appliance lab up --name %s, which repairs it", name, i.Problem, name)
	}
	return &Lab{info: i, impl: here{info: i}}, nil
}

// namedInfo tells of a named lab, with its Problem where it is not whole.
func namedInfo(name string) (Info, error) {
	host, err := look(hostPath(name), name, sideHost)
	if err != nil {
		return Info{}, err
	}
	defer func() { _ = closeFile(host.ns) }()
	app, err := look(appPath(name), name, sideApp)
	if err != nil {
		return Info{}, err
	}
	defer func() { _ = closeFile(app.ns) }()
	if host.ns == nil && !host.stale && app.ns == nil && !app.stale {
		return Info{}, fmt.Errorf("lab %s: %w: run appliance lab up --name %s", name, ErrNotFound, name)
	}
	i := namedLab(host.mark).info
	i.Name = name
	switch {
	case host.ns == nil:
		return Info{Name: name, Problem: "network namespace " + name + HostSuffix + " is missing"}, nil
	case i.Kind == Veth && app.ns == nil:
		i.Problem = "network namespace " + name + AppSuffix + " is missing"
	case !hasLink(host.ns, i.HostInterface):
		i.Problem = i.HostInterface + " is missing"
	case i.Kind == Veth && !hasLink(app.ns, i.AppInterface):
		i.Problem = i.AppInterface + " is missing"
	}
	return i, nil
}

func hasLink(ns *os.File, name string) bool {
	h, err := handleIn(ns)
	if err != nil {
		return false
	}
	defer h.Close()
	l, err := find(h, name)
	return err == nil && l != nil
}

// namedNames are the labs that netnsDir seems to have.
func namedNames() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		for _, suffix := range []string{HostSuffix, AppSuffix} {
			name, ok := strings.CutSuffix(e.Name(), suffix)
			if !ok || slices.Contains(names, name) {
				continue
			}
			if n, err := checkName(name); err == nil && n == name {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// namedDown is Down with privilege.
func namedDown(ctx context.Context, name string) (Removed, error) {
	if _, err := os.Stat(netnsDir); errors.Is(err, fs.ErrNotExist) {
		return Removed{}, nil
	}
	lock, err := lockDir(ctx, netnsDir)
	if err != nil {
		return Removed{}, err
	}
	defer lock.Close()
	return removeNamed(name)
}

// removeNamed removes a lab's interfaces and names; the caller has the lock.
func removeNamed(name string) (Removed, error) {
	var r Removed
	sides := []struct{ path, side string }{{hostPath(name), sideHost}, {appPath(name), sideApp}}
	var all []found
	for _, s := range sides { // refuse before anything is removed
		f, err := look(s.path, name, s.side)
		if err != nil {
			return r, err
		}
		defer func() { _ = closeFile(f.ns) }()
		all = append(all, f)
	}
	var errs []error
	for i, f := range all {
		if f.ns == nil && !f.stale {
			continue
		}
		r.Existed = true
		if f.ns != nil {
			names := []string{hostVeth, tapName}
			if sides[i].side == sideApp {
				names = []string{appVeth}
			}
			in, err := processesIn(f.ns)
			errs = append(errs, removeLinks(f.ns, names), err)
			r.StillIn = append(r.StillIn, in...)
		}
		errs = append(errs, removeName(sides[i].path))
	}
	return r, errors.Join(errs...)
}
