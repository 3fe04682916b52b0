package ladder

import (
	"net/netip"

	"appliance/tracer"
	"appliance/tracer/view"
)

// wire is what a segment looks like on the wire: the same at both ends.
type wire struct {
	sender   int // the lane
	from, to netip.AddrPort
	kind     tracer.Type
	flags    tracer.Flags
	seq, ack uint32
	len      int
	ts       uint32
	icmp     [2]uint8
}

// wireOf tells what a packet that an end saw looks like on the wire.
func wireOf(e *tracer.Event, end int) wire {
	w := wire{sender: end, from: e.Local, to: e.Remote, kind: e.Body.Type()}
	if dir, _ := direction(e.Body); dir == tracer.In {
		w.sender, w.from, w.to = 1-end, w.to, w.from
	}
	switch b := e.Body.(type) {
	case *tracer.Segment:
		w.flags, w.seq, w.ack, w.len = b.Flags, b.Seq, b.Ack, b.Len
		if b.Opts.HasTS {
			w.ts = b.Opts.TSVal
		}
	case *tracer.Datagram:
		w.len = b.Len
	case *tracer.ICMP:
		w.len, w.icmp = b.Len, [2]uint8{b.Kind, b.Code}
	default:
	}
	return w
}

// match makes the arrows: each packet that one end sent is put together with its arrival at
// the other. Of a packet and its repeat, of which one arrived, that is the repeat; of like
// packets that all arrived, the first that was sent is the first that arrived.
func (b *builder) match(items []view.Item) {
	b.arrows = make(map[uint64]*Arrow)
	both := b.Lanes[0].Traced && b.Lanes[1].Traced
	arrives := b.arriving(items)
	flying := map[wire][]*Arrow{} // what was sent and arrives, the earliest first
	for k, it := range items {
		e := &b.trace.Events[it.Index]
		dir, ok := direction(e.Body)
		if !ok {
			continue
		}
		key := wireOf(e, it.End)
		if dir == tracer.In && len(flying[key]) > 0 {
			a := flying[key][0]
			flying[key] = flying[key][1:]
			a.Received = e
			b.arrows[e.N] = a
			continue
		}
		a := &Arrow{From: it.End, To: 1 - it.End, Leaves: -1, Arrives: -1}
		if dir == tracer.In {
			a.From, a.To, a.Received = a.To, a.From, e
		} else {
			a.Sent = e
			if both && arrives[k] {
				flying[key] = append(flying[key], a)
			}
		}
		b.arrows[e.N] = a
		b.Arrows = append(b.Arrows, a)
	}
	var last [2]uint64 // what each end received last
	for _, a := range b.Arrows {
		if a.Received != nil {
			last[a.To] = max(last[a.To], a.Received.N)
		}
	}
	b.learnISNs(items)
	for _, a := range b.Arrows {
		a.Fate = fate(a, both, last[a.To])
		a.Label = b.label(a)
		a.Repeat = repeats(a)
	}
}

// arriving tells which of the packets that were sent have an arrival of their own: from the
// end backwards, the last that was sent before it and has none yet.
func (b *builder) arriving(items []view.Item) map[int]bool {
	found := map[int]bool{}
	waiting := map[wire]int{}
	for k := len(items) - 1; k >= 0; k-- {
		e := &b.trace.Events[items[k].Index]
		dir, ok := direction(e.Body)
		if !ok {
			continue
		}
		key := wireOf(e, items[k].End)
		switch {
		case dir == tracer.In:
			waiting[key]++
		case waiting[key] > 0 && droppedOf(e) == "":
			waiting[key]--
			found[k] = true
		}
	}
	return found
}

// fate tells what became of an arrow; last is the last packet that the end that it goes to
// received.
func fate(a *Arrow, both bool, last uint64) Fate {
	switch {
	case a.Sent != nil && droppedOf(a.Sent) != "":
		return Lost
	case a.Received != nil && droppedOf(a.Received) != "":
		return Refused
	case !both, a.Sent != nil && a.Received != nil:
		return Arrived
	case a.Received != nil:
		return Strayed
	case last < a.Sent.N:
		return UnderWay
	default:
		return Unseen
	}
}

// droppedOf is why a packet was dropped; "" when it was not.
func droppedOf(e *tracer.Event) string {
	switch b := e.Body.(type) {
	case *tracer.Segment:
		return b.Dropped
	case *tracer.Datagram:
		return b.Dropped
	default:
		return ""
	}
}

// repeats tells whether an arrow is a retransmission.
func repeats(a *Arrow) bool {
	for _, n := range notesOf(a.event()) {
		if n == "retransmission" {
			return true
		}
	}
	return false
}

func notesOf(e *tracer.Event) []string {
	switch b := e.Body.(type) {
	case *tracer.Segment:
		return b.Notes
	case *tracer.Datagram:
		return b.Notes
	default:
		return nil
	}
}
