package summary

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"appliance/tracer"
)

// Conn is a connection's line.
type Conn struct {
	ID          uint32         `json:"conn"`
	Stack       string         `json:"stack"`
	Local       netip.AddrPort `json:"local"`
	Remote      netip.AddrPort `json:"remote"`
	Role        tracer.Role    `json:"role,omitempty"` // who opened: this end (active) or its peer (passive); "" where untold
	States      []string       `json:"states"`         // that it was in, in the order in which it came to them
	BytesOut    uint64         `json:"bytes_out"`      // payload, without repeats
	BytesIn     uint64         `json:"bytes_in"`
	SegmentsOut uint64         `json:"segments_out"`
	SegmentsIn  uint64         `json:"segments_in"`
	Retransmits uint64         `json:"retransmits"`
	RTT         *RTT           `json:"rtt,omitempty"`
	Opened      time.Duration  `json:"opened_ns"`   // since the trace started
	Duration    time.Duration  `json:"duration_ns"` // until its end or, where it has not ended, the trace's
	How         tracer.How     `json:"how,omitempty"`
	Open        bool           `json:"open"`            // it had not ended
	State       string         `json:"state,omitempty"` // where it is open: the state that it is in
}

// conn is what is kept of a connection until it is told.
type conn struct {
	id            uint32
	stack         string
	local, remote netip.AddrPort
	role          tracer.Role
	opened        time.Duration
	states        reached
	state         tracer.State
	listener      bool
	told          bool // it changed its state, or had a segment
	proof         proof
	strays        bool // its segments had several remote addresses
	in, out       flow
	retransmits   uint64
	end           *tracer.End
	atEnd         counts // what was counted of it when it ended
	roundTrips    RoundTrips
	rtt           times
	totals        *totals
	before, after *conn
}

// proof is what shows that it is a connection. A listener has segments too, and a part of a
// trace need not have the call or the state that tells it.
type proof uint8

const (
	unproved proof = iota // it had nothing but SYNs that it did not answer
	segments              // segments, which are a listener's where they are of several peers
	proved                // a state, a listener of its own, or that it opened
)

// counts are what a connection's segments come to.
type counts struct {
	bytesOut, bytesIn, segmentsOut, segmentsIn, retransmits uint64
}

// flow counts one direction.
type flow struct {
	segments uint64
	next     uint64 // one behind the highest byte's sequence number, not wrapped
	from     uint64 // the first byte's
	begun    bool
}

// add counts a segment.
func (f *flow) add(g *tracer.Segment) {
	f.segments += wire(g)
	f.payload(g)
}

// payload takes note of a segment's bytes.
func (f *flow) payload(g *tracer.Segment) {
	if g.Len <= 0 {
		return
	}
	seq := g.Seq
	if g.Flags.Has(tracer.SYN) {
		seq++
	}
	if !f.begun {
		f.begun = true
		f.from = 1<<32 + uint64(seq)
		if g.HasRel && g.RelSeq > 0 {
			f.from -= uint64(g.RelSeq - 1)
		}
		f.next = f.from
	}
	end := seq + uint32(g.Len)
	if ahead := int32(end - uint32(f.next)); ahead > 0 {
		f.next += uint64(ahead)
	}
}

// bytes returns how many bytes there were, without repeats.
func (f *flow) bytes() uint64 { return f.next - f.from }

// event takes note of one of the connection's events.
func (c *conn) event(e *tracer.Event) {
	if e.Local.IsValid() {
		c.local = e.Local
	}
	if e.Remote.IsValid() {
		c.strays = c.strays || c.remote.IsValid() && c.remote != e.Remote
		c.remote = e.Remote
	}
	if e.Parent != 0 {
		c.proof = proved
		c.opener(tracer.Passive)
	}
	switch b := e.Body.(type) {
	case *tracer.StateChange:
		c.change(b)
	case *tracer.Segment:
		c.segment(e, b)
	case *tracer.Call:
		switch b.Name {
		case "listen", "accept":
			c.listener = true
		case "connect":
			c.proof = proved
			c.opener(tracer.Active)
		}
	case *tracer.End:
		c.end, c.atEnd = b, c.counts()
	default:
	}
}

// late takes note of an event after the connection's end: a FIN that is sent again, the RST
// of an abort. It is counted and timed, and changes nothing else of what is known.
func (c *conn) late(e *tracer.Event) {
	if g, ok := e.Body.(*tracer.Segment); ok {
		c.count(e, g)
	}
}

func (c *conn) opener(r tracer.Role) {
	if c.role == "" {
		c.role = r
	}
}

func (c *conn) change(b *tracer.StateChange) {
	c.told = true
	c.state = b.To
	switch {
	case b.To == tracer.Listen, b.From == tracer.Listen && b.To == tracer.Closed && c.proof != proved:
		c.listener = true
		return
	case b.From == tracer.Listen:
		c.opener(tracer.Passive)
	case b.To == tracer.SynSent:
		c.opener(tracer.Active)
	}
	c.proof = proved
	c.states.add(b.To)
}

func (c *conn) segment(e *tracer.Event, g *tracer.Segment) {
	c.told = true
	asks := g.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN
	if !asks || g.Dir == tracer.Out {
		c.proof = max(c.proof, segments)
	}
	if asks {
		c.opener(map[tracer.Direction]tracer.Role{tracer.Out: tracer.Active, tracer.In: tracer.Passive}[g.Dir])
	}
	c.count(e, g)
}

// count counts a segment, and times it.
func (c *conn) count(e *tracer.Event, g *tracer.Segment) {
	if g.Dir == tracer.Out {
		again := slices.Contains(g.Notes, "retransmission")
		c.out.add(g)
		if again {
			c.retransmits += wire(g)
		}
		c.roundTrips.Sent(e.T, e.N, g.Seq, numbers(g), again)
		return
	}
	if g.Dropped != "" {
		return // the connection never had it
	}
	c.in.add(g)
	if g.Flags&(tracer.ACK|tracer.RST) != tracer.ACK {
		return
	}
	if t, ok := c.roundTrips.Acked(e.T, g.Ack, g.Opts.SACK); ok {
		c.rtt.add(t.Time)
	}
}

// numbers returns how many sequence numbers a segment takes up.
func numbers(g *tracer.Segment) int {
	n := max(g.Len, 0)
	if n == 0 && g.Flags.Has(tracer.RST) {
		return 0
	}
	if g.Flags.Has(tracer.SYN) {
		n++
	}
	if g.Flags.Has(tracer.FIN) {
		n++
	}
	return n
}

// wire returns for how many segments of a wire a segment stands.
func wire(g *tracer.Segment) uint64 { return uint64(max(g.WireSegments, 1)) }

// connected tells whether it is a connection of TCP's, rather than a socket that did
// nothing or one for datagrams.
func (c *conn) connected() bool { return c.told || c.end != nil }

// isListener tells, at the trace's end, whether all that is known of it is a listener's.
func (c *conn) isListener() bool {
	return c.end == nil && c.told && (c.proof == unproved || c.proof == segments && c.strays)
}

// line returns what is to be told of it at a time.
func (c *conn) line(at time.Duration) *Conn {
	n := c.total()
	l := &Conn{
		ID: c.id, Stack: c.stack, Local: c.local, Remote: c.remote, Role: c.role, States: c.states.names(),
		BytesOut: n.bytesOut, BytesIn: n.bytesIn, SegmentsOut: n.segmentsOut, SegmentsIn: n.segmentsIn,
		Retransmits: n.retransmits, RTT: c.rtt.summary(), Opened: c.opened, Duration: at - c.opened,
	}
	x := c.end
	if x == nil {
		l.Open, l.State = true, c.state.String()
		return l
	}
	if x.Role != "" {
		l.Role = x.Role
	}
	l.Opened, l.Duration, l.How = x.Opened, x.Duration, x.How
	return l
}

// counts returns what the trace's segments of the connection come to so far.
func (c *conn) counts() counts {
	return counts{c.out.bytes(), c.in.bytes(), c.out.segments, c.in.segments, c.retransmits}
}

// total returns all that is known of the connection's segments. What its end counted
// counts, as a trace of states has no segments and another may lack some; with it counts
// what the trace has after the end, which the end could not know.
func (c *conn) total() counts {
	n, x := c.counts(), c.end
	if x == nil {
		return n
	}
	return counts{
		bytesOut:    x.BytesOut + grown(max(c.atEnd.bytesOut, x.BytesOut), n.bytesOut),
		bytesIn:     x.BytesIn + grown(max(c.atEnd.bytesIn, x.BytesIn), n.bytesIn),
		segmentsOut: x.SegmentsOut + n.segmentsOut - c.atEnd.segmentsOut,
		segmentsIn:  x.SegmentsIn + n.segmentsIn - c.atEnd.segmentsIn,
		retransmits: x.Retransmits + n.retransmits - c.atEnd.retransmits,
	}
}

// grown returns by how much a count of bytes without repeats went beyond one from before:
// what the end knew of, and the trace lacks, may come again after it.
func grown(was, now uint64) uint64 { return max(was, now) - was }

// reached are the states that a connection came to: which, and in which order (four bits
// each, the first lowest).
type reached struct {
	mask  uint16
	order uint64
	n     int
}

func (r *reached) add(s tracer.State) {
	if s > tracer.TimeWait || r.mask&(1<<s) != 0 {
		return
	}
	r.mask |= 1 << s
	r.order |= uint64(s) << (4 * r.n)
	r.n++
}

// names returns the states in the order in which they were reached.
func (r *reached) names() []string {
	names := make([]string, r.n)
	for i := range names {
		names[i] = tracer.State(r.order >> (4 * i) & 15).String()
	}
	return names
}

// sorted returns the states in RFC 9293's order.
func (r *reached) sorted() []string {
	names := []string{}
	for s := tracer.Closed; s <= tracer.TimeWait; s++ {
		if r.mask&(1<<s) != 0 {
			names = append(names, s.String())
		}
	}
	return names
}

// Name is what the story calls the connection: "server.3".
func (c *Conn) Name() string {
	return c.Stack + "." + strconv.FormatUint(uint64(c.ID), 10)
}

// Ends returns the end that opened, where that is known, and the other.
func (c *Conn) Ends() (opener, other netip.AddrPort) {
	if c.Role == tracer.Passive {
		return c.Remote, c.Local
	}
	return c.Local, c.Remote
}
