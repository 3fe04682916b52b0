package main

import (
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"appliance/tracer"
)

// TestDemo: with no set-up at all, for root and for somebody without privilege, on
// every link, the demo shows a whole connection, says what it stands on, and leaves
// nothing but its trace.
func TestDemo(t *testing.T) {
	for _, tt := range []struct {
		name string
		user func(*testing.T) *user
		link string // "" has the demo choose
		says string // on standard error
	}{
		{"root", root, "", "^appliance: veth, with Linux's own TCP at the other end: network namespaces may be made here$"},
		{"root, pipe", root, "pipe", "on pipe pipe0"},
		{"root, tap", root, "tap", "on tap tap0"},
		{"root, veth", root, "veth", "on veth app0"},
		{"unprivileged", unprivileged, "", "^appliance: (veth, with .* without root|pipe, both ends in this process: .*)$"},
		{"unprivileged, pipe", unprivileged, "pipe", "on pipe pipe0"},
		{"unprivileged, veth", unprivileged, "veth", "on veth app0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := tt.user(t)
			args, file := []string{"demo"}, "appliance-demo.jsonl"
			if tt.link != "" {
				file = "the trace.jsonl"
				args = append(args, "--link", tt.link, "-w", file)
			}
			before := interfaces(t)
			r := u.run(t, args...)
			if r.code == exitPrivilege && tt.link != "pipe" {
				t.Skipf("needs a %s link, which is not to be had here: %s", tt.link, r.stderr)
			}
			r.want(t, 0, "● LISTEN → SYN-RECEIVED +by SYN #", tt.says)
			wantMatch(t, r.args, "standard error", r.stderr, "prints b'hello'$")
			wantMatch(t, r.args, "standard error", r.stderr, "the trace.* is in "+file+"$")
			wantWholeConnection(t, readTrace(t, u.path(file), false))
			if after := interfaces(t); slices.Contains(after, "app0") && !slices.Contains(before, "app0") {
				t.Errorf("left an interface: %v, were %v", after, before)
			}
			if files := names(t, u.dir); !slices.Equal(files, []string{file}) {
				t.Errorf("left the files %q, want only %q", files, file)
			}
		})
	}
}

// wantWholeConnection checks the server's connection from LISTEN to CLOSED.
func wantWholeConnection(t *testing.T, events []tracer.Event) {
	t.Helper()
	conns := servedConns(events, 9000)
	if len(conns) != 1 {
		t.Fatalf("the hello server had the connections %v, want one", conns)
	}
	states := statesOf(t, events, conns[0])
	first := []tracer.State{tracer.Listen, tracer.SynReceived, tracer.Established}
	if len(states) < 5 || !slices.Equal(states[:3], first) || states[len(states)-1] != tracer.Closed {
		t.Errorf("the server's connection went through %v, want %v … %v", states, first, tracer.Closed)
	}
}

func interfaces(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, i := range all {
		list = append(list, i.Name)
	}
	return list
}

// names lists a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestDemoInterrupted: SIGINT ends the demo in order.
func TestDemoInterrupted(t *testing.T) {
	u := unprivileged(t)
	p := u.start(t, "demo", "--link", "pipe")
	p.await(t, &p.stdout, "TIME-WAIT") // which lasts a while
	p.signal(t, syscall.SIGINT)
	r := p.wait(t)
	r.want(t, 0, "", "")
	readTrace(t, u.path("appliance-demo.jsonl"), false)
}

// TestDemoElsewhere: where the working directory is closed, the trace goes to the one
// for temporary files.
func TestDemoElsewhere(t *testing.T) {
	u := unprivileged(t)
	if err := os.Chmod(u.dir, 0o555); err != nil { //nolint:gosec // which is less than it was
		t.Fatal(err)
	}
	r := u.run(t, "demo", "--link", "pipe")
	r.want(t, 0, "", "is in "+u.tmp+"/appliance-demo-.*/appliance-demo.jsonl$")
	_, path, _ := strings.Cut(strings.TrimSpace(r.stderr[strings.LastIndex(r.stderr, " is in "):]), "is in ")
	wantWholeConnection(t, readTrace(t, path, false))
	for _, name := range names(t, u.tmp) { // the trace is what was to be left
		if err := os.RemoveAll(u.tmp + "/" + name); err != nil {
			t.Error(err)
		}
	}
}
