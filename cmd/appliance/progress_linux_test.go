package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pty returns the two ends of a pseudo-terminal.
func pty(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { _ = user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	return user, program
}

// TestProgress: a large file's reading shows a bar where messages go to a terminal, and
// the table is the same with it and without.
func TestProgress(t *testing.T) {
	t.Setenv("TERM", "xterm")
	path := filepath.Join(t.TempDir(), "large.jsonl")
	const line = `{"n":1,"t_ns":1,"type":"timer","stack":"server","conn":1,"timer":"keepalive","what":"fired"}` + "\n"
	text := `{"type":"trace","schema":"appliance-trace/1"}` + "\n" + strings.Repeat(line, worthABar/len(line)+1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	user, program := pty(t)
	shown := make(chan string)
	go func() {
		text, _ := io.ReadAll(user) // it ends with EIO when the other end is closed
		shown <- string(text)
	}()
	var onTerminal, plain strings.Builder
	if code := run(context.Background(), []string{appName, "trace", "summary", path}, &onTerminal, program); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-shown; !strings.Contains(got, "% |") {
		t.Errorf("no bar: %q", got)
	}
	var messages strings.Builder
	if code := run(context.Background(), []string{appName, "trace", "summary", path}, &plain, &messages); code != 0 || messages.String() != "" {
		t.Errorf("exit code %d, %q", code, messages.String())
	}
	if onTerminal.String() != plain.String() || !strings.Contains(plain.String(), "events") {
		t.Errorf("with a bar:\n%s\nwithout:\n%s", onTerminal.String(), plain.String())
	}
}
