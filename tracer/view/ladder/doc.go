// Package ladder draws a connection as two lanes with segments between them, as text, SVG
// and Mermaid.
//
// [New] lays a connection out, once for all three: rows in the order of the trace, each
// with what it says at either end (a call, a state, a timer) and the arrow that leaves or
// arrives there. Where both ends are traced an arrow goes from the row in which it was sent
// to the row in which it was received; where one is, the other lane is a plain line, unless
// its states are known by inference. Nothing is left out but the variables of TCP (tcb):
// every segment is an arrow, and no arrow is there twice.
//
// Time runs down and is written at the margin. Distances grow with time but are not
// proportional to it: a silence is a row of its own that says how long it was.
package ladder
