// Package tracer is the vocabulary of a trace and the one timeline it lies on.
//
// A trace tells, from inside a TCP stack, what a connection does: each socket
// call, segment, timer and state change, in order, with what caused it. The
// package holds the events ([Event] and its bodies), the [Bus] that numbers them
// and hands them to sinks, the line encoding ([AppendJSON], [Reader]) and nothing
// of any stack: reading a trace needs none.
//
// # Order
//
// The Bus gives each event its number N (1, 2, 3, …) and its time T under one
// lock, so a larger N never has a smaller T. N is the order in which the hooks
// saw things: a state change comes after its cause, and other arrivals may stand
// between. Cause.N binds, not adjacency.
//
// # Loss
//
// A sink that falls behind loses segments, timers, tcb and datagram events first
// and each run of them is replaced by one [Lost] event that bears the first
// missing number and how many are missing. State changes, calls and ends are never
// dropped. So in what a sink gets, N rises by one, or by Missed after a Lost.
package tracer
