package main

import (
	"bytes"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"appliance/tracer"
)

// TestRefused: what cannot work is refused with the right code, before anything is
// touched, and leaves no trace file.
func TestRefused(t *testing.T) {
	u := unprivileged(t)
	if err := os.WriteFile(u.path("bad.yaml"), []byte("link: {kind: vth}\n"), 0o644); err != nil { //nolint:gosec // for another user to read
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"-i", "no-such-if0"}, 1, "^appliance: open no-such-if0: .*no such interface"},
		{[]string{"-i", realInterface(t)}, 4, "^appliance: open .*: operation not permitted: needs CAP_NET_RAW; run with sudo, or use --link pipe$"},
		{[]string{"--lab", "none-of-mine"}, 1, "^appliance: lab none-of-mine: no such lab: make it with `appliance lab up --name none-of-mine`, or use --link pipe$"},
		{[]string{"-i", "lo"}, 1, "^appliance: open lo: "},
		{nil, 1, "^appliance: lab appliance: no such lab: make it with `appliance lab up`, or use --link pipe$|is root's"},
		{[]string{"--link", "tap"}, 1, "make it with `appliance lab up --kind tap`, or use --link pipe$|is root's"},
		{[]string{"-c", "none.yaml"}, 3, "none.yaml: no such file or directory"},
		{[]string{"-c", "bad.yaml"}, 3, `^appliance: bad.yaml:1:14: link.kind: "vth" is unknown`},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			r := u.run(t, append(append([]string{"run"}, tt.args...), "-w", "t.jsonl")...)
			r.want(t, tt.code, "^$", tt.stderr)
			if files := names(t, u.dir); !slices.Equal(files, []string{"bad.yaml"}) {
				t.Errorf("left %q", files)
			}
		})
	}
}

// realInterface is an Ethernet interface of this host.
func realInterface(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 && len(i.HardwareAddr) == 6 {
			return i.Name
		}
	}
	t.Skip("needs an Ethernet interface that is up")
	return ""
}

// TestTraceFile: a file that cannot be written is refused, and nothing is left of the
// other files; but what was there before is not removed.
func TestTraceFile(t *testing.T) {
	u := unprivileged(t)
	if err := os.Mkdir(u.path("closed"), 0o555); err != nil { //nolint:gosec // which keeps everybody out that is not root
		t.Fatal(err)
	}
	if err := os.Mkdir(u.path("dir.jsonl"), 0o755); err != nil { //nolint:gosec // a directory in the way
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", u.path("full.jsonl")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		file   string
		code   int
		stderr string
	}{
		{"none/t.jsonl", 1, `^appliance: create trace file "none/t.jsonl": no such file or directory: make the directory first`},
		{"dir.jsonl", 1, `^appliance: create trace file "dir.jsonl": is a directory: name a file in it`},
		{"full.jsonl", 1, "no space left on device: 0 events were written; free some space"},
		{"closed/t.jsonl", 4, "permission denied: choose a directory that you may write to"},
		{"t.pcap", 2, `^appliance: run: -w: "t.pcap" does not tell its form: want a name that ends in .jsonl`},
	} {
		t.Run(tt.file, func(t *testing.T) {
			r := u.run(t, "run", "--link", "pipe", "-w", "first.jsonl", "-w", tt.file, "-w", "last.txt")
			r.want(t, tt.code, "^$", tt.stderr)
			if files := names(t, u.dir); !slices.Equal(files, []string{"closed", "dir.jsonl", "full.jsonl"}) {
				t.Errorf("left %q", files)
			}
		})
	}
}

// TestFullDisk: a disk that fills up while the appliance runs ends it in order, and
// the trace has whole lines only.
func TestFullDisk(t *testing.T) {
	u := root(t)
	mountSmall(t, u.path("disk"), "8k")
	// The client gets 10 lines from the generator, which fills the disk.
	r := u.run(t, "run", "--link", "pipe", "--app", "chargen", "--connect", "chargen=192.168.12.53:19",
		"--level", "full", "-o", "off", "-w", "disk/t.jsonl", "--loss", "20%")
	r.want(t, 1, "", `^appliance: write trace file "disk/t.jsonl": no space left on device: [0-9]+ events were written, the file ends with a whole line; free some space`)
	if strings.Count(r.stderr, "no space left") != 1 {
		t.Errorf("says it more than once:\n%s", r.stderr)
	}
	if events := readTrace(t, u.path("disk/t.jsonl"), false); len(events) < 10 {
		t.Errorf("only %d events fit in", len(events))
	}
	// Standard output, likewise.
	full := u.runTo(t, "/dev/full", "run", "--link", "pipe")
	full.want(t, 1, "", "^appliance: write the trace as text: .*no space left on device$")
	// It is the output's fault, not the input's.
	for _, verb := range []string{"show", "summary"} {
		read := u.runTo(t, "/dev/full", "trace", verb, "disk/t.jsonl")
		read.want(t, 1, "", "^appliance: write standard output: .*no space left on device$")
		if strings.Contains(read.stderr, "line ") {
			t.Errorf("trace %s blames the input:\n%s", verb, read.stderr)
		}
	}
}

// mountSmall makes a directory that has room for size, until the test is over.
func mountSmall(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // a mount point
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
}

// runTo runs the program with its standard output to a file.
func (u *user) runTo(t *testing.T, path string, args ...string) result {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs ", err)
	}
	defer f.Close()
	cmd := u.command(t.Context(), args...)
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = f, &errs
	_ = cmd.Run() // ProcessState tells
	return result{args: args, code: cmd.ProcessState.ExitCode(), stderr: errs.String()}
}

// TestAddressInUse: an address that the kernel at the other end has is refused.
func TestAddressInUse(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			for _, address := range []string{"192.168.12.1/24", "fd00:12::1/64"} {
				r := u.run(t, append([]string{"run", "--address", address, "-w", "t.jsonl"}, runFlags(lab, s.run)...)...)
				bare, _, _ := strings.Cut(address, "/")
				r.want(t, 1, "^$", "^appliance: .*address "+bare+": address already in use: the kernel has it on (eth0|tap0)")
			}
			if files := names(t, u.dir); len(files) > 0 {
				t.Errorf("left %q", files)
			}
		})
	}
}

// TestOtherMTU: a lab of another MTU than asked for.
func TestOtherMTU(t *testing.T) {
	for _, kind := range []string{"veth", "tap"} {
		u, name := rootLab(t, kind)
		args := []string{"run", "--lab", name, "--link", kind, "--mtu", "1400"}
		u.run(t, args...).want(t, 1, "^$",
			"^appliance: "+kind+" (app0|tap0): its MTU is 1500, and 1400 is wanted: .* `appliance lab up --name "+name+" --mtu 1400`$")
		u.run(t, "lab", "up", "--name", name, "--mtu", "1400").want(t, 0, "", "")
		p := u.start(t, args...)
		p.await(t, &p.stderr, "MTU 1400")
		p.signal(t, syscall.SIGTERM)
		p.wait(t).want(t, 0, "", "")
	}
}

// TestOtherKind: a lab of another kind than asked for.
func TestOtherKind(t *testing.T) {
	u, name := rootLab(t, "veth")
	u.run(t, "run", "--lab", name, "--link", "tap").want(t, 1, "^$",
		"^appliance: lab "+name+" is up as veth, and the configuration wants tap: use --link veth, or take it down and up again: ")
}

// TestVanished: the interface is deleted while the appliance runs, or the whole lab
// taken down: it says so, ends in order, and its trace is whole.
func TestVanished(t *testing.T) {
	for _, s := range settings() {
		for _, how := range []string{"interface", "lab"} {
			t.Run(s.name+", "+how, func(t *testing.T) {
				u, lab := s.up(t)
				p := u.start(t, append([]string{"run", "--app", "echo", "-w", "t.jsonl", "-w", "t.txt"}, runFlags(lab, s.run)...)...)
				p.await(t, &p.stderr, "echo on tcp port")
				u.openEcho(t, lab)
				if how == "lab" {
					u.run(t, append([]string{"lab", "down"}, lab...)...).want(t, 0, "is down", "")
				} else {
					iface := "eth0"
					if slices.Contains(s.run, "tap") {
						iface = "tap0"
					}
					u.exec(t, lab, "ip", "link", "del", iface).want(t, 0, "", "")
				}
				r := p.wait(t)
				r.want(t, 1, "→ CLOSED +by stack closed", "^appliance: the link is gone: .*interface is gone")
				events := readTrace(t, u.path("t.jsonl"), false)
				for _, c := range servedConns(events, 7) {
					if states := statesOf(t, events, c); states[len(states)-1] != tracer.Closed {
						t.Errorf("connection %d went through %v: not to its end", c, states)
					}
				}
			})
		}
	}
}

// TestKilled: SIGKILL leaves a trace of whole lines, but for the last, and nothing
// that keeps another appliance from running in the same lab; lab down removes all.
func TestKilled(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			args := append([]string{"run", "--app", "chargen", "--level", "full", "-o", "off", "-w", "t.jsonl"}, runFlags(lab, s.run)...)
			for range 2 {
				p := u.start(t, args...)
				p.await(t, &p.stderr, "chargen on tcp port")
				nc := u.startExec(t, lab, "sh", "-c", "nc -d 192.168.12.53 19 | head -c 3000000 | wc -c")
				nc.await(t, &nc.stdout, "3000000")
				p.signal(t, syscall.SIGKILL)
				if r := p.wait(t); r.code != -1 {
					t.Errorf("exit code %d of a process that was killed", r.code)
				}
				events := readTrace(t, u.path("t.jsonl"), true)
				if len(events) < 100 {
					t.Errorf("only %d events are left", len(events))
				}
				// A segment may have reached Linux before the sink's batch was written;
				// the handshake is long past.
				if conns := servedConns(events, 19); len(conns) == 0 {
					t.Error("the connection is not in the trace")
				}
			}
			u.run(t, append([]string{"lab", "down"}, lab...)...).want(t, 0, "is down", "")
		})
	}
}

// TestSignals: SIGUSR1 prints counters and goes on; SIGINT and SIGTERM end it in
// order, with the totals; open connections get their FIN.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			u := unprivileged(t)
			p := u.start(t, "run", "--link", "pipe", "--app", "discard", "-w", "t.jsonl")
			p.await(t, &p.stderr, "discard on tcp port")
			p.signal(t, syscall.SIGUSR1)
			p.await(t, &p.stderr, "appliance: segments: ")
			p.signal(t, syscall.SIGUSR1)
			p.awaitUntil(t, &p.stderr, "second counters", func(s string) bool { return strings.Count(s, "appliance: segments: ") == 2 })
			p.signal(t, sig)
			r := p.wait(t)
			r.want(t, 0, "● LISTEN → CLOSED", "^appliance: connections: 0 opened, 0 accepted")
			if n := strings.Count(r.stderr, "appliance: segments: "); n != 3 {
				t.Errorf("%d times counters, want two and the totals:\n%s", n, r.stderr)
			}
			events := readTrace(t, u.path("t.jsonl"), false)
			if states := statesOf(t, events, 1); !slices.Equal(states, []tracer.State{tracer.Closed, tracer.Listen, tracer.Closed}) {
				t.Errorf("the listener went through %v", states)
			}
		})
	}
}

// TestSecondSignal: open connections get time to end; another signal aborts them, and the
// program still ends in order, with the offloads as they were.
func TestSecondSignal(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			// A TAP's are the appliance's own to set: they are for as long as it has the device.
			features := func() string {
				if slices.Contains(s.run, "tap") {
					return ""
				}
				return u.exec(t, lab, "ethtool", "-k", "eth0").stdout
			}
			before := features()
			p := u.start(t, append([]string{"run", "--app", "echo"}, runFlags(lab, s.run)...)...)
			p.await(t, &p.stderr, "echo on tcp port")
			// The peer keeps its end open: FIN-WAIT-2 lasts longer than the patience.
			u.openEcho(t, lab)
			p.signal(t, syscall.SIGTERM)
			p.await(t, &p.stdout, "ESTABLISHED → FIN-WAIT-1")
			p.signal(t, syscall.SIGTERM)
			p.wait(t).want(t, 0, "→ CLOSED +by stack closed", "^appliance: connections: 0 opened, 1 accepted")
			wantMatch(t, p.cmd.Args, "standard error", p.all(), "^appliance: frames: [1-9][0-9]* in .*; lost at the device: 0 in, 0 out$")
			if after := features(); after != before {
				t.Errorf("the features of eth0 were\n%s\nand are\n%s", before, after)
			}
		})
	}
}

// TestSecondAppliance: a lab has room for one appliance, which goes on undisturbed.
func TestSecondAppliance(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			p := u.start(t, append([]string{"run", "--app", "echo"}, runFlags(lab, s.run)...)...)
			p.await(t, &p.stderr, "echo on tcp port")
			r := u.run(t, append([]string{"run", "--address", "192.168.12.54/24", "-w", "t.jsonl"}, runFlags(lab, s.run)...)...)
			r.want(t, 1, "^$", "^appliance: .*open (app0|TAP device tap0): device or resource busy: another ")
			if files := names(t, u.dir); len(files) > 0 {
				t.Errorf("left %q", files)
			}
			u.openEcho(t, lab)
			p.signal(t, syscall.SIGTERM)
			p.wait(t).want(t, 0, "SYN-RECEIVED → ESTABLISHED", "")
		})
	}
}
