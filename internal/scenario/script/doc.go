// Package script is the scripted end: a table of frames that is played on a link, with no
// TCP of its own. It plays what no honest stack sends, or what the appliance's stack and
// Linux do not send by themselves: a FIN with data, an ACK merged with a FIN, data on
// the handshake's third segment, a flood of SYNs, a SYN to a broadcast address.
//
// A Script never acknowledges, retransmits or resets of its own accord: it sends what its
// steps (see package sequence) say, and waits for what they await. It answers ARP
// requests and neighbour solicitations for its own addresses and for every unicast
// address that it sends from, asks for the other end's MAC address (from each address that it
// sends from, so that the other end knows it too), and answers nothing else.
//
// # Numbers
//
// seq counts from the connection's own initial number, which the seed and the connection's
// name decide, and ack from the other end's, which is learned from the SYN that comes.
// An end that has sent no SYN has no initial number: its numbers are then those on the
// wire. So the RST that refuses a SYN is "send RST,ACK seq=0 ack=1" (RFC 9293, 3.5.2,
// group 1), and the one that answers a lone "send ACK seq=100 ack=300" has seq=300.
//
// # Connections
//
// A connection begins with the first step that names it. The client's k-th (0, 1, …) is from
// its own address and port 40000+k to the other end's address and port. The server's is the
// oldest connection that a SYN has begun and that has no name yet, if the first step is an
// await; if it is a send, it goes from the server's port to the other end's port 40000+k.
//
// from= sends from that address (and port) instead; replies to it belong to the connection.
// from=flood gives each segment a source and an initial number of its own, outside of any
// connection; what answers them is kept (Seen) and belongs to none.
//
// to=broadcast is the directed broadcast address of the script's own prefix, in an Ethernet
// broadcast; IPv6 has no broadcast, and there it is the same as to=multicast, which is
// 224.0.0.1 or ff02::1, all nodes.
//
// # Timestamps
//
// With the option ts, a segment bears a timestamp: the clock's milliseconds, and the other
// end's last one. Once both SYNs have borne one, every segment does (RFC 7323, 3.2).
package script
