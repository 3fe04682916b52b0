// Package text writes a trace as the story that people read: one line an event, in
// columns, each state change with what caused it.
//
//	n        ms  stack   event
//	4    12.402  server  ◀ SYN          seq 0                           mss 1460 ws 7 sack ts
//	5    12.420  server  ● LISTEN → SYN-RECEIVED          by SYN #4
//
// ◀ is a segment that came in, ▶ one that went out, ● a change of state, ⏱ a timer,
// · the connection's variables, ■ its end, ✗ what failed or was dropped; a line
// without a mark is a socket call. #4 is the event with that n.
//
// Sequence and acknowledgment numbers count from the connection's initial ones; where
// those are not known they stand as on the wire, marked raw. The lines keep to 100
// columns where they can: columns grow, and never shrink, when a value needs it. What
// comes out of a trace is made safe for a terminal: no control character passes.
package text
