package main

import (
	"context"
	"errors"
	"os"

	"appliance/internal/lab"
)

// userNSMark tells the program that it is root of a user namespace of its own making.
const userNSMark = "APPLIANCE_USER_NAMESPACE"

// inUserNS tells whether the program runs there.
func inUserNS() bool { return os.Getenv(userNSMark) != "" }

// reexecInUserNS runs the same command there, and returns its exit code.
func reexecInUserNS(ctx context.Context) (int, error) {
	return lab.ReexecInUserNS(ctx, os.Args[1:], append(os.Environ(), userNSMark+"=1"))
}

// signalled is the exit code above which those of processes are that a signal ended.
const signalled = 128

// againInUserNS runs the same command there, which says by itself what comes of it;
// interrupted is said where a signal ended it before it could.
func againInUserNS(ctx context.Context, interrupted error) error {
	code, err := reexecInUserNS(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = nil // it was interrupted too, and says so
		if code > signalled {
			err = interrupted
		}
	}
	if err == nil && code != 0 {
		return &exitError{code: code}
	}
	return err
}
