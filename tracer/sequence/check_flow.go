package sequence

import (
	"slices"

	"appliance/tracer"
)

// ofEnd tells an end of a connection apart.
type ofEnd struct{ end, slot int }

// flow judges bytes against calls: at each end, what it read, what it wrote, and the streams.
type flow struct {
	j        *judge
	in, out  map[ofEnd]*stream // as the end's own segments show them, or the other end's
	asked    map[ofEnd]int     // by send's enters, bytes
	unbound  map[ofEnd]bool    // a send that does not say how many
	sent     map[ofEnd]int     // the last byte that has gone out, counted from 1
	read     map[ofEnd]int     // by recv's returns
	shut     map[ofEnd]bool    // close or shutdown has been called
	acked    map[ofEnd]uint32  // by the segments that it sent
	deafened map[ofEnd]bool    // it shut down its receiving side: reads then return none
}

// senseFlow holds that recv returns no more than what has arrived in order, and the end-of-file
// only after the FIN; that new data goes out only after a send that covers it, and a FIN only
// after close or shutdown; and that the notes of repetition are true.
func senseFlow(j *judge) *Mismatch {
	f := &flow{
		j: j, in: map[ofEnd]*stream{}, out: map[ofEnd]*stream{}, asked: map[ofEnd]int{}, unbound: map[ofEnd]bool{},
		sent: map[ofEnd]int{}, read: map[ofEnd]int{}, shut: map[ofEnd]bool{}, acked: map[ofEnd]uint32{}, deafened: map[ofEnd]bool{},
	}
	for i := range j.in.Events {
		s := &j.seen[i]
		if s.end == noEnd || s.slot < 0 || j.slots[s.slot].udp {
			continue
		}
		var m *Mismatch
		switch b := j.in.Events[i].Body.(type) {
		case *tracer.Segment:
			m = f.segment(i, b)
		case *tracer.Call:
			m = f.call(i, b)
		case *tracer.StateChange:
			if b.Cause.Kind == tracer.CauseStack { // the stack's own end of everything
				f.shut[ofEnd{s.end, s.slot}] = true
			}
		default:
		}
		if m != nil {
			return m
		}
	}
	return nil
}

func (f *flow) stream(of map[ofEnd]*stream, key ofEnd) *stream {
	if of[key] == nil {
		of[key] = &stream{}
	}
	return of[key]
}

// segment takes a segment into the account and judges it.
func (f *flow) segment(i int, g *tracer.Segment) *Mismatch {
	s := &f.j.seen[i]
	own := ofEnd{s.end, s.slot}
	streams := f.out
	if g.Dir == tracer.In {
		streams = f.in
	}
	seen := f.stream(streams, own)
	if g.Flags.Has(tracer.SYN) && g.Flags&tracer.RST == 0 && s.seq.n == 0 && f.begins(own, g) {
		*seen = stream{}
	}
	left, right := s.seq.n, s.seq.n+size(g)
	if m := f.notes(i, g, seen, left, right); m != nil {
		return m
	}
	if why := f.beyondWhy(i, g, seen); why != "" {
		return f.j.amiss(i, "numbers of what there is", why)
	}
	if g.Dir == tracer.In && g.Dropped != "" || g.Flags.Has(tracer.RST) || !s.seq.rel {
		return nil
	}
	if m := f.sends(i, g, own, right); m != nil {
		return m
	}
	seen.add(left, right, g.Flags.Has(tracer.FIN))
	return f.elsewhere(i, g, left, right)
}

// beyondWhy says why a segment's numbers cannot be: an end leaves no gap in what it sends,
// acknowledges nothing that it has not got in order, and never less than before. A script may do
// all of that.
func (f *flow) beyondWhy(i int, g *tracer.Segment, seen *stream) string {
	s := &f.j.seen[i]
	from := ofEnd{s.end, s.slot}
	if g.Dir == tracer.In {
		from.end = 1 - s.end
	}
	if g.Flags.Has(tracer.RST) || f.j.in.Players[endNames[from.end]] == Script || f.j.slots[s.slot].flood || f.j.slots[s.slot].stray {
		return ""
	}
	other, has := f.out[ofEnd{s.end, s.slot}], f.stream(f.in, ofEnd{s.end, s.slot})
	switch {
	case g.Dir == tracer.Out && s.seq.rel && s.seq.n > seen.next:
		return "seq is " + number(s.seq.n) + ", and nothing has been sent from " + number(seen.next) + " on"
	case !g.Flags.Has(tracer.ACK) || !s.ack.rel:
		return ""
	case g.Dir == tracer.Out && s.ack.n > has.inOrder():
		return "it acknowledges up to " + number(s.ack.n) + ", and what has come in order ends at " + number(has.inOrder())
	case g.Dir == tracer.Out && f.j.ends[s.end].own && !has.borders(s.ack.n):
		return "it acknowledges up to " + number(s.ack.n) + ", which is in the middle of what came"
	case g.Dir == tracer.Out && f.j.ends[s.end].own && isBareACK(g) && !isProbe(g) && s.seq.rel && s.seq.n != seen.next:
		return "seq is " + number(s.seq.n) + ", and what comes next is " + number(seen.next) + " (SND.NXT)"
	case g.Dir == tracer.In && other != nil && s.ack.n > other.next:
		return "it acknowledges up to " + number(s.ack.n) + ", and what was sent ends at " + number(other.next)
	case g.Dir == tracer.In && other != nil && g.Dropped == "" && !other.borders(s.ack.n):
		return "it acknowledges up to " + number(s.ack.n) + ", which is in the middle of what was sent"
	case g.Dir == tracer.In && isBareACK(g) && !isProbe(g) && s.seq.rel && g.Dropped == "" && !f.j.sentFrom(i):
		return "seq is " + number(s.seq.n) + ", and nothing that the other end sends ends there"
	case g.Dir == tracer.Out && s.ack.n < f.acked[from]:
		return "it acknowledges less than the one before it, " + number(f.acked[from])
	case g.Dir == tracer.Out:
		f.acked[from] = s.ack.n
	}
	return ""
}

// sentFrom tells whether a segment that came from the other end begins where another of its
// segments ends: one that came before it, or that the link held up or dropped.
func (j *judge) sentFrom(i int) bool {
	s := &j.seen[i]
	for k := range j.in.Events {
		g, ok := j.in.Events[k].Body.(*tracer.Segment)
		if ok && g.Dir == tracer.In && j.seen[k].end == s.end && j.seen[k].slot == s.slot && size(g) > 0 &&
			j.seen[k].seq.n+size(g) == s.seq.n && (k < i || moved(g.Notes)) {
			return true
		}
	}
	return false
}

// begins tells whether a SYN begins a stream anew: nothing but other SYNs has been seen of it.
func (f *flow) begins(own ofEnd, g *tracer.Segment) bool {
	streams := f.out
	if g.Dir == tracer.In {
		streams = f.in
	}
	return streams[own].next == 0
}

// size is a segment's length in sequence numbers (RFC 9293, 3.4).
func size(g *tracer.Segment) uint32 {
	n := uint32(g.Len) //nolint:gosec // a payload is below 64 KiB
	if g.Flags.Has(tracer.SYN) {
		n++
	}
	if g.Flags.Has(tracer.FIN) {
		n++
	}
	return n
}

// elsewhere takes a segment into the account of the other end, where that has none of its own.
func (f *flow) elsewhere(i int, g *tracer.Segment, left, right uint32) *Mismatch {
	s := &f.j.seen[i]
	other := ofEnd{1 - s.end, s.slot}
	if f.j.ends[other.end].segments || !f.j.ends[other.end].states {
		return nil
	}
	fin := g.Flags.Has(tracer.FIN)
	if g.Dir == tracer.In {
		return f.sends(i, g, other, right)
	}
	if g.Dropped == "" {
		f.stream(f.in, other).add(left, right, fin)
	}
	return nil
}

// sends judges what an end sends by its calls.
func (f *flow) sends(i int, g *tracer.Segment, from ofEnd, right uint32) *Mismatch {
	if !f.j.ends[from.end].calls || (g.Dir == tracer.Out) != (f.j.seen[i].end == from.end) {
		return nil
	}
	fin := g.Flags.Has(tracer.FIN)
	last := right // after the last byte
	if fin {
		last--
	}
	if g.Len > 0 {
		f.sent[from] = max(f.sent[from], int(last)-1)
	}
	if g.Len > 0 && !f.unbound[from] && int64(last)-1 > int64(f.asked[from]) {
		return f.j.amiss(i, "data after the send that takes it", "it goes up to byte "+number(last-1)+
			", and only "+number(f.asked[from])+" have been given to send")
	}
	if fin && !f.shut[from] && !f.j.exits(from.end) {
		return f.j.amiss(i, "a FIN after close or shutdown", "neither has been called")
	}
	return nil
}

// exits tells whether an end's program ends without close: the kernel closes for it.
func (j *judge) exits(end int) bool {
	steps, _, _ := j.in.Run.Program(endNames[end], j.in.Players[endNames[end]])
	return slices.ContainsFunc(steps, func(s Step) bool { return s.Do == Exit || s.Do == Kill })
}

// notes holds that a segment's notes are true, as far as the end's own segments show it.
func (f *flow) notes(i int, g *tracer.Segment, seen *stream, left, right uint32) *Mismatch {
	rule := "notes that are true"
	switch {
	case g.Dir == tracer.In && g.Dropped != "" && hasNote(g.Notes, "retransmission"):
		return f.j.amiss(i, rule, "it was dropped before anything could tell")
	case g.Dir == tracer.In && (hasNote(g.Notes, "fast-retransmit") || hasNote(g.Notes, "syn-cookie")):
		return f.j.amiss(i, rule, "only who sends it can know that")
	case hasNote(g.Notes, "fast-retransmit") && !hasNote(g.Notes, "retransmission"):
		return f.j.amiss(i, rule, "a fast retransmission is a retransmission")
	case g.Flags.Has(tracer.RST) || !g.HasRel:
		return nil
	case hasNote(g.Notes, "zero-window") != (g.Win == 0 && !g.Flags.Has(tracer.SYN)) && !isProbe(g):
		return f.j.amiss(i, rule, "its window is "+number(g.Win))
	case g.Dir == tracer.In && g.Dropped != "" || isProbe(g) || f.j.slots[f.j.seen[i].slot].flood:
		return nil
	}
	again := left < right && left < seen.next && (g.Dir == tracer.Out || !seen.missing(left, right))
	if again != hasNote(g.Notes, "retransmission") {
		if again {
			return f.j.amiss(i, rule, "it has been seen before at this end, and does not say so")
		}
		return f.j.amiss(i, rule, "it has not been seen before at this end")
	}
	return nil
}

// call takes a call's event into the account and judges it.
func (f *flow) call(i int, c *tracer.Call) *Mismatch {
	s := &f.j.seen[i]
	key := ofEnd{s.end, s.slot}
	if !f.j.ends[s.end].calls {
		return nil
	}
	if c.Phase != tracer.PhaseReturn { // an enter, or both in one
		switch c.Name {
		case "send":
			n, known := intArg(c, "bytes")
			f.asked[key] += int(n)
			f.unbound[key] = f.unbound[key] || !known
		case "close":
			f.shut[key] = true
		case "shutdown":
			how := textArg(c, "how")
			f.shut[key] = f.shut[key] || how != "SHUT_RD"
			f.deafened[key] = f.deafened[key] || how == "SHUT_RD" || how == "SHUT_RDWR"
		}
	}
	switch {
	case c.Phase == tracer.PhaseEnter:
		return nil
	case c.Name == "send" && c.Bytes >= 0: // it may have taken less
		asked, _ := intArg(f.j.enterOf(i), "bytes")
		f.asked[key] -= int(asked) - c.Bytes
		if f.sent[key] > f.asked[key] && !f.unbound[key] {
			return f.j.amiss(i, "a send of what has gone out", "byte "+number(f.sent[key])+" has gone out, and only "+number(f.asked[key])+" were taken")
		}
	case c.Name == "recv" && c.Error == "":
		return f.received(i, c, key)
	}
	return nil
}

// received judges what a recv returned.
func (f *flow) received(i int, c *tracer.Call, key ofEnd) *Mismatch {
	if f.j.whereSeen(key.end) == noEnd {
		return nil
	}
	in := f.stream(f.in, key)
	came := in.inOrder()
	if c.Bytes == 0 {
		if size, says := intArg(f.j.enterOf(i), "bufsize"); says && size == 0 {
			return nil // it asked for none
		}
		if !f.deafened[key] && (!in.hasFin || came <= in.fin) {
			return f.j.amiss(i, "the end-of-file after the FIN", "no FIN has come yet, or something before it is missing")
		}
		if !f.deafened[key] && f.read[key] != int(in.fin)-1 {
			return f.j.amiss(i, "the end-of-file after all that came before it", number(f.read[key])+" bytes were read, of "+number(int(in.fin)-1))
		}
		return nil
	}
	f.read[key] += c.Bytes
	bytes := int(came) - 1
	if in.hasFin && came > in.fin {
		bytes--
	}
	if f.read[key] > bytes {
		return f.j.amiss(i, "a recv of what has arrived", "that makes "+number(f.read[key])+" bytes read, and "+number(bytes)+" have arrived in order")
	}
	return nil
}

// senseDatagrams holds that a datagram goes out after the send that gives it, and that recv
// returns one that has come.
func senseDatagrams(j *judge) *Mismatch {
	var given, come [2][]int // lengths
	takeFrom := func(list *[]int, n int) bool {
		i := slices.Index(*list, n)
		if i >= 0 {
			*list = slices.Delete(*list, i, i+1)
		}
		return i >= 0
	}
	for i := range j.in.Events {
		s := &j.seen[i]
		if s.end == noEnd || s.slot < 0 || !j.slots[s.slot].udp || !j.ends[s.end].segments || !j.ends[s.end].calls {
			continue
		}
		switch b := j.in.Events[i].Body.(type) {
		case *tracer.Datagram:
			if b.Dir == tracer.In && b.Dropped == "" {
				come[s.end] = append(come[s.end], b.Len)
			} else if b.Dir == tracer.Out && !j.foreign(&j.slots[s.slot]) && !takeFrom(&given[s.end], b.Len) {
				return j.amiss(i, "a datagram after the send that gives it", "none of this length has been given to send")
			}
		case *tracer.Call:
			if n, ok := intArg(b, "bytes"); ok && b.Name == "send" && b.Phase != tracer.PhaseReturn {
				given[s.end] = append(given[s.end], int(n))
			}
			if b.Name == "recv" && b.Phase != tracer.PhaseEnter && b.Error == "" && !takeFrom(&come[s.end], b.Bytes) {
				return j.amiss(i, "a recv of a datagram that has come", "none of this length has come")
			}
		default:
		}
	}
	return nil
}
