package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Up makes the lab that o asks for, or, when it is up, repairs it and changes it to
// that; a lab that is up and whole is left as it is. With privilege ([Privileged])
// the lab has named network namespaces, without it a holder process. An error
// leaves nothing new behind. Where a permission is missing it is a *[PrivilegeError].
func Up(ctx context.Context, o Options) (*Lab, error) {
	name, err := checkName(o.Name)
	if err != nil {
		return nil, err
	}
	o.Name = name
	if !Privileged() {
		return heldUp(ctx, o)
	}
	l, err := namedUp(ctx, o)
	if err != nil {
		return nil, upError(name, err)
	}
	return l, nil
}

func upError(name string, err error) error {
	switch {
	case errors.As(err, new(*PrivilegeError)):
		return err
	case errors.Is(err, os.ErrPermission):
		return privilegeError("up "+name, err)
	}
	return fmt.Errorf("lab: up %s: %w", name, err)
}

// Down removes the lab of that name ("" means [DefaultName]), also what a crash
// left of one; no lab is no error, and leaves Removed.Existed false. It ends the
// holder and what was started through it, and no other process.
func Down(ctx context.Context, name string) (Removed, error) {
	name, err := checkName(name)
	if err != nil {
		return Removed{}, err
	}
	var r Removed
	if Privileged() {
		if r, err = namedDown(ctx, name); err != nil {
			return r, fmt.Errorf("lab: down %s: %w", name, err)
		}
	} else if i, ok := othersNamed(name); ok && findSocket(name) == "" {
		return Removed{Existed: true}, fmt.Errorf("lab: down %s: %s", name, i.Problem)
	}
	if path := findSocket(name); path != "" {
		return heldDown(ctx, name, path)
	}
	return r, nil
}

// List tells of every lab: the named ones, and this user's with a holder, in the
// order of their names. What is broken is listed with its Problem.
func List(ctx context.Context) ([]Info, error) {
	names, err := namedNames()
	if err != nil {
		return nil, fmt.Errorf("lab: list: %w", err)
	}
	var all []Info
	for _, name := range names {
		if !Privileged() {
			if i, ok := othersNamed(name); ok {
				all = append(all, i)
			}
			continue
		}
		// What is not a lab's is not listed; nor what has just gone.
		if i, err := namedInfo(name); err == nil {
			all = append(all, i)
		}
	}
	for _, name := range heldNames() {
		i, err := heldInfo(ctx, findSocket(name))
		if err != nil {
			i = Info{Name: name, Problem: err.Error() + ": run appliance lab down --name " + name}
		}
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Open returns the lab of that name ("" means [DefaultName]), which must be up: an
// error that wraps [ErrNotFound] when it is not.
func Open(ctx context.Context, name string) (*Lab, error) {
	name, err := checkName(name)
	if err != nil {
		return nil, err
	}
	if Privileged() {
		l, err := namedOpen(name)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, ErrNotFound) || findSocket(name) == "" {
			return nil, fmt.Errorf("lab: open: %w", err)
		}
	}
	path := findSocket(name)
	if path == "" {
		if i, ok := othersNamed(name); ok {
			return nil, fmt.Errorf("lab: open %s: %s", name, i.Problem)
		}
		return nil, fmt.Errorf("lab: open %s: %w: run appliance lab up --name %s", name, ErrNotFound, name)
	}
	i, err := heldInfo(ctx, path)
	if errors.Is(err, errDead) {
		return nil, fmt.Errorf("lab: open %s: %w: %w: run appliance lab up --name %s", name, ErrNotFound, err, name)
	}
	if err != nil {
		return nil, fmt.Errorf("lab: open %s: %w", name, err)
	}
	return &Lab{info: i, impl: held{path: path, info: i}}, nil
}

// othersNamed tells of a named lab that this process lacks the privilege for.
func othersNamed(name string) (Info, bool) {
	if Privileged() {
		return Info{}, false
	}
	if _, err := os.Stat(hostPath(name)); err != nil {
		return Info{}, false
	}
	return Info{
		Name: name, HostNetNS: hostPath(name),
		Problem: "the network namespace " + name + HostSuffix + " is root's: use sudo, or another name",
	}, true
}
