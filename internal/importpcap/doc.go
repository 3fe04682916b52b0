// Package importpcap makes a trace of a capture that another program has made: tcpdump's or
// Wireshark's, of any TCP traffic.
//
// It reads pcap (the classic format, either byte order, micro- or nanoseconds) and pcapng,
// both also packed with gzip; links of the types Ethernet with or without VLAN tags, Linux
// "cooked" (SLL, SLL2: tcpdump -i any), raw IP and BSD loopback (NULL, LOOP); IPv4 and IPv6.
// The frames become a trace as package capture has it: each segment as sent by one end,
// "client", and as received by the other, "server", and both ends' states as tracer/infer
// tells them, marked by via "inferred". What inference cannot know is not claimed: its
// documentation has the list.
//
// What is no TCP is passed over and counted, and so are fragments of IP and packets of which
// too little was captured: of a TCP header the first 20 bytes must be there. A segment that
// was cut off behind them counts with its whole length and has the options that are there
// whole; where a SYN's window scale is not, windows are told as they stand in the headers.
// A connection that was open before the first packet has no relative numbers, and no states
// before there is evidence of them.
//
// A file is read once and as it comes; the memory that it takes grows with the number of
// pairs of sockets in it (some 6 KB each), not with its length. [capture.Stream] says what it
// keeps back.
//
// gopacket's readers are not used here: they cannot tell where in a file an error is, and
// keep what a file says of interfaces and names without a bound.
package importpcap
