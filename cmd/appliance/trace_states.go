package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"appliance/tracer/view/states"
)

func traceStatesCommand() *cli.Command {
	return &cli.Command{
		Name:      "states",
		Usage:     "draw RFC 9293's state diagram with the way that connections took through it",
		ArgsUsage: "FILE",
		Description: "Of one connection it shows both ends' ways (--stack: one end's), each change of state with its\n" +
			"number, and the time spent in each state. Of many it counts how often each state was visited\n" +
			"and each transition taken, and tells what was never reached. Without --conn it is of all that\n" +
			"is in the trace. The text is 80 columns wide, its lists up to 100.",
		Flags: []cli.Flag{
			readFlag(),
			connFlag(),
			stackFlag(),
			asFlag("text", "svg", "mermaid"),
			&cli.BoolFlag{Name: "ascii", Usage: "draw the text with ASCII alone"},
			langFlag(),
			writeFlag(),
		},
		Action: traceStates,
	}
}

func traceStates(c *cli.Context) error {
	path, _, err := tracePath(c)
	if err != nil {
		return err
	}
	form := c.String("as")
	if c.Bool("ascii") && form != "text" {
		return usageErr("%s--ascii: is for --as text, not %s", where(c), form)
	}
	conns, err := traceConns(c)
	if err != nil {
		return err
	}
	out, err := outPath(c, path, "")
	if err != nil {
		return err
	}
	trace, readErr := loadTrace(path)
	if trace == nil {
		return readErr
	}
	if err := newAsked(c, conns).of(trace); err != nil {
		return errors.Join(err, readErr)
	}
	d, err := states.New(trace, states.Options{Lang: langOf(c), Conns: conns, Stacks: traceWords(c, "stack"), ASCII: c.Bool("ascii")})
	if err != nil {
		return errors.Join(fmt.Errorf("%s%w", where(c), err), readErr)
	}
	write := map[string]func(io.Writer) error{"text": d.Text, "svg": d.SVG, "mermaid": d.Mermaid}[form]
	return errors.Join(writeTraceView(c, out, write), readErr)
}
