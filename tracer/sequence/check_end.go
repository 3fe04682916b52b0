package sequence

import (
	"appliance/tracer"
)

// ending counts what a connection's segments showed, as its End must have it.
type ending struct {
	in, out         stream
	segsIn, segsOut uint64
	again           uint64
	passive, active bool
	closed          int // the change to CLOSED; -1 for none yet
	before          tracer.State
	ended           bool
	something       bool
}

// senseEnds holds that each connection of the appliance's that closes has one End right then,
// and that it says what the trace has shown.
func senseEnds(j *judge) *Mismatch {
	ends := map[socketID]*ending{}
	of := func(i int) *ending {
		id := socketID{j.in.Events[i].Stack, j.in.Events[i].Conn}
		if ends[id] == nil {
			ends[id] = &ending{closed: -1}
		}
		return ends[id]
	}
	for i := range j.in.Events {
		e, s := &j.in.Events[i], &j.seen[i]
		if s.end == noEnd || s.slot < 0 || e.Conn == 0 {
			continue
		}
		if x := of(i); x.closed >= 0 && !x.ended && e.Body.Type() != tracer.TypeEnd && j.ends[s.end].own {
			return j.amiss(i, "the end of a connection right behind its change to CLOSED", "this comes before it")
		}
		if b, ok := e.Body.(*tracer.End); ok {
			if why := j.endWhy(of(i), b, i); why != "" {
				return j.amiss(i, "an end that says what the trace has shown", why)
			}
			of(i).ended = true
			continue
		}
		if j.slots[s.slot].listener {
			continue
		}
		switch b := e.Body.(type) {
		case *tracer.Segment:
			if of(i).ended {
				return j.amiss(i, "nothing of a connection after its end", "it has ended before")
			}
			of(i).segment(b, s.seq)
		case *tracer.StateChange:
			if of(i).ended {
				return j.amiss(i, "nothing of a connection after its end", "it has ended before")
			}
			of(i).state(b, i)
		default:
		}
	}
	return j.missingEnd(ends)
}

// missingEnd finds a connection of the appliance's that has closed and has no End.
func (j *judge) missingEnd(ends map[socketID]*ending) *Mismatch {
	first := -1
	for id, x := range ends {
		if x.closed >= 0 && !x.ended && j.ends[j.endOf(id.stack)].own && (first < 0 || x.closed < first) {
			first = x.closed
		}
	}
	if first < 0 {
		return nil
	}
	return j.amiss(first, "an end for each connection that closes", "none follows")
}

func (x *ending) segment(g *tracer.Segment, seq reckd) {
	dir := &x.out
	if g.Dir == tracer.In {
		if g.Dropped != "" {
			return
		}
		x.segsIn++
		dir = &x.in
	} else {
		x.segsOut++
		if hasNote(g.Notes, "retransmission") {
			x.again++
		}
	}
	if !g.Flags.Has(tracer.RST) && seq.rel && size(g) > 0 {
		dir.add(seq.n, seq.n+size(g), g.Flags.Has(tracer.FIN))
	}
}

func (x *ending) state(b *tracer.StateChange, i int) {
	switch {
	case x.something:
	case b.From == tracer.Listen:
		x.passive = true
		if b.To == tracer.SynReceived { // its SYN was the listener's
			x.segsIn++
			x.in.add(0, 1, false)
		}
	default:
		x.active = true
	}
	x.something = true
	if b.To == tracer.Closed {
		x.closed, x.before = i, b.From
	}
}

// endWhy says in what an End differs from what the trace has shown; "" where it does not.
func (j *judge) endWhy(x *ending, b *tracer.End, i int) string {
	if x.ended {
		return "the connection has ended before"
	}
	if x.closed < 0 {
		return "the connection is not CLOSED yet"
	}
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"bytes in", b.BytesIn, x.in.bytes()},
		{"bytes out", b.BytesOut, x.out.bytes()},
		{"segments in", b.SegmentsIn, x.segsIn},
		{"segments out", b.SegmentsOut, x.segsOut},
		{"retransmits", b.Retransmits, x.again},
	} {
		if c.got != c.want {
			return number(c.got) + " " + c.what + ", where the trace has " + number(c.want)
		}
	}
	role := tracer.Active
	if x.passive {
		role = tracer.Passive
	}
	how := j.howEnded(x)
	switch {
	case b.Role != role:
		return "it says that this end is the " + string(b.Role) + " one"
	case how != "" && b.How != how:
		return "it says " + string(b.How) + ", and the last change says " + string(how)
	case b.Opened+b.Duration > j.in.Events[i].T:
		return "it says that it ended later than it did"
	}
	return ""
}

// howEnded is the way in which a connection ended, by its last change; "" where that does not
// tell.
func (j *judge) howEnded(x *ending) tracer.How {
	cause := j.in.Events[x.closed].Body.(*tracer.StateChange).Cause
	if x.before == tracer.TimeWait {
		return tracer.HowFIN
	}
	switch cause.Kind {
	case tracer.CauseTimer:
		return tracer.HowTimeout
	case tracer.CauseICMP:
		return tracer.HowUnreachable
	case tracer.CauseCall:
		return tracer.HowAborted
	case tracer.CauseSegment:
		k := j.byN(cause.N)
		if k < 0 {
			return ""
		}
		g, ok := j.in.Events[k].Body.(*tracer.Segment)
		switch {
		case !ok:
			return ""
		case g.Flags.Has(tracer.RST) && x.before == tracer.SynSent:
			return tracer.HowRefused
		case g.Flags.Has(tracer.RST):
			return tracer.HowReset
		case x.before == tracer.LastAck, x.before == tracer.Closing:
			return tracer.HowFIN
		default:
			return tracer.HowAborted
		}
	default:
		return ""
	}
}
