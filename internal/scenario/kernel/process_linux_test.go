package kernel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"appliance/internal/lab"
	"appliance/internal/scenario/host"
)

func newProcess(t *testing.T, l *lab.Lab, o ProcessOptions) *Process {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3: ", err)
	}
	p, err := StartProcess(t.Context(), l, o)
	must(t, "start", err)
	t.Cleanup(func() { must(t, "close", p.Close()) })
	return p
}

// The process ends without closing, as the client or the server, of itself or killed: its
// kernel sends the FIN all the same, behind the data.
func TestProcessEnds(t *testing.T) {
	ends := map[string]func(*Process) error{"exit": (*Process).Exit, "kill": (*Process).Kill}
	for name, end := range ends {
		for _, at := range []netip.Addr{loopback4, loopback6} {
			t.Run(name+" of a client, "+at.String(), func(t *testing.T) {
				l := newLab(t)
				h := newHost(t, l, Options{})
				ln, err := h.Listen(serverPort, 0)
				must(t, "listen", err)
				p := newProcess(t, l, ProcessOptions{})
				c, err := p.Connect(t.Context(), netip.AddrPortFrom(at, clientPort), netip.AddrPortFrom(at, serverPort))
				must(t, "connect", err)
				s, err := ln.Accept()
				must(t, "accept", err)
				if s.RemoteAddr() != c.LocalAddr() || c.RemoteAddr() != s.LocalAddr() || c.LocalAddr().Port() != clientPort {
					t.Errorf("%s ↔ %s at the client", c.LocalAddr(), c.RemoteAddr())
				}
				endsWell(t, p, c, s, end)
			})
			t.Run(name+" of a server, "+at.String(), func(t *testing.T) {
				l := newLab(t)
				o := ProcessOptions{Local4: at}
				if at.Is6() {
					o = ProcessOptions{Local6: at}
				}
				p := newProcess(t, l, o)
				ln, err := p.Listen(serverPort, 0)
				must(t, "listen", err)
				c, err := newHost(t, l, Options{}).Connect(ctxOf(t), netip.AddrPort{}, netip.AddrPortFrom(at, serverPort))
				must(t, "connect", err)
				s, err := ln.Accept()
				must(t, "accept", err)
				endsWell(t, p, s, c, end)
			})
		}
	}
}

// endsWell talks over a connection of the process's and lets the process end.
func endsWell(t *testing.T, p *Process, its, other host.Conn, end func(*Process) error) {
	t.Helper()
	send(t, other, "hello")
	recv(t, its, "hello")
	send(t, its, "byebye")
	must(t, "end", end(p))
	recv(t, other, "byebye")
	eof(t, other)
	if _, err := its.Send([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("send in a process that has ended: %v", err)
	}
}

func TestProcessCalls(t *testing.T) {
	l := newLab(t)
	p := newProcess(t, l, ProcessOptions{Local4: loopback4})
	if _, err := p.Connect(t.Context(), netip.AddrPort{}, netip.AddrPortFrom(loopback4, serverPort)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Connect(ctx, netip.AddrPort{}, netip.MustParseAddrPort("192.168.12.99:9000")); !errors.Is(err, context.Canceled) {
		t.Errorf("an attempt that is given up: %v", err)
	}
	ln, err := p.Listen(serverPort, 0)
	must(t, "listen", err)
	c, err := p.Connect(t.Context(), netip.AddrPort{}, netip.AddrPortFrom(loopback4, serverPort))
	must(t, "connect", err)
	n, err := ln.Net().Accept()
	must(t, "accept", err)
	must(t, "shutdown", c.Shutdown())
	if _, err := n.Read(make([]byte, 1)); err == nil || err.Error() != "EOF" {
		t.Errorf("read: %v", err)
	}
	_, err = n.Write([]byte("more"))
	must(t, "write", err)
	recv(t, c, "more")
	must(t, "close", n.Close())
	must(t, "close", c.Close())
	must(t, "close", ln.Close())
	_, udp := p.DialUDP(netip.AddrPortFrom(loopback4, serverPort))
	_, udpListen := p.ListenUDP(serverPort)
	for what, err := range map[string]error{"udp": udp, "udp listen": udpListen, "abort": c.Abort(), "set": c.Set("cork", "")} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Close wakes a call that waits in the process.
func TestProcessCloseWakes(t *testing.T) {
	p := newProcess(t, newLab(t), ProcessOptions{Local4: loopback4})
	ln, err := p.Listen(serverPort, 0)
	must(t, "listen", err)
	done := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		done <- err
	}()
	must(t, "close", p.Close())
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if err := p.Exit(); err == nil {
		t.Error("a process that was closed exits once more")
	}
}

func TestProcessNoPython(t *testing.T) {
	_, err := StartProcess(t.Context(), newLab(t), ProcessOptions{Python: "/nonexistent/python3"})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/python3") {
		t.Errorf("start: %v", err)
	}
}
