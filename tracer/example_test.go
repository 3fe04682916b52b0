package tracer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"appliance/tracer"
	"appliance/tracer/sink/jsonl"
)

// A Bus numbers events and hands them to its sinks; a Reader reads back what the
// jsonl sink wrote.
func Example() {
	var trace bytes.Buffer
	clock := time.Duration(0)
	bus, err := tracer.NewBus(
		tracer.Header{Appliance: "0.1.0", Link: tracer.LinkInfo{Kind: "pipe"}},
		tracer.BusOptions{Now: func() time.Duration { clock += 10 * time.Microsecond; return clock }},
		jsonl.New(&trace),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	listener := tracer.Event{Stack: "server", Conn: bus.NewConn(), Local: netip.MustParseAddrPort("192.168.12.53:9000")}

	listen := listener
	listen.Body = &tracer.Call{
		Name: "listen", Phase: tracer.PhaseEnter, Bytes: -1,
		Args: []tracer.Arg{{Name: "backlog", Value: int64(128)}},
	}
	n := bus.Record(listen)

	change := listener
	change.Body = &tracer.StateChange{
		From: tracer.Closed, To: tracer.Listen, RFC: "3.10.1",
		Cause: tracer.Cause{Kind: tracer.CauseCall, N: n, What: "listen"},
	}
	bus.Record(change)
	if err := bus.Close(); err != nil {
		fmt.Println(err)
		return
	}

	r, err := tracer.NewReader(&trace)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("link:", r.Header().Link.Kind)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		switch b := e.Body.(type) {
		case *tracer.Call:
			fmt.Printf("%d %v %s %s(%v)\n", e.N, e.T, e.Stack, b.Name, b.Args[0].Value)
		case *tracer.StateChange:
			fmt.Printf("%d %v %s %v → %v by %s #%d\n", e.N, e.T, e.Stack, b.From, b.To, b.Cause.What, b.Cause.N)
		default: // this trace has no more
		}
	}
	// Output:
	// link: pipe
	// 1 10µs server listen(128)
	// 2 20µs server CLOSED → LISTEN by listen #1
}

// The line encoding by itself.
func ExampleAppendJSON() {
	e := tracer.Event{
		N: 4, T: 12402 * time.Microsecond, Stack: "server", Conn: 2, Parent: 1,
		Local:  netip.MustParseAddrPort("192.168.12.53:9000"),
		Remote: netip.MustParseAddrPort("192.168.12.1:51234"),
		Body:   &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN, Seq: 1000, HasRel: true, Win: 64240},
	}
	fmt.Printf("%s\n", tracer.AppendJSON(nil, &e))
	// Output:
	// {"n":4,"t_ns":12402000,"type":"segment","stack":"server","conn":2,"parent":1,"local":"192.168.12.53:9000","remote":"192.168.12.1:51234","dir":"in","flags":["SYN"],"seq":1000,"rel_seq":0,"len":0,"win":64240}
}
