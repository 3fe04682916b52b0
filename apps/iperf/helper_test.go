package iperf

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

// short is a Timeout for peers that never say what they should.
const short = 500 * time.Millisecond

// running is a server that runs, with what it said.
type running struct {
	*apptest.Server
	out, log apptest.Buffer

	mu      sync.Mutex
	reports []Report
}

// startServer runs s on loopback until the test ends.
func startServer(t testing.TB, s Server) *running {
	t.Helper()
	r := &running{}
	s.Out, s.Log, s.Done = &r.out, r.logf, r.done
	r.Server = apptest.Start(t, s.Serve)
	return r
}

func (r *running) logf(format string, args ...any) {
	var b bytes.Buffer
	_, _ = b.WriteString(strings.TrimSpace(fmt.Sprintf(format, args...)) + "\n")
	_, _ = r.log.Write(b.Bytes())
}

func (r *running) done(report Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, report)
}

// last is the report of the newest test.
func (r *running) last(t testing.TB) Report {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.reports) == 0 {
		t.Fatal("the server has no report")
	}
	return r.reports[len(r.reports)-1]
}

// dial dials by the kernel.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// needIperf3 skips the test where there is no iperf3.
func needIperf3(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("needs iperf3: ", err)
	}
}

// iperf3 runs the real client, and gives its report.
func iperf3(t testing.TB, addr string, args ...string) *Report {
	t.Helper()
	needIperf3(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(apptest.Context(t), "iperf3", append([]string{"-c", host, "-p", port, "-J"}, args...)...)
	out, err := cmd.Output()
	var r Report
	if jerr := json.Unmarshal(out, &r); jerr != nil {
		t.Fatalf("iperf3 %q: %v; %v:\n%s", args, err, jerr, out)
	}
	return &r
}

// iperf3Server runs the real server until the test ends, and gives its address and what
// it prints. It is not ready for a test before it says so.
func iperf3Server(t testing.TB) (string, *apptest.Buffer) {
	t.Helper()
	needIperf3(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	out := &apptest.Buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "iperf3", "-s", "-B", "127.0.0.1", "-p", port, "--forceflush")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	out.Await(t, "Server listening on "+port)
	return addr, out
}
