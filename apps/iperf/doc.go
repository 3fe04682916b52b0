// Package iperf is an iperf3-compatible server and client for TCP: the load tool that
// people know, over any net.Listener and net.Conn.
//
// What iperf3 says to iperf3 is in no RFC; it was read off the wire of version 3.12, and
// newer versions say the same. A test has one control connection and, in each direction
// that data goes, one connection a stream. Every connection begins with the test's
// cookie of 37 bytes, which tells the server what the connection is for. On the control
// connection then go single bytes, the states, and after some of them JSON behind its
// length in four bytes:
//
//	client                            server
//	cookie                      →
//	                            ←     PARAM_EXCHANGE (9)
//	length, parameters          →
//	                            ←     CREATE_STREAMS (10), or SERVER_ERROR (-2) and two codes
//	a connection a stream, each with the cookie
//	                            ←     TEST_START (1), TEST_RUNNING (2)
//	data, either way or both
//	TEST_END (4)                →
//	                            ←     EXCHANGE_RESULTS (13)
//	length, results             →
//	                            ←     length, results, DISPLAY_RESULTS (14)
//	closes the streams
//	IPERF_DONE (16)             →
//
// A server that is busy answers a cookie with ACCESS_DENIED (-1). Who leaves early says
// CLIENT_TERMINATE (12) or SERVER_TERMINATE (11). The streams have the numbers 1, 3, 4,
// 5 … in the order of their connections; in a bidirectional test the client's senders
// come first. The receiver counts what it has read when TEST_END comes.
//
// Nothing that a peer sends is believed beyond a bound: messages have a largest length,
// are held in memory only as far as they have come, and must be whole within a time.
package iperf
