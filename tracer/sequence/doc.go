// Package sequence holds documented TCP sequences as data and judges traces by them.
//
// A Sequence is what a document says a connection does, transcribed by hand into a YAML
// file (configs/sequences): what the program at each end does, what the link does, and
// what then happens, for both ends: calls, segments and state changes, each state change
// with its cause. Match compares a trace with it and returns the first place where they
// part. What may vary is written in the file; anything else is a mismatch.
//
// # The ends
//
// C opens, S listens. An end is played by the appliance ([Stack]), by Linux ([Linux]) or
// by a table of frames ([Script]). What depends on who plays is keyed "S@linux".
//
// A name after a dot tells connections apart where there are several: "C.b" is C's end of
// the connection b. Without it the connection is the only one, named "".
//
// # A program's steps
//
// A step is one line; a connection other than "" stands in front, with a colon: "b: connect".
//
//	listen [backlog=N]           socket, bind, listen, on the sequence's port
//	accept                       takes the next connection, under the step's name
//	bind                         the next connect is from the sequence's own port at this end
//	connect                      socket, connect to the other end's port
//	connect port=9999            to another port
//	send 20                      one send of so many bytes of the connection's pattern
//	send "hello"                 one send of this text
//	send 14480 by 1448           sends, one after the other
//	recv                         one recv of at most 1024 bytes, of any length
//	recv 20                      one recv or more, until 20 bytes have come
//	recv "hello"                 the same, and the bytes must be these
//	recv EOF                     reads to the end-of-file; what comes before it counts as a failure
//	recv all                     reads to the end-of-file, whatever comes
//	shutdown                     SHUT_WR
//	close                        closes the connection
//	close listener
//	abort                        linger 0, close: RST
//	set nodelay|cork|uncork|quickack|noquickack|rcvbuf=N|sndbuf=N|defer-accept|keepalive=10s
//	wait C FIN-WAIT-2            until that end has been in that state (Linux's: inferred)
//	wait fin                     until the segment with this label has been seen, in the order of expect
//	wait rest                    until nothing more happens by itself: virtual clock only; passed over on a real one
//	pause 1s                     by the clock that the run has
//	app http|echo|hello [KEY=VALUE …]     a program of package apps, instead of steps
//	python hello_client.py ARGS  a script of scripts/, on the Linux side ({host} and {port} are the server's)
//	exit | kill                  the process ends without close, of itself or by SIGKILL (Linux)
//	udp send "x" | udp recv "x"  datagrams, on a connected UDP socket (client) of the connection's name
//
// A step may end with `fails "connection refused"`: it must fail, with that in the error;
// an app or a python step with `prints "b'hello'"`: that line must be what it prints.
// A step that is a map, {together: [[…], […]]}, does its lists at the same time.
//
// What is sent is the connection's pattern, a known sequence of bytes that goes on from
// one send to the next; a recv compares what it gets with the other end's.
//
// # A script's steps
//
//	send SYN seq=0 [ack=1] [len=20 | "text"] [mss=1460] [ws=7] [sack_ok] [ts] [win=65535]
//	     [from=ADDRESS[:PORT]] [to=ADDRESS|broadcast|multicast] [times=N]
//	await SYN,ACK [seq=…] [ack=…] [len=…]     until such a segment has come; others are passed over
//	delay 1s
//
// seq counts from the script's own initial number, ack from the other end's. With times=N
// from=flood gives each a source of its own. "b: send …" is of the connection b.
//
// # What the link does
//
// Rules of netstack/link, with the way in place of the direction: "C→S drop SYN nth=1".
//
// # What is expected
//
// A row is one line:
//
//	opening                                   the rows of the three-way handshake, from S listen to S accept, with the
//	                                          labels syn, syn-ack and ack; "b: opening" for the connection b, with the
//	                                          labels b.syn, …, and without the listener's rows where they came before
//	C connect                                 a call, which succeeds
//	C connect fails "connection refused"      or not
//	S recv 20                                 calls that return 20 bytes together; "recv EOF" one that returns none,
//	                                          "recv 20 EOF" both, "recv all" whatever comes and then none; "recv" any one
//	S close listener                          a call on the listener
//	C CLOSED → SYN-SENT by connect            a state change, and the call that caused it: the last one listed
//	S LISTEN → SYN-RECEIVED by syn            … or the segment with that label
//	C TIME-WAIT → CLOSED by timer time-wait after 240s      … or a timer; after: the time in the state left; 2msl is twice the run's MSL
//	C timer retransmit after 1s               a timer fires, so long after the row before it at that end
//	syn: C → S SYN seq=0 opts=mss,ws,sack_ok,ts             a segment, with a label
//	C → S ACK seq=1 ack=1 len=20 lost         one that the link drops
//	C ▶ FIN,ACK seq=1 ack=1                   only its sending (C ▶) or its arrival (S ◀): where they cross
//	S ◀ FIN,ACK seq=1 ack=1
//	C → S datagram len=5                      UDP
//
// A segment's fields: flags (exact, but PSH counts only where it is written; "none" for none), seq and ack (relative; "*"
// for any; ack is left out where there is no ACK flag), len (0 when left out; len=*, len>0), win (win=0, win>0), opts (exactly these of
// mss, ws, sack_ok, ts, sack; mss=1460 for a value; none; left out: any), note (must bear these), times ("1+", "0+", "3", "2-5":
// so many in a row, for which seq, ack and len are those of each), payload-free window
// updates and so on are rows like others. Notes that change what a segment means
// ([SignificantNotes]) must be listed where they stand and must stand where they are listed.
//
// A row that is a map is a group:
//
//	any-order: [rows]       in any order between each other; an item that is a list keeps its own order
//	either: [[rows], […]]   one of these
//	optional: [rows]        these or nothing
//	only: {S@stack: [rows]} rows that count only where S is the appliance; several players as "S@stack,linux",
//	                        several keys are several groups
//
// An alternative or a thread whose rows are all for other players is not one (see [Run.Rows]).
//
// Each end's calls, its states, and its segments with its timers are three tracks. Within a track,
// order is the file's. Between them, causes bind: a state change comes after its cause, a
// call's return after what it reports, a segment after the call that it takes.
//
// allow: names what may come besides, anywhere in a run: "acks" (segments with nothing but
// an acknowledgment or a window update), "timers" (a timer that fires), "probes" (keep-alive
// and window probes, and the acknowledgments that answer them), "retransmissions".
//
// check: holds for the whole trace, see [Checks].
//
// # How it is judged
//
// Connections are told apart by their pair of addresses. The names that rows have go to them in
// the order of their first appearance in the file and in the trace, TCP's and UDP's apart. A
// connection without a name is a mismatch, but for a flood's, where a script sends from=flood,
// and, with the check no_answer, for what S gets and does not answer. A listener's own calls and
// states are of S's "".
//
// An arrow row stands for the sending in the sender's track and for the arrival in the
// receiver's, where their segments are in the trace. Numbers are relative to the initial ones;
// where no SYN tells one (a RST from a closed port), the number is the wire's. The notes
// retransmission, fast-retransmit and syn-cookie are the sender's to know: an arrow row that lists
// them does not ask for them where the segment arrives, but what an arrival says of repetition
// must be true. Of a lost segment the sending bears the reason, or, where both ends are in the
// trace, the arrival may.
//
// An alternative counts in all tracks alike. Where several readings fail, the one that got furthest is told.
//
// The cause of a state change must be the very event that its row names: the segment with the
// label that the row takes (at a Linux end, whose segments are not in the trace, the other end's
// event of it), the last such call listed before it, the timer's last firing. A cause without a
// number will do only where the trace has no calls, or segments, that it could be.
//
// A row "listen" stands for socket and bind too, a row "connect" for socket and, after the step
// bind, for bind, unless the file lists those of that end; each must be there, once and in order.
// Besides, setsockopt, the connect of a UDP socket, and the close of a socket whose connect failed
// may be unlisted. Every other call must be listed, and return. Of calls on one socket that the
// file has in an order, each returns before the next begins, unless it fails.
//
// On a virtual clock, times are exact; on a real one they are the least (less 1 ms).
//
// What rows do not say but any true trace fulfils is judged as well: numbers rise by one and
// times do not fall; each return has its enter; causes come before effects; states follow on each
// other, and no hook missed one; what comes in went out before, as it was and in that order,
// unless the link says otherwise; recv returns what has arrived, and the end-of-file after the
// FIN; data goes out after its send, a FIN after close or shutdown, and either after the change
// of state; nobody acknowledges what has not come; mss, ws and sack_ok stand on SYNs alone; notes
// of repetition and of a closed window are true; an end event tells what the trace has shown.
package sequence
