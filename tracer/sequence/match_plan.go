package sequence

import (
	"slices"
	"time"

	"appliance/tracer"
)

// trackKind is what sort of an end's events a track has.
type trackKind uint8

const (
	callTrack trackKind = iota
	stateTrack
	packetTrack // segments, timers and datagrams
)

// track is one of an end's: the rows that are about it, and its events.
type track struct {
	kind   trackKind
	end    int
	items  []int // events; of a call track, records of calls
	start  *node
	leaves []*rowLeaf
	clock  bool // a row of it says how long after the row before it
	// listed are the names of the calls that rows list: others may be there unlisted.
	listed map[string]bool
}

func (t *track) name() string {
	switch t.kind {
	case callTrack:
		return string(endNames[t.end]) + "'s calls"
	case stateTrack:
		return string(endNames[t.end]) + "'s states"
	default:
		return string(endNames[t.end])
	}
}

// rowLeaf is what one row expects in one track.
type rowLeaf struct {
	row   *Row
	place int // in the file's order
	dir   tracer.Direction
	at    At
	// min and max are how many events it takes, one after the other; max 0 for no limit. A call's
	// that moves bytes takes calls until they have moved sum; sum -1 means that one call does.
	min, max int
	sum      int
	eof      bool // the call must return no bytes
	must     int  // the event that it has to take; -1 for any
	threads  []thread
}

// thread is a list of an any-order group that a row stands in.
type thread struct {
	group *Row
	list  int
}

// follows tells whether the file has an order for two rows: they are not in different lists of an
// any-order group.
func (l *rowLeaf) follows(o *rowLeaf) bool {
	for i := range min(len(l.threads), len(o.threads)) {
		if l.threads[i].group != o.threads[i].group {
			break
		}
		if l.threads[i].list != o.threads[i].list {
			return false
		}
	}
	return true
}

// plan makes the tracks and the graph of rows of each.
func (j *judge) plan() {
	j.graph = graph{nodes: map[string]*node{}, choices: map[*Row]int{}}
	places := map[*Row]int{}
	eachRow(j.expect, func(r *Row) { places[r] = len(places) })
	j.graph.number(j.expect)
	for end := range j.ends {
		e := &j.ends[end]
		if e.states {
			j.add(&track{kind: packetTrack, end: end}, places)
		}
		if e.calls {
			j.add(&track{kind: callTrack, end: end}, places)
		}
		if e.states {
			j.add(&track{kind: stateTrack, end: end}, places)
		}
	}
}

func (j *judge) add(t *track, places map[*Row]int) {
	if t.kind == packetTrack && !j.ends[t.end].segments {
		return
	}
	t.listed = map[string]bool{}
	eachRow(j.expect, func(r *Row) {
		switch b := r.Body.(type) {
		case CallRow:
			if endIndex(b.At.End) == t.end {
				t.listed[b.Call] = true
			}
		case TimerRow:
			t.clock = t.clock || t.kind == packetTrack && endIndex(b.At.End) == t.end && b.After+time.Duration(b.MSLs) > 0
		default:
		}
	})
	b := &builder{j: j, t: t, places: places}
	t.start = b.rows(j.expect, nil)
	if t.kind == callTrack {
		for k := range j.calls {
			if j.calls[k].end == t.end && !j.passedOver(j.calls[k].slot) {
				t.items = append(t.items, k)
			}
		}
	} else {
		for i := range j.in.Events {
			if j.seen[i].end == t.end && t.has(j.in.Events[i].Body) && !j.passedOver(j.seen[i].slot) {
				t.items = append(t.items, i)
			}
		}
	}
	j.tracks = append(j.tracks, t)
}

// passedOver tells whether rows do not speak of a slot's events: a flood's are too many, and
// strays are judged by the check no-answer.
func (j *judge) passedOver(s int) bool {
	if s < 0 {
		return false
	}
	p := &j.slots[s]
	return p.flood || !p.named && p.stray || p.udp && p.packets && j.foreign(p)
}

func (t *track) has(b tracer.Body) bool {
	switch b.(type) {
	case *tracer.StateChange:
		return t.kind == stateTrack
	case *tracer.Segment, *tracer.Timer, *tracer.Datagram:
		return t.kind == packetTrack
	default:
		return false
	}
}

// builder makes the graph of one track.
type builder struct {
	j       *judge
	t       *track
	places  map[*Row]int
	threads []thread // that the rows being built stand in
}

// rows returns the graph of a list of rows, which next follows.
func (b *builder) rows(list []Row, next *node) *node {
	for i := len(list) - 1; i >= 0; i-- {
		if g, isGroup := list[i].Body.(Group); isGroup {
			next = b.group(&list[i], &g, next)
			continue
		}
		leaves := b.leaves(&list[i])
		for k := len(leaves) - 1; k >= 0; k-- {
			leaves[k].row, leaves[k].place, leaves[k].must = &list[i], b.places[&list[i]], -1
			leaves[k].threads = slices.Clone(b.threads)
			b.t.leaves = append(b.t.leaves, leaves[k])
			next = b.j.graph.leaf(leaves[k], next)
		}
	}
	return next
}

func (b *builder) group(r *Row, g *Group, next *node) *node {
	switch g.Kind {
	case Either, Optional:
		options, says := make([]*node, len(g.Lists)), false
		for i, list := range g.Lists {
			options[i] = b.rows(list, next)
			says = says || options[i] != next
		}
		if g.Kind == Optional {
			options = append(options, next)
		}
		if !says { // its rows are of other tracks
			return next
		}
		return b.j.graph.alternatives(r, options)
	case AnyOrder:
		var lists [][]Row
		var threads []*node
		for i, list := range g.Lists {
			b.threads = append(b.threads, thread{r, i})
			if n := b.rows(list, nil); n != nil {
				lists, threads = append(lists, list), append(threads, n)
			}
			b.threads = b.threads[:len(b.threads)-1]
		}
		switch len(threads) {
		case 0:
			return next
		case 1:
			return b.rows(lists[0], next)
		}
		return b.j.graph.anyOrder(threads, next)
	default: // Only: Run.Rows has put its rows in its place
		return next
	}
}

// leaves returns what a row expects in the track: nothing, or one thing after the other.
func (b *builder) leaves(r *Row) []*rowLeaf {
	switch row := r.Body.(type) {
	case CallRow:
		if b.t.kind == callTrack && endIndex(row.At.End) == b.t.end {
			return callLeaves(row)
		}
	case StateRow:
		if b.t.kind == stateTrack && endIndex(row.At.End) == b.t.end {
			return []*rowLeaf{{at: row.At, min: b.j.leastOf(row), max: 1, sum: -1}}
		}
	case TimerRow:
		if b.t.kind == packetTrack && endIndex(row.At.End) == b.t.end {
			return []*rowLeaf{{at: row.At, min: 1, max: 1, sum: -1}}
		}
	case SegmentRow:
		return b.packetLeaves(row.From, row.Way, row.Lost, row.Min, row.Max)
	case DatagramRow:
		return b.packetLeaves(row.From, row.Way, row.Lost, 1, 1)
	case Group:
	}
	return nil
}

// leastOf is how many changes a state row must have: none, where the end's states are
// inferred, its calls are not in the trace, and no segment shows the change.
func (j *judge) leastOf(row StateRow) int {
	end := row.At.End
	if j.in.Inferred[end] && !j.in.Calls[end] && row.From == tracer.Listen && row.To == tracer.Closed {
		return 0
	}
	return 1
}

// callLeaves are what a call's row expects: those that move bytes may do it in pieces.
func callLeaves(row CallRow) []*rowLeaf {
	one := func(sum int, eof bool) *rowLeaf { return &rowLeaf{at: row.At, min: 1, max: 1, sum: sum, eof: eof} }
	switch {
	case !moves(row.Call) || row.Fails != "":
		return []*rowLeaf{one(-1, false)}
	case !row.EOF:
		return []*rowLeaf{one(row.Bytes, false)}
	case row.Bytes == 0:
		return []*rowLeaf{one(-1, true)}
	case row.Bytes < 0: // whatever comes, and then none
		return []*rowLeaf{{at: row.At, min: 0, max: 0, sum: -1}, one(-1, true)}
	default:
		return []*rowLeaf{one(row.Bytes, false), one(-1, true)}
	}
}

// moves tells whether a call moves bytes.
func moves(call string) bool { return call == "send" || call == "recv" }

// packetLeaves are what a segment's or a datagram's row expects at the track's end: its sending,
// its arrival, or neither. What the link drops has no arrival, or one that bears the reason.
func (b *builder) packetLeaves(from At, way Ways, lost bool, least, most int) []*rowLeaf {
	if b.t.kind != packetTrack {
		return nil
	}
	sender := endIndex(from.End)
	leaf := &rowLeaf{at: from, min: least, max: most, sum: -1}
	switch {
	case b.t.end == sender && way != Arrives:
		leaf.dir = tracer.Out
	case b.t.end != sender && way != Sent:
		leaf.dir = tracer.In
		if lost && way == Both && b.j.ends[sender].segments {
			leaf.min = 0 // settle sees to it that one of the two bears it
		}
	default:
		return nil
	}
	return []*rowLeaf{leaf}
}
