// Package qlog writes a trace in qlog's form, which qvis (https://qvis.quictools.info) and
// other tools of the QUIC world open: version 0.3, that is draft-ietf-quic-qlog-main-schema-02
// with the events of draft-ietf-quic-qlog-quic-events-02, as a JSON text sequence (RFC 7464):
// each record is a RS, an object and a LF. Such a file's name ends with .sqlog.
//
// The first record is the file's header; its common_fields say that times are milliseconds
// since reference_time, and its configuration has the trace's own header. Each other record
// is an event. They all bear a group_id, such as "client #2", one for each end of each
// connection, by which qvis takes them apart; and, beyond what the draft asks for, n, stack,
// conn, parent, local and remote of the event that they were made of.
//
// # The mapping
//
// qlog's words are QUIC's. A segment is a packet, with the number that it has among those
// of its direction: numbers never come twice, so that a retransmission has one of its own.
// The payload is a frame of stream 0, whose offset is counted from the first byte of data.
//
//	first event of a connection   connectivity:connection_started
//	state, CLOSED → LISTEN        connectivity:server_listening
//	state                         connectivity:connection_state_updated, old and new in the
//	                              draft's words (see below)
//	end                           connectivity:connection_closed
//	segment                       transport:packet_sent, transport:packet_received; frames:
//	                              stream for data and FIN; ack for the packets that its ACK
//	                              or SACK is the first to cover; max_data for the window's
//	                              right edge, where that moves; connection_close for RST
//	segment, arrived, discarded   transport:packet_dropped
//	segment, retransmission       recovery:packet_lost and recovery:marked_for_retransmit for
//	                              what it repeats, ahead of its own transport:packet_sent
//	tcb                           recovery:metrics_updated: congestion_window, ssthresh,
//	                              bytes_in_flight, smoothed_rtt, rtt_variance
//	tcb, recovery changed         recovery:congestion_state_updated, too
//	timer: retransmit, reorder,
//	tail-loss-probe               recovery:loss_timer_updated, event_type expired
//	datagram                      transport:datagrams_sent, …_received, …_dropped
//	timer, others                 tcp:timer
//	call                          socket:connect, socket:send, …
//	icmp                          network:icmp
//	lost                          trace:lost
//
// Nothing is left out: where a name is of the draft, data.trace has all the fields of the
// event as a line of the trace has them (package tracer); where it is not, data is these fields.
//
// The states in the draft's words, which are fewer; data.trace has RFC 9293's:
//
//	SYN-SENT                        attempted
//	SYN-RECEIVED                    handshake_started
//	ESTABLISHED                     handshake_confirmed
//	FIN-WAIT-1 … CLOSING, LAST-ACK  closing
//	TIME-WAIT                       draining
//	CLOSED, LISTEN                  closed
//
// The draft's one vantage point a file is the stack that the first event names: client or
// server; unknown for any other. Each event's own is its stack.
package qlog
