package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"appliance/tracer"
)

// A setting is a lab with its user; flags name it.
type setting struct {
	name  string
	up    func(*testing.T) (*user, []string)
	files []string // configurations of configs/ that run in it
	run   []string // flags of run besides the lab's
}

func settings() []setting {
	named := func(kind string) func(*testing.T) (*user, []string) {
		return func(t *testing.T) (*user, []string) {
			u, name := rootLab(t, kind)
			return u, []string{"--name", name}
		}
	}
	return []setting{
		{"root, veth", named("veth"), []string{"veth", "two-apps"}, nil},
		{"root, tap", named("tap"), []string{"tap"}, []string{"--link", "tap"}},
		{"unprivileged, veth", func(t *testing.T) (*user, []string) { return unprivilegedLab(t), nil }, []string{"veth", "two-apps"}, nil},
	}
}

// runFlags turns the flags that lab commands take into those of run.
func runFlags(lab, more []string) []string {
	flags := slices.Clone(more)
	if len(lab) > 0 {
		flags = append(flags, "--lab", lab[1])
	}
	return flags
}

// exec runs a command on the Linux side; it is skipped where that is not installed.
func (u *user) exec(t *testing.T, lab []string, argv ...string) result {
	t.Helper()
	return u.startExec(t, lab, argv...).wait(t)
}

func (u *user) startExec(t *testing.T, lab []string, argv ...string) *process {
	t.Helper()
	return u.startExecFrom(t, lab, nil, argv...)
}

func (u *user) startExecFrom(t *testing.T, lab []string, stdin io.Reader, argv ...string) *process {
	t.Helper()
	if err := lookFor(u, argv[0]); err != nil {
		t.Skipf("needs %s: %v", argv[0], err)
	}
	return u.startFrom(t, stdin, append(append([]string{"lab", "exec"}, lab...), argv...)...)
}

// openEcho opens a connection from Linux to the echo server, which stays open until
// the test ends; one word has come back when it returns.
func (u *user) openEcho(t *testing.T, lab []string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	defer r.Close()
	if _, err := w.WriteString("ready\n"); err != nil {
		t.Fatal(err)
	}
	nc := u.startExecFrom(t, lab, r, "nc", "-w", "180", "192.168.12.53", "7")
	nc.await(t, &nc.stdout, "ready")
}

// lookFor looks a program up where the user would.
func lookFor(u *user, name string) error {
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return nil
		}
	}
	return errors.New(name + " is not among the programs of " + u.name)
}

// script puts one of scripts/ where the user may read it.
func (u *user) script(t *testing.T, name string) string {
	t.Helper()
	return u.copyOf(t, filepath.Join("..", "..", "scripts", name))
}

func (u *user) copyOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(filepath.Dir(u.bin), filepath.Base(path))
	if err := os.WriteFile(to, data, 0o644); err != nil { //nolint:gosec // for another user to read
		t.Fatal(err)
	}
	return to
}

// TestLinuxTools: what people have on Linux works against the appliance, over each
// link.
func TestLinuxTools(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			args := append([]string{"run", "-w", "t.jsonl", "--app", "hello", "--app", "echo", "--app", "echo/udp", "--app", "http"}, runFlags(lab, s.run)...)
			p := u.start(t, args...)
			p.await(t, &p.stderr, "http on tcp port 80")
			for _, tool := range []struct {
				name   string
				argv   []string
				stdout string
			}{
				{"python client", []string{"python3", u.script(t, "hello_client.py"), "--timeout", "60"}, "^b'hello'$"},
				{"python over IPv6", []string{"python3", u.script(t, "hello_client.py"), "--timeout", "60", "fd00:12::53"}, "^b'hello'$"},
				{"nc", []string{"sh", "-c", "echo to and fro | nc -N -w 60 192.168.12.53 7"}, "^to and fro$"},
				{"nc over UDP", []string{"sh", "-c", "echo datagram | nc -u -W 1 -w 60 192.168.12.53 7"}, "^datagram$"},
				{"curl", []string{"curl", "-sS", "-m", "60", "-w", "%{http_version} %{http_code}", "http://192.168.12.53/"}, "^1.1 200$"},
				{"curl -0", []string{"curl", "-sS", "-m", "60", "-0", "-w", "%{http_code}", "http://192.168.12.53/"}, "^200$"},
				{"curl over IPv6", []string{"curl", "-gsS", "-m", "60", "http://[fd00:12::53]/"}, `^i am +\[fd00:12::53\]:80$`},
				{"ping", []string{"ping", "-c", "2", "-i", "0.2", "-W", "30", "192.168.12.53"}, " 2 received, 0% packet loss"},
				{"ping -6", []string{"ping", "-6", "-c", "2", "-i", "0.2", "-W", "30", "fd00:12::53"}, " 2 received, 0% packet loss"},
			} {
				t.Run(tool.name, func(t *testing.T) {
					if tool.argv[0] == "sh" {
						if err := lookFor(u, "nc"); err != nil {
							t.Skip("needs nc: ", err)
						}
					}
					u.exec(t, lab, tool.argv...).want(t, 0, tool.stdout, "")
				})
			}
			p.signal(t, syscall.SIGTERM)
			p.wait(t).want(t, 0, "", "^appliance: connections: 0 opened, [0-9]+ accepted")
			events := readTrace(t, u.path("t.jsonl"), false)
			for _, port := range []uint16{7, 80, 9000} {
				for _, c := range servedConns(events, port) {
					if states := statesOf(t, events, c); states[len(states)-1] != tracer.Closed {
						t.Errorf("connection %d went through %v: not to its end", c, states)
					}
				}
			}
		})
	}
}

// exampleClients are what visits each of configs/; one of them loses packets, so that
// these try again.
var exampleClients = map[string][]string{
	"veth":     {"nc", "-z", "-w", "60", "192.168.12.53", "9000"},
	"tap":      {"nc", "-z", "-w", "60", "192.168.12.53", "7"},
	"two-apps": {"curl", "-sS", "-m", "80", "http://192.168.12.53/"},
}

// TestExamples: configs/ are what run takes, each in the lab that it is for.
func TestExamples(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			for _, name := range s.files {
				t.Run(name, func(t *testing.T) {
					p := u.start(t, append([]string{"run", "-c", u.copyOf(t, "../../configs/"+name+".yaml")}, runFlags(lab, nil)...)...)
					p.await(t, &p.stderr, " on tcp port ")
					u.exec(t, lab, exampleClients[name]...).want(t, 0, "", "")
					p.await(t, &p.stdout, "→ ESTABLISHED")
					p.signal(t, syscall.SIGINT)
					p.wait(t).want(t, 0, "● CLOSED → LISTEN", "^appliance: segments: ")
				})
			}
			if slices.Contains(s.files, "two-apps") {
				readTrace(t, u.path("trace.jsonl"), false)
			}
		})
	}
}

// TestPythonServer: the appliance's hello client, with the Python server on Linux,
// ends by itself.
func TestPythonServer(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			server := u.startExec(t, lab, "python3", "-u", u.script(t, "hello_server.py"), "--once", "192.168.12.1", "9000")
			server.await(t, &server.stderr, "listening on")
			args := append([]string{"run", "--connect", "hello=192.168.12.1:9000", "-w", "t.jsonl"}, runFlags(lab, s.run)...)
			u.run(t, args...).want(t, 0, "^b'hello'$", "^appliance: connections: 1 opened, 0 accepted")
			server.wait(t).want(t, 0, "^b'byebye'$", "")
			events := readTrace(t, u.path("t.jsonl"), false)
			states := statesOf(t, events, 1)
			first := []tracer.State{tracer.Closed, tracer.SynSent, tracer.Established}
			if len(states) < 5 || !slices.Equal(states[:3], first) || states[len(states)-1] != tracer.Closed {
				t.Errorf("the client's connection went through %v, want %v … %v", states, first, tracer.Closed)
			}
		})
	}
}

// TestLabCommands: up twice, mended, listed, down twice; exec's exit codes.
func TestLabCommands(t *testing.T) {
	u, name := rootLab(t, "veth")
	flags := []string{"--name", name}
	u.run(t, append([]string{"lab", "up"}, flags...)...).want(t, 0, "^lab "+name+" \\(veth\\) is up already: Linux has 192.168.12.1/24 fd00:12::1/64 on eth0$", "")
	u.run(t, "lab", "ls").want(t, 0, "^"+regexp.QuoteMeta(name)+" +veth +192.168.12.1/24", "")
	u.run(t, "lab", "ls", "-o", "json").want(t, 0, `"name": "`+name+`"`, "")
	u.exec(t, flags, "sh", "-c", "exit 7").want(t, 7, "", "^$")
	u.run(t, "lab", "exec", "--name", name, "no-such-command").want(t, 127, "", "^appliance: .*no-such-command")
	u.exec(t, flags, "ip", "link", "del", "eth0").want(t, 0, "", "")
	u.run(t, "lab", "ls").want(t, 0, name+" .*missing", "")
	u.run(t, append([]string{"run"}, runFlags(flags, nil)...)...).want(t, 1, "", "^appliance: .* missing.*: run appliance lab up --name "+name)
	u.run(t, append([]string{"lab", "up"}, flags...)...).want(t, 0, "is mended: made ", "")
	u.run(t, append([]string{"lab", "down"}, flags...)...).want(t, 0, "is down", "")
	u.run(t, append([]string{"lab", "down"}, flags...)...).want(t, 0, "was not up", "")
	u.run(t, "lab", "exec", "--name", name, "true").want(t, 1, "", "^appliance: lab: open.* no such lab: run appliance lab up --name "+name+"$")
}
