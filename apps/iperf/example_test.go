package iperf_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"appliance/apps/iperf"
)

// A server and a client on the kernel's sockets; any net.Listener and dialer will do.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- (&iperf.Server{Count: 1}).Serve(context.Background(), l) }()

	var d net.Dialer
	c := iperf.Client{Params: iperf.Params{Blocks: 100, Parallel: 2, Reverse: true}}
	r, err := c.Run(context.Background(), d.DialContext, l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(r.End.Streams), "streams,", r.End.SumReceived.Bytes >= 100*iperf.DefaultLength, <-served)
	// Output: 2 streams, true <nil>
}
