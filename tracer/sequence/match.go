package sequence

import (
	"appliance/tracer"
)

// MatchInput is a trace and what it is to be judged by.
type MatchInput struct {
	Run     *Run
	Players Players
	// Stacks are the stacks' names in the trace ("client", "server", "peer"), by the end that each
	// plays. A script's end has none.
	Stacks map[End]string
	// Segments tells whose segments and timers are in the trace. Linux's end has states, and
	// calls where Go makes them, but no segments of its own: the other end's stand for them.
	Segments map[End]bool
	// Calls tells whose calls are in the trace. A Python program's are not.
	Calls map[End]bool
	// Inferred tells whose states were inferred from segments alone, with no word of the
	// kernel's. Where such an end's calls are not in the trace, the close of its listener,
	// which no segment shows, may be missing.
	Inferred map[End]bool
	// Virtual says that the run's clock was virtual: "after" is then exact.
	Virtual bool
	Events  []tracer.Event // in order of N
}

// Match judges a trace. It returns nil when the trace is what the run expects, and else the
// first place where they part: of the alternatives that the file leaves, the one that got
// furthest. What rows do not say but any true trace fulfils (a cause comes before its effect;
// what arrives has been sent; …) is judged after the rows, and so is what the run's checks say.
func Match(in MatchInput) *Mismatch {
	j := newJudge(&in)
	for _, stage := range []func(*judge) *Mismatch{
		checkNumbers, checkCalls, (*judge).connections, (*judge).rows, (*judge).sense, (*judge).checks,
	} {
		if m := stage(j); m != nil {
			return m
		}
	}
	return nil
}

// The ends as indexes.
const (
	endC = iota
	endS
	noEnd
)

var endNames = [...]End{Client, Server}

// judge is one judgment of one trace.
type judge struct {
	in     *MatchInput
	expect []Row // with these players
	port   uint16
	ends   [2]endInfo
	seen   []seenEvent // one for each event of the trace
	slots  []slot
	calls  []callRecord
	graph  graph
	tracks []*track
	paths  [][]step // what each track's rows took, once they fit
}

// endInfo is what the trace has of an end.
type endInfo struct {
	stack    string // "" for a script's
	states   bool
	segments bool
	calls    bool
	own      bool // the appliance plays it: what only its hooks promise holds
}

// seenEvent is what the judge knows of one event of the trace.
type seenEvent struct {
	end  int   // endC, endS or noEnd
	slot int   // the connection; -1 for none
	call int   // a call's record; -1 for none
	seq  reckd // a segment's numbers, relative where anything tells
	ack  reckd
	// answersProbe: the segment before it on the connection, from the other end, is a probe.
	answersProbe bool
}

// reckd is a number as the judge reckons it: relative to the initial one, where that is known.
type reckd struct {
	n   uint32
	rel bool
}

func newJudge(in *MatchInput) *judge {
	j := &judge{in: in, expect: in.Run.Rows(in.Players), port: in.Run.Port}
	if j.port == 0 {
		j.port = 9000
	}
	for i, e := range endNames {
		stack := in.Stacks[e]
		traced := stack != ""
		j.ends[i] = endInfo{
			stack: stack, states: traced, segments: traced && in.Segments[e], calls: traced && in.Calls[e],
			own: traced && in.Players[e] == Stack,
		}
	}
	j.index()
	return j
}

// endOf returns the end whose stack bears the name.
func (j *judge) endOf(stack string) int {
	for i := range j.ends {
		if stack != "" && j.ends[i].stack == stack {
			return i
		}
	}
	return noEnd
}

func endIndex(e End) int {
	if e == Server {
		return endS
	}
	return endC
}

// byN returns the index of the event with a number; -1 where there is none. Numbers rise by
// one from 1: checkNumbers has seen to it.
func (j *judge) byN(n uint64) int {
	if n == 0 || n > uint64(len(j.in.Events)) {
		return -1
	}
	return int(n - 1) //nolint:gosec // below len
}

// atSlot says where an event is, in the file's words: "S", "S.b".
func (j *judge) atSlot(end, s int) string {
	if end == noEnd {
		return "trace"
	}
	name := string(endNames[end])
	if s >= 0 && j.slots[s].name != "" {
		name += "." + j.slots[s].name
	}
	return name
}

// amiss is a mismatch that no row brings: rule says what holds in any true trace.
func (j *judge) amiss(i int, rule, why string) *Mismatch {
	e := &j.in.Events[i]
	return &Mismatch{
		At: j.atSlot(j.seen[i].end, j.seen[i].slot), Expected: rule, Seen: j.eventWords(i), N: e.N, Why: why,
	}
}

// rows judges the trace by the run's rows.
func (j *judge) rows() *Mismatch {
	j.plan()
	accepted := []string{j.graph.undecided()}
	var failed *Mismatch
	for _, t := range j.tracks {
		r := j.follow(t, j.graph.undecided())
		if r.failure != nil {
			failed = earlier(failed, r.failure)
			continue
		}
		if len(r.choices) > maxChoices {
			return tooMany(t.name(), "choices between alternatives")
		}
		if failed != nil {
			continue
		}
		joined := join(accepted, r.choices)
		if len(joined) == 0 {
			return j.disagreement(t, accepted)
		}
		if len(joined) > maxChoices {
			return tooMany(t.name(), "choices between alternatives")
		}
		accepted = joined
	}
	if failed != nil {
		return failed
	}
	var best *Mismatch
	for _, choice := range accepted {
		paths, m := j.settle(choice)
		if m == nil {
			j.paths = paths
			return nil
		}
		best = further(best, m)
	}
	return best
}

// disagreement is the mismatch of a track that fits the rows by itself, but not with the
// alternatives that the tracks before it have taken.
func (j *judge) disagreement(t *track, accepted []string) *Mismatch {
	var best *Mismatch
	for _, choice := range accepted {
		if r := j.follow(t, choice); r.failure != nil {
			best = further(best, r.failure)
		}
	}
	if best != nil {
		best.Why += " (of the alternatives, the ones that the rest of the trace takes)"
	}
	return best
}

// place is where in the trace a mismatch is: at its end where no event stands for it.
func (m *Mismatch) place() uint64 {
	if m.N == 0 {
		return ^uint64(0)
	}
	return m.N
}

// earlier returns the mismatch that comes first in the trace: a is nil or one of those before.
func earlier(a, b *Mismatch) *Mismatch {
	if a == nil || b.place() < a.place() || b.place() == a.place() && b.Line < a.Line {
		return b
	}
	return a
}

// further returns the mismatch that got further.
func further(a, b *Mismatch) *Mismatch {
	if a == nil || b.place() > a.place() {
		return b
	}
	return a
}

// join returns the choices that agree with one of a and one of b, at most one more than maxChoices.
func join(a, b []string) []string {
	var both []string
	known := map[string]bool{}
	for _, x := range a {
		for _, y := range b {
			if m, ok := merge(x, y); ok && !known[m] {
				known[m] = true
				both = append(both, m)
			}
		}
		if len(both) > maxChoices {
			break
		}
	}
	return both
}

// merge returns what two choices say together; ok is false when they contradict.
func merge(a, b string) (string, bool) {
	if a == b {
		return a, true
	}
	m := []byte(a)
	for i := range m {
		switch {
		case m[i] == 0:
			m[i] = b[i]
		case b[i] != 0 && b[i] != m[i]:
			return "", false
		}
	}
	return string(m), true
}
