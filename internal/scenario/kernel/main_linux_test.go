package kernel

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"appliance/internal/lab"
	"appliance/internal/runner"
	"appliance/internal/scenario/host"
	"appliance/tracer/tracertest"
)

func TestMain(m *testing.M) {
	lab.RegisterOpener(runner.OpenLabLink)
	lab.RunHolderIfAsked()
	goleak.VerifyTestMain(m)
}

// The ports of the tests are the process's own: the tracepoint is one for the machine, on
// which others may test with 9000 at the same time.
var (
	serverPort = uint16(10000 + 2*(os.Getpid()%10000))
	clientPort = serverPort + 1
)

// patience is how long a test waits for what should happen at once.
const patience = 30 * time.Second

// insideEnv says to the tests that they run in a user namespace.
const insideEnv = "APPLIANCE_KERNEL_TEST_INSIDE"

// TestInUserNS runs the tests of the sockets without privilege, in a user namespace.
func TestInUserNS(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		t.Skip("is there already")
	}
	args := []string{"-test.run=^(TestHost|TestProcess|TestDiag)", "-test.timeout=120s"}
	code, err := lab.ReexecInUserNS(t.Context(), args, append(os.Environ(), insideEnv+"=1"))
	if errors.As(err, new(*lab.PrivilegeError)) {
		t.Skip("needs user namespaces: ", err)
	}
	if err != nil || code != 0 {
		t.Fatalf("in a user namespace: exit code %d, %v", code, err)
	}
}

var loopback4, loopback6 = netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")

// newLab makes a lab; the tests use its loopback, where both ends are the kernel's.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.NewTemporary(t.Context(), lab.Options{Name: "kerneltest"})
	if errors.As(err, new(*lab.PrivilegeError)) {
		t.Skip("needs root, or the user namespace of TestInUserNS: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func newHost(t *testing.T, l *lab.Lab, o Options) *Host {
	t.Helper()
	h, err := New(l, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// pair is a server and a client on a lab's loopback, recorded apart.
type pair struct {
	server, client *Host
	rec            *tracertest.Recorder
	listener       host.Listener
	s, c           host.Conn
}

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// openPair opens a connection on the loopback, from the port local (0: any).
func openPair(t *testing.T, l *lab.Lab, at netip.Addr, local uint16) *pair {
	t.Helper()
	p := &pair{rec: &tracertest.Recorder{}}
	o := Options{Recorder: p.rec, Local4: at}
	if at.Is6() {
		o.Local4, o.Local6 = netip.Addr{}, at
	}
	o.Stack = "server"
	p.server = newHost(t, l, o)
	o.Stack = "client"
	p.client = newHost(t, l, o)
	var err error
	if p.listener, err = p.server.Listen(serverPort, 0); err != nil {
		t.Fatal(err)
	}
	from := netip.AddrPort{}
	if local != 0 {
		from = netip.AddrPortFrom(at, local)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		var aerr error
		if p.s, aerr = p.listener.Accept(); aerr != nil {
			t.Error(aerr)
		}
	})
	p.c, err = p.client.Connect(ctxOf(t), from, netip.AddrPortFrom(at, serverPort))
	if err != nil {
		t.Error(err)
		_ = p.listener.Close()
	}
	accepting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return p
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
