package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"appliance/internal/tracefile"
	"appliance/tracer"
	"appliance/tracer/sink/jsonl"
	"appliance/tracer/sink/text"
	"appliance/tracer/view/timeline"
)

func traceShowCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "tell a trace event by event, all of it or what is asked for",
		ArgsUsage: "FILE",
		Description: "An event is shown that passes every filter given; of a filter's values, which stand between\n" +
			"commas or in repeated flags, one is enough. --conn shows of a listener's events the SYN and\n" +
			"the accept that are the connection's. --state shows what happened in a state, and the changes\n" +
			"into it and out of it. A --note is one of those at the end of a segment's line, or dropped.\n\n" +
			"-f goes on at the file's end until no program writes it any more, or until SIGINT; where a run\n" +
			"rotates its files, it ends with the file that it follows.",
		Flags: []cli.Flag{
			readFlag(),
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what is written to the file"},
			connFlag(),
			stackFlag(),
			&cli.StringSliceFlag{Name: "type", Usage: "only events of this `TYPE`: " + orList(typeNames()) + "; more with commas, or repeated"},
			&cli.StringSliceFlag{Name: "state", Usage: "only what happened in this `STATE`, such as TIME-WAIT; more with commas, or repeated"},
			&cli.StringSliceFlag{Name: "addr", Usage: "only what has this `ADDRESS` or network at either end; more with commas, or repeated"},
			&cli.StringSliceFlag{Name: "port", Usage: "only what has this `PORT` at either end; more with commas, or repeated"},
			&cli.StringSliceFlag{Name: "note", Usage: "only packets with this `NOTE`, such as retransmission or dropped; more with commas, or repeated"},
			&cli.StringFlag{Name: "since", Usage: "only from this `TIME` since the trace's start on, such as 1.2s"},
			&cli.StringFlag{Name: "until", Usage: "only up to this `TIME` since the trace's start"},
			outputFlag("text", "jsonl"),
			choiceFlag("time", "the times of the text", "rel", "delta", "abs"),
			numbersFlag("relative ones"),
			&cli.BoolFlag{Name: "rfc", Usage: "add to each state change the clause that has it"},
			&cli.BoolFlag{Name: "ascii", Usage: "write marks and data in ASCII"},
			langFlag(),
			colorFlag(),
		},
		Action: traceShow,
	}
}

func traceShow(c *cli.Context) error {
	path, _, err := tracePath(c)
	if err != nil {
		return err
	}
	filter, err := timelineFilter(c)
	if err != nil {
		return err
	}
	if err := notOverStdout(c, path); err != nil {
		return err
	}
	// What was read is shown before more is waited for: each read flushes first.
	out := bufio.NewWriterSize(c.App.Writer, 64<<10)
	sink, err := showSink(c, out)
	if err != nil {
		return err
	}
	o := tracefile.Options{Stdin: stdin, Wrap: func(r io.Reader, _ int64) io.Reader { return &flushFirst{r, out} }}
	ctx, open := c.Context, func(context.Context) (*tracefile.File, error) { return tracefile.Open(path, o) }
	if c.Bool("follow") {
		var stop func()
		ctx, stop = signal.NotifyContext(c.Context, stopSignals...)
		defer stop()
		open = func(ctx context.Context) (*tracefile.File, error) { return tracefile.Follow(ctx, path, o) }
	}
	f, err := open(ctx)
	if err != nil {
		if ctx.Err() != nil && c.Err() == nil {
			return nil // interrupted before the trace had begun
		}
		return err
	}
	err = showEvents(ctx, f, sink, filter, newAsked(c, filter.Conns), c.Bool("follow"))
	if ctx.Err() != nil && errors.Is(err, tracer.ErrTruncated) {
		err = nil // a line was being written when the signal came
	}
	if failed := out.Flush(); failed != nil {
		err = printed(failed) // which ended the reading: it says nothing of the trace
	}
	return errors.Join(err, f.Close())
}

// showEvents gives what passes the filter to the sink. It errs where the trace, at its end,
// has not what is asked for; of one that is followed the end may not come.
func showEvents(ctx context.Context, f *tracefile.File, sink tracer.Sink, filter timeline.Filter, want *asked, follow bool) error {
	// Not before something is to be shown: with nothing but an error, nothing is written.
	start := sync.OnceValue(func() error { return sink.Start(f.Header()) })
	selected := timeline.New(filter)
	passes, _ := sink.(interface{ Pass(*tracer.Event) })
	var batch []tracer.Event
	err := f.Each(func(e *tracer.Event) error {
		want.see(e)
		want.seeResult(e) // which is shown
		batch = batch[:0]
		selected.Select(e, func(e *tracer.Event) { batch = append(batch, *e) })
		switch {
		case len(batch) > 0:
			if err := start(); err != nil {
				return err
			}
			return sink.Write(batch)
		case selected.Past(e) && (follow || want.found()):
			want = &asked{} // it may be yet to come
			return tracefile.ErrStop
		case passes != nil:
			passes.Pass(e)
		}
		return nil
	})
	if missing := want.missing(); missing != nil && ctx.Err() == nil {
		return errors.Join(err, missing, sink.Close())
	}
	return errors.Join(err, start(), sink.Close())
}

// flushFirst writes what is there before it reads on.
type flushFirst struct {
	r   io.Reader
	out *bufio.Writer
}

// Read implements io.Reader.
func (f *flushFirst) Read(b []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, printed(err)
	}
	return f.r.Read(b)
}

// printed says of an error that it came of printing.
func printed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write standard output: %w", err)
}

// showSink is what writes the events.
func showSink(c *cli.Context, out io.Writer) (tracer.Sink, error) {
	if c.String("output") == "jsonl" {
		return jsonl.New(out), nil
	}
	numbers, _, err := parseNumbers(c)
	if err != nil {
		return nil, err
	}
	times, err := text.ParseTime(c.String("time"))
	if err != nil {
		return nil, err
	}
	return text.New(out, text.Options{
		Color: colored(c, c.App.Writer), ASCII: c.Bool("ascii"), Clauses: c.Bool("rfc"),
		Time: times, Numbers: numbers, Lang: langOf(c),
	}), nil
}

// eventTypes are the types of events, in the order in which people ask for them.
var eventTypes = []tracer.Type{
	tracer.TypeCall, tracer.TypeSegment, tracer.TypeState, tracer.TypeTimer, tracer.TypeTCB,
	tracer.TypeEnd, tracer.TypeDatagram, tracer.TypeICMP, tracer.TypeLost,
}

func typeNames() []string {
	var names []string
	for _, t := range eventTypes {
		names = append(names, string(t))
	}
	return names
}

// timelineFilter is what the flags ask for.
func timelineFilter(c *cli.Context) (f timeline.Filter, err error) {
	if f.Conns, err = traceConns(c); err != nil {
		return f, err
	}
	f.Stacks, f.Notes = traceWords(c, "stack"), traceWords(c, "note")
	for _, word := range traceWords(c, "type") {
		if !slices.Contains(eventTypes, tracer.Type(word)) {
			return f, usageErr("%s--type %s: want %s", where(c), word, orList(typeNames()))
		}
		f.Types = append(f.Types, tracer.Type(word))
	}
	if f.States, err = filterStates(c); err != nil {
		return f, err
	}
	for _, word := range traceWords(c, "addr") {
		p, err := parseNetwork(word)
		if err != nil {
			return f, usageErr("%s--addr %s: want an address or a network, such as 192.168.12.1 or fd00::/64", where(c), word)
		}
		f.Addrs = append(f.Addrs, p)
	}
	for _, word := range traceWords(c, "port") {
		n, err := strconv.ParseUint(word, 10, 16)
		if err != nil {
			return f, usageErr("%s--port %s: want a port, 0 to 65535", where(c), word)
		}
		f.Ports = append(f.Ports, uint16(n))
	}
	if f.Since, err = traceTime(c, "since"); err != nil {
		return f, err
	}
	if f.Until, err = traceTime(c, "until"); err != nil {
		return f, err
	}
	f.HasUntil = c.IsSet("until")
	if f.HasUntil && f.Until < f.Since {
		return f, usageErr("%s--until %s: it is before --since %s", where(c), c.String("until"), c.String("since"))
	}
	return f, nil
}

// filterStates are the states that --state names; a name may be in lower case.
func filterStates(c *cli.Context) ([]tracer.State, error) {
	var states []tracer.State
	for _, word := range traceWords(c, "state") {
		s, err := tracer.ParseState(strings.ToUpper(strings.ReplaceAll(word, "_", "-")))
		if err != nil {
			return nil, usageErr("%s--state %s: want one of RFC 9293's: %s", where(c), word, orList(stateNames()))
		}
		states = append(states, s)
	}
	return states, nil
}

// stateNames are RFC 9293's names of the states.
func stateNames() []string {
	var names []string
	for s := tracer.Closed; s <= tracer.TimeWait; s++ {
		names = append(names, s.String())
	}
	return names
}

// parseNetwork reads an address, which stands for itself, or a network.
func parseNetwork(word string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(word); err == nil {
		return netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(word)
	return p.Masked(), err
}

// traceTime is a time since the trace's start.
func traceTime(c *cli.Context, flag string) (time.Duration, error) {
	if !c.IsSet(flag) {
		return 0, nil
	}
	d, err := time.ParseDuration(c.String(flag))
	if err != nil || d < 0 {
		return 0, usageErr("%s--%s %s: want a time since the trace's start, such as 300ms or 1.2s", where(c), flag, c.String(flag))
	}
	return d, nil
}
