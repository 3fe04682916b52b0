package sequence

import (
	"net/netip"

	"appliance/tracer"
)

// checks judges the trace by what the run's check says of the whole of it.
func (j *judge) checks() *Mismatch {
	for _, check := range []func(*judge) *Mismatch{
		checkEvents, checkMaxLen, checkHalfOpen, checkOpened, checkNoAnswer, checkBuffer,
	} {
		if m := check(j); m != nil {
			return m
		}
	}
	return nil
}

// short is the mismatch of a check that no event stands for.
func short(at, expected, seen, why string) *Mismatch {
	return &Mismatch{At: at, Expected: expected, Seen: seen, Why: why}
}

func checkEvents(j *judge) *Mismatch {
	most := j.in.Run.Check.MaxEvents
	if most == 0 || len(j.in.Events) <= most {
		return nil
	}
	return short("trace", "check: at most "+number(most)+" events", number(len(j.in.Events))+" events", "the log drowns in them")
}

// checkMaxLen holds that no end gets a longer payload than it may.
func checkMaxLen(j *judge) *Mismatch {
	for i := range j.in.Events {
		g, ok := j.in.Events[i].Body.(*tracer.Segment)
		if !ok || j.seen[i].end == noEnd {
			continue
		}
		to := j.seen[i].end
		if g.Dir == tracer.Out {
			to = 1 - to
		}
		wire := max(g.WireSegments, 1)
		longest := (g.Len + wire - 1) / wire
		if most, says := j.in.Run.Check.MaxLen[endNames[to]]; says && longest > most {
			return j.amiss(i, "check: at most "+number(most)+" bytes in a segment to "+string(endNames[to]), "it has "+number(longest))
		}
	}
	return nil
}

// checkHalfOpen holds that not too many of S's connections are in SYN-RECEIVED at once.
func checkHalfOpen(j *judge) *Mismatch {
	most, open := j.in.Run.Check.MaxHalfOpen, 0
	for i := range j.in.Events {
		b, ok := j.in.Events[i].Body.(*tracer.StateChange)
		if !ok || j.seen[i].end != endS {
			continue
		}
		if b.From == tracer.SynReceived {
			open--
		}
		if b.To == tracer.SynReceived {
			open++
		}
		if most > 0 && open > most {
			return j.amiss(i, "check: at most "+number(most)+" half-open connections at once", "this is the "+number(open)+"th")
		}
	}
	return nil
}

// checkOpened counts S's connections that opened, and those of them that a SYN cookie opened.
func checkOpened(j *judge) *Mismatch {
	opened, cookies := 0, 0
	for i := range j.in.Events {
		b, ok := j.in.Events[i].Body.(*tracer.StateChange)
		if !ok || j.seen[i].end != endS || b.To != tracer.Established {
			continue
		}
		opened++
		if b.From == tracer.Listen {
			cookies++
		}
	}
	check := &j.in.Run.Check
	if check.Established > 0 && opened != check.Established {
		return short("S", "check: "+number(check.Established)+" connections established", number(opened), "these are not as many")
	}
	if cookies < check.MinCookies {
		return short("S", "check: at least "+number(check.MinCookies)+" connections by SYN cookie", number(cookies), "these are too few")
	}
	return nil
}

// checkNoAnswer holds that S sends nothing but on connections that rows name: what comes for no
// connection of its own is not answered, and opens nothing.
func checkNoAnswer(j *judge) *Mismatch {
	if !j.in.Run.Check.NoAnswer {
		return nil
	}
	for i := range j.in.Events {
		g, ok := j.in.Events[i].Body.(*tracer.Segment)
		s := &j.seen[i]
		if !ok || s.end != endS || s.slot < 0 || g.Dir != tracer.Out {
			continue
		}
		if slot := &j.slots[s.slot]; !slot.named || !unicast(slot.s.Addr()) {
			return j.amiss(i, "check: no answer to what is no connection", "it answers "+slot.words())
		}
	}
	return nil
}

// unicast tells whether an address is one host's. The link is a /24.
func unicast(a netip.Addr) bool {
	if a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	return !a.Is4() || a.As4()[3] != 255
}

// checkBuffer holds that bytes stay in the send buffer until they are acknowledged and leave it
// then: whenever SND.UNA and the buffer's fill are told, the fill is what was given to send less
// what has been acknowledged; and that SND.UNA is seen rising as the fill falls.
func checkBuffer(j *judge) *Mismatch {
	who := j.in.Run.Check.TCB
	if who == "" {
		return nil
	}
	b := &buffer{j: j, end: endIndex(who), of: map[socketID]*fill{}}
	for i := range j.in.Events {
		e, s := &j.in.Events[i], &j.seen[i]
		if s.end != b.end || e.Conn == 0 || s.slot < 0 || j.slots[s.slot].listener {
			continue
		}
		if m := b.event(i, e); m != nil {
			return m
		}
	}
	if !b.seen {
		return short(string(who), "check: SND.UNA rising and the send buffer's fill falling", "neither", "the trace shows it nowhere")
	}
	return nil
}

// buffer follows the send buffers of one end.
type buffer struct {
	j    *judge
	end  int
	of   map[socketID]*fill
	seen bool
}

// fill is one send buffer.
type fill struct {
	iss            uint32
	hasISS         bool
	given, sure    int64 // to send: by its enters, and by its returns
	sent           int64 // payload that has gone out, the highest
	una, buf       int64 // as told last; -1 for never
	hasUNA, hasBuf bool
	fin            bool // sent
}

func (b *buffer) event(i int, e *tracer.Event) *Mismatch {
	id := socketID{e.Stack, e.Conn}
	f := b.of[id]
	if f == nil {
		f = &fill{}
		b.of[id] = f
	}
	switch body := e.Body.(type) {
	case *tracer.Segment:
		if body.Dir == tracer.Out && body.Flags.Has(tracer.SYN) {
			f.iss, f.hasISS = body.Seq, true
		}
		f.fin = f.fin || body.Dir == tracer.Out && body.Flags.Has(tracer.FIN)
		if body.Dir == tracer.Out && f.hasISS && body.Len > 0 {
			f.sent = max(f.sent, int64(body.Seq-f.iss)-1+int64(body.Len))
		}
	case *tracer.Call:
		if body.Name != "send" {
			break
		}
		if n, ok := intArg(body, "bytes"); ok && body.Phase != tracer.PhaseReturn {
			f.given += n
		}
		if body.Phase != tracer.PhaseEnter {
			f.sure += int64(max(body.Bytes, 0))
		}
	case *tracer.TCB:
		return b.told(i, f, body)
	default:
	}
	return nil
}

// told judges one telling of the variables.
func (b *buffer) told(i int, f *fill, t *tracer.TCB) *Mismatch {
	una, buf, hadUNA, hadBuf := f.una, f.buf, f.hasUNA, f.hasBuf
	for _, v := range t.Vars {
		switch v.Name {
		case "snd_una":
			f.una, f.hasUNA = v.Value, true
		case "snd_buf":
			f.buf, f.hasBuf = v.Value, true
		}
	}
	if !f.hasUNA || !f.hasBuf || !f.hasISS {
		return nil
	}
	rule := "check: a send buffer that holds what was sent and is not acknowledged"
	past := int64(uint32(f.una)-f.iss) - 1 //nolint:gosec // modulo 2^32 is meant
	acked := min(past, f.sent)             // a FIN's number is no byte
	if past > f.sent && (past > f.sent+1 || !f.fin) {
		return b.j.amiss(i, rule, "SND.UNA is beyond what was sent")
	}
	if hadUNA && int32(uint32(f.una)-uint32(una)) < 0 { //nolint:gosec // modulo 2^32 is meant
		return b.j.amiss(i, rule, "SND.UNA falls")
	}
	if b.j.ends[b.end].calls && (f.buf < f.sure-acked || f.buf > f.given-acked) {
		return b.j.amiss(i, rule, "it holds "+number(int(f.buf))+" bytes, of "+number(int(f.given))+" given to send and "+number(int(acked))+" acknowledged")
	}
	b.seen = b.seen || hadUNA && hadBuf && f.una != una && f.buf < buf
	return nil
}
