// Package serve is what the servers and clients under apps have in common: the
// accept loop, the datagram loop, and the tie between a context and a connection.
//
// Its rules: a context's end closes the listener at once, gives the connections
// that are open a bounded grace, then closes them; nothing returns before every
// goroutine it started has ended; a connection's error is logged and never ends
// the server; an accept error that may pass is waited out.
package serve
