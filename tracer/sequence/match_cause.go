package sequence

import (
	"appliance/tracer"
)

// causeWhy says why a state change's cause is not what its row says; "" where it may be: which
// of several events that look alike the row means, settle finds out.
func (j *judge) causeWhy(row StateRow, i int) string {
	cause := j.in.Events[i].Body.(*tracer.StateChange).Cause
	switch by := row.By; {
	case by.Call != "":
		return j.callCauseWhy(by.Call, cause, i)
	case by.Label != "":
		return j.labelCauseWhy(by.Label, cause, i)
	case by.Timer != "":
		return j.timerCauseWhy(by.Timer, cause, i)
	case by.Other != "":
		if cause.Kind != by.Other {
			return "it was caused by " + j.causeWords(cause) + ", not by " + string(by.Other)
		}
	}
	return ""
}

func (j *judge) callCauseWhy(name string, cause tracer.Cause, i int) string {
	if name == "close listener" {
		name = "close"
	}
	bad := "it was caused by " + j.causeWords(cause) + ", not by " + name
	switch {
	case cause.Kind != tracer.CauseCall:
		return bad
	case !j.ends[j.seen[i].end].calls:
		return zeroWhy(cause)
	case cause.N == 0:
		return "its cause, " + j.causeWords(cause) + ", bears no number, although the trace has this end's calls"
	}
	k := j.byN(cause.N)
	if k < 0 || j.seen[k].call < 0 {
		return bad
	}
	c := &j.calls[j.seen[k].call]
	if c.enter != k || c.name != name || c.end != j.seen[i].end {
		return bad
	}
	return ""
}

// zeroWhy is for a cause that no event of the trace stands for.
func zeroWhy(cause tracer.Cause) string {
	if cause.N != 0 {
		return "its cause is event #" + number(cause.N) + ", but the trace has none of that kind at this end"
	}
	return ""
}

// labelCauseWhy compares a cause with what a labelled segment's rows say of it.
func (j *judge) labelCauseWhy(label string, cause tracer.Cause, i int) string {
	bad := "it was caused by " + j.causeWords(cause) + ", not by the segment " + label
	if cause.Kind != tracer.CauseSegment {
		return bad
	}
	end := j.seen[i].end
	where := j.whereSeen(end)
	if where == noEnd {
		return zeroWhy(cause)
	}
	k := j.byN(cause.N)
	if k < 0 || j.seen[k].end != where || j.seen[k].slot != j.seen[i].slot {
		return bad
	}
	found := false
	t := &track{kind: packetTrack, end: where}
	eachRow(j.expect, func(r *Row) {
		row, ok := r.Body.(SegmentRow)
		if !ok || row.Label != label || found {
			return
		}
		l := &rowLeaf{row: r, at: row.From, dir: j.dirAt(where, row.From), min: 1, max: 1, must: -1, sum: -1}
		found = j.compareSegment(t, l, &row, k) == same
	})
	if !found {
		return bad
	}
	return ""
}

// whereSeen returns the end whose events show the segments that change an end's states: its own,
// or, where those are not in the trace, the other's.
func (j *judge) whereSeen(end int) int {
	switch {
	case j.ends[end].segments:
		return end
	case j.ends[1-end].segments:
		return 1 - end
	default:
		return noEnd
	}
}

// dirAt is the way that a segment from an end has at an end.
func (j *judge) dirAt(end int, from At) tracer.Direction {
	if endIndex(from.End) == end {
		return tracer.Out
	}
	return tracer.In
}

// timerCauseWhy holds that the cause is the newest firing of the timer: an earlier one has done
// what it did.
func (j *judge) timerCauseWhy(name string, cause tracer.Cause, i int) string {
	if cause.Kind != tracer.CauseTimer {
		return "it was caused by " + j.causeWords(cause) + ", not by the timer " + name
	}
	if !j.ends[j.seen[i].end].segments {
		return zeroWhy(cause)
	}
	for k := i - 1; k >= 0; k-- {
		t, ok := j.in.Events[k].Body.(*tracer.Timer)
		if !ok || j.seen[k].end != j.seen[i].end || j.seen[k].slot != j.seen[i].slot {
			continue
		}
		if t.Name == name && cause.N == j.in.Events[k].N {
			return ""
		}
		if t.Name == name {
			break
		}
	}
	return "it was caused by " + j.causeWords(cause) + ", not by the timer " + name + " that fired last before it"
}

// settle judges one reading of the whole trace, which takes these alternatives: do the causes
// name the very events that the rows do, and has what the link drops one end only. It returns
// what each track's rows took.
func (j *judge) settle(choice string) ([][]step, *Mismatch) {
	defer j.release()
	paths := make([][]step, len(j.tracks))
	read := func(packets bool) *Mismatch {
		for i, t := range j.tracks {
			if (t.kind == packetTrack) != packets {
				continue
			}
			r := j.follow(t, choice)
			if r.failure != nil {
				return r.failure
			}
			paths[i] = r.path(r.ends[0])
		}
		return nil
	}
	if m := read(false); m != nil {
		return nil, m
	}
	// What the changes name as their causes, the rows of packets have to take.
	for i, t := range j.tracks {
		if t.kind == stateTrack {
			if m := j.demand(paths[i]); m != nil {
				return nil, m
			}
		}
	}
	if m := read(true); m != nil {
		return nil, m
	}
	for i, t := range j.tracks {
		if t.kind != stateTrack {
			continue
		}
		for _, s := range paths[i] {
			if m := j.causeSettled(s, t.end, paths); m != nil {
				return nil, m
			}
		}
	}
	if m := j.oneByOne(paths); m != nil {
		return nil, m
	}
	return paths, j.lostOnce(paths)
}

// oneByOne holds that of calls on one socket that the file has in an order, each returns before
// the next begins: a program does one thing after the other. One that fails may have been
// interrupted by the next.
func (j *judge) oneByOne(paths [][]step) *Mismatch {
	for i, t := range j.tracks {
		if t.kind != callTrack {
			continue
		}
		sockets := map[uint32][]step{} // what has been called
		for _, s := range paths[i] {
			c := &j.calls[s.item]
			id := j.in.Events[c.enter].Conn
			for k := len(sockets[id]) - 1; k >= 0; k-- {
				before := sockets[id][k]
				if !s.leaf.follows(before.leaf) {
					continue // it is done at the same time
				}
				if b := &j.calls[before.item]; b.err == "" && b.ret > c.enter {
					m := j.amiss(c.enter, "", "the call before it on this socket, "+b.name+", has not returned yet")
					m.Line, m.Expected = s.leaf.row.Line, s.leaf.row.String()
					return m
				}
				break
			}
			sockets[id] = append(sockets[id], s)
		}
	}
	return nil
}

// eachLabelled calls f with each leaf of the packets' tracks that is of a labelled row.
func (j *judge) eachLabelled(f func(t *track, l *rowLeaf, label string)) {
	for _, t := range j.tracks {
		if t.kind != packetTrack {
			continue
		}
		for _, l := range t.leaves {
			if row, ok := l.row.Body.(SegmentRow); ok && row.Label != "" {
				f(t, l, row.Label)
			}
		}
	}
}

// release undoes demand.
func (j *judge) release() {
	j.eachLabelled(func(_ *track, l *rowLeaf, _ string) { l.must = -1 })
}

// demand makes the labelled rows take the events that the state changes name as their causes.
func (j *judge) demand(path []step) *Mismatch {
	for _, s := range path {
		row := s.leaf.row.Body.(StateRow)
		cause := j.in.Events[s.item].Body.(*tracer.StateChange).Cause
		where, k := j.whereSeen(j.seen[s.item].end), j.byN(cause.N)
		if row.By.Label == "" || where == noEnd {
			continue
		}
		var m *Mismatch
		j.eachLabelled(func(t *track, l *rowLeaf, label string) {
			if label != row.By.Label || t.end != where {
				return
			}
			if l.must >= 0 && l.must != k && l.max == 1 {
				m = j.notThis(s, "it was caused by "+j.causeWords(cause)+", and another change by another segment that is said to be "+label)
			}
			l.must = k
		})
		if m != nil {
			return m
		}
	}
	return nil
}

// notThis is the mismatch of a state change whose cause is not the row's.
func (j *judge) notThis(s step, why string) *Mismatch {
	m := j.amiss(s.item, "", why)
	m.Line, m.Expected = s.leaf.row.Line, s.leaf.row.String()
	return m
}

// causeSettled holds that a state change's cause is the event that its row means.
func (j *judge) causeSettled(s step, end int, paths [][]step) *Mismatch {
	row := s.leaf.row.Body.(StateRow)
	cause := j.in.Events[s.item].Body.(*tracer.StateChange).Cause
	switch {
	case row.By.Label != "":
		if j.isLabelled(row.By.Label, j.byN(cause.N), j.whereSeen(end), paths) {
			return nil
		}
		return j.notThis(s, "it was caused by "+j.causeWords(cause)+", which is not the segment "+row.By.Label)
	case row.By.Call != "" && j.ends[end].calls:
		for i, t := range j.tracks {
			if t.kind == callTrack && t.end == end {
				return j.callSettled(s, row, cause, paths[i])
			}
		}
	}
	return nil
}

// isLabelled tells whether the rows with a label took the event k. Where they are not about the
// end that the events are of (an arrival where only the sending is in the trace), nothing tells.
func (j *judge) isLabelled(label string, k, where int, paths [][]step) bool {
	spoken := false
	j.eachLabelled(func(t *track, _ *rowLeaf, l string) { spoken = spoken || t.end == where && l == label })
	for i, t := range j.tracks {
		if t.kind != packetTrack || t.end != where {
			continue
		}
		for _, p := range paths[i] {
			if g, ok := p.leaf.row.Body.(SegmentRow); ok && g.Label == label && p.item == k {
				return true
			}
		}
	}
	return !spoken
}

// callSettled holds that the cause is the last such call that is listed before the row.
func (j *judge) callSettled(s step, row StateRow, cause tracer.Cause, calls []step) *Mismatch {
	want := row.By.Call
	var named, listeners []step // the last of each kind
	for _, c := range calls {
		call := c.leaf.row.Body.(CallRow)
		if c.leaf.place > s.leaf.place || call.Call != want && want != "close listener" {
			continue
		}
		switch {
		case call.Call == "close" && call.Listener:
			listeners = lastRow(listeners, c)
		case call.At.Conn == row.At.Conn && want != "close listener":
			named = lastRow(named, c)
		}
	}
	if len(named) == 0 || ofListener(row.From, row.To) && want == "close" {
		named = listeners
	}
	if len(named) == 0 {
		return j.notThis(s, "no "+want+" of this end is listed before the row")
	}
	for _, c := range named {
		if j.in.Events[j.calls[c.item].enter].N == cause.N {
			return nil
		}
	}
	return j.notThis(s, "it was caused by "+j.causeWords(cause)+", not by the "+want+" of line "+number(named[0].leaf.row.Line)+
		", #"+number(j.in.Events[j.calls[named[0].item].enter].N))
}

// lastRow returns the steps of the row that stands last in the file, c's or those so far.
func lastRow(so []step, c step) []step {
	if len(so) > 0 && so[0].leaf.place > c.leaf.place {
		return so
	}
	if len(so) > 0 && so[0].leaf.place == c.leaf.place {
		return append(so, c)
	}
	return []step{c}
}

// lostOnce holds that of a segment that the link drops, either the sending or the arrival bears
// the reason, where both ends are in the trace.
func (j *judge) lostOnce(paths [][]step) *Mismatch {
	if !j.ends[endC].segments || !j.ends[endS].segments {
		return nil
	}
	sent := map[*Row]int{}    // by row: how many were sent and not dropped there
	arrived := map[*Row]int{} // … and how many were dropped where they came in
	first := map[*Row]int{}
	var order []*Row
	for i, t := range j.tracks {
		if t.kind != packetTrack {
			continue
		}
		for _, s := range paths[i] {
			row, ok := s.leaf.row.Body.(SegmentRow)
			if !ok || !row.Lost || row.Way != Both {
				continue
			}
			g := j.in.Events[s.item].Body.(*tracer.Segment)
			if _, known := first[s.leaf.row]; !known {
				first[s.leaf.row] = s.item
				order = append(order, s.leaf.row)
			}
			if g.Dir == tracer.In {
				arrived[s.leaf.row]++
			} else if g.Dropped == "" {
				sent[s.leaf.row]++
			}
		}
	}
	for _, r := range order {
		if sent[r] != arrived[r] {
			m := j.amiss(first[r], "", "of "+number(sent[r])+" sent and not dropped at once, "+number(arrived[r])+" came in and were dropped there")
			m.Line, m.Expected = r.Line, r.String()
			return m
		}
	}
	return nil
}
