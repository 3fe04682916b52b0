package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// temporary is what a temporary lab owns: namespaces without a name, which live as
// long as this process has them open.
type temporary struct {
	pair
	once sync.Once
	err  error
}

func (t *temporary) close() error {
	t.once.Do(func() { t.err = errors.Join(t.unlink(), t.pair.close()) })
	return t.err
}

// NewTemporary makes a lab in namespaces without a name, for this process alone: it
// is gone after [Lab.Close], and also when the process ends in any other way. It
// needs CAP_SYS_ADMIN and CAP_NET_ADMIN, which [ReexecInUserNS] gives. o.Name is only
// for messages. The paths of its namespaces hold in this process. With
// o.AppAddresses both of its ends are Linux hosts.
func NewTemporary(ctx context.Context, o Options) (*Lab, error) {
	name, err := checkName(o.Name)
	if err != nil {
		return nil, err
	}
	o.Name = name
	app, ordered := slices.Clone(o.AppAddresses), o.Ordered
	o.AppAddresses, o.Ordered = nil, false
	w, err := want(o, nil)
	if err == nil {
		w.AppAddrs, w.Ordered = app, ordered
		err = w.check()
	}
	if err != nil {
		return nil, fmt.Errorf("lab: make a temporary lab: %w", err)
	}
	t := &temporary{}
	if t.host, err = newNS(nil); err != nil {
		return nil, privilegeError("make a temporary lab", err)
	}
	if w.Kind == Veth {
		if t.app, err = newNS(nil); err != nil {
			return nil, errors.Join(privilegeError("make a temporary lab", err), t.pair.close())
		}
	}
	changes, warnings, err := t.ensure(ctx, w, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: make a temporary lab: %w", err), t.close())
	}
	i := inProcess(w, t.pair)
	return &Lab{Created: true, Changes: changes, Warnings: warnings, info: i, impl: here{info: i, owned: t}}, nil
}

// inProcess is the Info of a lab whose namespaces this process has open.
func inProcess(s spec, p pair) Info {
	i := s.info()
	i.HostNetNS = fdPath(p.host)
	i.AppNetNS = i.HostNetNS
	if p.app != nil {
		i.AppNetNS = fdPath(p.app)
	}
	return i
}

// privilegeError makes of a permission that was refused an error that says so.
func privilegeError(op string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, os.ErrPermission) {
		return &PrivilegeError{
			Op: "lab: " + op, Err: err, Why: "needs CAP_SYS_ADMIN and CAP_NET_ADMIN",
			Fix: "run with sudo, or use --link pipe",
		}
	}
	return fmt.Errorf("lab: %s: %w", op, err)
}
