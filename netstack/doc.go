// Package netstack is gVisor's TCP/IP stack with a tracer inside.
//
// [New] puts a stack on a link; [Stack.Listen], [Stack.DialContext] and
// [Stack.ListenPacket] give the standard library's net.Listener, net.Conn and
// net.PacketConn over it. With a Recorder in its [Options] the stack tells every
// socket call, segment, timer and state change, with what caused it.
//
// gVisor is used unmodified. What the trace says of a state was read from
// (*tcp.Endpoint).EndpointState at one of the hooks; observe.go lists them all.
package netstack
