package graph

import (
	"slices"
	"time"

	"appliance/tracer"
	"appliance/tracer/view"
)

// flow is what one end saw of the data that goes one way, and of its acknowledgments.
// Sequence numbers are relative to the sender's ISN and do not wrap.
type flow struct {
	end    *view.Conn // who saw it
	sender bool       // that is the data's sender
	start  time.Duration
	segs   []seg    // what takes up sequence numbers, in order
	acks   []ack    // of the other end
	back   []seg    // what the other end sends, in order
	vars   []change // the sender's variables
	timers []expiry // retransmission timers that fired at the sender
}

// sort tells what is special about a segment.
type kind uint8

const (
	fresh   kind = iota
	late         // out of order, as the receiver saw it
	probe        // a window probe or keep-alive
	copied       // a duplicate that the impairment made of it: the sender sent it once
	repeat       // a retransmission
	numKind = int(repeat) + 1
)

// seg is a segment that takes up sequence numbers, [from, to).
type seg struct {
	at       time.Duration
	from, to int64
	len      int // payload
	syn, fin bool
	kind     kind
	lost     bool // known not to have arrived
	why      string
	n        uint64
}

// ack is a segment as an acknowledgment.
type ack struct {
	at   time.Duration
	ack  int64
	win  int64 // the right edge is ack + win; on a SYN it is never scaled (RFC 7323, 2.2)
	dup  bool
	sack [][2]int64
	n    uint64
}

// change is a new value of one of the sender's variables, in bytes or nanoseconds.
type change struct {
	at    time.Duration
	name  string
	value float64
	word  string
	n     uint64
}

// expiry is a timer that fired.
type expiry struct {
	at   time.Duration
	name string
	n    uint64
}

// unwrapper turns 32-bit sequence numbers into ones that do not wrap.
type unwrapper struct {
	known bool
	isn   uint32
	last  int64
}

// at returns a number's distance from the ISN, nearest to the last that was asked for.
func (u *unwrapper) at(seq uint32) int64 {
	near := u.last
	u.last = near + int64(int32(seq-u.isn-uint32(near))) //nolint:gosec // modulo 2^32 is meant
	return u.last
}

// newFlow gathers what is known of the data that from sends. to is its other end; either
// may be nil, not both.
func newFlow(t *view.Trace, from, to *view.Conn) *flow {
	f := &flow{end: from, sender: true}
	if from == nil {
		f.end, f.sender = to, false
	}
	events := ownEvents(t, f.end)
	if len(events) > 0 {
		f.start = t.Events[events[0]].T
	}
	dir, other := tracer.Out, tracer.In
	if !f.sender {
		dir, other = other, dir
	}
	there, back := gather{flow: f, dir: dir}, gather{flow: f, dir: other}
	there.findISN(t, events)
	back.findISN(t, events)
	for _, i := range events {
		e := &t.Events[i]
		switch b := e.Body.(type) {
		case *tracer.Segment:
			if b.Dir == dir {
				f.segs = there.add(f.segs, e, b)
			} else {
				f.back = back.add(f.back, e, b)
				f.acks = there.ack(f.acks, e, b)
			}
		case *tracer.TCB:
			if f.sender {
				f.change(e, b)
			}
		case *tracer.Timer:
			if f.sender && (b.Name == "retransmit" || b.Name == "tail-loss-probe") {
				f.timers = append(f.timers, expiry{e.T, b.Name, e.N})
			}
		default:
		}
	}
	if f.sender && to != nil {
		f.findLost(t, to, &there.isn)
	}
	return f
}

// ownEvents are a connection's events from its first segment or state on, with the SYN that
// its listener has.
func ownEvents(t *view.Trace, c *view.Conn) []int {
	events := c.Events
	first := slices.IndexFunc(events, func(i int) bool {
		switch t.Events[i].Body.(type) {
		case *tracer.Segment, *tracer.StateChange:
			return true
		default:
			return false
		}
	})
	if first < 0 {
		return nil
	}
	events = events[first:]
	parent := t.Conn(c.Parent)
	if parent == nil {
		return events
	}
	// The last SYN between these addresses before the connection came to be.
	for k := len(parent.Events) - 1; k >= 0; k-- {
		i := parent.Events[k]
		e := &t.Events[i]
		g, ok := e.Body.(*tracer.Segment)
		if ok && i < events[0] && g.Flags.Has(tracer.SYN) && e.Local == c.Local && e.Remote == c.Remote {
			return append([]int{i}, events...)
		}
	}
	return events
}

// gather collects the segments of one direction.
type gather struct {
	*flow
	dir  tracer.Direction
	isn  unwrapper
	high int64  // the number after the highest seen
	seen ranges // what was seen, dropped or not
}

// findISN learns from which number the direction counts.
func (g *gather) findISN(t *view.Trace, events []int) {
	for _, i := range events {
		b, ok := t.Events[i].Body.(*tracer.Segment)
		switch {
		case !ok:
		case b.Dir == g.dir && b.HasRel:
			g.isn = unwrapper{known: true, isn: b.Seq - b.RelSeq}
			return
		case b.Dir != g.dir && b.HasRelAck:
			g.isn = unwrapper{known: true, isn: b.Ack - b.RelAck}
			return
		case b.Dir == g.dir && !g.isn.known:
			// Where nobody tells it counts from the first that is seen, as after a SYN.
			g.isn = unwrapper{known: true, isn: b.Seq - 1}
			if b.Flags.Has(tracer.SYN) {
				g.isn.isn = b.Seq
			}
		}
	}
}

// maxLen is more than any segment bears, and little enough to count with.
const maxLen = 1 << 24

// add appends a segment that takes up sequence numbers.
func (g *gather) add(list []seg, e *tracer.Event, b *tracer.Segment) []seg {
	if b.Flags.Has(tracer.RST) && b.Len == 0 {
		return list
	}
	from := g.isn.at(b.Seq)
	length := min(max(b.Len, 0), maxLen)
	s := seg{at: e.T, from: from, to: from + int64(length), len: length, n: e.N, lost: b.Dropped != "", why: b.Dropped}
	if b.Flags.Has(tracer.SYN) {
		s.syn = true
		s.to++
	}
	if b.Flags.Has(tracer.FIN) {
		s.fin = true
		s.to++
	}
	if s.to == s.from && !noted(b, "keepalive") {
		return list
	}
	s.kind = g.kindOf(b, &s)
	g.high = max(g.high, s.to)
	if b.Dropped != "bad checksum" { // its numbers may be what is wrong
		g.seen.add(s.from, s.to)
	}
	return append(list, s)
}

// kindOf tells a segment's kind by its notes; where these do not know, as of what comes
// after the link dropped it, a segment that bears nothing new is a retransmission.
func (g *gather) kindOf(b *tracer.Segment, s *seg) kind {
	switch {
	case noted(b, "duplicate"): // the stack takes it for a retransmission, and notes that too
		return copied
	case noted(b, "retransmission"):
		return repeat
	case noted(b, "window-probe"), noted(b, "keepalive"):
		return probe
	case g.again(b.Dir, s):
		return repeat
	case noted(b, "out-of-order") && b.Dir == tracer.In:
		return late
	default:
		return fresh
	}
}

// again tells whether a segment bears nothing new. A sender sends in order; to its receiver
// what lies below the highest may come for the first time.
func (g *gather) again(dir tracer.Direction, s *seg) bool {
	if dir == tracer.Out {
		return s.to <= g.high && s.to > s.from
	}
	return g.seen.cover(s.from, s.to)
}

// ack appends a segment of the other direction as an acknowledgment of this one's data.
func (g *gather) ack(list []ack, e *tracer.Event, b *tracer.Segment) []ack {
	if !b.Flags.Has(tracer.ACK) || b.Flags.Has(tracer.RST) || !g.isn.known {
		return list
	}
	if b.Dropped != "" && b.Dir == tracer.In {
		return list // the sender never got it
	}
	last := g.isn.last
	a := ack{at: e.T, n: e.N, ack: g.isn.at(b.Ack), win: int64(b.Win), dup: noted(b, "dup-ack")}
	for _, block := range b.Opts.SACK {
		a.sack = append(a.sack, [2]int64{g.isn.at(block.Left), g.isn.at(block.Right)})
	}
	g.isn.last = last
	return append(list, a)
}

func noted(b *tracer.Segment, note string) bool { return slices.Contains(b.Notes, note) }

// change takes note of the variables that the graphs show.
func (f *flow) change(e *tracer.Event, b *tracer.TCB) {
	for _, v := range b.Vars {
		switch v.Name {
		case "cwnd", "ssthresh", "inflight", "snd_wnd", "srtt_ns", "rttvar_ns", "rto_ns", "recovery":
			f.vars = append(f.vars, change{e.T, v.Name, float64(v.Value), v.Text, e.N})
		}
	}
}

// findLost marks what was lost on its way, where the receiver's side of the link tells of
// it: the k-th time that the same bytes are sent is the k-th time that they come there, the
// link's duplicates apart.
func (f *flow) findLost(t *view.Trace, to *view.Conn, isn *unwrapper) {
	type bytes struct {
		from, to int64
		syn      bool
	}
	count := map[bytes]int{}
	arrived := map[bytes][]*tracer.Segment{}
	at := unwrapper{known: true, isn: isn.isn}
	for _, i := range ownEvents(t, to) {
		b, ok := t.Events[i].Body.(*tracer.Segment)
		if !ok || b.Dir != tracer.In || noted(b, "duplicate") {
			continue
		}
		from := at.at(b.Seq)
		key := bytes{from, from + int64(min(max(b.Len, 0), maxLen)), b.Flags.Has(tracer.SYN)}
		arrived[key] = append(arrived[key], b)
	}
	for i := range f.segs {
		s := &f.segs[i]
		if s.lost {
			continue // it never went out
		}
		key := bytes{s.from, s.from + int64(s.len), s.syn}
		k := count[key]
		count[key]++
		if k < len(arrived[key]) && arrived[key][k].Dropped != "" {
			s.lost, s.why = true, arrived[key][k].Dropped
		}
	}
}

// payload is how many bytes of data were sent, with repeats.
func payload(segs []seg) (n int64) {
	for i := range segs {
		if segs[i].kind != copied {
			n += int64(segs[i].len)
		}
	}
	return n
}
