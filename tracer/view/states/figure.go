package states

import (
	"slices"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
)

// Arrow is one transition of RFC 9293's figure 5.
type Arrow struct {
	From, To tracer.State
	Kind     tracer.CauseKind // what sort of event the figure has for it
	Event    string           // what the figure writes above the line
	Action   string           // what it writes below; "x" where nothing is done, "" where it writes nothing
	Note     int              // the figure's note about it; 0: none
}

// figure is figure 5, from top to bottom. The transition of note 2 is the one that the
// figure itself leaves out.
var figure = []Arrow{
	{tracer.Closed, tracer.Listen, tracer.CauseCall, "passive OPEN", "create TCB", 0},
	{tracer.Closed, tracer.SynSent, tracer.CauseCall, "active OPEN", "create TCB, snd SYN", 0},
	{tracer.Listen, tracer.Closed, tracer.CauseCall, "CLOSE", "delete TCB", 0},
	{tracer.SynSent, tracer.Closed, tracer.CauseCall, "CLOSE", "delete TCB", 0},
	{tracer.Listen, tracer.SynReceived, tracer.CauseSegment, "rcv SYN", "snd SYN,ACK", 0},
	{tracer.Listen, tracer.SynSent, tracer.CauseCall, "SEND", "snd SYN", 0},
	{tracer.SynReceived, tracer.Listen, tracer.CauseSegment, "rcv RST", "", 1},
	{tracer.SynSent, tracer.SynReceived, tracer.CauseSegment, "rcv SYN", "snd SYN,ACK", 0},
	{tracer.SynReceived, tracer.Established, tracer.CauseSegment, "rcv ACK of SYN", "x", 0},
	{tracer.SynSent, tracer.Established, tracer.CauseSegment, "rcv SYN,ACK", "snd ACK", 0},
	{tracer.SynReceived, tracer.FinWait1, tracer.CauseCall, "CLOSE", "snd FIN", 0},
	{tracer.Established, tracer.FinWait1, tracer.CauseCall, "CLOSE", "snd FIN", 0},
	{tracer.Established, tracer.CloseWait, tracer.CauseSegment, "rcv FIN", "snd ACK", 0},
	{tracer.FinWait1, tracer.FinWait2, tracer.CauseSegment, "rcv ACK of FIN", "x", 0},
	{tracer.FinWait1, tracer.Closing, tracer.CauseSegment, "rcv FIN", "snd ACK", 0},
	{tracer.FinWait1, tracer.TimeWait, tracer.CauseSegment, "rcv FIN, ACK of FIN", "snd ACK", 2},
	{tracer.CloseWait, tracer.LastAck, tracer.CauseCall, "CLOSE", "snd FIN", 0},
	{tracer.FinWait2, tracer.TimeWait, tracer.CauseSegment, "rcv FIN", "snd ACK", 0},
	{tracer.Closing, tracer.TimeWait, tracer.CauseSegment, "rcv ACK of FIN", "x", 0},
	{tracer.LastAck, tracer.Closed, tracer.CauseSegment, "rcv ACK of FIN", "x", 0},
	{tracer.TimeWait, tracer.Closed, tracer.CauseTimer, "Timeout=2MSL", "delete TCB", 0},
}

// Figure returns the transitions of figure 5, from top to bottom.
func Figure() []Arrow { return slices.Clone(figure) }

// allStates are the states, in the figure's order.
var allStates = []tracer.State{
	tracer.Closed, tracer.Listen, tracer.SynSent, tracer.SynReceived, tracer.Established, tracer.FinWait1,
	tracer.FinWait2, tracer.CloseWait, tracer.Closing, tracer.LastAck, tracer.TimeWait,
}

// arrowOf returns which of the figure's arrows a change took, -1 for none: the figure has
// no such pair, or has it for another reason (it leaves out resets, time-outs and aborts).
// A FIN that had to wait for data before it still takes the arrow of the CLOSE.
func arrowOf(from, to tracer.State, kind tracer.CauseKind, reset bool) int {
	for i, a := range figure {
		if a.From != from || a.To != to {
			continue
		}
		if reset != (a.Event == "rcv RST") {
			return -1
		}
		if kind == a.Kind || kind == "" {
			return i
		}
		if clause := tcpstate.Clause(from, to, kind); clause != "" && clause == tcpstate.Clause(from, to, a.Kind) {
			return i
		}
	}
	return -1
}
