package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"

	"github.com/urfave/cli/v2"

	"appliance/internal/tracefile"
	"appliance/tracer"
	"appliance/tracer/sink/jsonl"
	"appliance/tracer/sink/parquet"
	"appliance/tracer/sink/pcapng"
	"appliance/tracer/sink/qlog"
)

// exportForm is a form that a trace can be written in.
type exportForm struct {
	name, ending string
	binary       bool
	open         func(io.Writer) tracer.Sink
}

var exportForms = []exportForm{
	{"pcapng", ".pcapng", true, func(w io.Writer) tracer.Sink { return pcapng.New(w) }},
	{"qlog", ".sqlog", false, func(w io.Writer) tracer.Sink { return qlog.New(w) }},
	{"parquet", ".parquet", true, func(w io.Writer) tracer.Sink { return parquet.New(w) }},
	{"jsonl", ".jsonl", false, func(w io.Writer) tracer.Sink { return jsonl.New(w) }},
}

func traceExportCommand() *cli.Command {
	var names []string
	for _, f := range exportForms {
		names = append(names, f.name)
	}
	return &cli.Command{
		Name:      "export",
		Usage:     "write a trace in the form that another program reads",
		ArgsUsage: "FILE",
		Description: "pcapng is for Wireshark: the packets, and each state change, call and timer as a row. qlog\n" +
			"(.sqlog) is for qvis. parquet is for DuckDB, Spark, ClickHouse and their like: a row an event,\n" +
			"a typed column a field. jsonl is what this program writes itself.\n\n" +
			"Without -w the file is named as the input, with the form's ending, and beside it. It\n" +
			"appears when it is whole; of a trace that was cut off it has all that is there.",
		Flags: []cli.Flag{
			readFlag(),
			asFlag(names...),
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write to `FILE`; - is standard output", DefaultText: "the input's name with another ending"},
			&cli.StringSliceFlag{Name: "stack", Usage: "only what this `STACK` saw, such as server (qlog and parquet only); more with commas, or repeated"},
			&cli.StringSliceFlag{Name: "conn", Usage: "only the connection with this `ID` (qlog and parquet only); more with commas, or repeated"},
		},
		Action: traceExport,
	}
}

func traceExport(c *cli.Context) error {
	input, _, err := tracePath(c)
	if err != nil {
		return err
	}
	form := exportForms[slices.IndexFunc(exportForms, func(f exportForm) bool { return f.name == c.String("as") })]
	filter, err := newExportFilter(c, form.name)
	if err != nil {
		return err
	}
	path, err := outPath(c, input, form.ending)
	if err != nil {
		return err
	}
	if path == "-" && form.binary && isTerminal(c.App.Writer) {
		return usageErr("%s%s is not for a terminal: name a file with -w, or pipe it on", where(c), form.name)
	}
	ctx, stop := signal.NotifyContext(c.Context, stopSignals...)
	defer stop()
	bar := &progress{out: c.App.ErrWriter}
	in, err := tracefile.Open(input, tracefile.Options{Stdin: stdin, Wrap: bar.wrap})
	if err != nil {
		return err
	}
	out, err := createOutFile(path, c.App.Writer)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	n, cut, err := exportTo(ctx, in, form.open(out), filter)
	bar.done()
	err = errors.Join(out.finish(err), in.Close())
	if err != nil {
		return errors.Join(err, cut)
	}
	if path != "-" {
		events := "events"
		if n == 1 {
			events = "event"
		}
		logf(c.App.ErrWriter)("wrote %s: %d %s", out.name(), n, events)
	}
	return cut
}

// exportFilter tells which events are written.
type exportFilter struct {
	stacks []string
	conns  []uint32
	want   *asked
}

// newExportFilter is what the flags ask for. Forms that are read as a trace again have all
// events: their numbers have no gaps.
func newExportFilter(c *cli.Context, form string) (*exportFilter, error) {
	stacks := traceWords(c, "stack")
	conns, err := traceConns(c)
	if err != nil {
		return nil, err
	}
	if len(stacks)+len(conns) > 0 && form != "qlog" && form != "parquet" {
		return nil, usageErr("%s--stack and --conn are for --as qlog and parquet: %s is a whole trace", where(c), form)
	}
	return &exportFilter{stacks, conns, newAsked(c, conns)}, nil
}

func (f *exportFilter) keep(e *tracer.Event) bool {
	f.want.see(e)
	return (len(f.stacks) == 0 || slices.Contains(f.stacks, e.Stack)) && (len(f.conns) == 0 || slices.Contains(f.conns, e.Conn))
}

// exportTo copies a trace into a sink, which it closes. Of a trace that is cut off all is
// written that is there; cut is the error that says so.
func exportTo(ctx context.Context, in *tracefile.File, sink tracer.Sink, filter *exportFilter) (n uint64, cut, err error) {
	if err := sink.Start(in.Header()); err != nil {
		return 0, nil, errors.Join(err, sink.Close())
	}
	const run = 512
	events := make([]tracer.Event, 0, run)
	flush := func() error {
		n += uint64(len(events))
		err := sink.Write(events)
		events = events[:0]
		return err
	}
	for err == nil {
		var e tracer.Event
		if e, err = in.Next(); err != nil {
			break
		}
		if !filter.keep(&e) {
			continue
		}
		if events = append(events, e); len(events) == run {
			if err = flush(); err == nil && ctx.Err() != nil {
				err = errInterrupted
			}
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		err = nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		cut, err = fmt.Errorf("%w: what is whole before that was written", err), nil
	}
	if err == nil {
		err = filter.want.missing()
	}
	if err == nil {
		err = flush()
	}
	return n, cut, errors.Join(err, sink.Close())
}

// errInterrupted is of a file that was not finished because of a signal.
var errInterrupted = errors.New("interrupted: nothing was written")
