// Package tcpstate is RFC 9293's connection state machine as a table: which changes
// of state there are, what kind of event may cause each, and the clause that says
// so. It judges changes that a stack made; it does not run the machine.
//
// The RFC's machine is read as a socket implementation has it: a LISTEN endpoint
// stays in LISTEN, and what moves to SYN-RECEIVED is a child of its own, which goes
// to CLOSED, not back to LISTEN, when the opening fails. The returns to LISTEN of
// the RFC's figure 5 are in the table all the same.
//
// A few changes that real stacks make are in no clause of RFC 9293: they come from
// another RFC (Source says which) or from none (Source is "").
package tcpstate
