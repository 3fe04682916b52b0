//go:build exactness

package netstack

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// exactChange is one call of setEndpointState in the scratch copy of gVisor.
type exactChange struct {
	tcp.Logged
	pcs []uintptr // the stack of its goroutine
}

// exactUnknown counts what HandleUnknownDestinationPacket got.
type exactUnknown struct{ valid, bad, resets uint64 }

// exactBook is the independent account: what the scratch copy has logged.
type exactBook struct {
	mu      sync.Mutex
	changes map[*tcp.Endpoint][]exactChange
	order   []*tcp.Endpoint // by their first change
	unknown map[*stack.Stack]*exactUnknown
}

var exactAccount = &exactBook{}

func init() {
	exactAccount.reset()
	tcp.StateLog = exactAccount.log
	tcp.UnknownLog = exactAccount.logUnknown
}

func (b *exactBook) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changes = map[*tcp.Endpoint][]exactChange{}
	b.unknown = map[*stack.Stack]*exactUnknown{}
	b.order = nil
}

func (b *exactBook) log(l tcp.Logged) {
	var pcs [64]uintptr
	c := exactChange{l, append([]uintptr(nil), pcs[:runtime.Callers(3, pcs[:])]...)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.changes[l.Endpoint]; !known {
		b.order = append(b.order, l.Endpoint)
	}
	b.changes[l.Endpoint] = append(b.changes[l.Endpoint], c)
}

func (b *exactBook) logUnknown(s *stack.Stack, seg tcp.LoggedSegment, valid bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.unknown[s]
	if u == nil {
		u = &exactUnknown{}
		b.unknown[s] = u
	}
	switch {
	case !valid:
		u.bad++
	case tracer.Flags(seg.Flags).Has(tracer.RST):
		u.resets++
		u.valid++
	default:
		u.valid++
	}
}

// exactStep is a change that has names of the RFC's on both sides.
type exactStep struct {
	exactChange
	from, to tracer.State
}

// exactName is the RFC's name of a state, written out apart from the product's.
func exactName(st tcp.EndpointState) tracer.State {
	names := map[tcp.EndpointState]tracer.State{
		tcp.StateListen: tracer.Listen, tcp.StateSynSent: tracer.SynSent, tcp.StateSynRecv: tracer.SynReceived,
		tcp.StateEstablished: tracer.Established, tcp.StateFinWait1: tracer.FinWait1, tcp.StateFinWait2: tracer.FinWait2,
		tcp.StateCloseWait: tracer.CloseWait, tcp.StateClosing: tracer.Closing, tcp.StateLastAck: tracer.LastAck,
		tcp.StateTimeWait: tracer.TimeWait,
	}
	return names[st] // INITIAL, BOUND, CONNECTING, ERROR and CLOSE are CLOSED, the zero State
}

// exactSteps are an endpoint's changes with those within CLOSED left out. A child's
// begin at LISTEN.
func exactSteps(changes []exactChange) []exactStep {
	var steps []exactStep
	at := tracer.Closed
	for _, c := range changes {
		to := exactName(c.To)
		if to == at {
			continue
		}
		from := at
		if c.Parent != nil && len(steps) == 0 {
			from = tracer.Listen
		}
		steps = append(steps, exactStep{c, from, to})
		at = to
	}
	return steps
}

// exactWhy is what caused a change, by the functions on its goroutine's stack.
type exactWhy struct {
	kind     tracer.CauseKind
	call     string // of a call: its name
	listener bool   // the call was its listener's
	timer    string
	stack    string // of the stack: what it did
}

func (w exactWhy) String() string {
	s := string(w.kind)
	for _, more := range []string{w.call, w.timer, w.stack} {
		if more != "" {
			s += " " + more
		}
	}
	if w.listener {
		s += " of the listener"
	}
	return s
}

// exactCalls are the calls of an endpoint's, as Python names them.
var exactCalls = map[string]string{
	"tcp.(*Endpoint).Listen": "listen", "tcp.(*Endpoint).Connect": "connect",
	"tcp.(*Endpoint).Shutdown": "shutdown", "tcp.(*Endpoint).Close": "close",
}

// why classifies a change. It errs on a stack that it does not know.
func (c *exactChange) why() (exactWhy, error) {
	var w exactWhy
	var names []string
	aborted := false
	frames := runtime.CallersFrames(c.pcs)
	for more := true; more && w.kind == ""; {
		var f runtime.Frame
		f, more = frames.Next()
		name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]
		names = append(names, name)
		switch {
		case name == "tcp.(*Endpoint).Abort":
			aborted = true
		case strings.Contains(name, "closePendingAcceptableConnectionsLocked"):
			w.listener = aborted
		case name == "tcp.(*Endpoint).finWait2TimerExpired":
			w.kind, w.timer = tracer.CauseTimer, "fin-wait-2"
		case name == "tcp.(*Endpoint).timeWaitTimerExpired":
			w.kind, w.timer = tracer.CauseTimer, "time-wait"
		case strings.Contains(name, "timerHandler.func"):
			w.kind, w.timer = tracer.CauseTimer, c.Timer
		case strings.Contains(name, "HandleLinkResolutionFailure"):
			w.kind, w.stack = tracer.CauseStack, "neighbour"
		case strings.HasPrefix(name, "ipv4.(*endpoint).handleICMP"), strings.HasPrefix(name, "ipv6.(*endpoint).handleICMP"):
			w.kind = tracer.CauseICMP
		case name == "stack.(*Stack).Close":
			w.kind, w.stack = tracer.CauseStack, "closed"
		case name == "tcp.handleConnecting" && c.From == tcp.StateEstablished:
			// The handshake was completed, but there is no accept queue any more.
			w.kind, w.call, w.listener = tracer.CauseCall, "close", true
		case name == "tcp.(*processor).start":
			w.kind = tracer.CauseSegment
		default:
			if call, ok := exactCalls[name]; ok {
				w.kind, w.call = tracer.CauseCall, call
			}
		}
	}
	if w.kind == "" {
		return w, fmt.Errorf("nothing on its goroutine's stack tells the cause: %s", strings.Join(names, " < "))
	}
	return w, nil
}

// exactRecorder is a Bus that learns, with each state event, which endpoint the
// event's connection is.
type exactRecorder struct {
	*tracer.Bus
	run *exactRun
}

// Record implements tracer.Recorder.
func (r exactRecorder) Record(e tracer.Event) uint64 {
	if e.Body.Type() == tracer.TypeState {
		r.run.learn(e.Stack, e.Conn)
	}
	return r.Bus.Record(e)
}

// exactSink keeps every event. Its memory grows with the run: a test's is bounded.
type exactSink struct {
	events []tracer.Event
	header tracer.Header
}

// Start implements tracer.Sink.
func (s *exactSink) Start(h tracer.Header) error { s.header = h; return nil }

// Write implements tracer.Sink.
func (s *exactSink) Write(e []tracer.Event) error { s.events = append(s.events, e...); return nil }

// Close implements tracer.Sink.
func (*exactSink) Close() error { return nil }

// exactQueue is how many events the sink may be behind: all of a run's.
const exactQueue = 1 << 23

// exactRun is one run: its stacks, its trace, and which endpoint is which connection.
type exactRun struct {
	t      *testing.T
	sink   *exactSink
	rec    exactRecorder
	mu     sync.Mutex
	stacks map[string]*Stack
	conns  map[*tcp.Endpoint]uint32
	eps    map[uint32]*tcp.Endpoint
	level  tracer.Level
	before goleak.Option // the goroutines that were there before
}

// newExactRun starts a run; no other may be going on.
func newExactRun(t *testing.T, level tracer.Level) *exactRun {
	t.Helper()
	exactAccount.reset()
	r := &exactRun{
		t: t, sink: &exactSink{}, level: level, before: goleak.IgnoreCurrent(),
		stacks: map[string]*Stack{}, conns: map[*tcp.Endpoint]uint32{}, eps: map[uint32]*tcp.Endpoint{},
	}
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{Queue: exactQueue}, r.sink)
	if err != nil {
		t.Fatal(err)
	}
	r.rec = exactRecorder{bus, r}
	return r
}

// learn notes which endpoint a connection is. Its record is locked meanwhile.
func (r *exactRun) learn(name string, conn uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.eps[conn] != nil {
		return
	}
	s := r.stacks[name]
	if s == nil {
		r.t.Errorf("a state event of stack %q, which is not of this run", name)
		return
	}
	s.obs.mu.RLock()
	defer s.obs.mu.RUnlock()
	for _, c := range s.obs.byEP.all() {
		if c.conn == conn {
			r.eps[conn], r.conns[c.ep] = c.ep, conn
			return
		}
	}
	r.t.Errorf("a state event of conn %d, which stands for no endpoint", conn)
}
