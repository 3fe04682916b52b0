package sequence

import (
	"fmt"
	"maps"
	"slices"

	"appliance/tracer"
	"appliance/tracer/strictyaml"
	"appliance/tracer/tcpstate"
)

// rowsCheck goes through a run's rows, as they are with some players, in every way that the groups
// leave open.
type rowsCheck struct {
	v       *validator
	players Players
	aside   string // says with whom
	scope
	every   map[string]bool // every label, wherever it is
	reached map[stateAt]bool
	strays  bool // there are segments that no row speaks of
}

// judge goes through the run's rows, and then through the waits of its programs.
func (f *rowsCheck) judge(r *Run) {
	f.scope = scope{map[string]arrival{}, map[callAt]bool{}, map[chain]stateSet{}}
	rows := r.Rows(f.players)
	f.every, f.reached, f.strays = make(map[string]bool), make(map[stateAt]bool), len(r.Extra) > 0
	f.allLabels(rows)
	f.rows(rows)
	for _, end := range []End{Client, Server} {
		if steps, key, ok := r.Program(end, f.players[end]); ok {
			f.waits(steps, under("programs", key))
		}
	}
}

func (f *rowsCheck) allLabels(rows []Row) {
	for _, row := range rows {
		switch b := row.Body.(type) {
		case SegmentRow:
			f.every[b.Label] = true
		case DatagramRow:
			f.every[b.Label] = true
		case Group:
			for _, list := range b.Lists {
				f.allLabels(list)
			}
		default:
		}
	}
	delete(f.every, "")
}

func (f *rowsCheck) fail(row Row, format string, args ...any) {
	f.v.add(row.Line, "expect", quoteLine(row.String())+": "+fmt.Sprintf(format, args...), f.aside)
}

// unseen tells whether an end's states are not all in the rows: a script has none, and what a
// script besides the two ends brings about is no row's matter.
func (f *rowsCheck) unseen(end End) bool { return f.scripted(end) || f.strays }

// scripted tells whether an end is a script's: it has no calls and no states.
func (f *rowsCheck) scripted(end End) bool { return f.players[end] == Script }

func (f *rowsCheck) rows(rows []Row) {
	for _, row := range rows {
		switch b := row.Body.(type) {
		case CallRow:
			f.calls[callAt{b.At, b.Call, b.Listener}] = true
		case StateRow:
			if !f.scripted(b.At.End) {
				f.state(row, b)
			}
		case SegmentRow:
			f.label(row, b.Label, arrival{from: b.From, arrives: b.Way != Sent && !b.Lost, tcp: true, certain: b.Min > 0})
		case DatagramRow:
			f.label(row, b.Label, arrival{from: b.From, arrives: b.Way != Sent && !b.Lost, certain: true})
		case Group:
			f.group(row, b)
		case TimerRow:
		}
	}
}

func (f *rowsCheck) group(row Row, g Group) {
	switch g.Kind {
	case AnyOrder:
		f.threads(row, g)
		for _, list := range g.Lists {
			f.rows(list)
		}
	case Either, Optional:
		before := f.scope
		var after []scope
		for _, list := range g.Lists {
			f.scope = before.clone()
			f.rows(list)
			after = append(after, f.scope)
		}
		if g.Kind == Optional {
			after = append(after, before)
		}
		f.scope = after[0]
		for _, s := range after[1:] {
			f.scope = f.either(s)
		}
	default: // Only's rows stand in its place
	}
}

// threads checks that no chain of states is in two threads: the order of its states is known.
func (f *rowsCheck) threads(row Row, g Group) {
	owner := make(map[chain]int)
	for i, list := range g.Lists {
		for c := range f.chains(list) {
			if other, ok := owner[c]; ok && other != i {
				f.v.add(row.Line, "expect", fmt.Sprintf(
					"two items of an any-order have changes of state of %s, whose order is known: put them into one list", c), f.aside)
			}
			owner[c] = i
		}
	}
}

// chains returns the chains that rows have states of.
func (f *rowsCheck) chains(rows []Row) map[chain]bool {
	all := make(map[chain]bool)
	for _, row := range rows {
		switch b := row.Body.(type) {
		case StateRow:
			if !f.scripted(b.At.End) {
				all[chainOf(b)] = true
			}
		case Group:
			for _, list := range b.Lists {
				maps.Copy(all, f.chains(list))
			}
		default:
		}
	}
	return all
}

// chainOf tells whose change it is. The listener's own are from CLOSED to LISTEN and back.
func chainOf(b StateRow) chain {
	if b.From == tracer.Closed && b.To == tracer.Listen || b.From == tracer.Listen && b.To == tracer.Closed {
		return chain{At{End: b.At.End}, true}
	}
	return chain{at: b.At}
}

// label notes a segment's or a datagram's label.
func (f *rowsCheck) label(row Row, label string, a arrival) {
	if label == "" {
		return
	}
	if before, ok := f.labels[label]; ok {
		f.fail(row, "line %d has the label %s already", before.line, label)
		return
	}
	a.line = row.Line
	f.labels[label] = a
}

// state checks a change of state and its cause.
func (f *rowsCheck) state(row Row, b StateRow) {
	c := chainOf(b)
	set := f.of(c)
	f.states[c] = setOf(b.To)
	f.reached[stateAt{b.At, b.To}] = true
	if !tcpstate.Legal(b.From, b.To) {
		f.fail(row, "RFC 9293 has no such change: from %s a connection goes to %s", b.From, legalFrom(b.From))
		return
	}
	begins := b.From == tracer.Closed || b.From == tracer.Listen && !c.listener
	switch {
	case set == notBegun && begins:
	case set == notBegun:
		f.fail(row, "%s has not been in %s: no row before takes it there", c, b.From)
	case set == setOf(tracer.Closed):
		f.fail(row, "%s is CLOSED for good: another connection needs a name of its own", c)
	case set != setOf(b.From):
		f.fail(row, "%s is not in %s here: it is in %s", c, b.From, set.names())
	}
	f.cause(row, b, c)
}

// legalFrom names the states that may follow.
func legalFrom(from tracer.State) string {
	var names []string
	for to := tracer.Closed; to <= tracer.TimeWait; to++ {
		if tcpstate.Legal(from, to) {
			names = append(names, to.String())
		}
	}
	return strictyaml.List(names)
}

// kind returns what sort of thing a cause is.
func (b By) kind() tracer.CauseKind {
	switch {
	case b.Call != "":
		return tracer.CauseCall
	case b.Label != "":
		return tracer.CauseSegment
	case b.Timer != "":
		return tracer.CauseTimer
	default:
		return b.Other
	}
}

// kindWords are the kinds of causes, for people.
var kindWords = map[tracer.CauseKind]string{
	tracer.CauseSegment: "a segment",
	tracer.CauseCall:    "a call",
	tracer.CauseTimer:   "a timer",
	tracer.CauseICMP:    "an ICMP message",
	tracer.CauseStack:   "the stack itself",
}

// cause checks that such a thing may cause the change, and that it has happened.
func (f *rowsCheck) cause(row Row, b StateRow, c chain) {
	if _, ok := tcpstate.Lookup(b.From, b.To, b.By.kind()); !ok {
		var kinds []string
		for _, k := range []tracer.CauseKind{
			tracer.CauseCall, tracer.CauseSegment, tracer.CauseTimer, tracer.CauseICMP, tracer.CauseStack,
		} {
			if _, ok := tcpstate.Lookup(b.From, b.To, k); ok {
				kinds = append(kinds, kindWords[k])
			}
		}
		f.fail(row, "%s does not cause this change: %s does", kindWords[b.By.kind()], strictyaml.List(kinds))
		return
	}
	switch {
	case b.By.Call != "":
		f.byCall(row, b, c)
	case b.By.Label != "":
		f.byLabel(row, b)
	}
}

// byCall checks that the call has come, at that end: of the connection or of the listener.
func (f *rowsCheck) byCall(row Row, b StateRow, c chain) {
	at := b.At
	if c.listener {
		at = c.at
	}
	// That of the listener ends what is half-open, too.
	closes := b.By.Call == string(Close) && (c.listener || b.From == tracer.SynReceived)
	switch {
	case closes && f.calls[callAt{At{End: b.At.End}, b.By.Call, true}]:
	case closes && c.listener:
		f.fail(row, "no row before has the call: %s close listener", at)
	case !f.calls[callAt{at, b.By.Call, false}]:
		f.fail(row, "no row before has the call: %s %s", at, b.By.Call)
	}
}

// byLabel checks that the segment has arrived at that end.
func (f *rowsCheck) byLabel(row Row, b StateRow) {
	label := b.By.Label
	a, ok := f.labels[label]
	switch {
	case !ok && f.every[label]:
		f.fail(row, "the segment %s does not come before, in any way that leads here", label)
	case !ok:
		f.fail(row, "no segment has the label %s%s", label, strictyaml.DidYouMean(label, slices.Sorted(maps.Keys(f.every))))
	case a.mixed:
		f.fail(row, "the segment %s is not sent and received alike in every way that leads here", label)
	case !a.tcp:
		f.fail(row, "%s (line %d) is a datagram", label, a.line)
	case a.from.End == b.At.End:
		f.fail(row, "%s sends the segment %s (line %d) itself: a state changes by what arrives", b.At.End, label, a.line)
	case !a.arrives:
		f.fail(row, "the segment %s (line %d) does not arrive in that row; where two cross, the row with ◀ is the one to name", label, a.line)
	case a.from.Conn != b.At.Conn:
		f.fail(row, "the segment %s (line %d) is %s's, of another connection", label, a.line, a.from)
	}
}

// waits checks that what a program waits for comes.
func (f *rowsCheck) waits(steps []Step, key string) {
	fail := func(s *Step, format string, args ...any) {
		f.v.add(s.Line, key, quoteLine(s.String())+": "+fmt.Sprintf(format, args...), f.aside)
	}
	for i := range steps {
		s := &steps[i]
		for _, list := range s.Together {
			f.waits(list, key)
		}
		if s.Do != Wait {
			continue
		}
		a, ok := f.labels[s.Label]
		switch {
		case s.End != "":
			if !f.unseen(s.End) && !f.reached[stateAt{At{s.End, s.Conn}, s.State}] {
				fail(s, "it would wait for ever: no row of expect takes %s to %s", At{s.End, s.Conn}, s.State)
			}
		case s.Label == "" || a.certain:
		case ok:
			fail(s, "it might wait for ever: the segment does not come in every way through")
		default:
			fail(s, "it would wait for ever: no segment has this label%s",
				strictyaml.DidYouMean(s.Label, slices.Sorted(maps.Keys(f.every))))
		}
	}
}
