package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"

	"appliance/internal/config"
	"appliance/internal/lab"
)

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code int
		text string // on standard error
	}{
		{"done", nil, 0, ""},
		{"run time", errors.New("listen: port in use"), 1, "appliance: listen: port in use\n"},
		{"usage", usageErr("run: no link"), 2, "appliance: run: no link\n"},
		{"wrapped usage", fmt.Errorf("demo: %w", usageErr("no link")), 2, "appliance: demo: no link\n"},
		{"the framework's", cli.Exit("no help topic", 3), 2, "appliance: no help topic\n"},
		{
			"configuration", &config.Error{Problems: []config.Problem{
				{File: "a.yaml", Line: 2, Column: 3, Path: "name", Message: "bad"}, {File: "a.yaml", Message: "worse"},
			}}, 3,
			"appliance: a.yaml:2:3: name: bad\nappliance: a.yaml: worse\n",
		},
		{"configuration not readable", configErr(&fs.PathError{Op: "open", Path: "a.yaml", Err: syscall.EACCES}), 3, "appliance: open a.yaml: permission denied\n"},
		{
			"privilege", fmt.Errorf("run: %w", &lab.PrivilegeError{Op: "open tap0", Err: syscall.EPERM, Why: "needs CAP_NET_ADMIN", Fix: "run with sudo"}), 4,
			"appliance: run: open tap0: operation not permitted: needs CAP_NET_ADMIN: run with sudo\n",
		},
		{"permission", fmt.Errorf("open packet socket: %w", syscall.EPERM), 4, "appliance: open packet socket: operation not permitted\n"},
		{"check", checkErr(), 5, ""},
	} {
		var stderr bytes.Buffer
		if code := printError(&stderr, tt.err); code != tt.code || stderr.String() != tt.text {
			t.Errorf("%s: code %d, %q; want %d, %q", tt.name, code, stderr.String(), tt.code, tt.text)
		}
	}
}

func TestVersionsOf(t *testing.T) {
	dep := &debug.Module{Path: gvisorModule, Version: "v1"}
	for _, tt := range []struct {
		name              string
		info              debug.BuildInfo
		appliance, gvisor string
	}{
		{"nothing known", debug.BuildInfo{}, "unknown", "unknown"},
		{"a module", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Deps: []*debug.Module{dep}}, "v1.2.3", "v1"},
		{"a checkout", debug.BuildInfo{
			Main: debug.Module{Version: "(devel)"},
			Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"},
			},
		}, "0123456789ab+changes", "unknown"},
		{"gVisor replaced", debug.BuildInfo{Deps: []*debug.Module{{Path: gvisorModule, Version: "v1", Replace: &debug.Module{Path: "../gvisor"}}}}, "unknown", "../gvisor"},
	} {
		got := versionsOf(&tt.info)
		if got.Appliance != tt.appliance || got.GVisor != tt.gvisor {
			t.Errorf("%s: %s and %s, want %s and %s", tt.name, got.Appliance, got.GVisor, tt.appliance, tt.gvisor)
		}
		if !strings.HasPrefix(got.Go, "go") {
			t.Errorf("%s: Go's version is %q", tt.name, got.Go)
		}
	}
}

func TestDiagnose(t *testing.T) {
	ok := func(name string) lab.Check { return lab.Check{Name: name, OK: true} }
	bad := func(name string) lab.Check { return lab.Check{Name: name, Detail: "not here", Fix: "mend it"} }
	for _, tt := range []struct {
		name      string
		host      []lab.Check
		veth, tap string // what the link's line says, "" for good
	}{
		{"all", []lab.Check{ok("privilege"), ok("network namespaces"), ok("veth"), ok("AF_PACKET"), ok("TAP")}, "", ""},
		{"no TAP", []lab.Check{ok("network namespaces"), ok("veth"), ok("AF_PACKET"), bad("TAP")}, "", "TAP: not here"},
		{"no packet socket", []lab.Check{ok("network namespaces"), ok("veth"), bad("AF_PACKET"), ok("TAP")}, "AF_PACKET: not here", ""},
		{"another system", []lab.Check{bad("lab")}, "lab: not here", "lab: not here"},
		{"nothing tried", nil, "network namespaces could not be tried", "network namespaces could not be tried"},
	} {
		d := diagnose(tt.host)
		for i, want := range []string{tt.veth, tt.tap, ""} {
			link := d.Links[i]
			if link.OK != (want == "") || want != "" && (link.Detail != want || link.Fix == "") {
				t.Errorf("%s: %+v, want %q", tt.name, link, want)
			}
		}
		met, err := d.meets([]string{"pipe", "tap"})
		if err != nil || met != (tt.tap == "") {
			t.Errorf("%s: meets pipe, tap = %t, %v", tt.name, met, err)
		}
		if _, err := d.meets([]string{"carrier pigeon"}); exitCode(err) != exitUsage {
			t.Errorf("%s: meets carrier pigeon: %v", tt.name, err)
		}
	}
}

func TestPrintDiagnosis(t *testing.T) {
	var b bytes.Buffer
	d := diagnose([]lab.Check{{Name: "TAP", Detail: "closed", Fix: "open it"}})
	if err := d.print(&errWriter{w: &b}, true); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1mlinks\x1b[0m\n" +
		"  \x1b[31mno\x1b[0m  veth  TAP: closed\n            → open it\n" +
		"  \x1b[31mno\x1b[0m  tap   TAP: closed\n            → open it\n" +
		"  \x1b[32mok\x1b[0m  pipe  two stacks in one process; needs nothing of the host\n" +
		"\n\x1b[1mhost\x1b[0m\n" +
		"  \x1b[31mno\x1b[0m  TAP   closed\n            → open it\n"
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"config", "doctor", "version", "demo", "run"}
	for word, want := range map[string]string{"verson": "version", "cofnig": "config", "dmeo": "demo", "zzz": "", "": "", "x": ""} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// TestCommands: every command says what it is for, and no two names are the same.
func TestCommands(t *testing.T) {
	var check func(path string, commands []*cli.Command)
	check = func(path string, commands []*cli.Command) {
		seen := make(map[string]bool)
		for _, c := range commands {
			name := path + " " + c.Name
			if c.Usage == "" || c.Action == nil {
				t.Errorf("%s: no usage or no action", name)
			}
			if seen[c.Name] {
				t.Errorf("%s: twice", name)
			}
			seen[c.Name] = true
			check(name, c.Subcommands)
		}
	}
	var b bytes.Buffer
	check(appName, newApp(&b, &b).Commands)
}
