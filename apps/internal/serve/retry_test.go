package serve

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var errOdd = errors.New("something of its own")

func times(n int, err error) (steps []any) {
	for range n {
		steps = append(steps, err)
	}
	return steps
}

func TestAcceptRetries(t *testing.T) {
	emfile := &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	tests := []struct {
		name    string
		errs    []any
		wantErr error
		waited  time.Duration // virtual
		logged  int
	}{
		{name: "no error"},
		{name: "one that says it passes", errs: times(1, passingError{}), waited: 5 * time.Millisecond, logged: 1},
		{name: "out of descriptors", errs: times(3, emfile), waited: 35 * time.Millisecond, logged: 3},
		{name: "out of memory", errs: times(2, syscall.ENOMEM), waited: 15 * time.Millisecond, logged: 2},
		// 5+10+…+640 ms, then a second each.
		{name: "many that pass", errs: times(20, passingError{}), waited: 1275*time.Millisecond + 12*time.Second, logged: 20},
		{name: "odd ones, few", errs: times(maxStrange-1, errOdd), waited: 635 * time.Millisecond, logged: 7},
		{name: "odd ones, too many", errs: times(maxStrange, errOdd), wantErr: errOdd, waited: 635 * time.Millisecond, logged: 7},
		{name: "closed", errs: []any{net.ErrClosed}, wantErr: net.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, _ := pipe(t)
				var log logged
				start := time.Now()
				c, err := Accept(t.Context(), newFakeListener(append(tt.errs, server)...), log.log)
				if !errors.Is(err, tt.wantErr) {
					t.Errorf("error %v, want %v", err, tt.wantErr)
				}
				if (c == server) != (tt.wantErr == nil) {
					t.Errorf("got connection %v with error %v", c, err)
				}
				if d := time.Since(start); d != tt.waited {
					t.Errorf("waited %v, want %v", d, tt.waited)
				}
				if n := len(log.all()); n != tt.logged {
					t.Errorf("logged %d lines, want %d: %q", n, tt.logged, log.all())
				}
			})
		})
	}
}

func TestAcceptEndsWithContextWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := Accept(ctx, newFakeListener(times(64, passingError{})...), nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("ended after %v", d)
		}
	})
}
