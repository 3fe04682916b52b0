package capture_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"appliance/internal/capture"
	"appliance/internal/lab"
	"appliance/scripts"
	"appliance/tracer"
)

func TestMain(m *testing.M) {
	lab.RunHolderIfAsked()
	goleak.VerifyTestMain(m)
}

// envInside says that the test runs in a user namespace of its own.
const envInside = "CAPTURE_TEST_INSIDE"

// inLab runs a test where labs can be made: here, as root, or else in a user
// namespace. It returns false where the test has run there.
func inLab(t *testing.T) bool {
	t.Helper()
	if lab.Privileged() || os.Getenv(envInside) != "" {
		return true
	}
	for _, c := range lab.Probe(t.Context()) {
		if c.Name == "user namespaces" && !c.OK {
			t.Skip("needs root, or user namespaces: " + c.Detail)
		}
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.timeout=120s"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	code, err := lab.ReexecInUserNS(t.Context(), args, append(os.Environ(), envInside+"=1"))
	if code != 0 || err != nil {
		t.Errorf("in a user namespace: exit code %d, %v", code, err)
	}
	return false
}

// twoHosts makes a lab of two Linux hosts, .1 and .53, with offloads or without.
func twoHosts(t *testing.T, offloads bool) *lab.Lab {
	t.Helper()
	l, err := lab.NewTemporary(t.Context(), lab.Options{
		AppAddresses: []netip.Prefix{netip.MustParsePrefix("192.168.12.53/24"), netip.MustParsePrefix("fd00:12::53/64")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if offloads {
		return l
	}
	off := func(ifname, peer string) func() error {
		return func() error {
			_, warnings, err := capture.DisableOffload(ifname, peer)
			if len(warnings) > 0 {
				t.Logf("offloads: %v", warnings)
			}
			return err
		}
	}
	if err := errors.Join(l.Do(off(l.HostInterface(), l.AppNetNS())), l.DoApp(off(l.AppInterface(), l.HostNetNS()))); err != nil {
		t.Fatal(err)
	}
	return l
}

func openCapture(t *testing.T, l *lab.Lab) *capture.Capture {
	t.Helper()
	var c *capture.Capture
	err := l.Do(func() (err error) {
		c, err = capture.Open(l.HostInterface(), capture.Options{Read: capture.ReadOptions{Verify: true}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// listening is a writer that tells when a line says so.
type listening struct {
	mu   sync.Mutex
	text strings.Builder
	once sync.Once
	now  chan struct{}
}

func (w *listening) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b)
	if strings.Contains(w.text.String(), "listening on") {
		w.once.Do(func() { close(w.now) })
	}
	return len(b), nil
}

var (
	clientOpens = []string{"CLOSED → SYN-SENT", "SYN-SENT → ESTABLISHED"}
	serverOpens = []string{"LISTEN → SYN-RECEIVED", "SYN-RECEIVED → ESTABLISHED"}
	activeClose = [][]string{
		{"ESTABLISHED → FIN-WAIT-1", "FIN-WAIT-1 → FIN-WAIT-2", "FIN-WAIT-2 → TIME-WAIT"},
		{"ESTABLISHED → FIN-WAIT-1", "FIN-WAIT-1 → TIME-WAIT"},
	}
	passiveClose = []string{"ESTABLISHED → CLOSE-WAIT", "CLOSE-WAIT → LAST-ACK", "LAST-ACK → CLOSED"}
	bothClose    = []string{"ESTABLISHED → FIN-WAIT-1", "FIN-WAIT-1 → CLOSING", "CLOSING → TIME-WAIT"}
)

// closings are the ways in which the connection can end; active is the end that
// must close first, "" for any.
func closings(active string) []map[string][]string {
	var all []map[string][]string
	for _, way := range activeClose {
		if active != capture.Server {
			all = append(all, map[string][]string{
				capture.Client: slices.Concat(clientOpens, way), capture.Server: slices.Concat(serverOpens, passiveClose),
			})
		}
		if active != capture.Client {
			all = append(all, map[string][]string{
				capture.Client: slices.Concat(clientOpens, passiveClose), capture.Server: slices.Concat(serverOpens, way),
			})
		}
	}
	if active == "" {
		all = append(all, map[string][]string{
			capture.Client: slices.Concat(clientOpens, bothClose), capture.Server: slices.Concat(serverOpens, bothClose),
		})
	}
	return all
}

// statesOf are the changes of each stack's connections, the listener's apart.
func statesOf(events []tracer.Event) map[string][]string {
	states := map[string][]string{}
	for _, e := range events {
		if c, ok := e.Body.(*tracer.StateChange); ok && e.Remote.IsValid() {
			states[e.Stack] = append(states[e.Stack], fmt.Sprintf("%s → %s", c.From, c.To))
		}
	}
	return states
}

// over tells whether both ends have closed.
func over(events []tracer.Event) bool {
	for _, path := range statesOf(events) {
		if last := path[len(path)-1]; !strings.HasSuffix(last, "TIME-WAIT") && !strings.HasSuffix(last, "LAST-ACK → CLOSED") {
			return false
		}
	}
	return len(statesOf(events)) == 2
}

// TestPythonAgainstPython: the two programs of scripts, CPython over the kernel's
// TCP at both ends, show the documented sequence.
func TestPythonAgainstPython(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skipf("needs python3: %v", err)
	}
	if !inLab(t) {
		return
	}
	for _, tt := range []struct {
		name, host     string
		server, client []string
		active         string
		offloads       bool
	}{
		{"either closes first, IPv4", "192.168.12.53", nil, nil, "", false},
		{"the client closes first, IPv4", "192.168.12.53", []string{"--await-close"}, nil, capture.Client, false},
		{"the server closes first, IPv6", "fd00:12::53", nil, []string{"--await-close"}, capture.Server, false},
		{"with unfinished checksums", "192.168.12.53", nil, []string{"--await-close"}, capture.Server, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := twoHosts(t, tt.offloads)
			c := openCapture(t, l)
			hello(t, l, tt.host, tt.server, tt.client)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := c.Wait(ctx, over); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(inWords(c.Events()), "\n"))
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			states := statesOf(c.Events())
			ways := closings(tt.active)
			if !slices.ContainsFunc(ways, func(way map[string][]string) bool { return cmp.Equal(way, states) }) {
				t.Errorf("none of the ways to close: %v", states)
			}
			checkConversation(t, c.Events(), tt.host)
		})
	}
}

// hello runs the two programs and checks what they print.
func hello(t *testing.T, l *lab.Lab, host string, serverArgs, clientArgs []string) {
	t.Helper()
	dir := t.TempDir()
	server, client := filepath.Join(dir, "hello_server.py"), filepath.Join(dir, "hello_client.py")
	if err := errors.Join(os.WriteFile(server, []byte(scripts.HelloServer), 0o600), os.WriteFile(client, []byte(scripts.HelloClient), 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	type result struct {
		code int
		err  error
	}
	var served, got strings.Builder
	ready, done := &listening{now: make(chan struct{})}, make(chan result, 1)
	go func() {
		argv := append([]string{"python3", server, host, "9000", "--once"}, serverArgs...)
		code, err := l.ExecApp(ctx, lab.Command{Argv: argv, Stdout: &served, Stderr: ready})
		done <- result{code, err}
	}()
	select {
	case <-ready.now:
	case r := <-done:
		t.Fatalf("the server: %+v: %s", r, ready.text.String())
	}
	argv := append([]string{"python3", client, host, "9000"}, clientArgs...)
	code, err := l.Exec(ctx, lab.Command{Argv: argv, Stdout: &got, Stderr: &got})
	if code != 0 || err != nil || got.String() != "b'hello'\n" {
		t.Errorf("the client: exit code %d, %v, printed %q", code, err, got.String())
		cancel()
	}
	if r := <-done; r.code != 0 || r.err != nil || served.String() != "b'byebye'\n" {
		t.Errorf("the server: %+v, printed %q", r, served.String())
	}
}

// checkConversation checks what passed, whichever end closed first.
func checkConversation(t *testing.T, events []tracer.Event, host string) {
	t.Helper()
	bytes := map[string]int{}
	for i, e := range events {
		if e.N != uint64(i+1) {
			t.Errorf("event %d has n %d", i, e.N)
		}
		s, ok := e.Body.(*tracer.Segment)
		if !ok {
			continue
		}
		end := e.Local
		if e.Stack == capture.Client {
			end = e.Remote
		}
		if end.String() != net.JoinHostPort(host, "9000") || !s.HasRel || s.Dropped != "" || len(s.Notes) > 0 && s.Notes[0] != "piggyback" {
			t.Errorf("%+v %+v", e, s)
		}
		if s.Dir == tracer.Out && s.Flags.Has(tracer.SYN) && (s.Opts.MSS == 0 || !s.Opts.HasWS || !s.Opts.SACKOK || !s.Opts.HasTS) {
			t.Errorf("options of the SYN: %+v", s.Opts)
		}
		bytes[fmt.Sprintf("%s %s", e.Stack, s.Dir)] += s.Len
	}
	if want := map[string]int{"client out": 6, "server in": 6, "server out": 5, "client in": 5}; !cmp.Equal(bytes, want) {
		t.Errorf("bytes %v, want %v", bytes, want)
	}
}

// TestCaptureDrains: what was sent before Close is in the capture, and nothing is
// missing.
func TestCaptureDrains(t *testing.T) {
	if !inLab(t) {
		return
	}
	l := twoHosts(t, false)
	c := openCapture(t, l)
	var conn net.Conn
	if err := l.Do(func() (err error) { conn, err = net.Dial("udp", "192.168.12.53:9"); return err }); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const sent = 2000
	for i := range sent {
		// Nobody listens there: an ICMP error may come back with the next.
		for _, err := conn.Write(make([]byte, i%100)); err != nil; _, err = conn.Write(make([]byte, i%100)) {
			t.Logf("datagram %d: %v", i, err)
		}
		if i == 0 { // the rest has not to wait for ARP
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if err := c.Wait(ctx, func(events []tracer.Event) bool { return len(events) > 0 }); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range c.Events() {
		d, ok := e.Body.(*tracer.Datagram)
		if ok && e.Local.Port() != 9 && e.Remote.Port() != 9 {
			t.Errorf("%+v", e)
		}
		if ok {
			count[fmt.Sprintf("%s %s", e.Stack, d.Dir)]++
		}
	}
	if want := map[string]int{"client out": sent, "server in": sent}; !cmp.Equal(count, want) {
		t.Errorf("captured %v, want %v", count, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Wait(ctx, func([]tracer.Event) bool { return false }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("wait on a closed capture: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := capture.Open("no-such-interface", capture.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
}
