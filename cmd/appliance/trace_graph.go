package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/graph"
)

func traceGraphCommand() *cli.Command {
	return &cli.Command{
		Name:      "graph",
		Usage:     "draw a connection against time: sequence numbers, windows, round-trip times, throughput",
		ArgsUsage: "FILE",
		Description: "The picture is an SVG. It shows one direction of one connection, as the data's sender saw it\n" +
			"where its segments are traced, else as the receiver did. Without --conn it is the connection that sent most;\n" +
			"without --dir the direction with more data. cwnd, ssthresh, srtt and rto are in traces of\n" +
			"level full only.",
		Flags: []cli.Flag{
			readFlag(),
			connFlag(),
			stackFlag(),
			asFlag("all", string(graph.Sequence), string(graph.Window), string(graph.RTT), string(graph.Throughput)),
			optionFlag("dir", "the data that the connection sends or gets", string(tracer.Out), string(tracer.In)),
			langFlag(),
			writeFlag(),
		},
		Action: traceGraph,
	}
}

func traceGraph(c *cli.Context) error {
	path, _, err := tracePath(c)
	if err != nil {
		return err
	}
	ids, err := traceConns(c)
	switch {
	case err != nil:
		return err
	case len(ids) > 1:
		return usageErr("%s--conn: one connection at a time", where(c))
	}
	out, err := outPath(c, path, "")
	if err != nil {
		return err
	}
	trace, readErr := loadTrace(path)
	if trace == nil {
		return readErr
	}
	if err := newAsked(c, ids).of(trace); err != nil {
		return errors.Join(err, readErr)
	}
	conn, err := graphConn(c, trace, ids)
	if err != nil {
		return errors.Join(err, readErr)
	}
	o := graph.Options{Lang: langOf(c), Dir: tracer.Direction(c.String("dir"))}
	if kind := c.String("as"); kind != "all" {
		o.Kinds = []graph.Kind{graph.Kind(kind)}
	}
	write := func(w io.Writer) error { return graph.SVG(w, trace, conn, o) }
	return errors.Join(writeTraceView(c, out, write), readErr)
}

// graphConn is the connection that the flags mean.
func graphConn(c *cli.Context, t *view.Trace, ids []uint32) (*view.Conn, error) {
	stacks := traceWords(c, "stack")
	if len(ids) == 0 {
		if conn := graph.Busiest(t, stacks); conn != nil {
			return conn, nil
		}
		return nil, fmt.Errorf("%sno connection of TCP is in this trace, or none of the stack: trace summary lists what there is", where(c))
	}
	conn := t.Conn(ids[0])
	switch {
	case conn.Listener:
		return nil, fmt.Errorf("%s--conn %d: it is a listener: name a connection, as trace summary lists them", where(c), ids[0])
	case conn.UDP:
		return nil, fmt.Errorf("%s--conn %d: it is a socket for UDP: graphs are of TCP", where(c), ids[0])
	case len(stacks) > 0 && !slices.Contains(stacks, conn.Stack):
		return nil, fmt.Errorf("%s--conn %d: it is one of stack %s", where(c), ids[0], conn.Stack)
	}
	return conn, nil
}
