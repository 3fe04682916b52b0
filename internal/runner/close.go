package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"appliance/netstack"
)

// Close stops the programs, gives open connections a moment to end in order, which is over
// when ctx is, and closes everything. It returns what failed; what could not be put back as
// it was is logged.
func (a *Appliance) Close(ctx context.Context) error {
	a.closing.Do(func() {
		known := a.Warnings()
		a.stopApps()
		a.apps.Wait()
		ctx, cancel := context.WithTimeout(ctx, drainTime)
		defer cancel()
		for _, s := range []*netstack.Stack{a.peer, a.stack} {
			if s != nil && a.linkUp() {
				_ = a.drain(ctx, s) // what is left is aborted
			}
		}
		a.err = a.closeStacks()
		a.err = errors.Join(a.err, a.bus.Close())
		if a.lab != nil {
			a.err = errors.Join(a.err, a.lab.Close())
		}
		for _, w := range a.Warnings() {
			if !slices.Contains(known, w) {
				a.log("warning: %s", w)
			}
		}
	})
	return a.err
}

// drain lets a stack's connections end, through TIME-WAIT too where that is short
// enough to wait for.
func (a *Appliance) drain(ctx context.Context, s *netstack.Stack) error {
	if 2*time.Duration(a.opts.Config.TCP.MSL) < drainTime {
		return s.Quiesce(ctx)
	}
	return s.Drain(ctx)
}

// Join joins what [Appliance.Run] and [Appliance.Close] returned: a sink's error,
// which both return, stands once.
func Join(ran, closed error) error {
	if ran == nil || closed == nil {
		return errors.Join(ran, closed)
	}
	all := []error{ran}
	for _, err := range flatten(closed) {
		if !errors.Is(ran, err) && err.Error() != ran.Error() {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// flatten returns the errors that err joins.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // a join is no wrapper to look into
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

func (a *Appliance) log(format string, args ...any) { a.opts.log(format, args...) }

// linkError says why the link is gone; nil when it was closed.
func (a *Appliance) linkError() error {
	if err := a.links[0].Err(); err != nil {
		return fmt.Errorf("the link is gone: %w", err)
	}
	return nil
}

func (a *Appliance) linkUp() bool {
	select {
	case <-a.links[0].Done():
		return false
	default:
		return true
	}
}

func (a *Appliance) closeStacks() error {
	var err error
	for _, s := range []*netstack.Stack{a.peer, a.stack} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

// abandon takes back what a failed start has made.
func (a *Appliance) abandon() error {
	if a.stopApps != nil {
		a.stopApps()
		a.apps.Wait()
	}
	err := a.closeStacks()
	for _, l := range a.links {
		l.Close()
		l.Wait()
	}
	if a.bus != nil {
		err = errors.Join(err, a.bus.Close())
	}
	err = errors.Join(err, removeFiles(a.made))
	if a.lab != nil {
		err = errors.Join(err, a.lab.Close())
	}
	return err
}
