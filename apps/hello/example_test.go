package hello_test

import (
	"context"
	"fmt"
	"net"
	"os"

	"appliance/apps/hello"
)

// The document's two programs, over the kernel's sockets; any net.Listener and net.Conn
// will do.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	server := hello.Server{Out: os.Stdout, Count: 1}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	client := hello.Client{Out: os.Stdout}
	if _, err := client.Run(ctx, conn); err != nil {
		fmt.Println(err)
	}
	if err := <-served; err != nil {
		fmt.Println(err)
	}
	// Output:
	// b'hello'
	// b'byebye'
}

func ExampleRepr() {
	fmt.Println(hello.Repr([]byte("it's\r\n\x00")))
	// Output: b"it's\r\n\x00"
}
