package ladder

import (
	"time"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/words"
)

// Options are a ladder's settings; the zero value is ready: English, relative numbers, the
// whole connection.
type Options struct {
	Lang words.Lang
	// Raw shows sequence numbers as they were on the wire.
	Raw bool
	// Numbers shows sequence numbers as if the initial ones had been these, in the form
	// "1001(20) ack 8001". Raw goes before it.
	Numbers *Numbers
	// First and Last are the events to begin and to end with, by N; 0: all.
	First, Last uint64
}

// Numbers are initial sequence numbers for display: of the end that opened, and of the
// other.
type Numbers struct{ Client, Server uint32 }

// Ladder is a connection laid out: lanes from left to right, rows from top to bottom.
type Ladder struct {
	Lanes  [2]Lane
	Rows   []Row
	Arrows []*Arrow
	// TCP is false for datagrams, ICMP messages and what else has no states.
	TCP bool

	o     Options
	trace *view.Trace
}

// Lane is one end.
type Lane struct {
	Conn *view.Conn // nil where it is not traced
	Name string     // the stack: "client"
	Addr string     // its address and port; "" where it is not known
	// Traced tells whether the end's own segments are in the trace. Arrows slant only
	// between two such ends.
	Traced bool
	// States is how many changes of the end's state the trace has; Inferred, how many of
	// them were not read from a stack but follow from segments.
	States, Inferred int
	// First is the state that the end was in before the first row.
	First Phase
}

// title is what a lane is called: the connection's name, or the stack's.
func (l *Lane) title() string {
	if l.Conn != nil {
		return l.Conn.Name()
	}
	return l.Name
}

// Phase is the state that an end is in, where the trace tells.
type Phase struct {
	State tracer.State
	Known bool
}

// RowKind is what a row is.
type RowKind uint8

// The kinds of rows.
const (
	Moment  RowKind = iota // marks, and at most one end of an arrow
	Silence                // nothing happened for a while
	Missing                // events that the trace does not have
)

// Row is what stands at one height.
type Row struct {
	Kind  RowKind
	T     time.Duration // since the trace began; of a Silence, its end
	For   time.Duration // how long a Silence was
	Text  string        // of Missing
	N     uint64        // the first event that it shows
	Marks [2]*Mark      // by lane
	Arrow *Arrow        // that leaves or arrives
	Part  Part          // which of it
	// Phases are the states of both lanes after the row's events.
	Phases [2]Phase
}

// Part tells which end of an arrow a row has.
type Part uint8

// The parts of arrows.
const (
	Whole   Part = iota // both: it leaves and arrives here
	Leaves              // it arrives in a later row, or never
	Arrives             // it left in an earlier row
)

// MarkKind is what a mark tells.
type MarkKind uint8

// The kinds of marks.
const (
	MarkCall MarkKind = iota
	MarkState
	MarkTimer
	MarkEnd
)

// Mark is something that happened at one end.
type Mark struct {
	Kind  MarkKind
	N     uint64
	Conn  uint32
	Text  string        // "send(10) = 10", "ESTABLISHED"
	Data  string        // what follows and may be cut: a payload's first bytes, in quotes
	State tracer.State  // of MarkState: the state that the end is in from here on
	Dwell time.Duration // of MarkState: how long it stays there; 0 where that is not known
	Bad   bool          // an error
	sends bool          // a packet may leave because of it
}

// Fate is what became of an arrow.
type Fate uint8

// The fates.
const (
	Arrived  Fate = iota
	Lost          // dropped on its way, as the trace says
	Refused       // dropped where it arrived
	Unseen        // the other end is traced and never got it
	UnderWay      // like Unseen, but the trace ends before the other end got anything more
	Strayed       // it arrived and the other end, which is traced, did not send it: a copy
)

// Arrow is a segment, a datagram or an ICMP message.
type Arrow struct {
	From, To       int           // lanes
	Sent, Received *tracer.Event // as each end saw it; one may be nil
	Leaves         int           // the row; -1 where only the arrival is in the trace of two traced ends
	Arrives        int           // the row; Leaves where one end is traced; -1 where it does not arrive
	Fate           Fate
	Repeat         bool    // a retransmission
	Label          []Piece // what stands at it
}

// N is the number of the arrow's first event.
func (a *Arrow) N() uint64 { return a.event().N }

// event is the event that tells most: where it was sent, else where it arrived.
func (a *Arrow) event() *tracer.Event {
	if a.Sent != nil {
		return a.Sent
	}
	return a.Received
}

// arrivedAt tells whether an end saw the arrow arrive.
func (a *Arrow) arrivedAt(end int) bool { return a != nil && a.To == end && a.Received != nil }

// PieceKind is what a piece of a label is.
type PieceKind uint8

// The kinds of pieces.
const (
	PieceFlags   PieceKind = iota // "SYN ACK", "UDP"
	PieceNumbers                  // "seq 1", "1001(20) ack 8001"
	PieceOptions                  // "mss 1460 ws 7"
	PieceNote                     // "retransmission"
	PieceDropped                  // why it was dropped
)

// Piece is a part of an arrow's label that is not broken between lines.
type Piece struct {
	Kind PieceKind
	Text string
}

// All returns what a trace has to draw, in order: every connection, then what was said
// without one. Where a listener got many segments that came to no connection, as in a
// flood of SYNs, they are one ladder: the listener's.
func All(t *view.Trace) []view.Pair {
	pairs := append([]view.Pair{}, t.Pairs()...)
	count := map[uint32]int{}
	for _, f := range t.Flows() {
		for _, c := range []*view.Conn{f.A, f.B} {
			if c != nil {
				count[c.ID]++
			}
		}
	}
	shown := map[uint32]bool{}
	for _, f := range t.Flows() {
		l := listenerOf(t, f)
		if l == nil || count[l.ID] <= manyStrays {
			pairs = append(pairs, f)
			continue
		}
		if !shown[l.ID] {
			shown[l.ID] = true
			pairs = append(pairs, view.Pair{A: l})
		}
	}
	return pairs
}

// manyStrays is how many clients that came to no connection each get a ladder.
const manyStrays = 4

// listenerOf is the listener that took a flow's segments, or nil.
func listenerOf(t *view.Trace, f view.Pair) *view.Conn {
	for _, c := range []*view.Conn{f.A, f.B} {
		if c == nil || c.ID == 0 {
			continue
		}
		if l := t.Conn(c.ID); l != nil && l.Listener {
			return l
		}
	}
	return nil
}

// Of returns the pair of a connection, a listener or a UDP socket; ok is false where the
// trace has none of that id.
func Of(t *view.Trace, id uint32) (p view.Pair, ok bool) {
	if p, ok = t.PairOf(id); ok {
		return p, true
	}
	c := t.Conn(id)
	if c == nil {
		return view.Pair{}, false
	}
	if !c.Listener {
		for _, f := range t.Flows() {
			if f.A.ID == id || f.B != nil && f.B.ID == id {
				return f, true
			}
		}
	}
	return view.Pair{A: c}, true
}
