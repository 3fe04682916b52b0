package main

import (
	"bufio"
	"errors"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"appliance/internal/tracefile"
	"appliance/tracer"
	"appliance/tracer/view/summary"
)

func traceSummaryCommand() *cli.Command {
	return &cli.Command{
		Name:      "summary",
		Usage:     "tell a trace in a line a connection, and its totals",
		ArgsUsage: "FILE",
		Description: "Connections are told in the order in which they end, once no more segments of them are\n" +
			"looked for, and at the end those that have not ended. Bytes are payload,\n" +
			"without repeats. RTT is the time from a segment to the first ACK, also a selective one, that\n" +
			"covers it, as the stack saw them. An ACK measures the newest segment that it is the first to\n" +
			"cover, and none where one of those was sent more than once (RFC 6298, 3). Of an even number\n" +
			"of times the median is the upper one; ~ marks what is within 1.6 %, of more than 1024\n" +
			"different times. A trace of any size is read once, in bounded memory.\n\n" +
			"On a terminal, and with --width, what does not fit into a line follows on further ones.",
		Flags: []cli.Flag{
			readFlag(),
			connFlag(),
			stackFlag(),
			outputFlag("text", "json"),
			&cli.IntFlag{Name: "width", Usage: "fit the text into `COLUMNS`, at least 60", DefaultText: "the terminal's"},
			langFlag(),
			colorFlag(),
		},
		Action: traceSummary,
	}
}

// summaryWriter is a form of the summary.
type summaryWriter interface {
	Conn(*summary.Conn) error
	Totals(summary.Totals) error
}

func traceSummary(c *cli.Context) error {
	path, _, err := tracePath(c)
	if err != nil {
		return err
	}
	conns, err := traceConns(c)
	if err != nil {
		return err
	}
	if err := notOverStdout(c, path); err != nil {
		return err
	}
	text, err := summaryText(c)
	if err != nil {
		return err
	}
	bar := &progress{out: c.App.ErrWriter}
	f, err := tracefile.Open(path, tracefile.Options{Stdin: stdin, Wrap: bar.wrap})
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(bar.around(c.App.Writer), 64<<10)
	var w summaryWriter = summary.NewTable(out, text)
	if c.String("output") == "json" {
		w = summary.NewJSON(out, f.Header())
	}
	s := summary.New(summary.Options{Conns: conns, Stacks: traceWords(c, "stack")}, w.Conn)
	want := newAsked(c, conns)
	err = f.Each(func(e *tracer.Event) error {
		want.see(e)
		return s.Add(e)
	})
	totals, tellErr := s.Finish()
	bar.done()
	if missing := want.missing(); missing != nil && tellErr == nil {
		return errors.Join(err, missing, f.Close())
	}
	if tellErr != nil && errors.Is(err, tellErr) {
		tellErr = nil // it is told already
	} else if tellErr == nil {
		tellErr = w.Totals(totals)
	}
	return errors.Join(err, printed(errors.Join(tellErr, out.Flush())), f.Close())
}

// leastSummary is the least width of the table that is asked for.
const leastSummary = 60

// summaryText are the settings of the text: as wide as --width or the terminal is.
func summaryText(c *cli.Context) (summary.TextOptions, error) {
	o := summary.TextOptions{Lang: langOf(c), Color: colored(c, c.App.Writer), Width: c.Int("width")}
	switch f, ok := terminal(c.App.Writer); {
	case c.IsSet("width") && c.String("output") != "text":
		return o, usageErr("%s--width: is for -o text, not %s", where(c), c.String("output"))
	case c.IsSet("width") && o.Width < leastSummary:
		return o, usageErr("%s--width %d: want at least %d", where(c), o.Width, leastSummary)
	case ok && !c.IsSet("width"):
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			o.Width = w
		}
	}
	return o, nil
}

// worthABar is how large a file, in bytes, must be for its progress to be shown.
const worthABar = 16 << 20

// progress is a bar on a terminal that tells how much of a file has been read.
type progress struct {
	out io.Writer
	bar *progressbar.ProgressBar // nil where there is none to show, or no terminal
}

// wrap is tracefile's Wrap.
func (p *progress) wrap(r io.Reader, size int64) io.Reader {
	f, ok := terminal(p.out)
	if !ok || size < worthABar || os.Getenv("TERM") == "dumb" {
		return r
	}
	p.bar = progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(f), progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100_000_000), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
	return io.TeeReader(r, p.bar)
}

// terminal returns w as a file where it is a terminal.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// around returns w; where that is a terminal too, the bar makes way for each write.
func (p *progress) around(w io.Writer) io.Writer {
	if _, ok := terminal(w); !ok || p.bar == nil {
		return w
	}
	return barWriter{p, w}
}

type barWriter struct {
	p *progress
	w io.Writer
}

// Write implements io.Writer.
func (b barWriter) Write(data []byte) (int, error) {
	if b.p.bar != nil {
		if err := b.p.bar.Clear(); err != nil {
			return 0, err
		}
	}
	return b.w.Write(data)
}

// done takes the bar away.
func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Clear() // what is left of it does no harm
		p.bar = nil
	}
}
