package tcpstate

import "appliance/tracer"

// Clauses of RFC 9293 that the table cites.
const (
	open        = "3.10.1"   // OPEN Call
	send        = "3.10.2"   // SEND Call
	closeCall   = "3.10.4"   // CLOSE Call
	abort       = "3.10.5"   // ABORT Call
	inListen    = "3.10.7.2" // SEGMENT ARRIVES, LISTEN STATE
	inSynSent   = "3.10.7.3" // SEGMENT ARRIVES, SYN-SENT STATE
	inOther     = "3.10.7.4" // SEGMENT ARRIVES, Other States
	timeouts    = "3.10.8"   // Timeouts
	failures    = "3.8.3"    // TCP Connection Failures: R2
	icmpErrors  = "3.9.2.2"  // ICMP Messages: hard errors
	rfc9293     = "RFC 9293"
	synCookies  = "3.6" // of RFC 4987: SYN Cookies
	rfc4987     = "RFC 4987"
	noRFC       = ""
	closeQueued = "the CLOSE had waited until all that was sent before it was segmentized; now the FIN goes out"
	stackEnded  = "the stack ended the connection itself: it was shut down, or found no way to the peer; no RFC has this"
)

// table lists every change, by From in the order of the states.
var table = []Transition{
	{tracer.Closed, tracer.Listen, tracer.CauseCall, rfc9293, open, "passive OPEN: create a TCB and wait for a connection"},
	{tracer.Closed, tracer.SynSent, tracer.CauseCall, rfc9293, open, "active OPEN: send a SYN"},

	{tracer.Listen, tracer.SynReceived, tracer.CauseSegment, rfc9293, inListen, "a SYN arrived: answer with SYN and ACK"},
	{tracer.Listen, tracer.Established, tracer.CauseSegment, rfc4987, synCookies, "an ACK bore a valid SYN cookie: the connection is made from it"},
	{tracer.Listen, tracer.SynSent, tracer.CauseCall, rfc9293, send, "SEND with a remote socket turns a passive open into an active one: send a SYN"},
	{tracer.Listen, tracer.Closed, tracer.CauseCall, rfc9293, closeCall, "CLOSE: delete the TCB"},
	{tracer.Listen, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.SynSent, tracer.SynReceived, tracer.CauseSegment, rfc9293, inSynSent, "a SYN without an ACK arrived: both ends open at once"},
	{tracer.SynSent, tracer.Established, tracer.CauseSegment, rfc9293, inSynSent, "a SYN arrived that acknowledges ours: send an ACK"},
	{tracer.SynSent, tracer.Closed, tracer.CauseSegment, rfc9293, inSynSent, "a RST arrived that acknowledges our SYN: the connection is refused"},
	{tracer.SynSent, tracer.Closed, tracer.CauseCall, rfc9293, closeCall, "CLOSE: delete the TCB"},
	{tracer.SynSent, tracer.Closed, tracer.CauseTimer, rfc9293, failures, "our SYN was sent until R2 and never answered"},
	{tracer.SynSent, tracer.Closed, tracer.CauseICMP, rfc9293, icmpErrors, "an ICMP error says that the peer cannot be reached"},
	{tracer.SynSent, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.SynReceived, tracer.Established, tracer.CauseSegment, rfc9293, inOther, "an acceptable ACK of our SYN arrived"},
	{tracer.SynReceived, tracer.FinWait1, tracer.CauseCall, rfc9293, closeCall, "CLOSE: send a FIN"},
	{tracer.SynReceived, tracer.CloseWait, tracer.CauseSegment, rfc9293, inOther, "a FIN arrived together with the ACK of our SYN"},
	{tracer.SynReceived, tracer.Listen, tracer.CauseSegment, rfc9293, inOther, "a RST arrived after a passive OPEN: return to LISTEN"},
	{tracer.SynReceived, tracer.Closed, tracer.CauseSegment, rfc9293, inOther, "a RST arrived: the opening is given up"},
	{tracer.SynReceived, tracer.Closed, tracer.CauseCall, rfc9293, abort, "ABORT, or the listener was closed: send a RST and delete the TCB"},
	{tracer.SynReceived, tracer.Closed, tracer.CauseTimer, rfc9293, failures, "our SYN was sent until R2 and never acknowledged"},
	{tracer.SynReceived, tracer.Closed, tracer.CauseICMP, rfc9293, icmpErrors, "an ICMP error says that the peer cannot be reached"},
	{tracer.SynReceived, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.Established, tracer.FinWait1, tracer.CauseCall, rfc9293, closeCall, "CLOSE: send a FIN after all that was sent before"},
	{tracer.Established, tracer.FinWait1, tracer.CauseSegment, rfc9293, closeCall, closeQueued},
	{tracer.Established, tracer.FinWait1, tracer.CauseTimer, rfc9293, closeCall, closeQueued},
	{tracer.Established, tracer.CloseWait, tracer.CauseSegment, rfc9293, inOther, "a FIN arrived: the peer has closed its side"},
	{tracer.Established, tracer.Closed, tracer.CauseSegment, rfc9293, inOther, "a RST arrived: the connection is reset"},
	{tracer.Established, tracer.Closed, tracer.CauseCall, rfc9293, abort, "ABORT: send a RST and delete the TCB"},
	{tracer.Established, tracer.Closed, tracer.CauseTimer, rfc9293, failures, "a segment was sent until R2 and never acknowledged, or keep-alives were not answered (3.8.4)"},
	{tracer.Established, tracer.Closed, tracer.CauseICMP, rfc9293, icmpErrors, "a hard ICMP error: the connection is aborted"},
	{tracer.Established, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.FinWait1, tracer.FinWait2, tracer.CauseSegment, rfc9293, inOther, "our FIN is acknowledged"},
	{tracer.FinWait1, tracer.Closing, tracer.CauseSegment, rfc9293, inOther, "a FIN arrived before our FIN was acknowledged: both ends close at once"},
	{tracer.FinWait1, tracer.TimeWait, tracer.CauseSegment, rfc9293, inOther, "a FIN arrived that also acknowledges ours"},
	{tracer.FinWait1, tracer.Closed, tracer.CauseSegment, rfc9293, inOther, "a RST arrived: the connection is reset"},
	{tracer.FinWait1, tracer.Closed, tracer.CauseCall, rfc9293, abort, "ABORT: send a RST and delete the TCB"},
	{tracer.FinWait1, tracer.Closed, tracer.CauseTimer, rfc9293, failures, "our FIN, or data before it, was sent until R2 and never acknowledged"},
	{tracer.FinWait1, tracer.Closed, tracer.CauseICMP, rfc9293, icmpErrors, "a hard ICMP error: the connection is aborted"},
	{tracer.FinWait1, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.FinWait2, tracer.TimeWait, tracer.CauseSegment, rfc9293, inOther, "the peer's FIN arrived: wait for 2 MSL"},
	{tracer.FinWait2, tracer.Closed, tracer.CauseSegment, rfc9293, inOther, "a RST arrived: the connection is reset"},
	{tracer.FinWait2, tracer.Closed, tracer.CauseCall, rfc9293, abort, "ABORT: send a RST and delete the TCB"},
	{tracer.FinWait2, tracer.Closed, tracer.CauseTimer, noRFC, "", "the peer never closed: stacks end a closed socket's FIN-WAIT-2 after a time (Linux: tcp_fin_timeout); the RFC waits for ever"},
	{tracer.FinWait2, tracer.Closed, tracer.CauseICMP, rfc9293, icmpErrors, "a hard ICMP error: the connection is aborted"},
	{tracer.FinWait2, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.CloseWait, tracer.LastAck, tracer.CauseCall, rfc9293, closeCall, "CLOSE: send a FIN after all that was sent before"},
	{tracer.CloseWait, tracer.LastAck, tracer.CauseSegment, rfc9293, closeCall, closeQueued},
	{tracer.CloseWait, tracer.LastAck, tracer.CauseTimer, rfc9293, closeCall, closeQueued},
	{tracer.CloseWait, tracer.Closed, tracer.CauseSegment, rfc9293, inOther, "a RST arrived: the connection is reset"},
	{tracer.CloseWait, tracer.Closed, tracer.CauseCall, rfc9293, abort, "ABORT: send a RST and delete the TCB"},
	{tracer.CloseWait, tracer.Closed, tracer.CauseTimer, rfc9293, failures, "a segment was sent until R2 and never acknowledged, or keep-alives were not answered (3.8.4)"},
	{tracer.CloseWait, tracer.Closed, tracer.CauseICMP, rfc9293, icmpErrors, "a hard ICMP error: the connection is aborted"},
	{tracer.CloseWait, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.Closing, tracer.TimeWait, tracer.CauseSegment, rfc9293, inOther, "our FIN is acknowledged: wait for 2 MSL"},
	{tracer.Closing, tracer.Closed, tracer.CauseSegment, rfc9293, inOther, "a RST arrived"},
	{tracer.Closing, tracer.Closed, tracer.CauseCall, rfc9293, abort, "ABORT: delete the TCB"},
	{tracer.Closing, tracer.Closed, tracer.CauseTimer, rfc9293, failures, "our FIN was sent until R2 and never acknowledged"},
	{tracer.Closing, tracer.Closed, tracer.CauseICMP, rfc9293, icmpErrors, "a hard ICMP error: the connection is aborted"},
	{tracer.Closing, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.LastAck, tracer.Closed, tracer.CauseSegment, rfc9293, inOther, "our FIN is acknowledged, or a RST arrived"},
	{tracer.LastAck, tracer.Closed, tracer.CauseCall, rfc9293, abort, "ABORT: delete the TCB"},
	{tracer.LastAck, tracer.Closed, tracer.CauseTimer, rfc9293, failures, "our FIN was sent until R2 and never acknowledged"},
	{tracer.LastAck, tracer.Closed, tracer.CauseICMP, rfc9293, icmpErrors, "a hard ICMP error: the connection is aborted"},
	{tracer.LastAck, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},

	{tracer.TimeWait, tracer.Closed, tracer.CauseTimer, rfc9293, timeouts, "2 MSL have passed: delete the TCB"},
	{tracer.TimeWait, tracer.Closed, tracer.CauseSegment, rfc9293, inOther, "a new SYN reopens the pair of sockets (RFC 6191), or a RST arrived"},
	{tracer.TimeWait, tracer.Closed, tracer.CauseCall, rfc9293, abort, "ABORT: delete the TCB"},
	{tracer.TimeWait, tracer.Closed, tracer.CauseStack, noRFC, "", stackEnded},
}
