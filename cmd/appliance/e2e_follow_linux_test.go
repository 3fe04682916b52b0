package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTraceFollows: trace show -f tells a run as it happens, and ends with it; or, with
// exit code 0, at SIGINT.
func TestTraceFollows(t *testing.T) {
	u := unprivileged(t)
	run := u.start(t, "run", "--link", "pipe", "--app", "echo", "--output", "off", "-w", "x.jsonl")
	run.await(t, &run.stderr, "echo on tcp")
	first := u.start(t, "trace", "show", "-f", "x.jsonl")
	second := u.start(t, "trace", "show", "-f", "--type", "state", "x.jsonl")
	for _, p := range []*process{first, second} {
		p.await(t, &p.stdout, "● CLOSED → LISTEN")
	}
	second.signal(t, syscall.SIGINT)
	second.wait(t).want(t, exitDone, "● CLOSED → LISTEN", "^$")
	select {
	case <-first.done:
		t.Fatalf("it ended before the run did:\n%s", first.all())
	default:
	}
	run.signal(t, syscall.SIGINT)
	run.wait(t).want(t, exitDone, "", "")
	first.wait(t).want(t, exitDone, "● LISTEN → CLOSED", "^$")
}

// TestTraceFollowsAPipe: what a SIGINT to both makes the run tell is still shown.
func TestTraceFollowsAPipe(t *testing.T) {
	u := unprivileged(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	show := u.startFrom(t, r, "trace", "show", "-f", "-")
	cmd := exec.Command(u.bin, "run", "--link", "pipe", "--app", "echo", "-w", "-")
	cmd.Args[0] = appName
	cmd.Dir, cmd.Env, cmd.Stdout = u.dir, u.env, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u.cred}
	var messages strings.Builder
	cmd.Stderr = &messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = r.Close(), w.Close() // the processes have their own
	show.await(t, &show.stdout, "● CLOSED → LISTEN")
	show.signal(t, syscall.SIGINT)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended := time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() })
	if err := cmd.Wait(); err != nil {
		t.Errorf("run: %v:\n%s", err, messages.String())
	}
	ended.Stop()
	show.wait(t).want(t, exitDone, "● LISTEN → CLOSED", "^$")
}
