package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHeld(t *testing.T) {
	needUser(t)
	l := mustUp(t, Options{})
	if !l.Created || !l.Held() || l.HostNetNS() != "" {
		t.Errorf("lab is %+v", l)
	}
	if len(l.Warnings) > 0 {
		t.Errorf("warnings: %v", l.Warnings)
	}
	testHostSide(t, l, 1500, "192.168.12.1/24", "fd00:12::1/64")
	again := mustUp(t, Options{Name: l.Name()})
	if again.Created || len(again.Changes) > 0 || again.Info().Holder != l.Info().Holder {
		t.Errorf("up again: %+v", again)
	}
	testExec(t, l)
	testOpenLink(t, l)
	testLink(t, l)
	if err := l.Do(func() error { return nil }); err == nil {
		t.Error("Do ran in a lab that cannot be entered")
	}
	list, err := List(t.Context())
	if err != nil || !slices.ContainsFunc(list, func(i Info) bool {
		return i.Name == l.Name() && i.Holder == l.Info().Holder && i.Problem == ""
	}) {
		t.Errorf("list is %+v, %v", list, err)
	}
	r, err := Down(t.Context(), l.Name())
	if err != nil || !r.Existed {
		t.Errorf("down: %+v, %v", r, err)
	}
	assertGone(t, l.Name())
	if r, err := Down(t.Context(), l.Name()); err != nil || r.Existed {
		t.Errorf("down again: %+v, %v", r, err)
	}
	if _, err := Open(t.Context(), l.Name()); !errors.Is(err, ErrNotFound) {
		t.Errorf("open after down: %v", err)
	}
}

func TestHeldChange(t *testing.T) {
	needUser(t)
	needTool(t, "ip")
	testChange(t)
}

func TestHeldConcurrentUps(t *testing.T) {
	needUser(t)
	testConcurrentUps(t)
}

func TestHeldTAP(t *testing.T) {
	needUser(t)
	f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
	if err == nil {
		f.Close()
		testLink(t, mustUp(t, Options{Kind: TAP}))
		return
	}
	name := uniqueName()
	_, err = Up(t.Context(), Options{Name: name, Kind: TAP})
	var p *PrivilegeError
	if errors.Is(err, os.ErrNotExist) || !errors.As(err, &p) || !strings.Contains(err.Error(), tunDevice) || p.Fix == "" {
		t.Errorf("up with %s closed: %v", tunDevice, err)
	}
	assertGone(t, name)
}

// sleeper starts a command through the lab's socket and returns the connection, and
// the pipe that ends when the command does.
func sleeper(t *testing.T, l *Lab, script string) (*net.UnixConn, *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	std, err := connect(Command{Argv: []string{"sh"}, Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	conn, _, _, _, err := ask(t.Context(), findSocket(l.Name()),
		request{Op: opExec, Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Env: os.Environ()}, std.theirs...)
	std.closeTheirs()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 6)
	if _, err := io.ReadFull(in, buf); err != nil || string(buf) != "ready\n" {
		t.Fatalf("the command said %q, %v", buf, err)
	}
	t.Cleanup(func() { conn.Close(); in.Close() })
	return conn, in
}

func assertEnds(t *testing.T, in *os.File) {
	t.Helper()
	if rest, err := io.ReadAll(in); err != nil {
		t.Errorf("the command goes on: %q, %v", rest, err)
	}
}

// TestHeldCrash kills the holder: everything in the lab ends with it, and up, down,
// list and open cope.
func TestHeldCrash(t *testing.T) {
	needUser(t)
	l := mustUp(t, Options{})
	// One that is in a session of its own and deaf to the rest.
	_, in := sleeper(t, l, "trap '' HUP TERM; echo ready; sleep 100 & sleep 100")
	crash := func(l *Lab) {
		if err := unix.Kill(l.Info().Holder, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the holder is gone", func() bool { return goneProcess(l.Info().Holder) })
	}
	crash(l)
	assertEnds(t, in)
	if _, err := Open(t.Context(), l.Name()); !errors.Is(err, ErrNotFound) {
		t.Errorf("open: %v", err)
	}
	if _, err := l.Exec(t.Context(), Command{Argv: []string{"true"}}); !errors.Is(err, errDead) {
		t.Errorf("exec: %v", err)
	}
	list, err := List(t.Context())
	if err != nil || !slices.ContainsFunc(list, func(i Info) bool {
		return i.Name == l.Name() && strings.Contains(i.Problem, "holder is gone")
	}) {
		t.Errorf("list is %+v, %v", list, err)
	}
	again := mustUp(t, Options{Name: l.Name()})
	if !again.Created || again.Info().Holder == l.Info().Holder {
		t.Errorf("up after the crash: %+v", again)
	}
	testHostSide(t, again, 1500, "192.168.12.1/24", "fd00:12::1/64")
	crash(again)
	if r, err := Down(t.Context(), l.Name()); err != nil || !r.Existed {
		t.Errorf("down after the crash: %+v, %v", r, err)
	}
	assertGone(t, l.Name())
}

// TestHeldDownEndsCommands also when they are in the background.
func TestHeldDownEndsCommands(t *testing.T) {
	needUser(t)
	l := mustUp(t, Options{})
	_, fore := sleeper(t, l, "echo ready; sleep 100")
	_, back := sleeper(t, l, "(trap '' HUP TERM; sleep 100) & echo ready")
	if _, err := Down(t.Context(), l.Name()); err != nil {
		t.Fatal(err)
	}
	assertEnds(t, fore)
	assertEnds(t, back)
	assertGone(t, l.Name())
}

// TestHeldStopped takes down a lab whose holder does not answer.
func TestHeldStopped(t *testing.T) {
	needUser(t)
	if testing.Short() {
		t.Skip("waits for 8 s for the holder")
	}
	l := mustUp(t, Options{})
	if err := unix.Kill(l.Info().Holder, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := Down(t.Context(), l.Name()); err != nil {
		t.Error(err)
	}
	assertGone(t, l.Name())
}

func TestHeldEndsWithItsSocket(t *testing.T) {
	needUser(t)
	l := mustUp(t, Options{})
	if err := os.Remove(findSocket(l.Name())); err != nil {
		t.Fatal(err)
	}
	// At once another of the same name, which the first must not harm as it ends.
	again := mustUp(t, Options{Name: l.Name()})
	eventually(t, "the first holder is gone", func() bool { return goneProcess(l.Info().Holder) })
	if got := run(t, again, "echo", "alive"); got != "alive\n" {
		t.Errorf("the second says %q", got)
	}
}

func TestHeldEndsOnSIGTERM(t *testing.T) {
	needUser(t)
	l := mustUp(t, Options{})
	if err := unix.Kill(l.Info().Holder, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the holder is gone", func() bool { return goneProcess(l.Info().Holder) })
	assertGone(t, l.Name())
}

// TestHeldClientGone sees that a command ends with its client, and a link's opener
// gets to undo what it did.
func TestHeldClientGone(t *testing.T) {
	needUser(t)
	l := mustUp(t, Options{})
	conn, in := sleeper(t, l, "echo ready; sleep 100")
	conn.Close()
	assertEnds(t, in)

	released := filepath.Join(t.TempDir(), "released")
	args, err := json.Marshal(openerArgs{Released: released})
	if err != nil {
		t.Fatal(err)
	}
	conn, _, files, _, err := ask(t.Context(), findSocket(l.Name()), request{Op: opOpen, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(files)
	conn.Close()
	eventually(t, "the opener's release", func() bool { _, err := os.Stat(released); return err == nil })
}

// TestHeldLeaksNothing counts the holder's descriptors over requests of all sorts,
// also ones that make no sense, many at once.
func TestHeldLeaksNothing(t *testing.T) {
	needUser(t)
	l := mustUp(t, Options{})
	count := func() int {
		fds, err := os.ReadDir("/proc/" + strconv.Itoa(l.Info().Holder) + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	round := func() {
		done := make(chan error)
		const n = 8
		for range n {
			go func() {
				_, err := l.Exec(t.Context(), Command{Argv: []string{"true"}})
				o, oerr := l.OpenLink(t.Context(), nil)
				if oerr == nil {
					closeAll(o.Files)
					oerr = o.Release()
				}
				bad := nonsense(t, findSocket(l.Name()))
				done <- errors.Join(err, oerr, bad)
			}()
		}
		for range n {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	round() // what the runtime opens once
	before := count()
	for range 4 {
		round()
	}
	eventually(t, "as few descriptors as before", func() bool { return count() <= before })
}

// nonsense sends files with requests that take none, or are none.
func nonsense(t *testing.T, path string) error {
	for _, r := range []request{{Op: "nonsense"}, {Op: opExec}, {Op: opInfo}} {
		conn, _, files, _, err := ask(t.Context(), path, r, os.Stderr, os.Stderr)
		closeAll(files)
		switch {
		case err == nil:
			conn.Close()
		case r.Op == opInfo:
			return err
		}
	}
	conn, _, err := dialHolder(t.Context(), path)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, _, err = conn.WriteMsgUnix([]byte{0xff, 0xff, 0xff, 0xff, 1, 2}, unix.UnixRights(2, 2, 2), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn) // the holder hangs up
	if errors.Is(err, unix.ECONNRESET) {
		err = nil
	}
	return err
}

// envInside has this test program act as the one in the user namespace.
const envInside = "LAB_TEST_INSIDE"

func TestReexecInUserNS(t *testing.T) {
	needUser(t)
	for mode, want := range map[string]int{"exit": 9, "killed": 137, "forbidden": 0} {
		code, err := ReexecInUserNS(t.Context(), nil, append(os.Environ(), envInside+"="+mode))
		if code != want || err != nil {
			t.Errorf("%s: code %d, %v, want %d", mode, code, err, want)
		}
	}
	done := filepath.Join(t.TempDir(), "done")
	code, err := ReexecInUserNS(t.Context(), []string{"-test.run=^TestInside$"}, append(os.Environ(), envInside+"="+done))
	if code != 0 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	if _, err := os.Stat(done); err != nil {
		t.Errorf("the test inside did not run to its end: %v", err)
	}
}

// TestInside is what TestReexecInUserNS runs in the user namespace.
func TestInside(t *testing.T) {
	done := os.Getenv(envInside)
	if done == "" {
		t.Skip("TestReexecInUserNS runs it")
	}
	if os.Geteuid() != 0 || Privileged() {
		t.Errorf("uid %d, privileged %v: want root of no more than a namespace", os.Geteuid(), Privileged())
	}
	testTemporary(t, Veth)
	testBothLinux(t)
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		t.Error(err)
	}
}

// insideMain is the program in the user namespace for the modes that are no test.
func insideMain() {
	switch os.Getenv(envInside) {
	case "exit":
		os.Exit(9)
	case "killed":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "forbidden":
		if err := forbiddenMain(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// forbiddenMain forbids user namespaces below this one, and sees that up and probe
// say so.
func forbiddenMain() error {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	_, err := Up(context.Background(), Options{})
	var p *PrivilegeError
	if !errors.As(err, &p) || !strings.Contains(err.Error(), "user.max_user_namespaces is 0") || !strings.Contains(p.Fix, "--link pipe") {
		return fmt.Errorf("up: %w", err)
	}
	if code, err := ReexecInUserNS(context.Background(), nil, []string{envInside + "=exit"}); !errors.As(err, &p) || code == 0 {
		return fmt.Errorf("re-exec: %d, %w", code, err)
	}
	for _, c := range Probe(context.Background()) {
		if c.Name == "user namespaces" && (c.OK || !strings.Contains(c.Detail, "user.max_user_namespaces is 0")) {
			return fmt.Errorf("probe: %+v", c)
		}
	}
	return nil
}
