package netstack_test

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// hookSpy tells whether a stack's clock and link are gVisor's own business.
type hookSpy struct {
	tcpip.Clock
	nested.Endpoint
	mu     sync.Mutex
	timers map[string]bool // the packages of the callbacks
	upward string          // the type that the link delivers to
}

// AfterFunc implements tcpip.Clock.
func (h *hookSpy) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timers[name[:strings.LastIndexByte(name, '/')]] = true
	return h.Clock.AfterFunc(d, f)
}

// Attach implements stack.LinkEndpoint.
func (h *hookSpy) Attach(d stack.NetworkDispatcher) {
	h.upward = fmt.Sprintf("%T", d)
	h.Endpoint.Attach(d)
}

// With tracing off no hook is in place: gVisor's timers and link are called directly.
func TestTraceOff(t *testing.T) {
	for name, opts := range map[string]netstack.Options{
		"no recorder": {Level: tracer.LevelFull},
		"level off":   {Recorder: newRecorder(nil), Level: tracer.LevelOff},
	} {
		t.Run(name, func(t *testing.T) {
			verifyNoLeak(t)
			l := &lab{t: t, rec: newRecorder(nil)}
			a, b := link.NewPipe(link.PipeOptions{})
			spy := &hookSpy{Clock: tcpip.NewStdClock(), timers: map[string]bool{}}
			spy.Init(a, spy)
			for _, s := range []struct {
				to   **netstack.Stack
				link stack.LinkEndpoint
				at   netstack.Options
			}{
				{&l.client, spy, netstack.Options{Clock: spy}}, {&l.server, b, netstack.Options{}},
			} {
				o := opts
				o.Clock = s.at.Clock
				o.Addresses = append(o.Addresses, clientAddr4)
				if s.link == stack.LinkEndpoint(b) {
					o.Addresses[0] = serverAddr4
				}
				made, err := netstack.New(s.link, o)
				if err != nil {
					t.Fatal(err)
				}
				*s.to = made
				t.Cleanup(func() { within(t, "Close", func() { _ = made.Close() }) })
			}
			c, s := l.connect()
			l.send(c, "hello")
			l.recv(s, 5)
			l.close(c)
			l.recvEOF(s)
			l.close(s)
			if c.TraceConn() != 0 || s.TraceConn() != 0 || l.client.FilledStates() != 0 {
				t.Error("a connection is traced")
			}
			if r, ok := opts.Recorder.(*recorder); ok && len(r.Events()) != 0 {
				t.Errorf("%d events were recorded", len(r.Events()))
			}
			spy.mu.Lock()
			defer spy.mu.Unlock()
			for pkg := range spy.timers {
				if !strings.HasPrefix(pkg, "gvisor.dev/") {
					t.Errorf("a timer's callback is of %s", pkg)
				}
			}
			if len(spy.timers) == 0 || !strings.HasSuffix(spy.upward, "stack.nic") {
				t.Errorf("the link delivers to %s; timers of %v", spy.upward, spy.timers)
			}
		})
	}
}
