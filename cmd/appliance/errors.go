package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/internal/config"
	"appliance/internal/lab"
)

// Exit codes, as the manual lists them.
const (
	exitDone      = 0
	exitRuntime   = 1 // something failed at run time
	exitUsage     = 2 // the command line
	exitConfig    = 3 // the configuration
	exitPrivilege = 4 // what the host does not permit
	exitCheck     = 5 // a check or a scenario did not hold
)

// An exitError ends the program with code. Its err is printed, unless it is nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageErr is a mistake on the command line.
func usageErr(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// configErr is err, which is about the configuration.
func configErr(err error) error { return &exitError{exitConfig, err} }

// checkErr ends the program with "a check did not hold". The check itself has been
// printed: there is no more to say.
func checkErr() error { return &exitError{code: exitCheck} }

// exitCode returns the code that err ends the program with. What does not say so
// itself is told by what it wraps.
func exitCode(err error) int {
	var (
		own       *exitError
		cfg       *config.Error
		option    *lab.OptionError
		privilege *lab.PrivilegeError
		framework cli.ExitCoder
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &cfg):
		return exitConfig
	case errors.As(err, &option):
		return exitUsage
	case errors.As(err, &privilege), errors.Is(err, fs.ErrPermission):
		// EPERM and EACCES are fs.ErrPermission.
		return exitPrivilege
	case errors.As(err, &framework):
		return exitUsage // the framework's own errors are about the command line
	default:
		return exitRuntime
	}
}

// printError writes err, a line each where it joins several, and returns the exit
// code.
func printError(w io.Writer, err error) int {
	code := exitCode(err)
	var own *exitError
	if err == nil || errors.As(err, &own) && own.err == nil {
		return code
	}
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		_, _ = fmt.Fprintf(w, "%s: %s\n", appName, line) // nowhere left to report that this failed
	}
	return code
}

// orMake adds to err, where it says that there is no such file, the command that makes one.
func orMake(err error, command string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: name a file that exists, or make one with: %s", err, command)
	}
	return err
}

// errWriter remembers the first error, so that printing needs no check at each line.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) printf(format string, args ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, format, args...)
	}
}

// done returns what went wrong.
func (e *errWriter) done() error {
	if e.err == nil {
		return nil
	}
	return fmt.Errorf("write standard output: %w", e.err)
}
