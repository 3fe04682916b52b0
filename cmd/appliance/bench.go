package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"time"

	"github.com/urfave/cli/v2"

	"appliance/internal/bench"
	"appliance/internal/bench/report"
	"appliance/internal/lab"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure the appliance beside the kernel, in one run",
		Description: "It makes labs of its own, lets Linux make the load, and measures Linux and the appliance at\n" +
			"the other end in turn, several rounds: throughput both ways, round trip, connections per\n" +
			"second, processor time and memory, with tracing off and on, offload on and off, on veth and\n" +
			"TAP. It tells medians, spread, ratios to the kernel and which targets are met. A target that\n" +
			"is missed is no failure: the exit code is 0. docs/performance.md tells how it measures.\n\n" +
			"Cases have names such as throughput/in/1/offload-on/appliance/veth/segments; --list prints\n" +
			"them. Without root it measures in a user namespace.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quick", Usage: "3 rounds of 150 ms, 2,000 idle connections, without four streams and tracing full: for a first look"},
			&cli.IntFlag{Name: "rounds", Usage: "measure each case `N` times", DefaultText: "5"},
			&cli.StringFlag{Name: "time", Usage: "a measurement's `TIME`, without its warm-up of a third of that", DefaultText: "400ms"},
			&cli.IntFlag{Name: "idle", Usage: "hold `N` connections to see what memory they take", DefaultText: "10000"},
			&cli.StringFlag{Name: "only", Usage: "the cases whose names the regular expression `PATTERN` matches, and what they are compared with"},
			&cli.BoolFlag{Name: "list", Usage: "print the cases' names, with -r those of the report, and measure nothing"},
			optionFlag("link", "of the appliance; without it both", "veth", "tap"),
			choiceFlag("sink", "where traces go: a file, or nowhere, which leaves the cost of the hooks", bench.JSONL, bench.Discard),
			outputFlag("text", "json"),
			&cli.StringFlag{Name: "read", Aliases: []string{"r"}, Usage: "measure nothing and print the report that -w wrote to `FILE`, or of it what --only says; - is standard input"},
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write the report as JSON to `FILE` too; - is standard output, in place of the text"},
			&cli.StringFlag{Name: "plot", Usage: "draw the figures into `FILE`, an SVG picture; - is standard output, in place of the text"},
			colorFlag(),
		},
		Action: benchAction,
	}
}

func benchAction(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	if err := checkBenchFlags(c); err != nil {
		return err
	}
	o, err := benchOptions(c)
	if err != nil {
		return err
	}
	if c.IsSet("read") {
		return benchAgain(c, o.Only)
	}
	cases, err := bench.Plan(o)
	if err != nil {
		return usageErr("bench: --only %s: no case has such a name: appliance bench --list prints them", c.String("only"))
	}
	if c.Bool("list") {
		return benchList(c, cases)
	}
	ctx, stop := signal.NotifyContext(c.Context, stopSignals...)
	defer stop()
	if !lab.Privileged() && !inUserNS() {
		return againInUserNS(ctx, errBenchInterrupted)
	}
	return benchMeasure(ctx, c, o)
}

var errBenchInterrupted = errors.New("bench: interrupted: all is removed again")

// benchMeasure measures, and prints and writes what came of it.
func benchMeasure(ctx context.Context, c *cli.Context, o bench.Options) error {
	files, err := openBenchFiles(c)
	if err != nil {
		return err
	}
	n, rounds, about, err := bench.Estimate(o)
	if err != nil {
		return errors.Join(err, files.close())
	}
	logf(c.App.ErrWriter)("%s", planText(n, rounds, about))
	bar := newBenchBar(c.App.ErrWriter)
	o.Progress, o.Log = bar.progress, bar.logf
	r, err := bench.Run(ctx, o)
	bar.done()
	switch {
	case errors.Is(err, bench.ErrDenied):
		err = &exitError{exitPrivilege, err}
	case r == nil || len(r.Results) == 0 && err != nil && ctx.Err() == nil:
		return errors.Join(err, files.close())
	case r.Interrupted:
		err = errBenchInterrupted
	case err == nil:
		err = failedErr(r)
	}
	// The files first: who reads standard output may be gone, which ends the program.
	return errors.Join(files.write(r), benchPrint(c, r), err)
}

// planText says what is to come: so many cases, so many rounds, and about how long it takes.
func planText(cases, rounds int, about time.Duration) string {
	each, times, long := "", "once", "less than a second"
	if cases > 1 {
		each = "each "
	}
	if rounds > 1 {
		times = fmt.Sprintf("%d times", rounds)
	}
	if about = about.Round(time.Second); about > 0 {
		long = fmt.Sprintf("about %v", about)
	}
	return fmt.Sprintf("%s, %smeasured %s: %s", report.Count(cases, "case"), each, times, long)
}

// failedErr errs where measurements went wrong.
func failedErr(r *report.Report) error {
	if len(r.Failed) == 0 {
		return nil
	}
	return fmt.Errorf("bench: %s failed: the report says why", report.Count(len(r.Failed), "measurement"))
}
