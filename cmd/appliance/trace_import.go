package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/internal/importpcap"
	"appliance/tracer"
	"appliance/tracer/sink/jsonl"
)

func traceImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "make a trace of a capture, tcpdump's or Wireshark's, of any TCP traffic",
		ArgsUsage: "FILE",
		Description: "FILE is pcap or pcapng, also packed with gzip; - is standard input. Each segment stands in the\n" +
			"trace twice, as sent by one end and as received by the other: the stacks client and server.\n" +
			"Their states are inferred from the segments, and marked so (via inferred). What segments do\n" +
			"not show is not claimed: the end of TIME-WAIT, for one. Every other verb reads the trace.\n\n" +
			"Without -w the trace is named as the capture, with the ending .jsonl, and beside it.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "read", Aliases: []string{"r"}, Usage: "read the capture in `FILE`, instead of the argument; - is standard input"},
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write to `FILE`; - is standard output", DefaultText: "the capture's name with the ending .jsonl"},
		},
		Action: traceImport,
	}
}

func traceImport(c *cli.Context) error {
	input, _, err := tracePath(c)
	if err != nil {
		return err
	}
	path, err := outPath(c, input, ".jsonl")
	if err != nil {
		return err
	}
	for _, form := range exportForms {
		if form.name != "jsonl" && strings.EqualFold(filepath.Ext(path), form.ending) {
			return usageErr("%s%s: import writes JSONL: name it x.jsonl, and then: appliance trace export --as %s x.jsonl", where(c), path, form.name)
		}
	}
	in, size := io.NopCloser(stdin), int64(-1)
	if input != "-" {
		f, err := os.Open(input)
		if err != nil {
			return fmt.Errorf("read capture: %w", orMake(err, "tcpdump -w x.pcap"))
		}
		in = f
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	out, err := createOutFile(path, c.App.Writer)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	sum, cut, err := importTo(c, in, size, input, out)
	if err = errors.Join(out.finish(err), in.Close()); err != nil {
		return err
	}
	to := ""
	if path != "-" {
		to = "wrote " + out.name() + ": "
	}
	logf(c.App.ErrWriter)("%s%d events of %s", to, sum.Events, sum)
	return cut
}

// importTo makes the trace of a capture. Of one that is cut off all is written that is there;
// cut is the error that says so.
func importTo(c *cli.Context, in io.Reader, size int64, name string, out io.Writer) (sum *importpcap.Summary, cut, err error) {
	ctx, stop := signal.NotifyContext(c.Context, stopSignals...)
	defer stop()
	bar := &progress{out: c.App.ErrWriter}
	defer bar.done()
	if name == "-" {
		name = "standard input"
	}
	sink := jsonl.New(out)
	sum, err = importpcap.Import(bar.wrap(in, size), &interruptible{sink, ctx}, importpcap.Options{
		Name: filepath.Base(name), Appliance: readVersions().Appliance,
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	var place *importpcap.FileError
	if errors.Is(err, io.ErrUnexpectedEOF) && errors.As(err, &place) {
		cut, err = fmt.Errorf("%w: what is whole before that was written", err), nil
	}
	return sum, cut, errors.Join(err, sink.Close())
}

// interruptible is a sink that errs once its context has ended.
type interruptible struct {
	tracer.Sink
	ctx context.Context
}

// Write implements tracer.Sink.
func (i *interruptible) Write(events []tracer.Event) error {
	if i.ctx.Err() != nil {
		return errInterrupted
	}
	return i.Sink.Write(events)
}
