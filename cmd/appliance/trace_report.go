package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/internal/tracefile"
	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/report"
)

func traceReportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "make one HTML file of a trace: connections, ladder, states, graphs, timeline, causes",
		ArgsUsage: "FILE",
		Description: "The page stands alone: it opens from disk, loads nothing and sends nothing. The trace is in\n" +
			"it and can be saved from it. Pictures are made of the first connections, so that the file\n" +
			"stays small: --pictures says of how many, and --conn makes the report of some alone. What\n" +
			"was in PAGE before stays there until the new page is complete.",
		Flags: []cli.Flag{
			readFlag(),
			&cli.StringFlag{
				Name: "write", Aliases: []string{"w"}, Usage: "write the page to `PAGE`; - is standard output",
				DefaultText: "FILE with the ending .html",
			},
			connFlag(),
			&cli.IntFlag{Name: "pictures", Usage: "draw this `NUMBER` of connections, the first ones; 0 draws none", Value: report.DefaultPictures},
			&cli.StringFlag{Name: "title", Usage: "the page's `TITLE`", DefaultText: "what was traced"},
			langFlag(),
		},
		Action: traceReport,
	}
}

func traceReport(c *cli.Context) error {
	input, _, err := tracePath(c)
	if err != nil {
		return err
	}
	conns, err := traceConns(c)
	if err != nil {
		return err
	}
	pictures := c.Int("pictures")
	switch {
	case pictures < 0:
		return usageErr("%s--pictures %d: want 0 or more", where(c), pictures)
	case pictures == 0:
		pictures = -1
	}
	path, err := outPath(c, input, ".html")
	if err != nil {
		return err
	}
	// Of a damaged trace, what could be read makes a page that says so.
	t, damage := loadForReport(c, input, len(conns) > 0)
	if t == nil {
		return damage
	}
	if err := newAsked(c, conns).of(t); err != nil {
		return errors.Join(err, damage)
	}
	o := report.Options{Lang: langOf(c), Title: c.String("title"), Conns: conns, Pictures: pictures, File: traceName(input)}
	if damage != nil {
		o.Notes = append(o.Notes, o.Lang.F("The trace is not whole: %s", damage.Error()))
	}
	return errors.Join(writeReport(c, path, t, o), damage)
}

// loadForReport is [loadTrace], but gives up at once on a trace that has too many events
// for a page, unless only some of them are wanted.
func loadForReport(c *cli.Context, path string, some bool) (*view.Trace, error) {
	if some {
		return loadTrace(path)
	}
	f, err := tracefile.Open(path, tracefile.Options{Stdin: stdin})
	if err != nil {
		return nil, err
	}
	var events []tracer.Event
	err = f.Each(func(e *tracer.Event) error {
		if len(events) == report.MaxEvents {
			events = nil
			return fmt.Errorf("%s%s: %w: more than %d events: choose connections with --conn (trace summary lists them)",
				where(c), path, report.ErrTooLarge, report.MaxEvents)
		}
		events = append(events, *e)
		return nil
	})
	err = errors.Join(err, f.Close())
	if errors.Is(err, report.ErrTooLarge) {
		return nil, err
	}
	return view.New(f.Header(), events), err
}

func writeReport(c *cli.Context, path string, t *view.Trace, o report.Options) error {
	out, err := createOutFile(path, c.App.Writer)
	if err != nil {
		return fmt.Errorf("%s%w", where(c), err)
	}
	if err := out.finish(report.Write(out, t, o)); err != nil {
		return fmt.Errorf("%s%s: %w", where(c), out.name(), err)
	}
	if path != "-" {
		logf(c.App.ErrWriter)("wrote %s: %d events", out.name(), len(t.Events))
	}
	return nil
}

// traceName is the name of the trace's file without its ending, for one saved from the page.
func traceName(path string) string {
	base := filepath.Base(path)
	if path == "-" || base == "." {
		return ""
	}
	return strings.TrimSuffix(base, filepath.Ext(base))
}
