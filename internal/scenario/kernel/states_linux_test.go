package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"appliance/internal/scenario/host"
)

func openTestStates(t *testing.T, ports ...uint16) *States {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv(insideEnv) != "" {
		t.Skip("needs root of the host: tracefs")
	}
	s, err := OpenStates(t.Context(), StatesOptions{Ports: ports})
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENODEV) || errors.Is(err, os.ErrNotExist) {
		t.Skip("needs tracefs: ", err)
	}
	must(t, "open states", err)
	t.Cleanup(func() {
		_, err := s.Close()
		must(t, "close states", err)
	})
	return s
}

// lives are the chains of a lab's hosts, as the matcher finds them by their calls or by
// their ends, in words.
func lives(t *testing.T, s *States, hosts ...*Host) (byConn map[uint32]string, others []string) {
	t.Helper()
	raw, err := s.Flush()
	must(t, "flush", err)
	var o ReconcileOptions
	for _, h := range hosts {
		o.Calls = append(o.Calls, h.Calls()...)
	}
	m := matcher{o: &o}
	byConn = map[uint32]string{}
	for _, ch := range chains(raw) {
		if c := m.classify(ch); c.conn != 0 {
			byConn[c.conn] = words(ch)
		} else {
			others = append(others, words(ch))
		}
	}
	return byConn, others
}

// The changes of both ends on a loopback: conn 1 is the listener, 2 and 3 are the client's
// socket and the server's, in the order that they have in the recorder.
func TestStates(t *testing.T) {
	for _, at := range []netip.Addr{loopback4, loopback6} {
		t.Run(fmt.Sprint("ipv", at.BitLen()), func(t *testing.T) { testStates(t, at) })
	}
}

func testStates(t *testing.T, at netip.Addr) {
	tests := map[string]struct {
		do             func(t *testing.T, p *pair)
		client, server string
	}{
		"the client closes first": {
			do: func(t *testing.T, p *pair) {
				must(t, "close", p.c.Close())
				eof(t, p.s)
				must(t, "close", p.s.Close())
			},
			client: "CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE",
			server: "LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE",
		},
		"half-close": {
			do: func(t *testing.T, p *pair) {
				must(t, "shutdown", p.c.Shutdown())
				eof(t, p.s)
				send(t, p.s, "more")
				recv(t, p.c, "more")
				must(t, "close", p.s.Close())
				eof(t, p.c)
				must(t, "close", p.c.Close())
			},
			client: "CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE",
			server: "LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE",
		},
		"the server closes first": {
			do: func(t *testing.T, p *pair) {
				must(t, "close", p.s.Close())
				eof(t, p.c)
				must(t, "close", p.c.Close())
			},
			client: "CLOSE SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE",
			server: "LISTEN SYN_RECV ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE",
		},
		"reset": {
			do: func(t *testing.T, p *pair) {
				send(t, p.c, "hello")
				must(t, "abort", p.s.Abort())
				if _, err := p.c.Recv(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("after a reset: %v", err)
				}
				must(t, "close", p.c.Close())
			},
			client: "CLOSE SYN_SENT ESTABLISHED CLOSE",
			server: "LISTEN SYN_RECV ESTABLISHED CLOSE",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := openTestStates(t, serverPort, clientPort)
			p := openPair(t, newLab(t), at, clientPort)
			tt.do(t, p)
			must(t, "close the listener", p.listener.Close())
			got, others := lives(t, s, p.server, p.client)
			all := slices.Collect(func(yield func(string) bool) {
				for _, w := range append(others, valuesOf(got)...) {
					if !yield(w) {
						return
					}
				}
			})
			slices.Sort(all)
			want := []string{tt.client, tt.server, "CLOSE LISTEN CLOSE"}
			slices.Sort(want)
			if !slices.Equal(all, want) {
				t.Errorf("the kernel told of\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
			}
			if got[1] != "CLOSE LISTEN CLOSE" {
				t.Errorf("the listener, by its calls: %q", got[1])
			}
			if got[2] != tt.client {
				t.Errorf("the client, by its calls: %q", got[2])
			}
		})
	}
}

func valuesOf(m map[uint32]string) []string {
	var all []string
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

func TestStatesRefused(t *testing.T) {
	s := openTestStates(t, serverPort)
	h := newHost(t, newLab(t), Options{Local4: loopback4, Recorder: nil})
	if _, err := h.Connect(ctxOf(t), netip.AddrPort{}, netip.AddrPortFrom(loopback4, serverPort)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("connect: %v", err)
	}
	raw, err := s.Flush()
	must(t, "flush", err)
	all := chains(raw)
	if len(all) != 1 || words(all[0]) != "CLOSE SYN_SENT CLOSE" {
		t.Fatalf("the kernel told of %v", raw)
	}
	if p := raw[0].Local.Port(); p != 0 {
		t.Errorf("at CLOSE → SYN_SENT the kernel knew the local port, %d: it does not know it before", p)
	}
	if all[0].local.Port() == 0 || all[0].remote != netip.AddrPortFrom(loopback4, serverPort) {
		t.Errorf("its ends are %s and %s", all[0].local, all[0].remote)
	}
}

// A socket that connects to itself opens and closes simultaneously with itself.
func TestStatesSimultaneous(t *testing.T) {
	s := openTestStates(t, serverPort)
	h := newHost(t, newLab(t), Options{Local4: loopback4})
	self := netip.AddrPortFrom(loopback4, serverPort)
	c, err := h.Connect(ctxOf(t), self, self)
	must(t, "connect", err)
	if c.LocalAddr() != self || c.RemoteAddr() != self {
		t.Errorf("it is connected from %s to %s", c.LocalAddr(), c.RemoteAddr())
	}
	must(t, "close", c.Close())
	got, err := s.WaitFor(ctxOf(t), func(c Change) bool { return c.New == rawClose })
	must(t, "wait for the end", err)
	if got.Local != self || got.Remote != self {
		t.Errorf("it ended as %s", got)
	}
	raw, err := s.Flush()
	must(t, "flush", err)
	if all := chains(raw); len(all) != 1 || words(all[0]) != "CLOSE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT1 CLOSING CLOSE" {
		t.Fatalf("the kernel told of %v", raw)
	}
}

// The kernel's times lie between those that the recorder gave the calls.
func TestStatesTime(t *testing.T) {
	s := openTestStates(t, serverPort)
	p := openPair(t, newLab(t), loopback4, 0)
	raw, err := s.Flush()
	must(t, "flush", err)
	offset := Clock(p.rec)
	i := slices.IndexFunc(raw, func(c Change) bool { return c.New == rawSynSent })
	if i < 0 {
		t.Fatalf("the kernel told of %v", raw)
	}
	at := raw[i].since(offset)
	var enter, back bool
	for _, e := range p.rec.Events() {
		if k := callOf(e); e.Stack == "client" && k.Name == "connect" {
			enter = enter || k.Phase == "enter" && e.T <= at
			back = back || k.Phase == "return" && e.T >= at
		}
	}
	if !enter || !back {
		t.Errorf("CLOSE → SYN_SENT at %v is not within connect:\n%s", at, p.rec)
	}
}

// Labs at the same time, with the same addresses and ports.
func TestStatesParallel(t *testing.T) {
	const labs = 4
	s := openTestStates(t, serverPort, clientPort)
	pairs := make([]*pair, labs)
	for i := range pairs {
		pairs[i] = openPair(t, newLab(t), loopback4, clientPort)
	}
	var wg sync.WaitGroup
	for i, p := range pairs {
		wg.Go(func() {
			first, second := p.c, p.s
			if i%2 == 1 {
				first, second = second, first
			}
			if err := first.Close(); err != nil {
				t.Error(err)
			}
			if _, err := second.Recv(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("want the end-of-file, got %v", err)
			}
			if err := second.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	const active, passive = "FIN_WAIT1 FIN_WAIT2 CLOSE", "CLOSE_WAIT LAST_ACK CLOSE"
	for i, p := range pairs {
		got, _ := lives(t, s, p.client)
		want := "CLOSE SYN_SENT ESTABLISHED " + active
		if i%2 == 1 {
			want = "CLOSE SYN_SENT ESTABLISHED " + passive
		}
		if len(got) != 1 || got[2] != want {
			t.Errorf("lab %d's client: %v, want %q", i, got, want)
		}
		got, _ = lives(t, s, p.server)
		want = "LISTEN SYN_RECV ESTABLISHED " + passive
		if i%2 == 1 {
			want = "LISTEN SYN_RECV ESTABLISHED " + active
		}
		// The listener, which is still open, and the connection, by its close.
		if len(got) != 2 || got[1] != "CLOSE LISTEN" || got[3] != want {
			t.Errorf("lab %d's server: %v, want %q", i, got, want)
		}
	}
}

func TestStatesNetNS(t *testing.T) {
	s := openTestStates(t, serverPort)
	if !firstPIDNamespace() {
		t.Skip("needs the first PID namespace")
	}
	l := newLab(t)
	ns, err := NetNS(l)
	must(t, "net ns", err)
	p, err := StartProcess(t.Context(), l, ProcessOptions{Local4: loopback4})
	must(t, "start", err)
	defer p.Close()
	_, err = p.Listen(serverPort, 0)
	must(t, "listen", err)
	c, err := s.WaitFor(ctxOf(t), func(c Change) bool { return c.New == rawListen })
	must(t, "wait for the listener", err)
	if c.NetNS != ns {
		t.Errorf("%s in namespace %d, want %d", c, c.NetNS, ns)
	}
	m := matcher{o: &ReconcileOptions{NetNS: ns}}
	if got := m.classify(&chain{changes: []Change{c}}); !got.ours || got.foreign {
		t.Errorf("classified %+v", got)
	}
	m.o.NetNS++
	if got := m.classify(&chain{changes: []Change{c}}); got.ours || !got.foreign {
		t.Errorf("in another lab classified %+v", got)
	}
}

func TestStatesWaitEnds(t *testing.T) {
	s := openTestStates(t, serverPort)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := s.WaitFor(ctx, func(Change) bool { return true }); !errors.Is(err, cause) {
		t.Errorf("after the end of its context: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.WaitFor(context.Background(), func(Change) bool { return false })
		done <- err
	}()
	_, err := s.Close()
	must(t, "close", err)
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestStatesLeaveNothing(t *testing.T) {
	s := openTestStates(t, serverPort)
	fs, err := openTracefs()
	must(t, "open tracefs", err)
	defer fs.close()
	stale := filepath.Join(fs.dir, "instances", instancePrefix+"4194305-stale") // above any number of a process's
	must(t, "make a stale instance", os.Mkdir(stale, 0o700))
	defer os.Remove(stale)
	dir := s.instance.dir
	next := openTestStates(t, serverPort)
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stale instance is there: %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("an instance that is in use is gone: %v", err)
	}
	for _, s := range []*States{s, next} {
		_, err := s.Close()
		must(t, "close", err)
	}
	ours, err := filepath.Glob(filepath.Join(fs.dir, "instances", fmt.Sprintf("%s%d-*", instancePrefix, os.Getpid())))
	if err != nil || len(ours) > 0 {
		t.Errorf("left in tracefs: %v, %v", ours, err)
	}
}

func TestStatesBadOptions(t *testing.T) {
	if _, err := OpenStates(t.Context(), StatesOptions{}); err == nil || !strings.Contains(err.Error(), "no port") {
		t.Errorf("no ports: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenStates(ctx, StatesOptions{Ports: []uint16{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

func eof(t *testing.T, c host.Conn) {
	t.Helper()
	if n, err := c.Recv(make([]byte, 16)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("want the end-of-file, got %d bytes, %v", n, err)
	}
}

func send(t *testing.T, c host.Conn, text string) {
	t.Helper()
	if n, err := c.Send([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("sent %d bytes, %v", n, err)
	}
}

func recv(t *testing.T, c host.Conn, text string) {
	t.Helper()
	b := make([]byte, 1024)
	if n, err := c.Recv(b); err != nil || string(b[:n]) != text {
		t.Fatalf("got %q, %v, want %q", b[:n], err, text)
	}
}
