package virtual

import (
	"context"
	"errors"
	"fmt"
)

// The errors of Run and Step.
var (
	// ErrIdle says that everything waits and nothing is pending: nothing will ever
	// happen again by itself, a deadlock in virtual time.
	ErrIdle = errors.New("nothing is left to happen")
	// ErrHorizon says that the next timer lies beyond Clock.Limit.
	ErrHorizon = errors.New("the time is up")
)

// Step waits for rest, moves the time to the next deadline and starts the function of the
// timer that is due on a goroutine of its own; of several with the same deadline, of the one
// that was set first. Before it moves the time, it lets the programs go on that wait for their
// turn, one a Step. It does not wait for what it started: the next Step does. fired is false,
// with no error, when nothing is pending. It errs as Rest does, and with ErrHorizon.
func (c *Clock) Step(ctx context.Context) (fired bool, err error) {
	if err := c.Rest(ctx); err != nil {
		return false, err
	}
	return c.fire()
}

// Run lets the time pass until until says true. It is asked only when the process is at rest,
// before each Step, on Run's own goroutine; it must not start anything. Nil means until
// nothing is pending.
//
// Run errs with ErrIdle when nothing is pending and until still says false, the error then
// lists who waits for what; with ErrHorizon at Limit; and, when ctx ends, with its error.
func (c *Clock) Run(ctx context.Context, until func() bool) error {
	for {
		if err := c.Rest(ctx); err != nil {
			return err
		}
		if until != nil && until() {
			return nil
		}
		fired, err := c.fire()
		if err != nil {
			return err
		}
		if fired {
			continue
		}
		if until == nil {
			return nil
		}
		return fmt.Errorf("virtual clock at %s: %w: no timer is pending, %s", c.Elapsed(), ErrIdle, whoWaits())
	}
}
