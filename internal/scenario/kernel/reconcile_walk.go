package kernel

import (
	"slices"
	"strings"
	"time"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
)

// walker goes through a lane and its chain side by side.
type walker struct {
	o    *ReconcileOptions
	lane *lane
	raw  []Change // what is left of the chain
	out  []tracer.Event
	err  error
	last time.Duration // of the newest change written
	from tracer.State  // its state
}

func (w *walker) walk() {
	if w.lane.chain != nil {
		w.raw = w.lane.chain.changes
	}
	for i := range w.lane.events {
		e := w.lane.events[i]
		if w.err != nil { // not smoothed over: the rest is as inferred
			w.write(e, *w.lane.change(i), e.T)
			continue
		}
		w.next(e, *w.lane.change(i))
	}
	for w.err == nil && len(w.raw) > 0 {
		w.leftover()
	}
}

// next deals with one inferred change.
func (w *walker) next(e tracer.Event, s tracer.StateChange) {
	switch {
	case s.From == tracer.Listen && s.To == tracer.SynReceived:
		s.StackState = rawNewSynRecv.String()
		w.inferred(e, s)
		return
	case s.From == tracer.TimeWait:
		w.inferred(e, s)
		return
	case s.From == tracer.SynReceived && s.To == tracer.Closed && w.lane.chain == nil:
		w.inferred(e, s) // it never was more than a request
		return
	case s.From == tracer.SynReceived || s.From == tracer.Listen:
		w.born()
	}
	if via, ok := w.through(s); ok {
		w.between(e, &s, via)
	}
	if s.To == tracer.TimeWait {
		w.timeWait(e, s)
		return
	}
	if len(w.raw) == 0 || w.raw[0].New.RFC() != s.To || w.raw[0].Old.RFC() != s.From && s.From != tracer.Listen {
		w.contradict(&e, &s)
		w.write(e, s, e.T)
		return
	}
	c := w.raw[0]
	w.raw = w.raw[1:]
	s.StackState = stackState(c.New, s.To)
	if at := c.since(w.o.Offset); s.From == tracer.FinWait2 && at < e.T {
		// A closed socket: for the tracepoint it ended when it entered FIN-WAIT-2.
		w.inferred(e, s)
	} else {
		s.Via = ViaTracepoint
		w.write(e, s, at)
	}
}

// born passes over the birth of a child's socket, which is no change of the connection's:
// it was in SYN-RECEIVED before.
func (w *walker) born() {
	if len(w.raw) > 0 && w.raw[0].Old == rawListen && w.raw[0].New == rawSynRecv {
		w.raw = w.raw[1:]
	}
}

// passes are the states that the kernel passes through within one segment, where RFC
// 9293's text does too ("enter FIN-WAIT-2 and continue processing in that state").
var passes = map[[2]tracer.State]tracer.State{
	{tracer.FinWait1, tracer.TimeWait}:     tracer.FinWait2,
	{tracer.SynReceived, tracer.CloseWait}: tracer.Established,
	{tracer.SynReceived, tracer.FinWait1}:  tracer.Established,
}

// through tells whether the kernel took the change in two steps.
func (w *walker) through(s tracer.StateChange) (Change, bool) {
	via, ok := passes[[2]tracer.State{s.From, s.To}]
	if !ok || len(w.raw) == 0 || w.raw[0].Old.RFC() != s.From || w.raw[0].New.RFC() != via {
		return Change{}, false
	}
	return w.raw[0], true
}

// between writes the first step; s is what remains.
func (w *walker) between(e tracer.Event, s *tracer.StateChange, c Change) {
	w.raw = w.raw[1:]
	first := *s
	first.To, first.Via = c.New.RFC(), ViaTracepoint
	first.StackState = stackState(c.New, first.To)
	first.RFC = tcpstate.Clause(first.From, first.To, first.Cause.Kind)
	first.Error = ""
	w.write(e, first, c.since(w.o.Offset))
	s.From = first.To
	s.RFC = tcpstate.Clause(s.From, s.To, s.Cause.Kind)
}

// timeWait deals with a change to TIME-WAIT, where the tracepoint says CLOSE: as it
// happens, or earlier, for a closed socket, when that entered FIN-WAIT-2.
func (w *walker) timeWait(e tracer.Event, s tracer.StateChange) {
	if len(w.raw) == 0 || w.raw[0].New != rawClose || w.raw[0].Old.RFC() != s.From {
		w.contradict(&e, &s)
		w.write(e, s, e.T)
		return
	}
	at := w.raw[0].since(w.o.Offset)
	w.raw = w.raw[1:]
	s.StackState = rawClose.String()
	s.Via = ViaInferred
	w.write(e, s, max(at, e.T))
}

// leftover deals with a change that the kernel alone tells of.
func (w *walker) leftover() {
	c := w.raw[0]
	if w.from == tracer.FinWait2 && c.Old == rawFinWait2 && c.New == rawClose && len(w.out) > 0 {
		w.raw = w.raw[1:] // a closed socket: it goes on in FIN-WAIT-2, where the tracepoint does not see it
		return
	}
	s := tracer.StateChange{
		From: c.Old.RFC(), To: c.New.RFC(), Via: ViaTracepoint, StackState: stackState(c.New, c.New.RFC()),
	}
	if s.From != w.from || !w.explain(&s, c) {
		w.contradict(nil, nil)
		return
	}
	w.raw = w.raw[1:]
	s.RFC = tcpstate.Clause(s.From, s.To, s.Cause.Kind)
	w.write(w.like(), s, c.since(w.o.Offset))
}

// like is an event of the lane's, without a body.
func (w *walker) like() tracer.Event {
	if n := len(w.out); n > 0 {
		return w.out[n-1]
	}
	ch := w.lane.chain
	e := tracer.Event{Stack: w.o.Stack, Conn: w.lane.conn, Local: ch.local, Remote: ch.remote}
	for i := range w.o.Trace {
		if t := &w.o.Trace[i]; t.Stack == w.o.Stack && t.Conn == e.Conn && t.Local.IsValid() {
			e.Parent, e.Local, e.Remote = t.Parent, t.Local, t.Remote
		}
	}
	if ch.listener() {
		e.Remote = w.lane.chain.remote
	}
	return e
}

// explain finds the cause of a change that no segment shows. It errs on the safe side:
// what only a segment can cause is not explained.
func (w *walker) explain(s *tracer.StateChange, c Change) bool {
	if c.byCall() {
		s.Cause = tracer.Cause{Kind: tracer.CauseCall, What: callFor(c)}
	}
	for _, k := range w.o.Calls {
		if k.made(c) || k.Conn == w.lane.conn && k.Name == "close" && k.during(c) && c.New == rawClose {
			s.Cause = tracer.Cause{Kind: tracer.CauseCall, N: k.N, What: k.Name}
		}
	}
	if s.Cause.Kind == "" {
		s.Error = w.failure()
		s.Cause = tracer.Cause{Kind: tracer.CauseTimer, What: "gave up"}
		if s.Error != "" && !strings.Contains(s.Error, "timed out") {
			s.Cause = tracer.Cause{Kind: tracer.CauseICMP, What: s.Error}
		}
	}
	_, ok := tcpstate.Lookup(s.From, s.To, s.Cause.Kind)
	return ok
}

// callFor is the call that must have caused a change.
func callFor(c Change) string {
	switch c.New {
	case rawListen:
		return "listen"
	case rawSynSent:
		return "connect"
	default:
		return "close"
	}
}

// endings are the calls that return the error which a connection ended with.
var endings = []string{"connect", "send", "recv"}

// failure is the error that the connection's calls first returned, in words; "" for none.
func (w *walker) failure() string {
	for i := range w.o.Trace {
		e := &w.o.Trace[i]
		if k, ok := e.Body.(*tracer.Call); ok && e.Stack == w.o.Stack && e.Conn == w.lane.conn && k.Error != "" && slices.Contains(endings, k.Name) {
			return k.Error
		}
	}
	return ""
}

// inferred writes a change that the tracepoint cannot show.
func (w *walker) inferred(e tracer.Event, s tracer.StateChange) {
	s.Via = ViaInferred
	w.write(e, s, e.T)
}

// write adds a change; within a connection time never goes back.
func (w *walker) write(e tracer.Event, s tracer.StateChange, t time.Duration) {
	e.T = t
	if len(w.out) > 0 {
		e.T = max(t, w.last)
		s.Dwell = e.T - w.last
	}
	e.Body = &s
	w.out = append(w.out, e)
	w.last, w.from = e.T, s.To
}

func (w *walker) contradict(e *tracer.Event, s *tracer.StateChange) {
	k := &Contradiction{Conn: w.lane.conn, Inferred: s}
	if len(w.raw) > 0 {
		k.Raw = &w.raw[0]
		k.At = w.raw[0].since(w.o.Offset)
		k.Local, k.Remote = w.lane.chain.local, w.lane.chain.remote
	}
	if e != nil {
		k.At, k.Local, k.Remote = e.T, e.Local, e.Remote
	}
	w.err = k
}

// stackState is the kernel's word where it differs from the RFC's.
func stackState(raw RawState, s tracer.State) string {
	if word := raw.String(); word != s.String() {
		return word
	}
	return ""
}
