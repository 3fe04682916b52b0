// Package infer tells the states of a TCP end that cannot be looked into, by RFC
// 9293's rules, from the segments that it sent and got, and from its calls where
// they are known.
//
// A [Machine] is one end of one connection, fed with segments in the order in which
// that end sends and receives them. An [Inferrer] has a whole trace's worth of them:
// it takes the events of a stack that is traced and tells of the end it talks to, or
// those of a tap on the wire and tells of both; as they come, so that one can wait
// for a state. [Merge] puts what it tells into the trace.
//
// # Where things happened
//
// What an end received is seen before it receives it, what it sent after it was
// sent. So a SYN or a FIN on its way to the end counts as received only when the end
// shows it: by an acknowledgment that covers it (FINs that cross are told apart by
// this), and what comes behind it waits with it. All else (the ACK of our FIN, data,
// RST) counts as received at once, as nothing may ever show it. A RST brings with it
// all that was sent before. What the trace says to be dropped on its way to the end is
// not received, and what is dropped on its way from the end was sent all the same.
//
// A change is placed right after its cause, or right before the segment that shows
// it when the cause is a call that is not known. The end's own changes come with the
// call that made them (Cause.Kind is "call", N the number of its enter; 0 where the
// call is not known, with What saying which it must have been):
//
//	CLOSED → LISTEN                      listen: the call, or the first SYN that was taken
//	CLOSED → SYN-SENT                    connect, when the SYN is seen
//	… → FIN-WAIT-1, LAST-ACK             shutdown or close, when the FIN is seen
//	LISTEN → CLOSED                      close, only where the call is known
//	… → CLOSED                           close (abort), when the RST is seen
//
// # What is not claimed
//
//   - TIME-WAIT's end, and that of any state by a timer, by ICMP or by a crash: no
//     segment shows it. A new SYN of the same pair of sockets begins another
//     connection, and the old one's last state stays as it was told.
//   - LISTEN → ESTABLISHED by a SYN cookie: on the wire the end is in SYN-RECEIVED from
//     the SYN+ACK on.
//   - An ACK that the end ignores for a reason of its own (its accept queue is full,
//     TCP_DEFER_ACCEPT) counts as taken: ESTABLISHED is told too early then.
//   - A FIN that waits behind data for the window, or for a closed cork: FIN-WAIT-1
//     and LAST-ACK are told when the FIN is seen, at the place of the call.
//   - A RST that crossed a segment of the end's: what the end sent before it got the RST
//     and what is seen after it changes nothing any more.
//   - What the network loses, delays or reorders behind the place where segments are
//     seen: all but a SYN or FIN counts as received, in the order of the place.
//   - A connection that was open before the first segment: its state is unknown, and
//     nothing is claimed, until there is evidence that neither end had sent its FIN: data
//     from both, or from one and then the first FIN from the other. The claim is one
//     change CLOSED → ESTABLISHED, whose cause is of the kind "stack" and says
//     [WasOpen]. When a FIN comes before that evidence nothing is ever claimed.
package infer
