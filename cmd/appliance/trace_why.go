package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"appliance/tracer/view/why"
)

func traceWhyCommand() *cli.Command {
	return &cli.Command{
		Name:      "why",
		Usage:     "tell why an event happened, and what came of it",
		ArgsUsage: "N FILE",
		Description: "N is the event's number, the first column of appliance trace show. First come its causes,\n" +
			"from the call, timer or segment that began it all; then the event, marked by »; then what it\n" +
			"caused. Where both ends are traced, the chain goes on at the other end of the wire.",
		Flags: []cli.Flag{
			readFlag(),
			&cli.BoolFlag{Name: "all", Usage: "tell every effect: without it, the first 12 of each event"},
			outputFlag("text", "json"),
			langFlag(),
			colorFlag(),
		},
		Action: traceWhy,
	}
}

func traceWhy(c *cli.Context) error {
	path, args, err := tracePath(c, "N")
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil || n == 0 {
		return usageErr("%s%s: want an event's number, the first column of appliance trace show", where(c), args[0])
	}
	if err := notOverStdout(c, path); err != nil {
		return err
	}
	trace, readErr := loadTrace(path)
	if trace == nil {
		return readErr
	}
	o := why.Options{}
	if c.Bool("all") {
		o.Limit = -1
	}
	answer, err := why.New(trace).Explain(n, o)
	if err != nil {
		return errors.Join(fmt.Errorf("%s%w", where(c), err), readErr)
	}
	if c.String("output") == "json" {
		err = answer.WriteJSON(c.App.Writer)
	} else {
		err = answer.WriteText(c.App.Writer, why.TextOptions{Lang: langOf(c), Color: colored(c, c.App.Writer)})
	}
	return errors.Join(printed(err), readErr)
}
