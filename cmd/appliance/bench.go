package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"appliance/internal/bench"
	"appliance/internal/bench/report"
	"appliance/internal/lab"
)

// benchMark tells a benchmark that it is root of a user namespace of its own.
const benchMark = "APPLIANCE_BENCH_NAMESPACE"

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
			&cli.BoolFlag{Name: "list", Usage: "print the cases' names and measure nothing"},
			optionFlag("link", "of the appliance; without it both", "veth", "tap"),
			choiceFlag("sink", "where traces go: a file, or nowhere, which leaves the cost of the hooks", bench.JSONL, bench.Discard),
			outputFlag("text", "json"),
			&cli.StringFlag{Name: "read", Aliases: []string{"r"}, Usage: "measure nothing and print the report that -w wrote to `FILE`"},
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write the report as JSON to `FILE` too"},
			&cli.StringFlag{Name: "plot", Usage: "draw the figures into `FILE`, an SVG picture"},
			colorFlag(),
		},
		Action: benchAction,
	}
}

// The short rounds of --quick.
const (
	quickRounds = 3
	quickTime   = 150 * time.Millisecond
	quickIdle   = 2000
)

func benchAction(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	o, err := benchOptions(c)
	if err != nil {
		return err
	}
	cases, err := bench.Plan(o)
	if err != nil {
		return usageErr("bench: --only %s: no case has such a name: appliance bench --list prints them", c.String("only"))
	}
	if c.Bool("list") {
		return benchList(c, cases)
	}
	if c.IsSet("read") {
		return benchAgain(c)
	}
	ctx, stop := signal.NotifyContext(c.Context, stopSignals...)
	defer stop()
	if !lab.Privileged() && os.Getenv(benchMark) == "" {
		code, err := lab.ReexecInUserNS(ctx, os.Args[1:], append(os.Environ(), benchMark+"=1"))
		if err == nil && code != 0 {
			return &exitError{code: code} // it has said why
		}
		return err
	}
	files, err := openBenchFiles(c)
	if err != nil {
		return err
	}
	n, rounds, about, err := bench.Estimate(o)
	if err != nil {
		return err
	}
	logf(c.App.ErrWriter)("%d cases, each measured %d times: about %v", n, rounds, about.Round(time.Second))
	bar := newBenchBar(c.App.ErrWriter)
	o.Progress, o.Log = bar.progress, bar.logf
	r, err := bench.Run(ctx, o)
	bar.done()
	switch {
	case r == nil || len(r.Results) == 0 && err != nil && ctx.Err() == nil:
		return errors.Join(err, files.abandon())
	case r.Interrupted:
		err = errors.New("bench: interrupted: all is removed again")
	}
	if len(r.Failed) > 0 && err == nil {
		err = fmt.Errorf("bench: %d measurements failed: the report lists them", len(r.Failed))
	}
	return errors.Join(benchPrint(c, r), files.write(r), err)
}

// benchOptions are what the flags say.
func benchOptions(c *cli.Context) (bench.Options, error) {
	v := readVersions()
	o := bench.Options{Sink: c.String("sink"), Appliance: v.Appliance, GVisor: v.GVisor}
	if c.Bool("quick") {
		o.Brief, o.Rounds, o.Time, o.Idle = true, quickRounds, quickTime, quickIdle
	}
	for flag, to := range map[string]*int{"rounds": &o.Rounds, "idle": &o.Idle} {
		if !c.IsSet(flag) {
			continue
		}
		if *to = c.Int(flag); *to < 1 {
			return o, usageErr("bench: --%s %d: want 1 or more", flag, *to)
		}
	}
	if c.IsSet("time") {
		d, err := time.ParseDuration(c.String("time"))
		if err != nil || d < time.Millisecond || d > time.Hour {
			return o, usageErr("bench: --time %s: want a time of 1ms to 1h, such as 500ms or 2s", c.String("time"))
		}
		o.Time = d
	}
	if c.IsSet("only") {
		var err error
		if o.Only, err = regexp.Compile(c.String("only")); err != nil {
			return o, usageErr("bench: --only %s: want a regular expression: %v", c.String("only"), err)
		}
	}
	if l := c.String("link"); l != "" {
		o.Links = []string{l}
	}
	return o, nil
}

func benchList(c *cli.Context, cases []report.Case) error {
	out := errWriter{w: c.App.Writer}
	for _, one := range cases {
		out.printf("%s\n", one.Name())
	}
	return out.done()
}

// benchAgain prints a report that was written before.
func benchAgain(c *cli.Context) error {
	path := c.String("read")
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("bench: --read: %w", err)
	}
	r, err := report.Read(b)
	if err != nil {
		return fmt.Errorf("bench: --read %s: %w", path, err)
	}
	files, err := openBenchFiles(c)
	if err != nil {
		return err
	}
	return errors.Join(benchPrint(c, r), files.write(r))
}

// benchPrint prints the report as -o says.
func benchPrint(c *cli.Context, r *report.Report) error {
	var err error
	if c.String("output") == "json" {
		err = r.WriteJSON(c.App.Writer)
	} else {
		err = r.WriteText(c.App.Writer, colored(c, c.App.Writer))
	}
	if err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}

// benchBar is the progress bar on a terminal; elsewhere there is none.
type benchBar struct {
	mu  sync.Mutex
	w   io.Writer
	bar *progressbar.ProgressBar // nil until the first measurement, and where there is no terminal
	tty bool
}

func newBenchBar(w io.Writer) *benchBar {
	f, ok := w.(*os.File)
	return &benchBar{w: w, tty: ok && term.IsTerminal(int(f.Fd()))}
}

func (b *benchBar) progress(done, total int, next string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.tty {
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(b.w), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetElapsedTime(true), progressbar.OptionSetWidth(24), progressbar.OptionClearOnFinish(),
			progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionUseANSICodes(true))
	}
	b.bar.Describe(next)
	_ = b.bar.Set(done) // it only draws
}

// logf says something above the bar.
func (b *benchBar) logf(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Clear() // it only draws
	}
	logf(b.w)(format, args...)
}

// done takes the bar away.
func (b *benchBar) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Clear() // it only draws
		b.bar = nil
	}
}
