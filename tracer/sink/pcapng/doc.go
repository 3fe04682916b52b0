// Package pcapng writes a trace as a capture that Wireshark opens, and reads it back without
// loss. The format is draft-ietf-opsawg-pcapng.
//
// # What stands in the file
//
//	section header            application: the versions; comment: the schema, a word on what
//	                          follows, and the trace's header as its line of JSON
//	interface (one a stack)   if_name: the stack; LINKTYPE_RAW; nanoseconds
//	enhanced packet           a segment, datagram or ICMP message: epb_flags has its direction,
//	                          epb_packetid its n; a comment for each state change that it
//	                          caused, and one with its notes; a custom option with the event
//	systemd journal entry     any other event: MESSAGE is its line of the story, with stack and
//	                          connection; APPLIANCE_EVENT the event
//
// Blocks stand in the order of n, so that in Wireshark a frame's number is the event's, as
// long as nothing was lost. Times are the trace's, a journal entry's in microseconds.
//
// Each event's exact line of JSON goes along: it is what [Reader] reads. In a packet it is a
// custom option (code 2988, which other programs may copy) of the enterprise 32473, which
// RFC 5612 keeps for examples, and begins with "APPLIANCE_EVENT=". tshark and capinfos
// pass over it, and what Wireshark saves keeps it. An event too long for an option (64 KiB)
// becomes a journal entry, one too long for that (240 KiB) a custom block.
//
// # Packets are rebuilt
//
// The trace has no frames, and none of what a frame's Ethernet header holds: the packets
// begin with IP, rather than with addresses made up. What the event tells is as on the wire,
// the window scaled back by what the SYNs said. The payload is not in the trace: the packet
// is cut off behind its headers (behind the checksum of an ICMP message), as with a capture's
// snapshot length, and its lengths tell the truth; zeros in its place would be data that
// nobody sent. The checksum is right where there is no payload, and else would be if that
// were zeros; Wireshark does not verify packets that are cut off. Where the event says that
// the checksum was bad, it is. TTL, DSCP and identification are 64, 0 and 0. TCP options of
// kinds that the trace only counts are not there. A packet whose ends the trace does not
// tell is a journal entry.
//
// # Two ends
//
// A packet that two traced stacks saw, one sending and the other receiving it, is one packet
// of the capture: its arrival, which is what causes state changes; its sending is a journal
// entry. As two packets Wireshark would call the second a retransmission. What was dropped on
// its way out is a packet where it was sent. Whether the other end, an address and a port, is
// traced shows from the packets of its own; only the first to it waits for its arrival, for as
// long as below. A trace that was made of a capture has both ends of all, so that its packets
// come back as they were: each once, in their order.
//
// # Holding back
//
// A comment must be in the block when that is written, and the changes that a packet causes
// come after it. So events are held back: the last 256 at most, for 20 ms of the trace's time
// at most, and when no more come, for 20 ms of the machine's. A change that comes later than
// that is in the journal all the same.
//
// # Whole blocks
//
// Every write to the file holds whole blocks only: see package file, which also rotates. Each
// file has its own section header and interfaces. Files of one trace put behind each other
// are one trace again.
package pcapng
