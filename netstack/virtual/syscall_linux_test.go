package virtual_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/netstack/virtual"
)

// A goroutine in a system call is at work, and named when that does not end. Waiting for it
// takes little of the processor.
func TestRestWaitsForSystemCalls(t *testing.T) {
	var fd [2]int
	if err := syscall.Pipe(fd[:]); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := syscall.Read(fd[0], make([]byte, 1))
		read <- err
	}()
	const long = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	c := virtual.New(time.Time{})
	before := processorTime(t)
	if err := c.Rest(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "TestRestWaitsForSystemCalls") {
		t.Errorf("Rest: %v; want the deadline, and who is in a system call", err)
	}
	used := processorTime(t) - before
	t.Logf("%s of processor time in %s", used, long)
	if used > long/2 {
		t.Errorf("waiting for rest took %s of processor time in %s", used, long)
	}
	if _, err := syscall.Write(fd[1], []byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Rest(t.Context()), <-read, syscall.Close(fd[0]), syscall.Close(fd[1])); err != nil {
		t.Error(err)
	}
}

// processorTime is what the process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
