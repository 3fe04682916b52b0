//go:build exactness

package netstack

import (
	"fmt"
	"strings"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// exactTally counts what a comparison compared.
type exactTally struct {
	events, conns, endpoints, steps, causes int
	kinds                                   map[string]int // causes by what they were
	ends                                    map[string]int // deaths: state and cause
	births                                  map[string]int // children's first changes
}

func (c *exactTally) String() string {
	return fmt.Sprintf("%d events, %d connections ended, %d endpoints, %d changes, %d causes compared",
		c.events, c.conns, c.endpoints, c.steps, c.causes)
}

// exactTrace is the trace, in the order that the comparison needs.
type exactTrace struct {
	events []tracer.Event            // [n-1] is event n
	states map[uint32][]tracer.Event // by connection
	ends   map[uint32][]tracer.Event
	calls  map[uint64]bool // enters that have not returned
}

// maxExactErrors is how many mismatches of a kind a run reports one by one.
const maxExactErrors = 2

// exactJudge compares one run's trace with the account of the scratch copy.
type exactJudge struct {
	*exactRun
	trace   exactTrace
	changes map[uint32][]tracer.Event // all state events by connection
	tally   exactTally
	errors  map[string]int // by what they are about
}

// finish ends the trace of a run whose stacks are closed, compares it with the
// scratch copy's account, and returns what was compared.
func (r *exactRun) finish() *exactTally {
	r.t.Helper()
	if err := r.rec.Close(); err != nil {
		r.t.Fatal(err)
	}
	goleak.VerifyNone(r.t, r.before)
	j := &exactJudge{exactRun: r, errors: map[string]int{}, tally: exactTally{kinds: map[string]int{}, ends: map[string]int{}, births: map[string]int{}}}
	j.read()
	j.endpoints()
	j.counters()
	for name, s := range r.stacks {
		if n := s.FilledStates(); n != 0 {
			j.failf(0, "stack %s: %d states filled in that no hook saw", name, n)
		}
	}
	for what, n := range j.errors {
		r.t.Errorf("%d × %s", n, what)
	}
	r.t.Log(j.tally.String())
	return &j.tally
}

// failf reports a mismatch and, where conn is not 0, all of that connection's events.
func (j *exactJudge) failf(conn uint32, format string, args ...any) {
	j.t.Helper()
	j.fail(format, conn, format, args...)
}

// fail is failf for a mismatch of a kind that is not its format.
func (j *exactJudge) fail(kind string, conn uint32, format string, args ...any) {
	j.t.Helper()
	j.errors[kind]++
	if j.errors[kind] > maxExactErrors {
		return
	}
	msg := fmt.Sprintf(format, args...)
	if conn != 0 {
		msg += "\n" + j.story(conn)
	}
	j.t.Error(msg)
}

// story is a connection's part of the trace, its listener's segments of the same
// ends included, and what the scratch copy logged of it.
func (j *exactJudge) story(conn uint32) string {
	var lines []string
	var who tracer.Event
	for _, e := range j.trace.events {
		if e.Conn == conn && e.Remote.IsValid() {
			who = e
		}
	}
	for i := range j.trace.events {
		e := &j.trace.events[i]
		same := e.Stack == who.Stack && e.Local == who.Local && e.Remote == who.Remote && who.Remote.IsValid()
		if e.Conn == conn && e.Body.Type() != tracer.TypeTCB || same && e.Body.Type() == tracer.TypeSegment {
			lines = append(lines, string(tracer.AppendJSON(nil, e)))
		}
	}
	if skip := len(lines) - 60; skip > 0 {
		lines = append([]string{fmt.Sprintf("(%d before)", skip)}, lines[skip:]...)
	}
	for _, c := range exactAccount.changes[j.eps[conn]] {
		why, err := c.why()
		last := c.Last
		lines = append(lines, fmt.Sprintf("scratch copy: %v → %v by %v %v; last taken %s seq %d ack %d len %d (%v)",
			c.From, c.To, why, err, tracer.Flags(last.Flags), last.Seq, last.Ack, last.Len, last.OK))
	}
	return strings.Join(lines, "\n")
}

// read checks what holds for each event by itself, and sorts them.
func (j *exactJudge) read() {
	tr := &j.trace
	tr.events = j.sink.events
	tr.states, tr.ends, tr.calls = map[uint32][]tracer.Event{}, map[uint32][]tracer.Event{}, map[uint64]bool{}
	j.changes = map[uint32][]tracer.Event{}
	j.tally.events = len(tr.events)
	for i, e := range tr.events {
		if e.N != uint64(i)+1 {
			j.failf(0, "event %d has n %d: want 1, 2, 3, …", i+1, e.N)
		}
		if i > 0 && e.T < tr.events[i-1].T {
			j.failf(0, "event %d: t goes back from %v to %v", e.N, tr.events[i-1].T, e.T)
		}
		switch b := e.Body.(type) {
		case *tracer.Lost:
			j.failf(0, "event %d: %d events lost", e.N, b.Missed)
		case *tracer.StateChange:
			tr.states[e.Conn] = append(tr.states[e.Conn], e)
			j.changes[e.Conn] = append(j.changes[e.Conn], e)
		case *tracer.End:
			tr.ends[e.Conn] = append(tr.ends[e.Conn], e)
		case *tracer.Call:
			j.readCall(e, b)
		}
	}
	for n := range tr.calls {
		j.failf(tr.events[n-1].Conn, "event %d: the call did not return", n)
	}
}

func (j *exactJudge) readCall(e tracer.Event, b *tracer.Call) {
	switch b.Phase {
	case tracer.PhaseEnter:
		j.trace.calls[e.N] = true
	case tracer.PhaseReturn:
		if !j.trace.calls[b.Of] || j.trace.events[b.Of-1].Conn != e.Conn || j.call(b.Of).Name != b.Name {
			j.failf(e.Conn, "event %d: return of %d, which is no such call in progress", e.N, b.Of)
		}
		delete(j.trace.calls, b.Of)
	case tracer.PhaseDone:
	}
}

// call returns the call that event n tells of; an empty one when it tells of none.
func (j *exactJudge) call(n uint64) *tracer.Call {
	if n > 0 && n <= uint64(len(j.trace.events)) {
		if c, ok := j.trace.events[n-1].Body.(*tracer.Call); ok {
			return c
		}
	}
	return &tracer.Call{}
}

// endpoints compares endpoint by endpoint, in order.
func (j *exactJudge) endpoints() {
	exactAccount.mu.Lock()
	defer exactAccount.mu.Unlock()
	for _, ep := range exactAccount.order {
		steps := exactSteps(exactAccount.changes[ep])
		conn := j.conns[ep]
		if conn == 0 {
			if len(steps) > 0 {
				j.failf(0, "the trace has nothing of an endpoint that went %v (%v, last taken %+v)", exactPath(steps), exactWhys(steps), steps[0].Last)
			}
			continue
		}
		j.tally.endpoints++
		j.endpoint(ep, conn, steps)
		delete(j.trace.states, conn)
	}
	for conn, states := range j.trace.states {
		j.failf(conn, "conn %d: the trace has %d changes, the scratch copy none", conn, len(states))
	}
}

func exactPath(steps []exactStep) string {
	var parts []string
	for i, s := range steps {
		if i == 0 {
			parts = append(parts, s.from.String())
		}
		parts = append(parts, s.to.String())
	}
	return strings.Join(parts, " → ")
}

func exactWhys(steps []exactStep) string {
	var parts []string
	for _, s := range steps {
		why, err := s.why()
		if err != nil {
			parts = append(parts, err.Error())
			continue
		}
		parts = append(parts, why.String())
	}
	return strings.Join(parts, ", ")
}

// endpoint compares one endpoint's changes and their causes.
func (j *exactJudge) endpoint(ep *tcp.Endpoint, conn uint32, steps []exactStep) {
	states := j.trace.states[conn]
	if want, got := exactPath(steps), exactTracePath(states); want != got {
		j.failf(conn, "conn %d: the trace says\n\t%s\nbut it went\n\t%s", conn, got, want)
		return
	}
	at := steps[0].from
	for i, s := range steps {
		e, b := states[i], states[i].Body.(*tracer.StateChange) //nolint:forcetypeassert // read sorted them
		if b.From != at || b.From != s.from {
			j.failf(conn, "event %d: from %s, but it was in %s", e.N, b.From, at)
		}
		if b.Dwell < 0 {
			j.failf(conn, "event %d: it dwelt %v", e.N, b.Dwell)
		}
		if b.Via == viaFilled {
			j.failf(conn, "event %d: filled in, no hook saw it", e.N)
		}
		if want := exactOwnName(s); b.StackState != want {
			j.failf(conn, "event %d: stack_state %q, want %q", e.N, b.StackState, want)
		}
		j.tally.steps++
		j.cause(conn, e, b, s)
		at = b.To
	}
	j.end(conn, steps)
}

// exactOwnName is gVisor's name of a state where it differs from the RFC's.
func exactOwnName(s exactStep) string {
	if name := s.To.String(); name != s.to.String() {
		return name
	}
	return ""
}

func exactTracePath(states []tracer.Event) string {
	var parts []string
	for i, e := range states {
		b := e.Body.(*tracer.StateChange) //nolint:forcetypeassert // read sorted them
		if i == 0 {
			parts = append(parts, b.From.String())
		}
		parts = append(parts, b.To.String())
	}
	return strings.Join(parts, " → ")
}

// cause compares one change's cause with what its goroutine's stack tells.
func (j *exactJudge) cause(conn uint32, e tracer.Event, b *tracer.StateChange, s exactStep) {
	why, err := s.why()
	if err != nil {
		j.failf(conn, "event %d: %v", e.N, err)
		return
	}
	j.tally.causes++
	j.tally.kinds[why.String()]++
	if s.from == tracer.Listen && s.Parent != nil {
		j.tally.births[s.from.String()+" → "+s.to.String()]++
	}
	if s.to == tracer.Closed {
		j.tally.ends[s.from.String()+" by "+why.String()]++
	}
	bad := func(format string, args ...any) {
		what := fmt.Sprintf("%s → %s via %s by %s, but it was by %v", b.From, b.To, b.Via, b.Cause.Kind, why)
		j.fail(what, conn, "event %d: %s: %+v: %s", e.N, what, b.Cause, fmt.Sprintf(format, args...))
	}
	if b.Cause.Kind != why.kind {
		bad("another kind")
		return
	}
	if b.Cause.N >= e.N {
		bad("the cause comes after its effect")
		return
	}
	if b.Cause.N == 0 {
		if why.kind == tracer.CauseCall || why.kind != tracer.CauseStack && j.level >= tracer.LevelSegments {
			bad("no event stands for it")
		}
		return
	}
	c := j.trace.events[b.Cause.N-1]
	if problem := j.causeEvent(conn, c, why, s); problem != "" {
		bad("%s: %s", problem, tracer.AppendJSON(nil, &c))
	}
}

// causeEvent tells what is wrong with the event that a change names as its cause.
func (j *exactJudge) causeEvent(conn uint32, c tracer.Event, why exactWhy, s exactStep) string {
	switch why.kind {
	case tracer.CauseSegment:
		return exactSameSegment(c, s.Last)
	case tracer.CauseCall:
		want := conn
		if why.listener {
			want = j.conns[s.Parent]
		}
		b, ok := c.Body.(*tracer.Call)
		if !ok || b.Phase != tracer.PhaseEnter || b.Name != why.call || c.Conn != want {
			return fmt.Sprintf("want the enter of %s on conn %d", why.call, want)
		}
		return ""
	case tracer.CauseTimer:
		b, ok := c.Body.(*tracer.Timer)
		if !ok || b.Name != why.timer || c.Conn != conn {
			return "want the timer's event"
		}
		return ""
	case tracer.CauseICMP:
		b, ok := c.Body.(*tracer.ICMP)
		if !ok || c.Conn != conn || b.Dir != tracer.In {
			return "want the ICMP error's event"
		}
		return ""
	case tracer.CauseStack:
		return "want no event"
	default:
		return "unknown kind"
	}
}

// exactSameSegment compares a segment event with the segment that was taken from
// the endpoint's queue last.
func exactSameSegment(e tracer.Event, last tcp.LoggedSegment) string {
	b, ok := e.Body.(*tracer.Segment)
	if !ok || b.Dir != tracer.In {
		return "want an inbound segment"
	}
	same := last.OK && b.Seq == last.Seq && b.Ack == last.Ack && uint8(b.Flags) == last.Flags && b.Len == last.Len &&
		b.Dropped == "" && e.Local == localOf(last.ID) && e.Remote == remoteOf(last.ID)
	if !same {
		return fmt.Sprintf("want %s seq %d ack %d len %d from %s", tracer.Flags(last.Flags), last.Seq, last.Ack, last.Len, remoteOf(last.ID))
	}
	return ""
}
