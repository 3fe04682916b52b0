package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/internal/tracefile"
	"appliance/tracer/view"
	"appliance/tracer/view/words"
)

func traceCommand() *cli.Command {
	return &cli.Command{
		Name:  "trace",
		Usage: "read a trace: as a timeline, a table, a picture, or for other programs",
		Description: "A FILE is a trace that run, scenario or demo wrote, JSONL or pcapng: its first bytes tell\n" +
			"which. - is standard input, and -r FILE does the same as the argument. Of a file that was\n" +
			"cut off, what is whole is shown; then comes the error, and exit code 1.",
		Subcommands: []*cli.Command{
			traceShowCommand(),
			traceSummaryCommand(),
			traceLadderCommand(),
			traceWhyCommand(),
			traceStatesCommand(),
			traceGraphCommand(),
			traceReportCommand(),
			traceExportCommand(),
			traceImportCommand(),
		},
	}
}

// readFlag is -r, of the verbs that read one trace: see [tracePath].
func readFlag() cli.Flag {
	return &cli.StringFlag{Name: "read", Aliases: []string{"r"}, Usage: "read the trace in `FILE`, instead of the argument; - is standard input"}
}

// writeFlag is -w, of the verbs that write one view: see [writeTraceView].
func writeFlag() cli.Flag {
	return &cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write to `FILE`; - is standard output", DefaultText: "-"}
}

// connFlag is --conn: see [traceConns].
func connFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "conn", Usage: "only the connection with this `ID`; more with commas, or repeated"}
}

// stackFlag is --stack: see [traceWords].
func stackFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "stack", Usage: "only what this `STACK` saw, such as server; more with commas, or repeated"}
}

// asFlag is --as, of the verbs that have several forms; the first is the default.
func asFlag(forms ...string) cli.Flag { return choiceFlag("as", "the form", forms...) }

// langFlag is --lang, of what shows words: see [langOf].
func langFlag() cli.Flag {
	return choiceFlag("lang", "language of the words", string(words.English), string(words.Chinese))
}

// langOf is the language that --lang says.
func langOf(c *cli.Context) words.Lang { return words.Lang(c.String("lang")) }

// tracePath returns the path of the trace, which is the last argument or what -r says, and
// the arguments before it, of which there must be one for each of names.
func tracePath(c *cli.Context, names ...string) (path string, args []string, err error) {
	if c.IsSet("read") {
		path = c.String("read")
		if given, err := anyArguments(c); err == nil && len(given) > len(names) {
			return "", nil, usageErr("%s%s: -r has named the file already, %s: leave out one of them", where(c), given[len(names)], path)
		}
		args, err = arguments(c, names...)
		return path, args, err
	}
	if args, err = arguments(c, append(slices.Clone(names), "FILE")...); err != nil {
		return "", nil, err
	}
	return args[len(names)], args[:len(names)], nil
}

// loadTrace reads the whole trace at path. Where it is cut off or damaged, it returns what
// could be read along with the error: the verb shows that, and returns the error.
func loadTrace(path string) (*view.Trace, error) {
	return tracefile.Load(path, tracefile.Options{Stdin: stdin})
}

// writeTraceView writes a view to path once it is whole: where it cannot be made, what was in
// the file before stays.
func writeTraceView(c *cli.Context, path string, write func(io.Writer) error) error {
	out, err := createOutFile(path, c.App.Writer)
	if err == nil {
		err = out.finish(write(out))
	}
	if err != nil {
		return fmt.Errorf("%s%w", where(c), err)
	}
	return nil
}

// traceWords are the values of a flag that may be repeated and may bear commas.
func traceWords(c *cli.Context, flag string) []string {
	var list []string
	for _, text := range c.StringSlice(flag) {
		for word := range strings.SplitSeq(text, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
	}
	return list
}

// traceConns are the connections that --conn names; none where it is not given.
func traceConns(c *cli.Context) ([]uint32, error) {
	var ids []uint32
	for _, word := range traceWords(c, "conn") {
		id, err := strconv.ParseUint(word, 10, 32)
		if err != nil || id == 0 {
			return nil, usageErr("%s--conn %s: want a connection's number, such as 3: trace summary lists them", where(c), word)
		}
		ids = append(ids, uint32(id))
	}
	return ids, nil
}
