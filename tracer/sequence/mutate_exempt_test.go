package sequence

import (
	"slices"
	"strings"

	"appliance/tracer"
)

// exemptions tell which mutants change nothing of what the sequence says. They go by the rows
// that the good trace's events took.
type exemptions struct {
	j      *judge
	leaf   map[int]*rowLeaf // by event; a call's enter and return both
	tracks map[int]*track
	free   map[*Row]bool // rows of an optional group
	pair   map[int]int   // where what went out came in
}

func newExemptions(in *MatchInput) *exemptions {
	j := newJudge(in)
	if m := j.connections(); m != nil {
		panic(m)
	}
	if m := j.rows(); m != nil {
		panic(m)
	}
	x := &exemptions{j: j, leaf: map[int]*rowLeaf{}, tracks: map[int]*track{}, free: map[*Row]bool{}, pair: map[int]int{}}
	for _, p := range x.pairs() {
		x.pair[p[0]] = p[1]
	}
	for i := range j.expect {
		x.optional(&j.expect[i], false)
	}
	for i, t := range j.tracks {
		for _, item := range t.items {
			x.tracks[j.eventOf(t, item)] = t
		}
		for _, s := range j.paths[i] {
			x.leaf[j.eventOf(t, s.item)] = s.leaf
			if t.kind == callTrack {
				x.leaf[j.calls[s.item].ret] = s.leaf
			}
		}
	}
	return x
}

// optional finds the rows that may be missing.
func (x *exemptions) optional(r *Row, free bool) {
	g, ok := r.Body.(Group)
	if !ok {
		x.free[r] = free
		return
	}
	for _, list := range g.Lists {
		for i := range list {
			x.optional(&list[i], free || g.Kind == Optional)
		}
	}
}

// exempt returns why a mutant may pass; "" where it must not.
func (x *exemptions) exempt(m *mutant) string {
	e := &x.j.in.Events[m.at]
	gone := m.kind == "drop" || m.kind == "duplicate" || m.kind == "stack" // another stack's is none of this one's
	switch b := e.Body.(type) {
	case *tracer.TCB:
		if m.kind == "variable" && x.j.seen[m.at].end != endIndex(x.j.in.Run.Check.TCB) || x.j.in.Run.Check.TCB == "" {
			return "variables that no check speaks of"
		}
		if gone {
			return "variables are told besides; rows do not speak of them"
		}
	case *tracer.Segment:
		return x.exemptSegment(m, b, gone)
	case *tracer.Call:
		return x.exemptCall(m, b, gone)
	case *tracer.StateChange:
		if m.kind == "dwell" && (!x.j.in.Virtual || !x.j.ends[x.j.seen[m.at].end].own) {
			return "no two runs of a real clock take the same time, and rows say at least"
		}
	default:
	}
	if m.kind == "swap" {
		return x.exemptSwap(m.at, m.at+1)
	}
	return ""
}

// numbers are the mutants of a segment's numbers.
var numbers = map[string]bool{"seq": true, "rel_seq": true, "ack": true, "rel_ack": true, "len": true}

// open tells whether a condition leaves a number open.
func open(c Number) bool { return c.Op == Any || c.Op == More || c.Op == AtLeast || c.Op == AtMost }

func (x *exemptions) exemptSegment(m *mutant, g *tracer.Segment, gone bool) string {
	l := x.leaf[m.at]
	switch {
	case m.kind == "swap":
		return x.exemptSwap(m.at, m.at+1)
	case strings.HasPrefix(m.kind, "both: "):
		return x.exemptPair(m, g)
	case m.kind == "flag" && m.what == "PSH" && (l == nil || !l.row.Body.(SegmentRow).Flags.Has(tracer.PSH)):
		return "PSH counts only where a row writes it"
	case l != nil && (m.kind == "len" && open(l.row.Body.(SegmentRow).Len) || m.kind == "seq" && open(l.row.Body.(SegmentRow).Seq) ||
		m.kind == "ack" && open(l.row.Body.(SegmentRow).Ack)):
		return "the row leaves the number open"
	case l == nil && x.allowedAt(m.at) && g.Dir == tracer.In && x.j.in.Players[endNames[1-x.j.seen[m.at].end]] == Script && numbers[m.kind]:
		return "allowed besides, and a script may send what it likes"
	case x.j.slots[x.j.seen[m.at].slot].stray:
		return "what came for no connection: the check no_answer judges the answer, not the question"
	case m.kind == "option" && l != nil && l.row.Body.(SegmentRow).Opts == nil:
		return "a row that does not name the options leaves them open"
	case gone && x.allowedAt(m.at) && (l == nil || m.kind == "duplicate" || x.hasTwin(m.at)):
		return "allowed besides, in any number"
	case m.kind == "ack" && l == nil && x.allowedAt(m.at):
		return "allowed besides, in any number, whatever it acknowledges"
	case m.kind == "drop" && l != nil && x.free[l.row]:
		return "the row is optional"
	case m.kind == "seq" && l == nil && x.allowedAt(m.at) && x.heldUp(m.at):
		return "allowed besides, and the link holds up what would show that nothing ends there"
	case gone && x.loose(m.at):
		return "the row takes one more or fewer"
	}
	return ""
}

// hasTwin tells whether another event of the same track looks the same: then the one can stand
// for the other.
func (x *exemptions) hasTwin(i int) bool {
	return slices.ContainsFunc(x.tracks[i].items, func(k int) bool {
		return k != i && x.alike(i, k) && x.allowedAt(k)
	})
}

// loose tells whether an event's row, or that of another that looks the same, takes any number.
func (x *exemptions) loose(i int) bool {
	return slices.ContainsFunc(x.tracks[i].items, func(k int) bool {
		l := x.leaf[k]
		if l == nil || !x.alike(i, k) {
			return false
		}
		row := l.row.Body.(SegmentRow)
		return row.Min != row.Max
	})
}

// alike tells whether two events look the same to a row, but for notes.
func (x *exemptions) alike(a, b int) bool {
	g, ok := x.j.in.Events[a].Body.(*tracer.Segment)
	o, also := x.j.in.Events[b].Body.(*tracer.Segment)
	return ok && also && x.j.seen[a].slot == x.j.seen[b].slot && o.Dir == g.Dir && o.Flags == g.Flags && o.Seq == g.Seq &&
		o.Ack == g.Ack && o.Len == g.Len && o.Dropped == g.Dropped
}

// heldUp tells whether the link holds up something that comes in on the same connection.
func (x *exemptions) heldUp(i int) bool {
	for k := i; k < len(x.j.in.Events); k++ {
		if g, ok := x.j.in.Events[k].Body.(*tracer.Segment); ok && g.Dir == tracer.In && x.j.seen[k].slot == x.j.seen[i].slot && moved(g.Notes) {
			return true
		}
	}
	return false
}

func (x *exemptions) exemptCall(m *mutant, c *tracer.Call, gone bool) string {
	switch {
	case m.kind == "swap":
		return x.exemptSwap(m.at, m.at+1)
	case m.kind == "bytes" && c.Error != "" && c.Bytes == 0:
		return "a call that failed moved nothing, whether it says 0 or none"
	case x.leaf[m.at] == nil && (c.Name == "setsockopt" || c.Name == "connect") && (gone || m.kind == "call" || m.kind == "phase"):
		return "a call that causes nothing, which the file does not list"
	}
	return ""
}

// exemptSwap returns why two neighbours may change places; "" where they must not.
func (x *exemptions) exemptSwap(a, b int) string {
	p, q := &x.j.in.Events[a], &x.j.in.Events[b]
	if x.refers(q.Body, p.N) {
		return ""
	}
	if p.Body.Type() == tracer.TypeTCB || q.Body.Type() == tracer.TypeTCB {
		return "variables are told besides; rows do not speak of them"
	}
	switch s, r := &x.j.seen[a], &x.j.seen[b]; {
	case s.end != r.end:
		if x.pair[a] == b && b != 0 {
			return "" // it comes in before it goes out
		}
		return "they are at different ends, and neither is the other's cause"
	case x.tracks[a] != nil && x.tracks[a] == x.tracks[b]:
		return x.exemptOrder(a, b)
	case x.bound(a, b):
		return ""
	default:
		return "they are of different tracks, and neither is the other's cause"
	}
}

func (x *exemptions) refers(b tracer.Body, n uint64) bool {
	switch b := b.(type) {
	case *tracer.StateChange:
		return b.Cause.N == n
	case *tracer.Call:
		return b.Of == n
	case *tracer.TCB:
		return b.After == n
	default:
		return false
	}
}

// exemptOrder is for neighbours in one track: the file must leave their order open.
func (x *exemptions) exemptOrder(a, b int) string {
	l, k := x.leaf[a], x.leaf[b]
	switch {
	case l == nil && x.allowedAt(a), k == nil && x.allowedAt(b):
		return "one of them is allowed besides, anywhere"
	case l == nil || k == nil:
		return ""
	case l == k && l.max != 1:
		return "they are two of the same row"
	case x.alike(a, b):
		return "they look alike"
	case !k.follows(l):
		return "they are in any order"
	default:
		return ""
	}
}

func (x *exemptions) allowedAt(i int) bool {
	if x.tracks[i] == nil {
		return false
	}
	item := i
	if c := x.j.seen[i].call; c >= 0 {
		item = c
	}
	return x.j.allowed(x.tracks[i], item)
}

// bound tells whether two neighbours of one end that are of different tracks have an order all
// the same: the doc's "a segment after the call that it takes", "a call's return after what it
// reports", and the like.
func (x *exemptions) bound(a, b int) bool {
	p, q := x.j.in.Events[a], x.j.in.Events[b]
	sameConn := x.j.seen[a].slot == x.j.seen[b].slot
	switch before := p.Body.(type) {
	case *tracer.Segment:
		c, ok := q.Body.(*tracer.Call)
		return ok && sameConn && c.Phase == tracer.PhaseReturn && c.Name == "recv" && before.Dir == tracer.In &&
			(before.Len > 0 || before.Flags&(tracer.FIN|tracer.RST) != 0)
	case *tracer.Datagram:
		c, ok := q.Body.(*tracer.Call)
		return ok && c.Phase == tracer.PhaseReturn && c.Name == "recv" && before.Dir == tracer.In
	case *tracer.StateChange:
		return x.boundState(before, a, b)
	case *tracer.Call:
		return x.boundCall(before, a, b)
	case *tracer.End:
		return p.Conn == q.Conn
	default:
		return false
	}
}

// boundState is bound for a state change that comes first.
func (x *exemptions) boundState(s *tracer.StateChange, a, b int) bool {
	sameConn := x.j.seen[a].slot == x.j.seen[b].slot
	switch q := x.j.in.Events[b].Body.(type) {
	case *tracer.Segment: // the state's own segment
		own := x.j.ends[x.j.seen[a].end].own
		return own && sameConn && q.Dir == tracer.Out && (q.Flags.Has(tracer.SYN) && (s.To == tracer.SynSent || s.To == tracer.SynReceived) ||
			q.Flags.Has(tracer.FIN) && (s.To == tracer.FinWait1 || s.To == tracer.LastAck))
	case *tracer.Call:
		names := map[tracer.State][]string{
			tracer.Listen: {"listen"}, tracer.Established: {"connect", "accept"}, tracer.Closed: {"connect"},
		}
		c := x.j.seen[b].call
		reports := sameConn || x.j.calls[c].child == x.j.seen[a].slot
		return s.Via != viaInferred && q.Phase == tracer.PhaseReturn && reports && slices.Contains(names[s.To], q.Name)
	case *tracer.End:
		return true
	default:
		return false
	}
}

// boundCall is bound for a call's event that comes first.
func (x *exemptions) boundCall(c *tracer.Call, a, b int) bool {
	sameConn := x.j.seen[a].slot == x.j.seen[b].slot
	switch q := x.j.in.Events[b].Body.(type) {
	case *tracer.Segment: // data and FIN go out after their calls
		return c.Phase == tracer.PhaseEnter && sameConn && q.Dir == tracer.Out &&
			(c.Name == "send" && q.Len > 0 || (c.Name == "close" || c.Name == "shutdown") && q.Flags.Has(tracer.FIN))
	case *tracer.Datagram:
		return c.Phase == tracer.PhaseEnter && c.Name == "send" && q.Dir == tracer.Out
	case *tracer.Call:
		if c.Phase == tracer.PhaseEnter || q.Phase == tracer.PhaseReturn || c.Error != "" {
			return false // returns have no order of their own, nor has what begins while another waits
		}
		listed := x.leaf[a] != nil && x.leaf[b] != nil && x.leaf[b].follows(x.leaf[a])
		uses := x.j.in.Events[b].Conn == c.Conn && c.Name == "accept" || x.j.in.Events[a].Conn == x.j.in.Events[b].Conn
		return listed && uses
	default:
		return false
	}
}
