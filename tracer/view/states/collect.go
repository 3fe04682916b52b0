package states

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
	"appliance/tracer/view"
	"appliance/tracer/view/words"
)

// Options say what is drawn; the zero value is ready: the trace's connection, with both
// its ends, or where it has several all of them together, with the listeners.
type Options struct {
	Lang   words.Lang
	Conns  []uint32 // only these, each with its other end where that is traced; nil: all
	Stacks []string // only what these stacks saw; nil: all
	ASCII  bool     // the text has no character beyond ASCII
}

// Step is one change of state that a connection made.
type Step struct {
	From, To tracer.State
	Arrow    int           // its place in [Figure]; -1: the figure does not have it
	At       time.Duration // since the trace started
	Dwell    time.Duration // the time spent in From; -1 where there is none to tell
	N        uint64        // its event
	Cause    tracer.Cause
	Clause   string // as tracer.StateChange.RFC
	Listener uint32 // the listener that made it for this connection; 0: it did so itself
}

// Path is the way of one connection's end, or of a listener.
type Path struct {
	Conn  *view.Conn
	Steps []Step
	Open  time.Duration // the time spent in the last state when the trace ended; -1 where it had ended
}

// StateTally is what is known of one state.
type StateTally struct {
	Reached bool
	Visits  int             // how often a connection came into it; CLOSED is also where openers begin
	Dwells  []time.Duration // the finished visits, ascending; none for CLOSED
	Open    int             // visits that lasted until the trace's end
}

// Other is a change of state that figure 5 does not have: an abort, a reset, a time-out.
type Other struct {
	From, To tracer.State
	Kind     tracer.CauseKind
	What     string // the cause in words, of the first
	Count    int
	Legal    bool // it is among RFC 9293's or another document's (package tcpstate)
}

// Diagram is the state diagram with the ways that were taken.
type Diagram struct {
	// Paths are the ways: one or two, the opener's first, where Many is false.
	Paths  []Path
	Many   bool
	States map[tracer.State]*StateTally // every state
	Taken  []int                        // how often each arrow of [Figure] was taken
	Others []Other                      // in order of first appearance

	opts Options
}

// New gathers what the connections did. It errs where the trace has none of those that the
// options name, or no change of state.
func New(t *view.Trace, o Options) (*Diagram, error) {
	conns, many, err := choose(t, o)
	if err != nil {
		return nil, err
	}
	d := &Diagram{Many: many, States: map[tracer.State]*StateTally{}, Taken: make([]int, len(figure)), opts: o}
	for _, s := range allStates {
		d.States[s] = &StateTally{}
	}
	for _, c := range conns {
		if p := walk(t, c, !many); len(p.Steps) > 0 {
			d.Paths = append(d.Paths, p)
			d.tally(p)
		}
	}
	if len(d.Paths) == 0 {
		return nil, fmt.Errorf("%s made no change of state in this trace: was it written with level off, or cut off?", subject(o))
	}
	for _, s := range d.States {
		slices.Sort(s.Dwells)
	}
	return d, nil
}

func subject(o Options) string {
	if len(o.Conns)+len(o.Stacks) > 0 {
		return "what was asked for"
	}
	return "no connection"
}

// choose returns the connections that the options mean, and whether they are many.
func choose(t *view.Trace, o Options) (conns []*view.Conn, many bool, err error) {
	pairs := t.Pairs()
	if len(o.Conns) > 0 {
		if pairs, conns, err = named(t, o.Conns); err != nil {
			return nil, false, err
		}
	}
	switch {
	case len(pairs) == 1 && len(conns) == 0:
		conns = []*view.Conn{pairs[0].A}
		if b := pairs[0].B; b != nil {
			conns = append(conns, b)
		}
	case len(o.Conns) == 0:
		for _, c := range t.Conns {
			if !c.UDP {
				conns = append(conns, c)
			}
		}
		many = true
	default:
		many = len(pairs)+len(conns) > 1
		for _, p := range pairs {
			conns = append(conns, p.A)
			if p.B != nil {
				conns = append(conns, p.B)
			}
		}
	}
	if len(o.Stacks) > 0 {
		conns = slices.DeleteFunc(conns, func(c *view.Conn) bool { return !slices.Contains(o.Stacks, c.Stack) })
	}
	if len(conns) == 0 {
		return nil, false, fmt.Errorf("no connection of %s: trace summary lists what there is", described(o))
	}
	return conns, many && len(conns) > 1, nil
}

func described(o Options) string {
	if len(o.Stacks) > 0 {
		return "stack " + strings.Join(o.Stacks, ", ")
	}
	return "TCP is in this trace"
}

// named are the pairs and the listeners of the ids.
func named(t *view.Trace, ids []uint32) (pairs []view.Pair, listeners []*view.Conn, err error) {
	seen := map[*view.Conn]bool{}
	for _, id := range ids {
		c := t.Conn(id)
		if c == nil || c.UDP {
			return nil, nil, fmt.Errorf("the trace has no connection %d of TCP: trace summary lists what there is", id)
		}
		p, ok := t.PairOf(id)
		switch {
		case !ok && !seen[c]:
			seen[c] = true
			listeners = append(listeners, c)
		case ok && !seen[p.A]:
			seen[p.A] = true
			pairs = append(pairs, p)
		}
	}
	return pairs, listeners, nil
}

// walk follows a connection's changes of state. With the listener's, a connection that was
// opened passively begins with the change that made its listener listen.
func walk(t *view.Trace, c *view.Conn, withListener bool) Path {
	p := Path{Conn: c, Open: -1}
	if parent := t.Conn(c.Parent); parent != nil && withListener {
		for _, s := range walk(t, parent, false).Steps {
			if s.To == tracer.Listen {
				s.Listener, s.Dwell = parent.ID, -1
				p.Steps = append(p.Steps, s)
				break
			}
		}
	}
	for _, i := range c.Events {
		e := &t.Events[i]
		if b, ok := e.Body.(*tracer.StateChange); ok && b.From != b.To {
			p.Steps = append(p.Steps, p.step(t, e, b))
		}
	}
	if n := len(p.Steps); n > 0 && c.End == nil && p.Steps[n-1].To != tracer.Closed {
		p.Open = t.End() - p.Steps[n-1].At
	}
	return p
}

// step makes the next step of an event.
func (p *Path) step(t *view.Trace, e *tracer.Event, b *tracer.StateChange) Step {
	s := Step{From: b.From, To: b.To, At: e.T, Dwell: -1, N: e.N, Cause: b.Cause, Clause: b.RFC}
	s.Arrow = arrowOf(b.From, b.To, b.Cause.Kind, isReset(t, b.Cause))
	if n := len(p.Steps); n > 0 && p.Steps[n-1].Listener == 0 && b.From != tracer.Closed {
		if s.Dwell = b.Dwell; s.Dwell == 0 {
			s.Dwell = e.T - p.Steps[n-1].At
		}
	}
	return s
}

// isReset tells whether the cause is a RST that arrived.
func isReset(t *view.Trace, c tracer.Cause) bool {
	if c.Kind != tracer.CauseSegment {
		return false
	}
	if e := t.ByN(c.N); e != nil {
		if g, ok := e.Body.(*tracer.Segment); ok {
			return g.Flags.Has(tracer.RST)
		}
	}
	return strings.Contains(c.What, "RST")
}

// tally counts a path.
func (d *Diagram) tally(p Path) {
	if first := p.Steps[0]; first.From == tracer.Closed {
		d.States[first.From].Visits++
	}
	for _, s := range p.Steps {
		d.States[s.From].Reached = true
		to := d.States[s.To]
		to.Reached = true
		to.Visits++
		if s.Dwell >= 0 {
			d.States[s.From].Dwells = append(d.States[s.From].Dwells, s.Dwell)
		}
		if s.Arrow >= 0 {
			d.Taken[s.Arrow]++
			continue
		}
		d.other(s)
	}
	if p.Open >= 0 {
		d.States[p.Steps[len(p.Steps)-1].To].Open++
	}
}

func (d *Diagram) other(s Step) {
	for i := range d.Others {
		if o := &d.Others[i]; o.From == s.From && o.To == s.To && o.Kind == s.Cause.Kind {
			o.Count++
			return
		}
	}
	_, legal := tcpstate.Lookup(s.From, s.To, s.Cause.Kind)
	d.Others = append(d.Others, Other{s.From, s.To, s.Cause.Kind, s.Cause.What, 1, legal})
}

// Coverage tells how many of the 11 states were reached and how many of figure 5's
// transitions were taken.
func (d *Diagram) Coverage() (states, transitions int) {
	for _, s := range d.States {
		if s.Reached {
			states++
		}
	}
	for _, n := range d.Taken {
		if n > 0 {
			transitions++
		}
	}
	return states, transitions
}

// Missed are the states that were never reached and the transitions that were never taken.
func (d *Diagram) Missed() (states []tracer.State, transitions []Arrow) {
	for _, s := range allStates {
		if !d.States[s].Reached {
			states = append(states, s)
		}
	}
	for i, n := range d.Taken {
		if n == 0 {
			transitions = append(transitions, figure[i])
		}
	}
	return states, transitions
}
