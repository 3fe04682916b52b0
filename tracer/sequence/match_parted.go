package sequence

import (
	"strings"

	"appliance/tracer"
)

// parted is the mismatch of a track that no way leads on from: at is the place among the track's
// items of the one that nothing takes, or their number where too few came.
func (f *follower) parted(at int) *Mismatch {
	best := parting{j: f.j, t: f.t, difference: otherKind, item: -1}
	if at < len(f.t.items) {
		best.item = f.t.items[at]
	}
	waiting := 0
	for _, w := range f.live {
		s := f.steps[w]
		f.j.graph.offers(s.node, s.choice, func(leaf *node, _ string, _ func(*node) *node) {
			waiting++
			f.nearest(&best, leaf, &s, at)
		})
	}
	m := best.mismatch()
	if waiting > 1 && best.leaf != nil {
		m.Expected += ", or another of " + number(waiting) + " rows"
	}
	return m
}

// nearest takes a row that waits for an event into the account: of the event that nothing takes,
// and of those that were passed over on the way to it, which are allowed besides.
func (f *follower) nearest(best *parting, leaf *node, s *step, at int) {
	from := at
	for from > 0 && f.j.eventOf(f.t, f.t.items[from-1]) > s.last {
		from--
	}
	if best.leaf == nil {
		best.leaf, best.last = leaf, s.last
	}
	for k := from; k <= at; k++ {
		if k == len(f.t.items) {
			break
		}
		item := f.t.items[k]
		d := f.j.compare(f.t, leaf, item, s.last)
		// What was allowed is worth telling of only where it is nearly the row.
		if k < at && d < otherSeq || d == same {
			continue
		}
		if d > best.difference || best.leaf == nil {
			best.leaf, best.last, best.item, best.difference = leaf, s.last, item, d
		}
	}
}

// parting is where a track parts from its rows.
type parting struct {
	j          *judge
	t          *track
	leaf       *node // the row; nil where none is left
	last       int
	item       int // what came; -1 for nothing more
	difference difference
}

func (p *parting) mismatch() *Mismatch {
	m := &Mismatch{At: p.t.name(), Expected: "nothing more", Seen: "nothing more"}
	if p.item >= 0 {
		i := p.j.eventOf(p.t, p.item)
		m.N, m.Seen = p.j.in.Events[i].N, p.j.itemWords(p.t, p.item)
		m.At = p.at(i)
	}
	if p.leaf != nil {
		m.Line, m.Expected = p.leaf.leaf.row.Line, p.leaf.leaf.row.String()
	}
	m.Why = p.why()
	return m
}

// at says where an event is, in the track's terms.
func (p *parting) at(i int) string {
	where := p.j.atSlot(p.t.end, p.j.seen[i].slot)
	return where + strings.TrimPrefix(p.t.name(), string(endNames[p.t.end]))
}

// why says what is different.
func (p *parting) why() string {
	switch {
	case p.leaf == nil && p.item < 0:
		return "the rows cannot come to an end here"
	case p.leaf == nil:
		return "no row is left for it" + p.hint()
	case p.item < 0:
		return p.missing()
	}
	switch row := p.leaf.leaf.row.Body.(type) {
	case SegmentRow:
		return p.segmentWhy(&row) + p.hint()
	case CallRow:
		return p.callWhy(row)
	case StateRow:
		return p.stateWhy(row)
	case TimerRow:
		return p.timerWhy(row) + p.hint()
	case DatagramRow:
		d, ok := p.j.in.Events[p.item].Body.(*tracer.Datagram)
		switch {
		case ok && p.difference == otherLen:
			return "len is " + number(d.Len) + ", not " + numberWords(row.Len)
		case p.difference == otherLost:
			return lostWhy(row.Lost, d.Dropped)
		}
	default:
	}
	return p.elseWhy()
}

// missing is for a row whose event never came.
func (p *parting) missing() string {
	if n := p.leaf; n.taken > 0 && n.leaf.sum >= 0 {
		return "only " + number(n.taken) + " bytes of it came"
	} else if n.taken > 0 {
		return "only " + number(n.taken) + " of it came"
	}
	return "it did not come"
}

// hint says which allowance would let the event pass.
func (p *parting) hint() string {
	for _, a := range []Allowance{AllowACKs, AllowTimers, AllowProbes, AllowRetransmissions} {
		if p.t.kind == packetTrack && p.difference < otherSeq && p.j.allows(a, p.item) {
			return " (allow: " + string(a) + " would let it pass)"
		}
	}
	return ""
}

// elseWhy is for an event that has little in common with the row.
func (p *parting) elseWhy() string {
	i := p.j.eventOf(p.t, p.item)
	switch p.difference {
	case otherConn:
		return "it is of the connection " + p.j.connWords(p.j.seen[i].slot)
	case otherWay:
		return "it goes the other way"
	case otherEvent:
		return "a state change says that its cause is #" + number(p.j.in.Events[p.leaf.leaf.must].N) + ", which the row must mean then"
	default:
		return "it is something else" + p.tooFew()
	}
}

// tooFew is for a row that has taken some of what it wants, and not all.
func (p *parting) tooFew() string {
	n := p.leaf
	switch {
	case n.taken == 0 || n.satisfied():
		return ""
	case n.leaf.sum >= 0:
		return ", and only " + number(n.taken) + " of " + number(n.leaf.sum) + " bytes have been moved"
	default:
		return ", and only " + number(n.taken) + " of the row's " + number(n.leaf.min) + " came before it"
	}
}

func (j *judge) connWords(s int) string {
	switch {
	case s < 0:
		return "none"
	case j.slots[s].listener:
		return "of the listener"
	case j.slots[s].name == "":
		return j.slots[s].words()
	default:
		return j.slots[s].name + " (" + j.slots[s].words() + ")"
	}
}

func (p *parting) segmentWhy(row *SegmentRow) string {
	g, ok := p.j.in.Events[p.item].Body.(*tracer.Segment)
	if !ok {
		return p.elseWhy()
	}
	s := &p.j.seen[p.item]
	switch p.difference {
	case otherFlags:
		return "its flags are " + g.Flags.String() + ", not " + row.Flags.String()
	case otherSeq:
		return "seq is " + s.seq.words() + ", not " + numberWords(row.Seq)
	case otherAck:
		return "ack is " + s.ack.words() + ", not " + numberWords(row.Ack)
	case otherLen:
		return "len is " + number(g.Len) + ", not " + numberWords(row.Len)
	case otherWin:
		return "win is " + number(g.Win) + ", not " + numberWords(row.Win)
	case otherOpts:
		return optsWhy(row.Opts, &g.Opts)
	case otherNotes:
		return notesWhy(row, g.Dir, g.Notes)
	case otherLost:
		return lostWhy(row.Lost, g.Dropped)
	default:
		return p.elseWhy()
	}
}

func lostWhy(lost bool, dropped string) string {
	if lost {
		return "it is not dropped, and the row says that it is lost"
	}
	return "it is dropped (" + dropped + "), and the row does not say that it is lost"
}

func (p *parting) timerWhy(row TimerRow) string {
	b, ok := p.j.in.Events[p.item].Body.(*tracer.Timer)
	switch {
	case ok && p.difference == otherName:
		return "it is the timer " + b.Name + ", not " + row.Timer
	case ok && p.difference == otherTime:
		return "it fires " + p.j.since(p.item, p.last).String() + " after the row before it, not " + p.atLeast() + p.j.after(row.After, row.MSLs).String()
	default:
		return p.elseWhy()
	}
}

func (p *parting) atLeast() string {
	if p.j.in.Virtual {
		return ""
	}
	return "at least "
}

func (p *parting) stateWhy(row StateRow) string {
	b := p.j.in.Events[p.item].Body.(*tracer.StateChange)
	switch p.difference {
	case otherFrom:
		return "it leaves " + b.From.String() + ", not " + row.From.String()
	case otherTo:
		return "it goes to " + b.To.String() + ", not to " + row.To.String()
	case otherCause:
		if b.Via == "filled" {
			return "no hook saw it: it was filled in"
		}
		return p.j.causeWhy(row, p.item)
	case otherTime:
		return "it comes after " + b.Dwell.String() + " in " + b.From.String() + ", not " + p.atLeast() + p.j.after(row.After, row.MSLs).String()
	default:
		return p.elseWhy()
	}
}

func (p *parting) callWhy(row CallRow) string {
	c := &p.j.calls[p.item]
	switch p.difference {
	case otherKind:
		return "it is " + c.name + ", not " + row.Call + p.tooFew()
	case otherResult:
		switch {
		case c.ret < 0:
			return "it never returned"
		case row.Fails == "":
			return "it failed: " + c.err
		case c.err == "":
			return "it succeeded, and should fail with " + row.Fails
		default:
			return "it failed with " + c.err + ", not " + row.Fails
		}
	case otherBytes:
		switch {
		case p.leaf.leaf.eof:
			return "it returned " + number(c.bytes) + " bytes, not the end-of-file"
		case c.name == "recv" && c.bytes == 0:
			return "it returned the end-of-file" + p.sofar()
		default:
			return "it makes " + number(p.leaf.taken+c.bytes) + " bytes, not " + number(p.leaf.leaf.sum)
		}
	default:
		return p.elseWhy()
	}
}

func (p *parting) sofar() string {
	if p.leaf.leaf.sum < 0 {
		return ""
	}
	return ", after " + number(p.leaf.taken) + " of " + number(p.leaf.leaf.sum) + " bytes"
}

// tooMany is the mismatch of a file that leaves too much open.
func tooMany(at, what string) *Mismatch {
	return &Mismatch{
		At: at, Expected: "rows that leave less open", Seen: "the trace",
		Why: "there are too many " + what + ": write fewer optional, either and any-order groups, or allow less",
	}
}
