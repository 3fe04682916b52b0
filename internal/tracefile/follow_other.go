//go:build !linux

package tracefile

import (
	"context"
	"time"
)

// pollEvery is how often a file is looked at where the system gives no event.
const pollEvery = 200 * time.Millisecond

// ticker is the waiter of systems without inotify. It never knows that nobody writes.
type ticker struct{ t *time.Ticker }

func newWaiter(string) (waiter, error) { return ticker{time.NewTicker(pollEvery)}, nil }

func (t ticker) wait(ctx context.Context) (more bool, err error) {
	select {
	case <-t.t.C:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// Close implements waiter.
func (t ticker) Close() error {
	t.t.Stop()
	return nil
}
