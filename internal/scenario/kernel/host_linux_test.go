package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

// told are the calls of a stack, a line each, without times: a port that the kernel chose is "*".
func told(rec *tracertest.Recorder, stack string, ports ...uint16) string {
	var b strings.Builder
	for _, e := range rec.Events() {
		k := callOf(e)
		if e.Stack != stack || k.Name == "" {
			continue
		}
		fmt.Fprintf(&b, "%d", e.Conn)
		if e.Parent != 0 {
			fmt.Fprintf(&b, "<%d", e.Parent)
		}
		fmt.Fprintf(&b, " %s %s", k.Phase, k.Name)
		for _, a := range k.Args {
			fmt.Fprintf(&b, " %s=%v", a.Name, a.Value)
		}
		if k.Bytes >= 0 {
			fmt.Fprintf(&b, " bytes %d", k.Bytes)
		}
		if k.Result != "" {
			fmt.Fprintf(&b, " = %s", k.Result)
		}
		if k.Conn != 0 {
			fmt.Fprintf(&b, " conn %d", k.Conn)
		}
		if k.Error != "" {
			fmt.Fprintf(&b, " fails %q", k.Error)
		}
		fmt.Fprintf(&b, " %s %s\n", end(e.Local), end(e.Remote))
	}
	text := strings.ReplaceAll(b.String(), fmt.Sprintf(":%d", serverPort), ":9000")
	text = strings.ReplaceAll(text, fmt.Sprintf(":%d", clientPort), ":40000")
	for _, p := range ports {
		text = strings.ReplaceAll(text, fmt.Sprintf(":%d", p), ":*")
	}
	return text
}

func end(a netip.AddrPort) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

func wantTold(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.ReplaceAll(strings.TrimPrefix(want, "\n"), "\t", ""); got != want {
		t.Errorf("recorded\n%swant\n%s", got, want)
	}
}

func TestHostCalls(t *testing.T) {
	p := openPair(t, newLab(t), loopback4, 0)
	send(t, p.s, "hello")
	recv(t, p.c, "hello")
	must(t, "shutdown", p.c.Shutdown())
	eof(t, p.s)
	must(t, "close", p.s.Close())
	must(t, "close", p.listener.Close())
	eof(t, p.c)
	must(t, "close", p.c.Close())
	if err := p.c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second close: %v", err)
	}
	if _, err := p.c.Send([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("send after close: %v", err)
	}
	port := p.c.LocalAddr().Port()
	wantTold(t, told(p.rec, "server", port), `
	1 done socket family=AF_INET type=SOCK_STREAM - -
	1 done bind address=127.0.0.1:9000 127.0.0.1:9000 -
	1 enter listen backlog=128 127.0.0.1:9000 -
	1 return listen 127.0.0.1:9000 -
	1 enter accept 127.0.0.1:9000 -
	1 return accept = 127.0.0.1:* conn 3 127.0.0.1:9000 -
	3<1 enter send bytes=5 data=hello 127.0.0.1:9000 127.0.0.1:*
	3<1 return send bytes 5 127.0.0.1:9000 127.0.0.1:*
	3<1 enter recv bufsize=16 127.0.0.1:9000 127.0.0.1:*
	3<1 return recv bytes 0 127.0.0.1:9000 127.0.0.1:*
	3<1 enter close 127.0.0.1:9000 127.0.0.1:*
	3<1 return close 127.0.0.1:9000 127.0.0.1:*
	1 enter close 127.0.0.1:9000 -
	1 return close 127.0.0.1:9000 -
	`)
	wantTold(t, told(p.rec, "client", port), `
	2 done socket family=AF_INET type=SOCK_STREAM - -
	2 enter connect address=127.0.0.1:9000 - -
	2 return connect 127.0.0.1:* 127.0.0.1:9000
	2 enter recv bufsize=1024 127.0.0.1:* 127.0.0.1:9000
	2 return recv bytes 5 = hello 127.0.0.1:* 127.0.0.1:9000
	2 enter shutdown how=SHUT_WR 127.0.0.1:* 127.0.0.1:9000
	2 return shutdown 127.0.0.1:* 127.0.0.1:9000
	2 enter recv bufsize=16 127.0.0.1:* 127.0.0.1:9000
	2 return recv bytes 0 127.0.0.1:* 127.0.0.1:9000
	2 enter close 127.0.0.1:* 127.0.0.1:9000
	2 return close 127.0.0.1:* 127.0.0.1:9000
	2 enter send bytes=1 data=x 127.0.0.1:* 127.0.0.1:9000
	2 return send bytes 0 fails "socket closed" 127.0.0.1:* 127.0.0.1:9000
	`)
	var names []string
	for _, k := range append(p.server.Calls(), p.client.Calls()...) {
		names = append(names, fmt.Sprintf("%d %s", k.Conn, k.Name))
		if e := p.rec.Events()[k.N-1]; callOf(e).Name != k.Name || callOf(e).Phase != tracer.PhaseEnter || e.Conn != k.Conn {
			t.Errorf("%+v is not event %d: %+v", k, k.N, e)
		}
	}
	if got := strings.Join(names, ", "); got != "1 listen, 3 close, 1 close, 2 connect, 2 shutdown, 2 close" {
		t.Errorf("calls that may change states: %s", got)
	}
}

func TestHostRefused(t *testing.T) {
	rec := &tracertest.Recorder{}
	h := newHost(t, newLab(t), Options{Recorder: rec, Local6: loopback6})
	_, err := h.Connect(ctxOf(t), netip.AddrPortFrom(loopback6, clientPort), netip.AddrPortFrom(loopback6, serverPort))
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), fmt.Sprintf("connect to [::1]:%d: ", serverPort)) {
		t.Fatalf("connect: %v", err)
	}
	wantTold(t, told(rec, "peer"), `
	1 done socket family=AF_INET6 type=SOCK_STREAM - -
	1 done bind address=[::1]:40000 [::1]:40000 -
	1 enter connect address=[::1]:9000 [::1]:40000 -
	1 return connect fails "connection refused" [::1]:40000 [::1]:9000
	1 enter close [::1]:40000 [::1]:9000
	1 return close [::1]:40000 [::1]:9000
	`)
}

// An attempt that nothing answers is given up with its context, and with its host.
func TestHostConnectGivenUp(t *testing.T) {
	l := newLab(t)
	nobody := netip.MustParseAddrPort("192.168.12.99:9000")
	cause := errors.New("enough")
	tests := map[string]struct {
		start func() (ctx context.Context, give func(*Host))
		want  error
	}{
		"cancelled": {func() (context.Context, func(*Host)) {
			ctx, cancel := context.WithCancelCause(t.Context())
			return ctx, func(*Host) { cancel(cause) }
		}, cause},
		"deadline": {func() (context.Context, func(*Host)) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			return ctx, func(*Host) { cancel() }
		}, os.ErrDeadlineExceeded},
		"closed": {func() (context.Context, func(*Host)) {
			return t.Context(), func(h *Host) { _ = h.Close() }
		}, net.ErrClosed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec := &tracertest.Recorder{}
			h := newHost(t, l, Options{Recorder: rec})
			ctx, give := tt.start()
			done := make(chan error, 1)
			go func() {
				_, err := h.Connect(ctx, netip.AddrPort{}, nobody)
				done <- err
			}()
			_, err := rec.WaitFor(func(e tracer.Event) bool { return callOf(e).Name == "connect" }, time.Now().Add(patience))
			must(t, "wait for connect", err)
			if tt.want == os.ErrDeadlineExceeded { //nolint:errorlint // the table's own
				<-ctx.Done()
			}
			give(h)
			if err := <-done; !errors.Is(err, tt.want) {
				t.Errorf("connect: %v, want %v", err, tt.want)
			}
		})
	}
}

// Close wakes every call that waits.
func TestHostCloseWakes(t *testing.T) {
	p := openPair(t, newLab(t), loopback4, 0)
	udp, err := p.server.ListenUDP(serverPort)
	must(t, "udp", err)
	calls := []func() error{
		func() error { _, err := p.listener.Accept(); return err },
		func() error { _, err := p.s.Recv(make([]byte, 1)); return err },
		func() error { _, err := p.s.Send(make([]byte, 1<<26)); return err },
		func() error { _, _, err := udp.ReadFrom(make([]byte, 1)); return err },
	}
	done := make(chan error, len(calls))
	for _, call := range calls {
		go func() { done <- call() }()
	}
	waiting := map[string]int{}
	_, err = p.rec.WaitFor(func(e tracer.Event) bool {
		if k := callOf(e); k.Phase == tracer.PhaseEnter {
			waiting[k.Name]++
		}
		return waiting["accept"] == 2 && waiting["recv"] == 2 && waiting["send"] == 1
	}, time.Now().Add(patience))
	must(t, "wait for the calls", err)
	must(t, "close", p.server.Close())
	for range calls {
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a call that waited: %v", err)
		}
	}
	if _, err := p.server.Listen(9001, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen on a closed host: %v", err)
	}
}

func TestHostStream(t *testing.T) {
	p := openPair(t, newLab(t), loopback4, 0)
	data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<18)
	done := make(chan error, 1)
	go func() {
		_, err := p.s.Net().Write(data)
		done <- errors.Join(err, p.s.Net().Close())
	}()
	got, err := io.ReadAll(p.c.Net())
	if err = errors.Join(err, <-done); err != nil || !bytes.Equal(got, data) {
		t.Errorf("of %d bytes %d came, %v", len(data), len(got), err)
	}
}

func TestHostOptions(t *testing.T) {
	l := newLab(t)
	tests := []struct {
		option, value string
		level, code   int
		want          int
		recorded      string
	}{
		{"nodelay", "", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, "TCP_NODELAY value=1"},
		{"cork", "", unix.IPPROTO_TCP, unix.TCP_CORK, 1, "TCP_CORK value=1"},
		{"uncork", "", unix.IPPROTO_TCP, unix.TCP_CORK, 0, "TCP_CORK value=0"},
		{"noquickack", "", unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0, "TCP_QUICKACK value=0"},
		{"quickack", "", unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1, "TCP_QUICKACK value=1"},
		{"rcvbuf", "8192", unix.SOL_SOCKET, unix.SO_RCVBUF, 16384, "SO_RCVBUF value=8192"},
		{"sndbuf", "8192", unix.SOL_SOCKET, unix.SO_SNDBUF, 16384, "SO_SNDBUF value=8192"},
		{"defer-accept", "", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1, "TCP_DEFER_ACCEPT value=1"},
		{"keepalive", "10s", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 10, "SO_KEEPALIVE value=10s"},
		{"keepalive", "20s", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, "SO_KEEPALIVE value=20s"},
	}
	p := openPair(t, l, loopback4, 0)
	for _, tt := range tests {
		t.Run(tt.option, func(t *testing.T) {
			must(t, "set", p.c.Set(tt.option, tt.value))
			var got int
			err := p.c.(*conn).s.control(func(fd int) (err error) {
				got, err = unix.GetsockoptInt(fd, tt.level, tt.code)
				return err
			})
			must(t, "getsockopt", err)
			if got != tt.want {
				t.Errorf("it is %d, want %d", got, tt.want)
			}
			if all := told(p.rec, "client"); !strings.Contains(all, "enter setsockopt option="+tt.recorded+" ") {
				t.Errorf("not recorded as %q:\n%s", tt.recorded, all)
			}
		})
	}
	for _, bad := range [][2]string{{"rcvbuf", "many"}, {"sndbuf", "-1"}, {"keepalive", "10"}, {"keepalive", "10ms"}} {
		if err := p.c.Set(bad[0], bad[1]); !errors.Is(err, os.ErrInvalid) {
			t.Errorf("%s=%s: %v", bad[0], bad[1], err)
		}
	}
	if err := p.c.Set("dance", ""); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("dance: %v", err)
	}
	must(t, "set on the listener", p.listener.(*listener).Set("rcvbuf", "8192"))
}

func TestHostCongestion(t *testing.T) {
	p := openPair(t, newLab(t), loopback4, 0)
	for name, c := range map[string]any{"client": p.c, "server": p.s} {
		err := c.(*conn).s.control(func(fd int) error {
			got, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
			if got != "cubic" && got != "reno" {
				t.Errorf("the %s has %q", name, got)
			}
			return err
		})
		must(t, name, err)
	}
}

func TestHostAbort(t *testing.T) {
	p := openPair(t, newLab(t), loopback4, 0)
	must(t, "abort", p.c.Abort())
	if _, err := p.s.Recv(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other end: %v", err)
	}
	all := told(p.rec, "client")
	if !strings.Contains(all, "done setsockopt option=SO_LINGER value=0") || !strings.Contains(all, "return close") {
		t.Errorf("recorded\n%s", all)
	}
}

// Both families on one socket, where neither address is given.
func TestHostDual(t *testing.T) {
	h := newHost(t, newLab(t), Options{})
	l, err := h.Listen(serverPort, 1)
	must(t, "listen", err)
	for _, at := range []netip.Addr{loopback4, loopback6} {
		c, err := h.Connect(ctxOf(t), netip.AddrPort{}, netip.AddrPortFrom(at, serverPort))
		must(t, "connect", err)
		s, err := l.Accept()
		must(t, "accept", err)
		if s.LocalAddr() != c.RemoteAddr() || s.RemoteAddr() != c.LocalAddr() {
			t.Errorf("%s ↔ %s and %s ↔ %s", s.LocalAddr(), s.RemoteAddr(), c.LocalAddr(), c.RemoteAddr())
		}
	}
}

// TestHostNet has the net.Listener and net.Conn behave as net's own do.
func TestHostNet(t *testing.T) {
	p := openPair(t, newLab(t), loopback4, 0)
	ln, c := p.listener.Net(), p.c.Net()
	must(t, "deadline", c.SetReadDeadline(time.Now()))
	var op *net.OpError
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &op) || !op.Timeout() || op.Op != "read" {
		t.Errorf("read after the deadline: %v", err)
	}
	must(t, "deadline", c.SetDeadline(time.Time{}))
	must(t, "close write", c.(interface{ CloseWrite() error }).CloseWrite())
	eof(t, p.s)
	must(t, "linger", c.(interface{ SetLinger(int) error }).SetLinger(-1))
	must(t, "close", c.Close())
	if err := c.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a deadline after close: %v", err)
	}
	if a := ln.Addr().String(); a != netip.AddrPortFrom(loopback4, serverPort).String() {
		t.Errorf("the listener is on %s", a)
	}
	must(t, "close", ln.Close())
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) || !errors.As(err, &op) || op.Op != "accept" {
		t.Errorf("accept after close: %v", err)
	}
}
