package echo_test

import (
	"context"
	"fmt"
	"net"

	"appliance/apps/echo"
)

// The service and its client over the kernel's sockets; any net.Listener and net.Conn
// will do.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	served := make(chan error, 1)
	go func() { served <- (&echo.Server{Count: 1}).Serve(ctx, l) }()

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := echo.Run(ctx, conn, []byte("is anybody there?"))
	fmt.Printf("%s %v\n", r.Data, err)
	fmt.Println(<-served)
	// Output:
	// is anybody there? <nil>
	// <nil>
}
