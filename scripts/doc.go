// Package scripts holds the Python programs that speak with the appliance's own, and
// their tests. They need Python 3.8 or later and nothing but its standard library.
//
//	hello_server.py  says hello, prints the answer, closes
//	hello_client.py  prints the greeting, says byebye, closes
//	echo_client.py   sends bytes to an echo service and checks what comes back
//	exit_peer.py     does what its input says with sockets, and ends without closing them
//
// All exit with 0 when done, 1 when a connection failed, 2 on wrong usage. What they
// got goes to standard output, all else to standard error.
package scripts
