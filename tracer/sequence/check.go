package sequence

import (
	"slices"
	"time"

	"appliance/tracer"
)

// sense judges the trace by what holds in any true one, whatever the rows say.
func (j *judge) sense() *Mismatch {
	for _, rule := range []func(*judge) *Mismatch{
		senseCauses, senseStates, senseNumbers, senseCalls, senseUse, senseFlow, senseDatagrams, sensePairs, senseEnds, senseVariables,
	} {
		if m := rule(j); m != nil {
			return m
		}
	}
	return nil
}

// causeKinds are the kinds of causes that events can be.
var causeKinds = map[tracer.Type]tracer.CauseKind{
	tracer.TypeSegment: tracer.CauseSegment, tracer.TypeCall: tracer.CauseCall,
	tracer.TypeTimer: tracer.CauseTimer, tracer.TypeICMP: tracer.CauseICMP,
}

// senseCauses holds that a change's cause comes before it and is of the kind that it says.
func senseCauses(j *judge) *Mismatch {
	for i := range j.in.Events {
		b, ok := j.in.Events[i].Body.(*tracer.StateChange)
		if !ok || j.seen[i].end == noEnd || b.Cause.N == 0 {
			continue
		}
		k := j.byN(b.Cause.N)
		if k < 0 || k >= i {
			return j.amiss(i, "a cause before its effect", "its cause is #"+number(b.Cause.N)+", which has not happened yet")
		}
		if causeKinds[j.in.Events[k].Body.Type()] != b.Cause.Kind {
			return j.amiss(i, "a cause of the kind that it says", "#"+number(b.Cause.N)+" is "+j.plainWords(k)+", not a "+string(b.Cause.Kind))
		}
		if g, isSegment := j.in.Events[k].Body.(*tracer.Segment); isSegment {
			if j.seen[k].slot != j.seen[i].slot {
				return j.amiss(i, "a segment of the connection that it changes", "#"+number(b.Cause.N)+" is of another")
			}
			if j.seen[k].end == j.seen[i].end && g.Dir != tracer.In || g.Dropped != "" {
				return j.amiss(i, "a segment that came to change the state", "#"+number(b.Cause.N)+" did not come to this end")
			}
			if fin, sent := j.finOf(i); sent && acksFIN(b) && !g.Flags.Has(tracer.RST) && (!g.Flags.Has(tracer.ACK) || j.seen[k].ack.n <= fin) {
				return j.amiss(i, "a segment that acknowledges the FIN", "#"+number(b.Cause.N)+" does not")
			}
		}
	}
	return nil
}

// acksFIN tells whether a change says that the end's own FIN was acknowledged (RFC 9293, 3.10.7.4).
func acksFIN(b *tracer.StateChange) bool {
	return b.To == tracer.FinWait2 || b.From == tracer.Closing || b.From == tracer.LastAck ||
		b.From == tracer.FinWait1 && b.To == tracer.TimeWait
}

// finOf returns the number of the FIN that the end of a state change has sent before it.
func (j *judge) finOf(i int) (n uint32, sent bool) {
	s := &j.seen[i]
	where := j.whereSeen(s.end)
	for k := range i {
		g, ok := j.in.Events[k].Body.(*tracer.Segment)
		if ok && j.seen[k].end == where && j.seen[k].slot == s.slot && g.Flags.Has(tracer.FIN) && j.seen[k].seq.rel &&
			(g.Dir == tracer.Out) == (where == s.end) {
			n, sent = j.seen[k].seq.n+size(g)-1, true
		}
	}
	return n, sent
}

// senseStates holds that each connection's states are a chain, from CLOSED or out of a listener,
// and that what the appliance sends in a state comes after the change to it.
func senseStates(j *judge) *Mismatch {
	type half struct {
		stack string
		conn  uint32
		slot  int
	}
	last := map[half]tracer.State{}
	since := map[half]int{}
	for i := range j.in.Events {
		e := &j.in.Events[i]
		s := &j.seen[i]
		if s.end == noEnd || s.slot < 0 {
			continue
		}
		key := half{e.Stack, e.Conn, s.slot}
		if e.Conn != 0 {
			key.slot = 0
		}
		b, ok := e.Body.(*tracer.StateChange)
		if !ok {
			if why := j.tooEarlyWhy(i); why != "" {
				return j.amiss(i, "a segment after the state that it belongs to", why)
			}
			continue
		}
		from, known := last[key]
		fresh := !known && (b.From == tracer.Closed || b.From == tracer.Listen && (e.Parent != 0 || !j.ends[s.end].own))
		if known && b.From != from || !known && !fresh {
			return j.amiss(i, "states that follow on each other", "the connection was in "+from.String()+" before")
		}
		spent := time.Duration(0) // of what was before the first change nothing is told
		if prev, ok := since[key]; ok {
			spent = e.T - j.in.Events[prev].T
		}
		if j.in.Virtual && j.ends[s.end].own && b.Dwell != spent {
			return j.amiss(i, "the time that was spent in the state left", "it says "+b.Dwell.String()+", and the trace shows "+spent.String())
		}
		last[key], since[key] = b.To, i
	}
	return nil
}

// tooEarlyWhy says why a segment that the appliance sends comes before the state that sends it;
// "" where it does not: SYN, SYN+ACK and FIN go out once the state has changed.
func (j *judge) tooEarlyWhy(i int) string {
	g, ok := j.in.Events[i].Body.(*tracer.Segment)
	s := &j.seen[i]
	if !ok || g.Dir != tracer.Out || !j.ends[s.end].own || g.Flags.Has(tracer.RST) {
		return ""
	}
	switch {
	case g.Flags.Has(tracer.SYN|tracer.ACK) && hasNote(g.Notes, "syn-cookie"):
	case g.Flags.Has(tracer.SYN|tracer.ACK) && !j.reached(s.end, s.slot, i, tracer.SynReceived):
		return "this end is not in SYN-RECEIVED yet"
	case g.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN && !j.reached(s.end, s.slot, i, tracer.SynSent):
		return "this end is not in SYN-SENT yet"
	case g.Flags.Has(tracer.FIN) && !j.reached(s.end, s.slot, i, tracer.FinWait1) && !j.reached(s.end, s.slot, i, tracer.LastAck):
		return "this end is neither in FIN-WAIT-1 nor in LAST-ACK yet"
	}
	return ""
}

// senseNumbers holds that relative numbers are the wire's less an initial one that a SYN showed,
// and that the options of the handshake stand on SYNs alone.
func senseNumbers(j *judge) *Mismatch {
	type half struct {
		slot, end int
		dir       tracer.Direction
	}
	isns := map[half][]uint32{}
	fits := func(h half, isn uint32) bool {
		for _, known := range isns[h] {
			if known == isn {
				return true
			}
		}
		if len(isns[h]) == 0 { // the connection began before the trace
			isns[h] = append(isns[h], isn)
			return true
		}
		return false
	}
	for i := range j.in.Events {
		g, ok := j.in.Events[i].Body.(*tracer.Segment)
		s := &j.seen[i]
		if !ok || s.slot < 0 {
			continue
		}
		own, other := half{s.slot, s.end, g.Dir}, half{s.slot, s.end, opposite(g.Dir)}
		if g.Flags.Has(tracer.SYN) {
			if known := isns[own]; len(known) > 0 && !slices.Contains(known, g.Seq) && !j.begins(i) {
				return j.amiss(i, "a SYN that is sent again as it was", "its seq is "+number(g.Seq)+" on the wire, and it was "+number(known[0]))
			}
			isns[own] = append(isns[own], g.Seq)
		}
		switch o := &g.Opts; {
		case g.Len < 0:
			return j.amiss(i, "a length of 0 or more", "it is "+number(g.Len))
		case g.HasRel && !fits(own, g.Seq-g.RelSeq):
			return j.amiss(i, "a relative seq that counts from the SYN's", "seq is "+number(g.RelSeq)+" and "+number(g.Seq)+" on the wire, which is another initial number")
		case g.HasRelAck && !fits(other, g.Ack-g.RelAck):
			return j.amiss(i, "a relative ack that counts from the SYN's", "ack is "+number(g.RelAck)+" and "+number(g.Ack)+" on the wire, which is another initial number")
		case g.HasRelAck && !g.Flags.Has(tracer.ACK):
			return j.amiss(i, "an ack only with the flag ACK", "it has one without")
		case !g.Flags.Has(tracer.SYN) && (o.MSS != 0 || o.HasWS || o.SACKOK):
			return j.amiss(i, "mss, ws and sack_ok on SYNs alone", "this is none (RFC 9293, 3.1; RFC 7323, 2.2; RFC 2018, 2)")
		case len(o.SACK) > 0 && !g.Flags.Has(tracer.ACK):
			return j.amiss(i, "SACK blocks on acknowledgments alone", "this is none (RFC 2018, 3)")
		}
	}
	return nil
}

// begins tells whether a SYN may have another initial number than those before it: a script's
// may, and a SYN cookie is made anew.
func (j *judge) begins(i int) bool {
	g, s := j.in.Events[i].Body.(*tracer.Segment), &j.seen[i]
	from := s.end
	if g.Dir == tracer.In {
		from = 1 - from
	}
	return hasNote(g.Notes, "syn-cookie") || j.slots[s.slot].flood || j.slots[s.slot].stray ||
		g.Dir == tracer.In && !j.ends[from].states // a script
}

// senseVariables holds that variables are told of an event of the same connection before them.
func senseVariables(j *judge) *Mismatch {
	for i := range j.in.Events {
		b, ok := j.in.Events[i].Body.(*tracer.TCB)
		if !ok || j.seen[i].end == noEnd || b.After == 0 {
			continue
		}
		k := j.byN(b.After)
		if k < 0 || k >= i || j.seen[k].end != j.seen[i].end || j.seen[k].slot != j.seen[i].slot {
			return j.amiss(i, "variables after an event of the connection", "#"+number(b.After)+" is none before it")
		}
	}
	return nil
}
