package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/internal/lab"
	"appliance/internal/runner"
	"appliance/internal/scenario/host"
	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
	"appliance/tracer/infer"
	"appliance/tracer/tracertest"
)

// world is the appliance on one side of a lab's link and the kernel on the other.
type world struct {
	lab              *lab.Lab
	rec              *tracertest.Recorder
	stack            *netstack.Stack
	gvisor, kernel   host.Host
	own              *Host // the same, where it is one
	states           *States
	offset           time.Duration
	theAppliance, us netip.Addr
}

func newWorld(t *testing.T, family int, process bool) *world {
	t.Helper()
	w := &world{rec: &tracertest.Recorder{}, states: openTestStates(t, serverPort, clientPort)}
	w.offset = Clock(w.rec)
	own := prefixes("192.168.12.1/24", "fd00:12::1/64")
	theirs := prefixes("192.168.12.53/24", "fd00:12::53/64")
	w.us, w.theAppliance = own[family/6].Addr(), theirs[family/6].Addr()
	var err error
	w.lab, err = lab.NewTemporary(t.Context(), lab.Options{Name: "kerneltest", Addresses: own})
	must(t, "make a lab", err)
	t.Cleanup(func() { must(t, "close the lab", w.lab.Close()) })
	var l link.Link
	l, err = runner.OpenLabEnd(t.Context(), w.lab, theirs)
	must(t, "open the link", err)
	w.stack, err = netstack.New(l, netstack.Options{
		Name: "appliance", Addresses: theirs, Recorder: w.rec, Level: tracer.LevelSegments,
		TCP: netstack.TCPOptions{MSL: 50 * time.Millisecond},
	})
	must(t, "make the stack", err)
	t.Cleanup(func() { must(t, "close the stack", w.stack.Close()) })
	w.gvisor = host.NewStack(w.stack, host.StackOptions{Local: w.theAppliance})
	t.Cleanup(func() { must(t, "close the appliance's sockets", w.gvisor.Close()) })
	local4, local6 := w.us, netip.Addr{}
	if family == 6 {
		local4, local6 = local6, local4
	}
	if process {
		w.kernel = newProcess(t, w.lab, ProcessOptions{Local4: local4, Local6: local6})
		return w
	}
	w.own = newHost(t, w.lab, Options{Recorder: w.rec, Local4: local4, Local6: local6})
	w.kernel = w.own
	return w
}

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, p := range all {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

// open connects the two ends: the kernel's comes first.
func (w *world) open(t *testing.T, kernelConnects bool) (ours, theirs host.Conn, ln host.Listener) {
	t.Helper()
	server, client := w.kernel, w.gvisor
	at, from := w.us, w.theAppliance
	if kernelConnects {
		server, client, at, from = client, server, from, at
	}
	ln, err := server.Listen(serverPort, 0)
	must(t, "listen", err)
	c, err := client.Connect(ctxOf(t), netip.AddrPortFrom(from, clientPort), netip.AddrPortFrom(at, serverPort))
	must(t, "connect", err)
	s, err := ln.Accept()
	must(t, "accept", err)
	if kernelConnects {
		return c, s, ln
	}
	return s, c, ln
}

// story is what Reconcile makes of the kernel's end so far: the changes of each connection,
// "SYN-SENT ESTABLISHED …", what was inferred with the kernel's word in brackets.
func (w *world) story(t *testing.T) []string {
	t.Helper()
	raw, err := w.states.Flush()
	must(t, "flush", err)
	events := w.rec.Events()
	o := ReconcileOptions{Offset: w.offset, Trace: events, NewConn: w.rec.NewConn}
	if w.own != nil {
		o.Calls = w.own.Calls()
	}
	o.NetNS, err = NetNS(w.lab)
	must(t, "net ns", err)
	inferred := infer.Infer(events, infer.Options{Vantage: "appliance", Stack: StackName, NewConn: w.rec.NewConn})
	got, err := Reconcile(inferred, raw, o)
	if err != nil {
		t.Errorf("reconcile: %v\n%v\n%s", err, raw, w.rec)
	}
	times := map[uint64]time.Duration{}
	for _, e := range events {
		times[e.N] = e.T
	}
	byConn := map[uint32][]string{}
	var conns []uint32
	for _, e := range got {
		s := e.Body.(*tracer.StateChange)
		if e.T < times[s.Cause.N] {
			t.Errorf("%s → %s at %v is before its cause, event %d at %v", s.From, s.To, e.T, s.Cause.N, times[s.Cause.N])
		}
		word := s.To.String()
		if s.Via != ViaTracepoint {
			word += "[" + s.StackState + "]"
		}
		if byConn[e.Conn] == nil {
			conns = append(conns, e.Conn)
		}
		byConn[e.Conn] = append(byConn[e.Conn], word)
	}
	var all []string
	for _, c := range conns {
		all = append(all, strings.Join(byConn[c], " "))
	}
	slices.Sort(all)
	return all
}

// settles waits until the appliance's end of everything is over, but for TIME-WAIT.
func (w *world) settles(t *testing.T, inState ...tracer.State) {
	t.Helper()
	_, err := w.rec.WaitFor(func(e tracer.Event) bool {
		s, ok := e.Body.(*tracer.StateChange)
		return ok && e.Stack == "appliance" && s.From != tracer.Listen && slices.Contains(inState, s.To)
	}, time.Now().Add(patience))
	must(t, "wait for the appliance's end", err)
}

// kernelEnds waits until the tracepoint has told of the end of so many sockets.
func (w *world) kernelEnds(t *testing.T, sockets int) {
	t.Helper()
	seen := map[uint64]bool{}
	_, err := w.states.WaitFor(ctxOf(t), func(c Change) bool {
		if c.New == rawClose && (c.Local.Addr() == w.us || c.Remote.Addr() == w.theAppliance) {
			seen[c.SKAddr] = true
		}
		return len(seen) == sockets
	})
	must(t, "wait for the kernel's end", err)
}

func TestLive(t *testing.T) {
	const (
		active  = "FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT[CLOSE]"
		passive = "CLOSE-WAIT LAST-ACK CLOSED"
		opener  = "SYN-SENT ESTABLISHED "
		child   = "SYN-RECEIVED[NEW_SYN_RECV] ESTABLISHED "
		server  = "LISTEN CLOSED"
	)
	tests := map[string]struct {
		connects bool // the kernel does
		do       func(t *testing.T, w *world, ours, theirs host.Conn)
		want     string // the connection's, at the kernel's end
	}{
		"kernel connects, closes": {true, func(t *testing.T, _ *world, ours, theirs host.Conn) { closeBoth(t, ours, theirs) }, opener + active},
		"kernel connects, appliance closes": {true, func(t *testing.T, _ *world, ours, theirs host.Conn) {
			closeBoth(t, theirs, ours)
		}, opener + passive},
		"kernel accepts, closes": {false, func(t *testing.T, _ *world, ours, theirs host.Conn) { closeBoth(t, ours, theirs) }, child + active},
		"kernel accepts, appliance closes": {false, func(t *testing.T, _ *world, ours, theirs host.Conn) {
			closeBoth(t, theirs, ours)
		}, child + passive},
		"half-close": {true, func(t *testing.T, _ *world, ours, theirs host.Conn) {
			must(t, "shutdown", ours.Shutdown())
			eof(t, theirs)
			send(t, theirs, "more")
			recv(t, ours, "more")
			closeBoth(t, theirs, ours)
		}, opener + active},
		"aborted by the appliance": {false, func(t *testing.T, _ *world, ours, theirs host.Conn) {
			must(t, "abort", theirs.Abort())
			if _, err := ours.Recv(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("receive: %v", err)
			}
			must(t, "close", ours.Close())
		}, child + "CLOSED"},
		"aborted by the kernel": {true, func(t *testing.T, _ *world, ours, theirs host.Conn) {
			must(t, "abort", ours.Abort())
			if _, err := theirs.Recv(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("receive: %v", err)
			}
			must(t, "close", theirs.Close())
		}, opener + "CLOSED"},
	}
	for name, tt := range tests {
		for _, family := range []int{4, 6} {
			t.Run(fmt.Sprintf("%s, IPv%d", name, family), func(t *testing.T) {
				w := newWorld(t, family, false)
				ours, theirs, ln := w.open(t, tt.connects)
				tt.do(t, w, ours, theirs)
				must(t, "close the listener", ln.Close())
				w.settles(t, tracer.TimeWait, tracer.Closed)
				want := []string{tt.want}
				if !tt.connects {
					want = append(want, server)
				}
				w.kernelEnds(t, len(want))
				slices.Sort(want)
				if got := w.story(t); !slices.Equal(got, want) {
					t.Errorf("the kernel's end: %q, want %q\n%s", got, want, w.rec)
				}
			})
		}
	}
}

func closeBoth(t *testing.T, first, second host.Conn) {
	t.Helper()
	must(t, "close", first.Close())
	eof(t, second)
	must(t, "close", second.Close())
}

// The kernel's end closes and is answered only later: the tracepoint says CLOSE as it
// enters FIN-WAIT-2, sock_diag FIN_WAIT2 until the FIN comes.
func TestLiveClosedFinWait2(t *testing.T) {
	w := newWorld(t, 4, false)
	ours, theirs, _ := w.open(t, true)
	must(t, "close", ours.Close())
	eof(t, theirs)
	w.kernelEnds(t, 1)
	const soFar = "SYN-SENT ESTABLISHED FIN-WAIT-1 FIN-WAIT-2"
	if got := w.story(t); !slices.Equal(got, []string{soFar}) {
		t.Errorf("before the appliance's FIN: %q", got)
	}
	eventually(t, w.lab, ours, rawFinWait2)
	must(t, "close", theirs.Close())
	w.settles(t, tracer.Closed)
	if got := w.story(t); !slices.Equal(got, []string{soFar + " TIME-WAIT[CLOSE]"}) {
		t.Errorf("after it: %q", got)
	}
	eventually(t, w.lab, ours, rawTimeWait)
}

func TestLiveRefused(t *testing.T) {
	w := newWorld(t, 4, false)
	_, err := w.kernel.Connect(ctxOf(t), netip.AddrPort{}, netip.AddrPortFrom(w.theAppliance, serverPort))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect: %v", err)
	}
	if got := w.story(t); !slices.Equal(got, []string{"SYN-SENT CLOSED"}) {
		t.Errorf("the kernel's end: %q\n%s", got, w.rec)
	}
}

// Nobody answers, and the kernel gives up: only the tracepoint knows.
func TestLiveGivenUp(t *testing.T) {
	w := newWorld(t, 4, false)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	nobody := netip.AddrPortFrom(netip.MustParseAddr("192.168.12.99"), serverPort)
	done := make(chan error, 1)
	go func() {
		_, err := w.kernel.Connect(ctx, netip.AddrPort{}, nobody)
		done <- err
	}()
	_, err := w.states.WaitFor(ctxOf(t), func(c Change) bool { return c.New == rawSynSent && c.Remote == nobody })
	must(t, "wait for SYN_SENT", err)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("connect: %v", err)
	}
	if got := w.story(t); !slices.Equal(got, []string{"SYN-SENT CLOSED"}) {
		t.Errorf("the kernel's end: %q\n%s", got, w.rec)
	}
}

// A process without recorded calls ends without closing; its listener nobody calls.
func TestLiveProcess(t *testing.T) {
	for name, end := range map[string]func(*Process) error{"exit": (*Process).Exit, "kill": (*Process).Kill} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 4, true)
			ours, theirs, _ := w.open(t, false)
			send(t, ours, "hello")
			recv(t, theirs, "hello")
			must(t, "end", end(w.kernel.(*Process)))
			if _, err := theirs.Recv(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("want the end-of-file: %v", err)
			}
			must(t, "close", theirs.Close())
			w.settles(t, tracer.Closed)
			w.kernelEnds(t, 2)
			want := []string{"LISTEN CLOSED", "SYN-RECEIVED[NEW_SYN_RECV] ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT[CLOSE]"}
			if got := w.story(t); !slices.Equal(got, want) {
				t.Errorf("the kernel's end: %q, want %q\n%s", got, want, w.rec)
			}
		})
	}
}

// Two worlds at once, with the same addresses and ports: neither account has anything of
// the other.
func TestLiveParallel(t *testing.T) {
	a, b := newWorld(t, 4, false), newWorld(t, 4, false)
	aOurs, aTheirs, _ := a.open(t, true)
	bOurs, bTheirs, _ := b.open(t, true)
	closeBoth(t, aOurs, aTheirs)
	closeBoth(t, bTheirs, bOurs)
	a.settles(t, tracer.Closed)
	b.settles(t, tracer.TimeWait, tracer.Closed)
	for i, w := range []*world{a, b} {
		w.kernelEnds(t, 2)
		want := []string{"SYN-SENT ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT[CLOSE]", "SYN-SENT ESTABLISHED CLOSE-WAIT LAST-ACK CLOSED"}[i]
		if got := w.story(t); !slices.Equal(got, []string{want}) {
			t.Errorf("world %d: %q, want %q", i, got, want)
		}
	}
}
