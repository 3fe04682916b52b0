package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/configs"
	"appliance/internal/config"
	"appliance/internal/lab"
	"appliance/internal/scenario"
	"appliance/tracer"
	"appliance/tracer/sequence"
	"appliance/tracer/sink/text"
)

func scenarioCommand() *cli.Command {
	return &cli.Command{
		Name:  "scenario",
		Usage: "reproduce the documented sequences of TCP, and judge what happened",
		Description: "A sequence is what a document says that a connection does: what each end's program does,\n" +
			"and the calls, segments and state changes that must come of it, in order, with their\n" +
			"causes. It is run on a link and its trace compared with that, event by event.",
		Subcommands: []*cli.Command{
			{
				Name:   "ls",
				Usage:  "list the sequences",
				Flags:  []cli.Flag{outputFlag("text", "json")},
				Action: scenarioList,
			},
			{
				Name:      "show",
				Usage:     "show a sequence: its source, its programs, and what is expected",
				ArgsUsage: "NAME",
				Flags:     []cli.Flag{colorFlag()},
				Action:    scenarioShow,
			},
			scenarioRunCommand(),
		},
	}
}

func scenarioRunCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run sequences and judge their traces",
		ArgsUsage: "NAME… | NAME/RUN… (or --all)",
		Description: "With names, each is played once (IPv4, the peer that comes first) and its story told; --peer\n" +
			"and --family ask for more. With --all, every combination that makes sense is played.\n\n" +
			"On a pipe both ends are the appliance (--peer self) or one of them is a table of frames\n" +
			"(script), and the clock is virtual: four minutes of TIME-WAIT pass at once. On veth and tap\n" +
			"the other end is Linux's own TCP, in a lab made for the run, and the clock is real.\n" +
			"Exit code 5 when a sequence does not hold.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "run every sequence, in every combination"},
			choiceFlag("link", "what the appliance stands on", "pipe", "veth", "tap"),
			optionFlag("peer", "the other end", "self", "linux", "script"),
			choiceFlag("role", "which end the appliance is; with the peer self it is both", "both", "client", "server"),
			optionFlag("family", "the version of IP", "4", "6"),
			optionFlag("clock", "of a pipe", "real", "virtual"),
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "keep the traces in `DIR`, a file each, or one in a file that ends in .jsonl or .pcapng"},
			choiceFlag("as", "the form of the traces in a DIR", "jsonl", "pcapng"),
			outputFlag("text", "json"),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "verdicts only, no story"},
			optionFlag("level", "how much the story tells; without it segments, and full where the sequence is about the variables", "states", "segments", "full"),
			numbersFlag("as the sequence's file says"),
			choiceFlag("time", "the times of the story", "rel", "delta", "abs"),
			langFlag(),
			colorFlag(),
		},
		Action: scenarioRun,
	}
}

// numbersFlag is --numbers; without says what is shown without it.
func numbersFlag(without string) cli.Flag {
	return &cli.StringFlag{
		Name: "numbers",
		Usage: "show sequence numbers as if the initial ones were `CLIENT,SERVER`; 001 means document 001's, 1000,8000;\n" +
			"\trel means relative ones",
		DefaultText: without,
	}
}

// parseNumbers reads --numbers; given is false where there is none.
func parseNumbers(c *cli.Context) (numbers *text.Numbers, given bool, err error) {
	value := c.String("numbers")
	switch value {
	case "":
		return nil, false, nil
	case "rel":
		return nil, true, nil
	case "001":
		return &text.Numbers{Client: 1000, Server: 8000}, true, nil
	}
	client, server, ok := strings.Cut(value, ",")
	clientISN, errC := strconv.ParseUint(client, 10, 32)
	serverISN, errS := strconv.ParseUint(server, 10, 32)
	if !ok || errC != nil || errS != nil {
		return nil, false, usageErr("%s--numbers %s: want 001, rel, or CLIENT,SERVER such as 1000,8000", where(c), value)
	}
	return &text.Numbers{Client: uint32(clientISN), Server: uint32(serverISN)}, true, nil
}

// sequences reads those that are built in.
func sequences() ([]*sequence.Sequence, error) {
	dir, err := fs.Sub(configs.Sequences, "sequences")
	if err != nil {
		return nil, err
	}
	all, err := sequence.Load(dir)
	if err != nil {
		return nil, configErr(err)
	}
	return all, nil
}

func scenarioRun(c *cli.Context) error {
	names, err := anyArguments(c)
	if err != nil {
		return err
	}
	switch all := c.Bool("all"); {
	case all && len(names) > 0:
		return usageErr("scenario run: --all and %s: --all plays every sequence: leave out the one or the other", strings.Join(names, " "))
	case !all && len(names) == 0:
		return usageErr("scenario run: name sequences, or say --all: appliance scenario ls lists them")
	}
	numbers, given, err := parseNumbers(c)
	if err != nil {
		return err
	}
	if err := checkTraceDir(c); err != nil {
		return err
	}
	all, err := sequences()
	if err != nil {
		return err
	}
	if err := checkNames(all, names); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, stopSignals...)
	defer stop()
	if c.String("link") != "pipe" && !lab.Privileged() && !inUserNS() {
		return againInUserNS(ctx, errScenarioInterrupted)
	}
	show := &verdicts{
		out: errWriter{w: c.App.Writer}, color: colored(c, c.App.Writer), files: all,
		story: !c.Bool("all") && !c.Bool("quiet"), json: c.String("output") == "json",
		numbers: numbers, numbersGiven: given, lang: langOf(c),
	}
	if l := c.String("level"); l != "" {
		if show.level, err = tracer.ParseLevel(l); err != nil {
			return err
		}
	}
	if show.time, err = text.ParseTime(c.String("time")); err != nil {
		return err
	}
	o := scenarioOptions(c, all, names, show.each)
	report, err := scenario.Run(ctx, o)
	return scenarioEnd(o, show, report, err)
}

var errScenarioInterrupted = errors.New("scenario run: interrupted: all is removed again")

// scenarioEnd prints what came of all, and returns what ends the program.
func scenarioEnd(o scenario.Options, show *verdicts, report *scenario.Report, err error) error {
	switch {
	case errors.Is(err, scenario.ErrOptions):
		return usageErr("scenario run: %v", err)
	case report == nil, err != nil && len(report.Results) == 0 && !report.Interrupted:
		return err
	case report.Interrupted:
		err = errScenarioInterrupted
	case err == nil:
		for _, why := range scenario.Unplayed(o, report) {
			err = errors.Join(err, fmt.Errorf("scenario run: %s", why))
		}
	}
	err = errors.Join(err, show.finish(report))
	switch {
	case report.Failed == 0:
		return err
	case err == nil:
		return checkErr()
	default:
		return &exitError{exitCheck, err}
	}
}

// isTraceFile tells whether -w names the file of one trace, not a directory for several.
func isTraceFile(path string) bool {
	ext := filepath.Ext(path)
	return (ext == ".jsonl" || ext == ".pcapng") && !isDir(path)
}

// checkTraceDir errs where -w names what looks like a file, in a form that the traces of
// sequences do not have.
func checkTraceDir(c *cli.Context) error {
	path := c.String("write")
	if path == "-" {
		return usageErr("%s-w -: takes a directory or, for one trace, a file: standard output has the verdicts", where(c))
	}
	_, err := config.TraceFormat(path)
	isForm := err == nil || slices.ContainsFunc(exportForms, func(f exportForm) bool { return strings.EqualFold(f.ending, filepath.Ext(path)) })
	if !isForm || isTraceFile(path) || isDir(path) {
		return nil
	}
	return usageErr("%s-w %s: takes a directory or, for one trace, a file that ends in .jsonl or .pcapng: for another form see appliance trace export", where(c), path)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// scenarioOptions are what the flags say.
func scenarioOptions(c *cli.Context, all []*sequence.Sequence, names []string, each func(*scenario.Result, tracer.Header, []tracer.Event)) scenario.Options {
	v := readVersions()
	o := scenario.Options{
		Sequences: all, Names: names, Links: []string{c.String("link")}, Role: c.String("role"),
		Clock: c.String("clock"), Form: c.String("as"), Appliance: v.Appliance, GVisor: v.GVisor,
		Each: each, Log: logf(c.App.ErrWriter), FirstPeer: !c.Bool("all"),
	}
	if w := c.String("write"); isTraceFile(w) {
		o.File = w
	} else {
		o.Dir = w
	}
	if p := c.String("peer"); p != "" {
		o.Peers = []string{p}
	}
	switch c.String("family") {
	case "4":
		o.Families = []int{4}
	case "6":
		o.Families = []int{6}
	default:
		if !c.Bool("all") {
			o.Families = []int{4}
		}
	}
	return o
}

// checkNames errs where a name is of no sequence, or of no run of it.
func checkNames(all []*sequence.Sequence, names []string) error {
	var known []string
	for _, s := range all {
		known = append(known, s.Name)
	}
	for _, n := range names {
		name, run, hasRun := strings.Cut(n, "/")
		s := findSequence(all, name)
		if s == nil {
			if near := nearest(name, known); near != "" {
				return usageErr("scenario: %s: no such sequence: did you mean %q?", n, near)
			}
			return usageErr("scenario: %s: no such sequence: appliance scenario ls lists them", n)
		}
		if !hasRun {
			continue
		}
		var runs []string
		for i := range s.Runs {
			if s.Runs[i].Name != "" {
				runs = append(runs, s.Runs[i].Name)
			}
		}
		switch {
		case len(runs) == 0:
			return usageErr("scenario: %s: %s has one run only, without a name", n, name)
		case !slices.Contains(runs, run):
			return usageErr("scenario: %s: no such run: want %s", n, orList(runs))
		}
	}
	return nil
}

func findSequence(all []*sequence.Sequence, name string) *sequence.Sequence {
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	return nil
}
