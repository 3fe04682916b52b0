package sequence

import "appliance/tracer"

// step is one event that a reading of a track has given to a row.
type step struct {
	node   *node  // what is left of the rows
	choice string // the alternatives taken
	before int32  // the step before it; -1 for none
	leaf   *rowLeaf
	item   int // the event, or the call's record
	last   int // the event itself; -1 for none yet
}

// reading is what following a track along its rows gave.
type reading struct {
	steps   []step
	ends    []int32  // the last step of each way that reaches the rows' end with the events'
	choices []string // of ends, each once
	failure *Mismatch
}

// follower follows a track along its rows, all ways at once.
type follower struct {
	j     *judge
	t     *track
	steps []step
	live  []int32 // the ways, each by its last step
	index map[stepKey]struct{}
}

type stepKey struct {
	node   *node
	choice string
	last   int
}

// follow reads a track's events along its rows, by the alternatives that choice leaves.
func (j *judge) follow(t *track, choice string) reading {
	f := &follower{j: j, t: t, index: map[stepKey]struct{}{}}
	f.steps = append(f.steps, step{node: t.start, choice: choice, before: -1, item: -1, last: -1})
	f.live = []int32{0}
	for at, item := range t.items {
		next := f.take(item)
		if j.graph.exhausted() {
			return reading{failure: tooMany(t.name(), "readings of the trace")}
		}
		if len(next) == 0 {
			return reading{failure: f.parted(at)}
		}
		f.live = next
	}
	r := reading{steps: f.steps}
	seen := map[string]bool{}
	for _, s := range f.live {
		ended := false
		j.graph.atEnd(f.steps[s].node, f.steps[s].choice, func(c string) {
			ended = true
			if !seen[c] {
				seen[c] = true
				r.choices = append(r.choices, c)
			}
		})
		if ended {
			r.ends = append(r.ends, s)
		}
	}
	switch {
	case j.graph.exhausted():
		r.failure = tooMany(t.name(), "readings of the trace")
	case len(r.ends) == 0:
		r.failure = f.parted(len(t.items))
	}
	return r
}

// take gives the next event to each row that may take it, or to none where it is allowed besides.
func (f *follower) take(item int) []int32 {
	var next []int32
	clear(f.index)
	keep := func(k stepKey) bool {
		_, known := f.index[k]
		f.index[k] = struct{}{}
		return !known
	}
	skip := f.j.allowed(f.t, item)
	for _, at := range f.live {
		s := f.steps[at]
		f.j.graph.offers(s.node, s.choice, func(leaf *node, choice string, then func(*node) *node) {
			if f.j.compare(f.t, leaf, item, s.last) != same {
				return
			}
			n := step{
				node: then(f.j.graph.after(leaf, f.j.bytesOf(f.t, item))), choice: choice, before: at,
				leaf: leaf.leaf, item: item, last: f.j.eventOf(f.t, item),
			}
			if keep(f.key(&n)) {
				f.steps = append(f.steps, n)
				next = append(next, int32(len(f.steps)-1)) //nolint:gosec // bounded by maxVisits
			}
		})
		if skip && keep(f.key(&s)) {
			next = append(next, at)
		}
	}
	return next
}

// key tells two steps apart that may go on differently.
func (f *follower) key(s *step) stepKey {
	k := stepKey{node: s.node, choice: s.choice}
	if f.t.clock {
		k.last = s.last
	}
	return k
}

// eventOf returns the event of a track's item: a call's is its enter.
func (j *judge) eventOf(t *track, item int) int {
	if t.kind == callTrack {
		return j.calls[item].enter
	}
	return item
}

func (j *judge) bytesOf(t *track, item int) int {
	if t.kind == callTrack {
		return j.calls[item].bytes
	}
	return 0
}

// path returns the steps of one way, in order.
func (r *reading) path(end int32) []step {
	var steps []step
	for at := end; r.steps[at].before >= 0; at = r.steps[at].before {
		steps = append(steps, r.steps[at])
	}
	for a, b := 0, len(steps)-1; a < b; a, b = a+1, b-1 {
		steps[a], steps[b] = steps[b], steps[a]
	}
	return steps
}

// allowed tells whether an item may stand in the trace without a row.
func (j *judge) allowed(t *track, item int) bool {
	switch t.kind {
	case stateTrack:
		return false
	case callTrack:
		return j.allowedCall(t, &j.calls[item])
	default:
	}
	for _, a := range j.in.Run.Allow {
		if j.allows(a, item) {
			return true
		}
	}
	return false
}

// allowedCall tells whether a call may stand unlisted: what the rows "listen" and "connect" stand
// for, where the file does not list it (checkSockets judges it), the setting of options, and the
// close of a socket that could not connect.
func (j *judge) allowedCall(t *track, c *callRecord) bool {
	switch c.name {
	case "setsockopt", "socket", "bind":
		return !t.listed[c.name] && c.err == "" && c.ret >= 0
	case "close":
		return c.err == "" && c.ret >= 0 && j.failedBefore(c)
	case "connect": // a UDP socket's sends nothing
		return !t.listed[c.name] && c.err == "" && c.slot >= 0 && j.slots[c.slot].udp
	default:
		return false
	}
}

// failedBefore tells whether a call comes after a connect of the same socket that failed.
func (j *judge) failedBefore(c *callRecord) bool {
	id := j.in.Events[c.enter].Conn
	for k := range j.calls {
		o := &j.calls[k]
		if o.name == "connect" && o.err != "" && o.end == c.end && o.ret < c.enter && j.in.Events[o.enter].Conn == id {
			return true
		}
	}
	return false
}

// allows tells whether one of the run's allowances covers a segment or a timer.
func (j *judge) allows(a Allowance, i int) bool {
	switch b := j.in.Events[i].Body.(type) {
	case *tracer.Timer:
		return a == AllowTimers
	case *tracer.Segment:
		switch a {
		case AllowACKs:
			return isPlainACK(b)
		case AllowProbes:
			return b.Dropped == "" && (isProbe(b) || j.seen[i].answersProbe && isBareACK(b))
		case AllowRetransmissions:
			return hasNote(b.Notes, "retransmission") && !isProbe(b)
		case AllowTimers:
		}
	default:
	}
	return false
}

// isBareACK tells whether a segment is an acknowledgment and nothing else.
func isBareACK(g *tracer.Segment) bool {
	return g.Flags&^tracer.PSH == tracer.ACK && g.Len == 0
}

// isPlainACK tells whether a segment is nothing but an acknowledgment or a window update, which
// the stack got: no note changes what it means.
func isPlainACK(g *tracer.Segment) bool {
	return isBareACK(g) && g.Dropped == "" && len(significant(g.Notes)) == 0
}

func isProbe(g *tracer.Segment) bool {
	return hasNote(g.Notes, "keepalive") || hasNote(g.Notes, "window-probe")
}
