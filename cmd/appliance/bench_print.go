package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/urfave/cli/v2"

	"appliance/internal/bench/report"
)

func benchList(c *cli.Context, cases []report.Case) error {
	out := errWriter{w: c.App.Writer}
	for _, one := range cases {
		out.printf("%s\n", one.Name())
	}
	return out.done()
}

// benchAgain prints a report that was written before, or of it what only matches; nil is all.
func benchAgain(c *cli.Context, only *regexp.Regexp) error {
	path := c.String("read")
	if err := notOverStdout(c, path); err != nil {
		return err
	}
	r, err := readBenchReport(path)
	if err != nil {
		return err
	}
	cases := r.Cases()
	if only != nil {
		if cases = report.Select(cases, only); len(cases) == 0 {
			return usageErr("bench: --only %s: no case of the report has such a name: appliance bench -r %s --list prints them", only, path)
		}
		r.Keep(cases)
	}
	if c.Bool("list") {
		return benchList(c, cases)
	}
	files, err := openBenchFiles(c)
	if err != nil {
		return err
	}
	return errors.Join(benchPrint(c, r), files.write(r))
}

// readBenchReport reads the report at path; "-" is standard input.
func readBenchReport(path string) (*report.Report, error) {
	name := path
	var b []byte
	var err error
	if path == "-" {
		name = "standard input"
		b, err = io.ReadAll(stdin)
	} else {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("bench: --read: %w", orMake(err, "appliance bench -w "+path))
	}
	r, err := report.Read(b)
	if err != nil {
		return nil, fmt.Errorf("bench: --read %s: %w", name, err)
	}
	return r, nil
}

// benchPrint prints the report to standard output: as -o says, or as what is written to "-".
func benchPrint(c *cli.Context, r *report.Report) error {
	var err error
	switch {
	case c.String("plot") == "-":
		err = r.WritePlot(c.App.Writer)
	case c.String("write") == "-", c.String("output") == "json":
		err = r.WriteJSON(c.App.Writer)
	default:
		err = r.WriteText(c.App.Writer, colored(c, c.App.Writer))
	}
	if err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}
