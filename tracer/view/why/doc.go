// Package why tells why an event of a trace happened, and what came of it.
//
// The trace itself names the cause of a state change, the enter of a call's return, and the
// event after which variables were read: these links are Recorded. Where both ends are
// traced, the segment that came in is the one that went out at the other end: these links
// are Wire. Why a segment was sent the trace does not say: that is Deduced, by what the
// segment is, and only where nothing else can have been the cause. Where the trace leaves a
// choice, or where what it would rest on is not there, nothing is claimed.
//
//   - SYN: the connect; SYN ACK: the SYN that it acknowledges; FIN: the first close or
//     shutdown; data: the send whose bytes they are, by their place in the stream. A FIN and
//     data need a trace that has the connection from its start.
//   - A tail loss probe or a keepalive: its timer. Another retransmission or probe: the timer
//     that fired, or the segment that came since the last one went out, where there is only
//     one of them and no send besides. A fast retransmit: that segment.
//   - RST: the cause of the change to CLOSED beside it, or the segment that it answers, by its
//     numbers (RFC 9293, 3.10.7.1).
//   - ACK: the segment with which all that it acknowledges had come. Where it acknowledges
//     nothing new, the one segment that calls for that (RFC 9293, 3.10.7.4: one that is not the
//     next, or for which there is no window), if a single one waits for it.
//   - ACK with another window: the recv that is under way, or such a segment where none is.
//   - An ICMP echo reply: the request; an error: the datagram that nobody had; a datagram: the
//     send of its length; if a single one waits for it.
//   - A connection's end: its last state change.
//
// Of an end that is only seen on the wire, as both are in a trace made of a capture, neither
// timers nor calls are known: why it sent data, a FIN, a segment again or another window is
// not told. Behind events that were lost everything begins anew.
//
// A cause always comes before its effect, so that a chain ends: at a call, a timer, a
// segment whose sender is not traced, or where the cause is not known.
package why
