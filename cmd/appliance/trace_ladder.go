package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"appliance/tracer/view"
	"appliance/tracer/view/ladder"
)

func traceLadderCommand() *cli.Command {
	return &cli.Command{
		Name:      "ladder",
		Usage:     "draw connections as two lanes with segments between them",
		ArgsUsage: "FILE",
		Description: "Each connection is a ladder: its two ends with their states down the side, calls and timers\n" +
			"at their end, segments as arrows from where they were sent to where they were received. Then\n" +
			"come UDP datagrams, ICMP messages, and segments that no connection took.\n" +
			"A trace with several has several ladders; --conn chooses by the id of either end, and takes\n" +
			"listeners too: all of their segments.\n\n" +
			"text fits the terminal, up to 140 columns (100 where it is written to a file). svg is\n" +
			"one picture, for light and dark backgrounds and for paper. mermaid is a sequenceDiagram, and\n" +
			"with several ladders Markdown with a block for each.",
		Flags: []cli.Flag{
			readFlag(),
			connFlag(),
			asFlag("text", "svg", "mermaid"),
			&cli.IntFlag{Name: "width", Usage: "fit the text into `COLUMNS`, at least 60", DefaultText: "the terminal's"},
			&cli.BoolFlag{Name: "ascii", Usage: "draw the text with ASCII alone"},
			&cli.StringFlag{
				Name: "numbers", DefaultText: "rel",
				Usage: "sequence numbers: rel for relative ones, raw as they were on the wire, 001 as document 001 has\n" +
					"\tthem (1000,8000), or as if the initial ones were `CLIENT,SERVER`",
			},
			langFlag(),
			colorFlag(),
			writeFlag(),
		},
		Action: traceLadder,
	}
}

func traceLadder(c *cli.Context) error {
	path, _, err := tracePath(c)
	if err != nil {
		return err
	}
	o := ladder.Options{Lang: langOf(c)}
	if err := ladderFlags(c, &o); err != nil {
		return err
	}
	conns, err := traceConns(c)
	if err != nil {
		return err
	}
	out, err := outPath(c, path, "")
	if err != nil {
		return err
	}
	trace, readErr := loadTrace(path)
	if trace == nil {
		return readErr
	}
	if err := newAsked(c, conns).of(trace); err != nil {
		return errors.Join(err, readErr)
	}
	pairs, err := ladderPairs(c, trace, conns)
	if err != nil {
		return errors.Join(err, readErr)
	}
	ladders := make([]*ladder.Ladder, len(pairs))
	for i, p := range pairs {
		ladders[i] = ladder.New(trace, p, o)
	}
	write := map[string]func(io.Writer) error{
		"text":    func(w io.Writer) error { return ladder.Text(w, ladders, ladderText(c)) },
		"svg":     func(w io.Writer) error { return ladder.SVG(w, ladders) },
		"mermaid": func(w io.Writer) error { return ladder.Mermaid(w, ladders) },
	}[c.String("as")]
	return errors.Join(writeTraceView(c, out, write), readErr)
}

// ladderFlags checks the flags that hang together, and sets how numbers are shown.
func ladderFlags(c *cli.Context, o *ladder.Options) error {
	form := c.String("as")
	for _, name := range []string{"ascii", "width"} {
		if c.IsSet(name) && form != "text" {
			return usageErr("%s--%s: is for --as text, not %s", where(c), name, form)
		}
	}
	if c.Bool("ascii") && o.Lang != "en" {
		return usageErr("%s--ascii: cannot write Chinese: use it without --lang %s", where(c), o.Lang)
	}
	if w := c.Int("width"); c.IsSet("width") && w < ladder.LeastWidth {
		return usageErr("%s--width %d: want at least %d", where(c), w, ladder.LeastWidth)
	}
	if c.String("numbers") == "raw" {
		o.Raw = true
		return nil
	}
	numbers, _, err := parseNumbers(c)
	if err == nil && numbers != nil {
		o.Numbers = &ladder.Numbers{Client: numbers.Client, Server: numbers.Server}
	}
	return err
}

// ladderPairs are what is to be drawn: of the connections that --conn names, each pair once.
func ladderPairs(c *cli.Context, t *view.Trace, conns []uint32) ([]view.Pair, error) {
	if len(conns) == 0 {
		pairs := ladder.All(t)
		if len(pairs) == 0 {
			return nil, fmt.Errorf("%sthe trace has no connection and no packet to draw: trace show tells what it has", where(c))
		}
		return pairs, nil
	}
	var pairs []view.Pair
	seen := map[view.Pair]bool{}
	for _, id := range conns {
		if p, ok := ladder.Of(t, id); ok && !seen[p] {
			seen[p] = true
			pairs = append(pairs, p)
		}
	}
	return pairs, nil
}

// widestLadder is how wide a ladder becomes on its own: longer arrows tell no more.
const widestLadder = 140

// ladderText are the settings of the text: as wide as --width or the terminal is.
func ladderText(c *cli.Context) ladder.TextOptions {
	o := ladder.TextOptions{Width: c.Int("width"), ASCII: c.Bool("ascii")}
	if p := c.String("write"); p != "" && p != "-" {
		return o
	}
	o.Color = colored(c, c.App.Writer)
	if f, ok := c.App.Writer.(*os.File); ok && o.Width == 0 {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			o.Width = min(w, widestLadder)
		}
	}
	return o
}
