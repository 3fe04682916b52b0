package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/urfave/cli/v2"

	"appliance/internal/config"
	"appliance/internal/runner"
	"appliance/internal/tuning"
)

// stdin is the program's standard input.
var stdin io.Reader = os.Stdin

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "run the appliance in the foreground, until SIGINT or SIGTERM",
		Description: "Without -c the configuration is the default one (appliance config default); flags change\n" +
			"what the file says. The trace goes to standard output and to each -w FILE.\n" +
			"SIGUSR1 prints counters. SIGINT and SIGTERM let open connections end and print totals;\n" +
			"a second one aborts them. With nothing but clients, or clients on a pipe, it ends by\n" +
			"itself when they are done.\n\n" +
			"A --rule says, with spaces between: drop, delay, duplicate, corrupt or reorder; in, out or both;\n" +
			"flags, such as SYN,!ACK; a time for delay; and any of nth=2 (or 1-3, or 2-; counted per\n" +
			"connection), payload=0 (or != < <= > >=), contains=\"text\", state=ESTABLISHED,CLOSE-WAIT,\n" +
			"copies=2, by=3, name=\"what the trace calls it\".\n\n" +
			"An OPTION, of iperf only, is one of iperf3's by its long name, with its value: time=2, bytes=1G,\n" +
			"parallel=4, reverse, bidir, omit=1, length=64K, bitrate=10M, window=1M, no-delay, interval=0, json.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Usage: "read the configuration from `FILE`; - is standard input"},
			optionFlag("link", "what the stack stands on", "veth", "tap", "pipe"),
			&cli.StringFlag{Name: "interface", Aliases: []string{"i"}, Usage: "the `NAME` of the veth end, Ethernet interface or TAP device; instead of a lab"},
			&cli.StringFlag{Name: "lab", Usage: "the `NAME` of the lab to run in"},
			&cli.StringFlag{Name: "netns", Usage: "the network namespace that the interface is in, a `NAME` or path"},
			&cli.StringSliceFlag{Name: "address", Usage: "`ADDRESS/LEN` of the stack's own; may be repeated"},
			&cli.StringFlag{Name: "mac", Usage: "the stack's MAC `ADDRESS`"},
			&cli.IntFlag{Name: "mtu", Usage: "of a pipe or a new TAP device, in `BYTES`"},
			optionFlag("offload", "wire-true segments, or for load super-segments of up to 64 KB", "off", "on", "auto"),
			&cli.StringSliceFlag{Name: "app", Usage: "run the program `NAME[:PORT][/udp][,OPTION...]` as a server; may be repeated"},
			&cli.StringSliceFlag{Name: "connect", Usage: "run a program as a client: `NAME=ADDRESS:PORT[,OPTION...]`; may be repeated"},
			optionFlag("congestion", "congestion control", "cubic", "reno"),
			&cli.StringFlag{Name: "msl", Usage: "the maximum segment lifetime, a `TIME`: TIME-WAIT lasts twice as long"},
			&cli.StringSliceFlag{Name: "rule", Usage: "what the link does to a segment, such as `\"drop out FIN nth=2\"`; may be repeated"},
			&cli.StringFlag{Name: "loss", Usage: "the share of packets that the link loses, both ways: `PERCENT`"},
			&cli.StringFlag{Name: "delay", Usage: "how long the link holds packets, each way: `TIME`"},
			&cli.Uint64Flag{Name: "seed", Usage: "of the link's chance: the same `NUMBER` gives the same run"},
			&cli.StringSliceFlag{Name: "write", Aliases: []string{"w"}, Usage: "write the trace to `FILE` (.jsonl, .pcapng for Wireshark, or .txt for text); - is standard output, as JSONL or as -o says; may be repeated"},
			&cli.StringFlag{Name: "rotate-size", Usage: "let another file follow one of this `SIZE`, such as 100MiB: x.jsonl becomes x.1.jsonl"},
			&cli.IntFlag{Name: "rotate-count", Usage: "keep so many files, `NUMBER`, and remove the oldest", DefaultText: "10"},
			optionFlag("level", "how much is traced", "off", "states", "segments", "full"),
			optionFlag("output,o", "the trace on standard output", "text", "jsonl", "pcapng", "off"),
			optionFlag("time", "the times of the text", "rel", "delta", "abs"),
			langFlag(),
			colorFlag(),
		},
		Action: runAction,
	}
}

func runAction(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	cfg, err := runConfig(c)
	if err != nil {
		return err
	}
	if cfg.Trace.Screen == config.ScreenPCAPNG && cfg.Trace.Level != config.LevelOff && isTerminal(c.App.Writer) {
		return usageErr("run: -o pcapng: standard output is a terminal: pipe it, as in appliance run -o pcapng | wireshark -k -i -")
	}
	ctx, stop := signal.NotifyContext(c.Context, stopSignals...)
	defer stop()
	// A reader of the trace that leaves is an error of the write, after which all is put back.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, pipeSignals...)
	defer signal.Stop(broken)
	// From here on: one that comes while the appliance starts must not get lost.
	counters := make(chan os.Signal, 1)
	signal.Notify(counters, counterSignals...)
	defer signal.Stop(counters)
	if cfg.Link.Kind != config.LinkPipe {
		defer tuning.Apply()()
	}
	v := readVersions()
	a, err := runner.Start(ctx, runner.Options{
		Config: cfg, Out: c.App.Writer, Log: logf(c.App.ErrWriter), Color: traceColor(c, cfg), Lang: langOf(c),
		Appliance: v.Appliance, GVisor: v.GVisor,
	})
	if err != nil {
		return err
	}
	log := logf(c.App.ErrWriter)
	log("%s", a.Greeting())
	for _, w := range a.Warnings() {
		log("warning: %s", w)
	}
	stopCounters := printCounters(a, counters, log)
	err = a.Run(ctx)
	stopCounters()
	again, stopAgain := signal.NotifyContext(c.Context, stopSignals...)
	defer stopAgain()
	stop()
	defer context.AfterFunc(again, stopAgain)() // after a second signal a third ends the program at once
	err = runner.Join(err, a.Close(again))
	for _, line := range a.Counters() {
		log("%s", line)
	}
	return err
}

// printCounters prints the counters at each of signals, until its function is called.
func printCounters(a *runner.Appliance, signals <-chan os.Signal, log func(string, ...any)) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-signals:
				for _, line := range a.Counters() {
					log("%s", line)
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// logf returns what writes lines of the program's own to w.
func logf(w io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) {
		_, _ = fmt.Fprintf(w, appName+": "+format+"\n", args...) // nowhere left to report that this failed
	}
}
