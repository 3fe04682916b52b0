package scenario

import (
	"fmt"
	"slices"
	"strings"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// connKey is a connection of a stack's.
type connKey struct {
	stack string
	conn  uint32
}

// ending tells whether every connection has come to its end. It looks at each event once.
type ending struct {
	stage *stage
	seen  int
	open  map[connKey]tracer.State // those with no end yet
	been  map[connKey]bool         // those that have been where the run waits for them
	calls map[uint64]string        // in progress, by their enters: all but those that may wait for ever
	air   flight
}

func newEnding(s *stage) *ending {
	return &ending{
		stage: s, open: map[connKey]tracer.State{}, been: map[connKey]bool{}, calls: map[uint64]string{}, air: newFlight(s),
	}
}

// over tells whether no connection that the appliance's stacks have in the trace is still
// on its way: each has its end, or has been in the state that the run waits for at its end.
// A server that serves without end may be about to return from a send: that is waited for;
// and so is what one stack has sent and the other has not got.
func (g *ending) over(events []tracer.Event) bool {
	for _, e := range events[g.seen:] {
		g.take(&e)
	}
	g.seen = len(events)
	for k := range g.open {
		if !g.been[k] {
			return false
		}
	}
	return len(g.calls) == 0 && g.air.landed()
}

func (g *ending) take(e *tracer.Event) {
	g.air.take(e)
	k := connKey{e.Stack, e.Conn}
	switch b := e.Body.(type) {
	case *tracer.StateChange:
		if b.To == tracer.Listen || b.From == tracer.Listen && !e.Remote.IsValid() {
			return // a listener has no end
		}
		g.open[k] = b.To
		g.been[k] = g.been[k] || g.reached(e.Stack, b.To)
	case *tracer.End:
		delete(g.open, k)
	case *tracer.Call:
		switch {
		case b.Phase == tracer.PhaseReturn:
			delete(g.calls, b.Of)
		case b.Phase == tracer.PhaseEnter && b.Name != "accept" && b.Name != "recv":
			g.calls[e.N] = b.Name
		}
	default:
	}
}

// reached tells whether a connection in this state need go no further.
func (g *ending) reached(stack string, state tracer.State) bool {
	for _, e := range []sequence.End{sequence.Client, sequence.Server} {
		if g.stage.stackOf(e) != stack {
			continue
		}
		if !g.stage.traced(e) {
			return true
		}
		until, ok := g.stage.run.Until[e]
		return ok && state == until
	}
	return true
}

// left says which connections are not at their end: "C is in FIN-WAIT-2".
func (g *ending) left() string {
	var all []string
	for k, state := range g.open {
		if g.been[k] {
			continue
		}
		end := sequence.Client
		if k.stack == serverStack {
			end = sequence.Server
		}
		all = append(all, fmt.Sprintf("%s (connection %d) is in %s", end, k.conn, state))
	}
	for n, name := range g.calls {
		all = append(all, fmt.Sprintf("%s (#%d) has not returned", name, n))
	}
	all = append(all, g.air.left()...)
	slices.Sort(all)
	return strings.Join(all, ", ")
}
