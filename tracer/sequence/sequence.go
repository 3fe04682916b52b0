package sequence

import (
	"strconv"
	"time"

	"appliance/tracer"
)

// A Player plays an end.
type Player string

// The players.
const (
	Stack  Player = "stack"  // the appliance
	Linux  Player = "linux"  // the kernel, driven by Go or by a Python script
	Script Player = "script" // a table of frames
)

// An End is C or S.
type End string

// The ends.
const (
	Client End = "C"
	Server End = "S"
)

// Other returns the other end.
func (e End) Other() End {
	if e == Client {
		return Server
	}
	return Client
}

// Players say who plays which end.
type Players map[End]Player

// A Sequence is one row of the documented sequences: one file.
type Sequence struct {
	Name    string         // the row's id, the file's name
	Title   string         // a line
	Shows   string         // what it shows, a sentence, for lists
	Sources []Source       // the documents
	RFC     []string       // clauses: "RFC 9293, 3.5"
	Differs string         // how the documents differ from the RFC; "" where they do not
	Numbers map[End]uint32 // initial sequence numbers for display; nil means relative ones
	Runs    []Run
}

// Source is a passage of a document.
type Source struct {
	Document string // "001"
	Passage  string // where in it: a heading, a step, in our own words
}

// A Run is one way through a sequence. A sequence with one run leaves its name empty.
type Run struct {
	Name  string
	Shows string
	Port  uint16 // the server's; 0 means 9000
	// TCP are settings of the appliance's stacks, keyed as in the configuration's tcp section
	// (sack, rack, nagle, msl, fin_wait_2, mss, …), by end: "C", "S" or "" for both.
	TCP map[End]map[string]any
	// MSL is TIME-WAIT's half: on the virtual clock; 0 means 2 minutes.
	MSL time.Duration
	// RealMSL is that on a real clock; 0 means 100 ms (real_msl in the file).
	RealMSL time.Duration
	// Sysctl are the Linux side's, such as net.ipv4.tcp_sack: "0".
	Sysctl map[string]string
	// MTU of the link, bytes; 0 means 1500.
	MTU int
	// Programs by who runs them: "C", "S", or "S@linux" where it differs.
	Programs map[string][]Step
	// Scripts by end, where a script plays it. Extra is one more scripted end on the link, besides C and S.
	Scripts map[End][]Frame
	Extra   []Frame
	// Link are the link's rules, Forced those that apply only where the keyed player plays
	// ("S@stack"): they make a form that the player does not choose by itself.
	Link   []LinkRule
	Forced map[string][]LinkRule
	Expect []Row
	Allow  []Allowance
	Check  Checks
	// Until ends the run early: these ends' states, where waiting for CLOSED makes no sense ("C": TIME-WAIT).
	Until map[End]tracer.State
	// Players are who can play, as "C@linux S@stack"; none means everybody that has a program or a script.
	Players []Players
}

// LinkRule is a rule of netstack/link on one way.
type LinkRule struct {
	From End
	Rule string // with the direction left out: "drop SYN nth=1"
}

// Step is one step of a program.
type Step struct {
	Conn     string // the connection's name
	Do       Verb
	Bytes    int           // send, recv: so many, also where Text says which; -1 for any
	Text     string        // send, recv: this; the file of python, the program of app
	By       int           // send: in pieces of
	EOF      bool          // recv: to the end-of-file; Bytes is -1 where something may come before it, else 0
	Listener bool          // close: the listener
	Port     uint16        // connect: 0 means the other end's
	Backlog  int           // listen: 0 means the default
	Option   string        // set: the option
	Value    string        // set: its value
	Args     []string      // app, python
	For      time.Duration // pause
	End      End           // wait
	State    tracer.State  // wait
	Label    string        // wait: the segment's
	Fails    string        // what must stand in the error; "" means that it must succeed
	Prints   string        // app, python: the line that it prints; "" for no matter
	Together [][]Step
	Line     int // in the file
}

// A Verb is what a step does.
type Verb string

// The verbs.
const (
	Listen   Verb = "listen"
	Accept   Verb = "accept"
	Bind     Verb = "bind"
	Connect  Verb = "connect"
	Send     Verb = "send"
	Recv     Verb = "recv"
	Shutdown Verb = "shutdown"
	Close    Verb = "close"
	Abort    Verb = "abort"
	Set      Verb = "set"
	Wait     Verb = "wait" // for State at End, or Label, or, with neither, rest
	Pause    Verb = "pause"
	App      Verb = "app"
	Python   Verb = "python"
	Exit     Verb = "exit"
	Kill     Verb = "kill"
	UDPSend  Verb = "udp send"
	UDPRecv  Verb = "udp recv"
	Together Verb = "together"
)

// Frame is one step of a script.
type Frame struct {
	Conn  string
	Do    FrameVerb
	Flags tracer.Flags
	// Seq, Ack and Len of what is sent, or conditions on what is awaited.
	Seq, Ack, Len Number
	Text          string // payload; "" means Len bytes of the pattern
	Opts          tracer.Options
	Win           Number // Unset means 65535
	From, To      string
	Times         int // 0 means 1
	For           time.Duration
	Line          int
}

// A FrameVerb is what a script's step does.
type FrameVerb string

// The verbs of scripts.
const (
	FrameSend  FrameVerb = "send"
	FrameAwait FrameVerb = "await"
	FrameDelay FrameVerb = "delay"
)

// Number is a condition on a number: Any, or a comparison with N.
type Number struct {
	Op Op
	N  uint32
}

// Op is a comparison.
type Op string

// The comparisons. The zero Op means that nothing was written.
const (
	Unset   Op = ""
	Any     Op = "*"
	Equal   Op = "="
	More    Op = ">"
	Less    Op = "<"
	AtLeast Op = ">="
	AtMost  Op = "<="
)

// Holds tells whether n fulfils the condition; Unset and Any always do.
func (c Number) Holds(n uint32) bool {
	switch c.Op {
	case Equal:
		return n == c.N
	case More:
		return n > c.N
	case Less:
		return n < c.N
	case AtLeast:
		return n >= c.N
	case AtMost:
		return n <= c.N
	default:
		return true
	}
}

// Row is one row of what is expected: one of CallRow, StateRow, TimerRow, SegmentRow, DatagramRow and Group.
type Row struct {
	Line int // in the file
	Body RowBody
}

// RowBody is what a row says.
//
//sumtype:decl
type RowBody interface{ row() }

// At is one end of one connection.
type At struct {
	End  End
	Conn string
}

// CallRow expects a call.
type CallRow struct {
	At       At
	Call     string // as tracer.Call names it
	Listener bool
	Bytes    int  // of recv and send, all pieces together; -1 for any
	EOF      bool // recv: the last piece returns none
	Fails    string
}

// StateRow expects a state change.
type StateRow struct {
	At       At
	From, To tracer.State
	By       By
	After    time.Duration // in From; 0 for any. Exact on the virtual clock; on a real one at least that, within a tenth
	MSLs     int           // After in multiples of the run's MSL; 0 where After says it
}

// By is a cause: one of its fields.
type By struct {
	Call  string // the last such call that is listed before, at that end
	Label string // a segment
	Timer string
	Other tracer.CauseKind // icmp, stack
}

// TimerRow expects a timer to fire.
type TimerRow struct {
	At    At
	Timer string
	After time.Duration // since the segment or timer before it in the track; 0 for any
	MSLs  int           // After in multiples of the run's MSL; 0 where After says it
}

// Ways says which of a segment's two events a row stands for.
type Ways uint8

// The ways.
const (
	Both    Ways = iota // it is sent, and arrives
	Sent                // only its sending
	Arrives             // only its arrival
)

// SegmentRow expects a segment.
type SegmentRow struct {
	Label    string
	From     At // the sender
	Way      Ways
	Flags    tracer.Flags
	Seq, Ack Number
	Len      Number
	Win      Number
	Opts     *Opts // nil for any
	Notes    []string
	Lost     bool // the link drops it
	Min, Max int  // how many in a row: 1, 1 unless times says otherwise; Max 0 for no limit
}

// Opts are a segment's options: exactly those named, each with its value, where one is given.
type Opts struct {
	MSS, WS, SACKOK, TS, SACK bool
	MSSValue                  uint16 // 0 for any
	WSValue                   int    // -1 for any
}

// DatagramRow expects a UDP datagram.
type DatagramRow struct {
	Label string
	From  At
	Way   Ways
	Len   Number
	Lost  bool
}

// Group is a row of rows.
type Group struct {
	Kind GroupKind
	// Lists are the alternatives of Either, the threads of AnyOrder, the one list of Optional and Only.
	Lists [][]Row
	// For says for whom an Only counts.
	For     End
	Players []Player
}

// GroupKind is what a group means.
type GroupKind string

// The kinds of groups.
const (
	AnyOrder GroupKind = "any-order"
	Either   GroupKind = "either"
	Optional GroupKind = "optional"
	Only     GroupKind = "only"
)

func (CallRow) row()     {}
func (StateRow) row()    {}
func (TimerRow) row()    {}
func (SegmentRow) row()  {}
func (DatagramRow) row() {}
func (Group) row()       {}

// Allowance is what may come besides what is expected.
type Allowance string

// The allowances.
const (
	AllowACKs            Allowance = "acks"
	AllowTimers          Allowance = "timers"
	AllowProbes          Allowance = "probes"
	AllowRetransmissions Allowance = "retransmissions"
)

// Checks hold for a whole trace. The zero value checks nothing.
type Checks struct {
	// MaxLen is the longest payload that may come to an end, bytes.
	MaxLen map[End]int
	// MaxHalfOpen is how many of S's connections may be in SYN-RECEIVED at once.
	MaxHalfOpen int
	// MinCookies is how many connections must open from a SYN cookie, at least.
	MinCookies int
	// Established is how many connections S must see established, exactly; -1 and 0 for no matter.
	Established int
	// NoAnswer says that S must send nothing to what is no connection of its own.
	NoAnswer bool
	// MaxEvents bounds the trace's length.
	MaxEvents int
	// TCB says that of this end the send buffer's fill is always what was given to send less what
	// SND.UNA says is acknowledged, and that the one is seen falling as the other rises.
	TCB End
}

// SignificantNotes are the notes that change what a segment means.
var SignificantNotes = []string{
	"retransmission", "fast-retransmit", "keepalive", "window-probe", "zero-window", "challenge-ack", "syn-cookie",
}

// Mismatch is where a trace and a sequence part.
type Mismatch struct {
	Line     int    // of the file
	At       string // "C", "S.b", "C's states", where it makes sense
	Expected string // the row, in the file's words
	Seen     string // the event, in words; "nothing more" at the end
	N        uint64 // the event's number; 0 where there is none
	Why      string // what is different: "ack is 22, not 21"
}

// Error implements error: "S: expected … (line 12), seen … (#31): ack is 22, not 21".
func (m *Mismatch) Error() string {
	line, n := "", ""
	if m.Line != 0 {
		line = " (line " + strconv.Itoa(m.Line) + ")"
	}
	if m.N != 0 {
		n = " (#" + strconv.FormatUint(m.N, 10) + ")"
	}
	return m.At + ": expected " + m.Expected + line + ", seen " + m.Seen + n + ": " + m.Why
}
