package tracer

import (
	"net/netip"
	"time"
)

// Event is one line of a trace.
type Event struct {
	N      uint64         // 1, 2, 3, …; stamped by the Bus
	T      time.Duration  // since the trace started, monotonic; stamped by the Bus
	Stack  string         // which traced stack: "server", "client", "peer"
	Conn   uint32         // the connection's id within the trace; 0 for none
	Parent uint32         // the listener's Conn, on each event of a passively opened connection; else 0
	Local  netip.AddrPort // the stack's own end
	Remote netip.AddrPort // the other end; zero for a listener
	Body   Body
}

// Body is what an event tells: one of the pointer types of this file.
//
//sumtype:decl
type Body interface {
	// Type is the event's name on the line ("segment", "state", …).
	Type() Type
	isBody()
}

// Type names an event.
type Type string

// The types of events.
const (
	TypeCall     Type = "call"
	TypeSegment  Type = "segment"
	TypeDatagram Type = "datagram"
	TypeICMP     Type = "icmp"
	TypeState    Type = "state"
	TypeTimer    Type = "timer"
	TypeTCB      Type = "tcb"
	TypeEnd      Type = "end"
	TypeLost     Type = "lost"
)

// Phase tells which part of a call an event is.
type Phase string

// The phases of a call.
const (
	PhaseEnter  Phase = "enter"  // the program called
	PhaseReturn Phase = "return" // the call came back; Of is its enter
	PhaseDone   Phase = "done"   // both in one: it returned at once and caused nothing
)

// Arg is one argument of a call. Value is a string, an int64 or a bool. The argument
// "data" is the first bytes of a payload, escaped as in Go's strings, without quotes,
// with "…" behind it where the payload goes on; recv's Result is the same.
type Arg struct {
	Name  string
	Value any
}

// Call is a socket call, under the name that Python's socket module uses:
// socket, bind, listen, accept, connect, send, recv, shutdown, close, setsockopt.
type Call struct {
	Name   string
	Phase  Phase
	Args   []Arg         // on enter and done
	Of     uint64        // on return: the enter's N
	Bytes  int           // bytes sent or received; -1 when the call moves none
	Result string        // what it returned besides bytes: accept's peer address; "" for none
	Conn   uint32        // the connection that accept returned; 0 for none
	Error  string        // "" when it succeeded
	Took   time.Duration // on return and done
}

// Direction is a segment's way, seen from the traced stack.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Flags are a TCP header's control bits, as on the wire (RFC 9293, 3.1).
type Flags uint8

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// SACKBlock is one block of a SACK option (RFC 2018): Left is the first sequence
// number of the block, Right the one after its last.
type SACKBlock struct{ Left, Right uint32 }

// Options are a segment's TCP options.
type Options struct {
	MSS      uint16 // bytes; 0 for none
	HasWS    bool
	WS       uint8 // window scale, a shift count (RFC 7323)
	SACKOK   bool
	HasTS    bool
	TSVal    uint32
	TSEcr    uint32
	SACK     []SACKBlock
	NumOther int // options of other kinds
}

// Segment is one TCP segment, inbound or outbound.
type Segment struct {
	Dir          Direction
	Flags        Flags
	Seq, Ack     uint32 // as on the wire
	HasRel       bool   // RelSeq is known
	HasRelAck    bool   // RelAck is known and the segment bears ACK
	RelSeq       uint32 // Seq - the sender's ISN
	RelAck       uint32 // Ack - the receiver's ISN
	Len          int    // payload, bytes
	Win          uint32 // bytes: scaled, but as it stands on a SYN (RFC 7323, 2.2)
	Opts         Options
	Notes        []string // retransmission, dup-ack, zero-window, …
	Dropped      string   // why it was discarded; "" when it was not
	WireSegments int      // how many segments on the wire a super-segment stands for; 0 for one
}

// Datagram is one UDP datagram.
type Datagram struct {
	Dir     Direction
	Len     int // payload, bytes
	Notes   []string
	Dropped string
}

// ICMP is an ICMP or ICMPv6 message. Where it reports an error about a
// connection's segment, the event bears that connection.
type ICMP struct {
	Dir  Direction
	Name string // "destination unreachable: port", "echo request"
	Kind uint8  // the message's type
	Code uint8
	Len  int
}

// CauseKind is what sort of thing caused a state change.
type CauseKind string

// The kinds of causes.
const (
	CauseSegment CauseKind = "segment"
	CauseCall    CauseKind = "call"
	CauseTimer   CauseKind = "timer"
	CauseICMP    CauseKind = "icmp"
	CauseStack   CauseKind = "stack" // the stack itself: it was closed, or gave up on a neighbour
)

// Cause is why a state changed: N is the event's number, 0 where no event stands
// for it; What says it in words ("ACK of our FIN").
type Cause struct {
	Kind CauseKind
	N    uint64
	What string
}

// StateChange is one change of an endpoint's state. To was read from the stack.
type StateChange struct {
	From, To   State
	Cause      Cause
	Via        string        // the hook that saw it
	Dwell      time.Duration // time spent in From
	RFC        string        // the clause of RFC 9293, "3.10.7.4"
	StackState string        // the stack's own name of To, where it differs
	Error      string        // the error the connection ended with
}

// Timer is a timer of TCP that did something.
type Timer struct {
	Name string        // retransmit, time-wait, fin-wait-2, keepalive, tail-loss-probe, reorder, cork; tcp where untold
	What string        // "fired"
	RTO  time.Duration // what it had been set to, where known; else 0
}

// TCBVar is one variable of the transmission control block: Value in bytes or
// nanoseconds (names that end in _ns), or Text for a variable that is a word. A
// name must not be one of the fields that every event has, nor "after".
type TCBVar struct {
	Name  string
	Value int64
	Text  string
}

// TCB holds those of the connection's variables that changed.
type TCB struct {
	After uint64 // the N of the event after which they were read
	Vars  []TCBVar
}

// Role is which end opened.
type Role string

// The roles.
const (
	Active  Role = "active"
	Passive Role = "passive"
)

// How names the way a connection ended.
type How string

// The ways a connection ends.
const (
	HowFIN         How = "fin"         // both FINs, acknowledged
	HowReset       How = "reset"       // the peer sent RST
	HowAborted     How = "aborted"     // this end sent RST or gave up at once
	HowTimeout     How = "timeout"     // a timer ended it
	HowRefused     How = "refused"     // RST in answer to our SYN
	HowUnreachable How = "unreachable" // ICMP, or no neighbour
)

// End is written when a connection ends. Times are as of Event.T.
type End struct {
	Role        Role
	Opened      time.Duration // when the connection's first event was
	Duration    time.Duration
	BytesIn     uint64 // payload received by the program's end of the stack, without repeats
	BytesOut    uint64 // payload sent, without repeats
	SegmentsIn  uint64
	SegmentsOut uint64
	Retransmits uint64
	How         How
}

// Lost stands for events that a full queue had to drop, at the place where they
// would have stood: N is the first missing number, Missed how many are missing.
type Lost struct {
	Missed uint64
	Of     Type // "" when they were of several types
}

// Type implements Body.
func (*Call) Type() Type { return TypeCall }

// Type implements Body.
func (*Segment) Type() Type { return TypeSegment }

// Type implements Body.
func (*Datagram) Type() Type { return TypeDatagram }

// Type implements Body.
func (*ICMP) Type() Type { return TypeICMP }

// Type implements Body.
func (*StateChange) Type() Type { return TypeState }

// Type implements Body.
func (*Timer) Type() Type { return TypeTimer }

// Type implements Body.
func (*TCB) Type() Type { return TypeTCB }

// Type implements Body.
func (*End) Type() Type { return TypeEnd }

// Type implements Body.
func (*Lost) Type() Type { return TypeLost }

func (*Call) isBody()        {}
func (*Segment) isBody()     {}
func (*Datagram) isBody()    {}
func (*ICMP) isBody()        {}
func (*StateChange) isBody() {}
func (*Timer) isBody()       {}
func (*TCB) isBody()         {}
func (*End) isBody()         {}
func (*Lost) isBody()        {}
