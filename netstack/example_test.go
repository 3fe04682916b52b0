package netstack_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// Two stacks in one process, on the two ends of a pipe: no privileges, no interface.
func Example() {
	here, there := link.NewPipe(link.PipeOptions{})
	client, err := netstack.New(here, netstack.Options{Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.12.1/24")}})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server, err := netstack.New(there, netstack.Options{Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.12.53/24")}})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()

	listener, err := server.Listen("tcp", "192.168.12.53:7")
	if err != nil {
		log.Fatal(err)
	}
	go func() { // the echo service: it ends when the stack is closed
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()

	c, err := client.DialContext(context.Background(), "tcp", "192.168.12.53:7")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		log.Fatal(err)
	}
	if err := c.(*netstack.Conn).CloseWrite(); err != nil {
		log.Fatal(err)
	}
	echo, err := io.ReadAll(c)
	fmt.Printf("%q %v from %s\n", echo, err, c.RemoteAddr())
	// Output: "hello" <nil> from 192.168.12.53:7
}

// states is a sink that prints one stack's state changes.
type states struct{ stack string }

func (states) Start(tracer.Header) error { return nil }
func (states) Close() error              { return nil }

func (s states) Write(events []tracer.Event) error {
	for _, e := range events {
		if c, ok := e.Body.(*tracer.StateChange); ok && e.Stack == s.stack {
			fmt.Printf("%s → %s by %s\n", c.From, c.To, c.Cause.What)
		}
	}
	return nil
}

// The same with a trace: what the server's endpoints went through, and why.
func Example_trace() {
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, states{"server"})
	if err != nil {
		log.Fatal(err)
	}
	here, there := link.NewPipe(link.PipeOptions{})
	client, err := netstack.New(here, netstack.Options{
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.12.1/24")},
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := netstack.New(there, netstack.Options{
		Name:      "server",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.12.53/24")},
		Recorder:  bus,
		Level:     tracer.LevelSegments,
	})
	if err != nil {
		log.Fatal(err)
	}

	listener, err := server.Listen("tcp", "192.168.12.53:9000")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}()
	c, err := client.DialContext(context.Background(), "tcp", "192.168.12.53:9000")
	if err != nil {
		log.Fatal(err)
	}
	_ = c.Close()
	<-served

	// In the order that leaves nothing out: programs, stacks, bus.
	if err := server.Drain(context.Background()); err != nil {
		log.Fatal(err)
	}
	_ = client.Close()
	_ = server.Close()
	if err := bus.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// CLOSED → LISTEN by listen
	// LISTEN → SYN-RECEIVED by SYN
	// SYN-RECEIVED → ESTABLISHED by ACK of our SYN
	// ESTABLISHED → CLOSE-WAIT by FIN
	// CLOSE-WAIT → LAST-ACK by close
	// LAST-ACK → CLOSED by ACK of our FIN
	// LISTEN → CLOSED by close
}
