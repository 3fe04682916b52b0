package scripts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"appliance/apps/echo"
	"appliance/apps/hello"
)

// end is one end of the conversation, in either language: wait gives what it printed.
type end struct{ wait func() string }

type (
	serverOf func(t *testing.T, await bool) (addr string, e end)
	clientOf func(t *testing.T, addr string, await bool) end
)

// goServer runs the appliance's server over the kernel's sockets, for one client.
func goServer(t *testing.T, await bool) (string, end) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	var out bytes.Buffer
	var served sync.WaitGroup
	t.Cleanup(func() { cancel(); served.Wait() })
	served.Go(func() {
		s := hello.Server{Out: &out, Log: t.Logf, Count: 1, AwaitClose: await}
		if err := s.Serve(ctx, l); err != nil {
			t.Errorf("the Go server: %v", err)
		}
	})
	return l.Addr().String(), end{func() string { served.Wait(); return out.String() }}
}

func goClient(t *testing.T, addr string, await bool) end {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var out bytes.Buffer
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&hello.Client{Out: &out, AwaitClose: await}).Run(ctx, conn); err != nil {
		t.Errorf("the Go client: %v", err)
	}
	return end{out.String}
}

func pythonEnd(t *testing.T, p *process) end {
	return end{func() string {
		if code := p.exit(t); code != 0 {
			t.Errorf("%v: exit %d:\n%s", p.cmd.Args, code, &p.stderr)
		}
		return p.stdout.String()
	}}
}

func pythonServer(t *testing.T, await bool) (string, end) {
	args := []string{"hello_server.py", "--once", "127.0.0.1", "0"}
	if await {
		args = append(args, "--await-close")
	}
	p := python(t, args...)
	return p.address(t), pythonEnd(t, p)
}

func pythonClient(t *testing.T, addr string, await bool) end {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"hello_client.py", host, port}
	if await {
		args = append(args, "--await-close")
	}
	return pythonEnd(t, python(t, args...))
}

// TestPairings: each server with each client, closing in each order.
func TestPairings(t *testing.T) {
	servers := map[string]serverOf{"go": goServer, "python": pythonServer}
	clients := map[string]clientOf{"go": goClient, "python": pythonClient}
	orders := []struct {
		name           string
		server, client bool
	}{{name: "as it comes"}, {name: "client closes first", server: true}, {name: "server closes first", client: true}}
	for sname, server := range servers {
		for cname, client := range clients {
			for _, order := range orders {
				t.Run(sname+" server, "+cname+" client, "+order.name, func(t *testing.T) {
					addr, s := server(t, order.server)
					c := client(t, addr, order.client)
					if got := c.wait(); got != "b'hello'\n" {
						t.Errorf("the client printed %q", got)
					}
					if got := s.wait(); got != "b'byebye'\n" {
						t.Errorf("the server printed %q", got)
					}
				})
			}
		}
	}
}

// TestPythonServerCloses: with --await-close it leaves the first FIN to the client,
// and without it sends its own as soon as it has its answer.
func TestPythonServerCloses(t *testing.T) {
	p := python(t, "hello_server.py", "--once", "127.0.0.1", "0")
	conn := dial(t, p.address(t))
	greeted(t, conn)
	say(t, conn, "byebye")
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v, want the server's FIN though we sent none", err)
	}
	p.wants(t, 0, "b'byebye'\n", "")

	p = python(t, "hello_server.py", "--once", "--await-close", "127.0.0.1", "0")
	conn = dial(t, p.address(t))
	greeted(t, conn)
	say(t, conn, "byebye")
	p.stdout.line(t, "b'byebye'", p.done)
	say(t, conn, "more") // still read: a server that had closed would reset
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v, want the server's FIN after ours", err)
	}
	p.wants(t, 0, "b'byebye'\n", "")
}

func TestPythonServerCount(t *testing.T) {
	p := python(t, "hello_server.py", "--count", "3", "127.0.0.1", "0")
	addr := p.address(t)
	goClient(t, addr, false)

	reset := dial(t, addr)
	if err := reset.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	greeted(t, reset)
	_ = reset.Close()

	goClient(t, addr, false)
	p.wants(t, 1, "b'byebye'\nb'byebye'\n", "Connection reset by peer")
}

func TestPythonServerSignals(t *testing.T) {
	tests := []struct {
		name   string
		signal syscall.Signal
		code   int
	}{{"interrupted", syscall.SIGINT, 0}, {"killed", syscall.SIGTERM, -1}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := python(t, "hello_server.py", "127.0.0.1", "0")
			addr := p.address(t)
			goClient(t, addr, false)
			goClient(t, addr, false)
			p.stdout.line(t, "b'byebye'", p.done)
			conn := dial(t, addr) // open in mid-conversation: its kernel sends the FIN
			greeted(t, conn)
			p.signal(t, tt.signal)
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("read: %v, want the FIN of a process that ended", err)
			}
			p.wants(t, tt.code, "b'byebye'\nb'byebye'\n", "")
		})
	}
}

// TestPythonServerBytes compares the two prints on bytes of every kind.
func TestPythonServerBytes(t *testing.T) {
	p := python(t, "hello_server.py", "--once", "127.0.0.1", "0")
	conn := dial(t, p.address(t))
	greeted(t, conn)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	say(t, conn, string(all))
	p.wants(t, 0, hello.Repr(all)+"\n", "")
}

func TestErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		args      []string
		code      int
		complaint string
	}{
		{"address in use", []string{"hello_server.py", "127.0.0.1", port}, 1, "listen on 127.0.0.1:" + port + ": Address already in use"},
		{"an address not ours", []string{"hello_server.py", "192.0.2.1", "0"}, 1, "Cannot assign requested address"},
		{"server: no such port", []string{"hello_server.py", "127.0.0.1", "65536"}, 2, "0 to 65535"},
		{"server: port by name", []string{"hello_server.py", "127.0.0.1", "http"}, 2, "'http' is no port"},
		{"server: count 0", []string{"hello_server.py", "--count", "0"}, 2, "not 1 or more"},
		{"server: count by name", []string{"hello_server.py", "--count", "two"}, 2, "'two' is not 1 or more"},
		{"echo: repeat 0", []string{"echo_client.py", "--repeat", "0"}, 2, "not 1 or more"},
		{"server: once and count", []string{"hello_server.py", "--once", "--count", "2"}, 2, "not allowed with"},
		{"client: nobody listens", []string{"hello_client.py", "127.0.0.1", "1"}, 1, "connect to 127.0.0.1 port 1: Connection refused"},
		{"client: port 0", []string{"hello_client.py", "127.0.0.1", "0"}, 2, "1 to 65535"},
		{"client: silent server", []string{"hello_client.py", "--timeout", "0.05", "127.0.0.1", port}, 1, "timed out"},
		{"echo: nobody listens", []string{"echo_client.py", "127.0.0.1", "1"}, 1, "Connection refused"},
		{"echo: silent server", []string{"echo_client.py", "--timeout", "0.05", "127.0.0.1", port}, 1, "timed out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			python(t, tt.args...).wants(t, tt.code, "", tt.complaint)
		})
	}
}

// TestClientOfMuteServer: a server that closes without a word.
func TestClientOfMuteServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p := python(t, "hello_client.py", "127.0.0.1", port)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	p.wants(t, 1, "b''\n", "closed before it said anything")
}

func TestEchoClient(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	defer func() { cancel(); served.Wait() }()
	s := echo.Server{Log: t.Logf}
	served.Go(func() { _ = s.Serve(ctx, tcp) })
	served.Go(func() { _ = s.ServePacket(ctx, udp) })
	tests := []struct {
		name string
		addr net.Addr
		args []string
		back string
	}{
		{"tcp", tcp.Addr(), nil, "44 bytes back in "},
		{"tcp, more than the buffers hold", tcp.Addr(), []string{"--data", "x", "--repeat", "16000000"}, "16000000 bytes back in "},
		{"udp", udp.LocalAddr(), []string{"--udp", "--data", "é"}, "2 bytes back in "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, port, err := net.SplitHostPort(tt.addr.String())
			if err != nil {
				t.Fatal(err)
			}
			p := python(t, append([]string{"echo_client.py", "127.0.0.1", port}, tt.args...)...)
			if code := p.exit(t); code != 0 || !strings.HasPrefix(p.stdout.String(), tt.back) {
				t.Errorf("exit %d, printed %q, complained %q", code, &p.stdout, &p.stderr)
			}
		})
	}
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func greeted(t *testing.T, conn net.Conn) {
	t.Helper()
	got := make([]byte, len(hello.Greeting))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != hello.Greeting {
		t.Fatalf("greeted with %q, %v", got, err)
	}
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}
