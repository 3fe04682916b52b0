// Package why tells why an event of a trace happened, and what came of it.
//
// The trace itself names the cause of a state change, the enter of a call's return, and the
// event after which variables were read: these links are Recorded. Where both ends are
// traced, the segment that came in is the one that went out at the other end: these links
// are Wire. Why a segment was sent the trace does not say: that is Deduced, by what the
// segment is.
//
//   - SYN: the connect; SYN ACK: the SYN; FIN: the close or shutdown; data: the send whose
//     bytes they are.
//   - A retransmission or a probe: the timer, or the segment, that came last before it.
//   - RST: the close or shutdown, or the segment, that came last before it.
//   - ACK: the segment that it acknowledges, and where it acknowledges nothing new, the one
//     that came last before it; one about a window: the recv.
//   - An ICMP message that goes out: the packet of the same two ends that came last.
//   - A connection's end: its last state change.
//
// A cause always comes before its effect, so that a chain ends: at a call, a timer, or a
// segment whose sender is not traced.
package why
