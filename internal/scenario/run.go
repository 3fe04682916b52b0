package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"appliance/internal/lab"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// Run plays what the options ask for, one combination after the other, and reports on
// each. Its error is of the options (it wraps ErrOptions, and nothing was run), of the
// list of permitted skips, of a missing privilege (a *lab.PrivilegeError), or ctx's; what fails in a
// combination is in its result.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	all, err := combinations(&o)
	if err != nil {
		return nil, err
	}
	if o.Skips == nil {
		if o.Skips, err = Skips(); err != nil {
			return nil, err
		}
	}
	if err := o.checkFile(all); err != nil {
		return nil, err
	}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("directory for the traces: %w", err)
		}
	}
	report := &Report{Results: []Result{}}
	for i := range all {
		if err := ctx.Err(); err != nil {
			return report, fmt.Errorf("stopped after %d of %d: %w", i, len(all), context.Cause(ctx))
		}
		res, header, events, err := all[i].play(ctx, &o)
		if err != nil {
			return report, err
		}
		report.add(*res)
		if o.Each != nil {
			o.Each(res, header, events)
		}
	}
	return report, nil
}

// play makes the result of a combination. Its error is one that every other combination
// would have as well.
func (c *combination) play(ctx context.Context, o *Options) (*Result, tracer.Header, []tracer.Event, error) {
	res := c.result()
	if i := slices.IndexFunc(o.Skips, func(s Skip) bool { return s.Permits(&res) }); i >= 0 {
		res.Skipped = o.Skips[i].Reason
		return &res, tracer.Header{}, nil, nil
	}
	if why := c.unplayable(); why != "" {
		res.Error = "not permitted to skip: " + why
		return &res, tracer.Header{}, nil, nil
	}
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, realLimit, fmt.Errorf("not over after %s", realLimit))
	defer cancel()
	header, events, err := c.inWorld(ctx, o, &res)
	var privilege *lab.PrivilegeError
	if errors.As(err, &privilege) {
		return nil, header, nil, err
	}
	if err != nil {
		res.Error = err.Error()
	}
	res.MS = float64(time.Since(start).Microseconds()) / 1000
	res.OK = res.Error == "" && res.Mismatch == nil
	if path := o.traceFile(&res); path != "" && len(events) > 0 {
		if err := writeTrace(path, header, events); err != nil {
			return nil, header, nil, err // the next would not be written either
		}
		res.Trace = path
	}
	return &res, header, events, nil
}

// inWorld plays a combination in a world of its own, and judges what came of it.
func (c *combination) inWorld(ctx context.Context, o *Options, res *Result) (h tracer.Header, events []tracer.Event, err error) {
	w, err := newWorld(ctx, c, o)
	if err != nil {
		return h, nil, fmt.Errorf("make the link and its ends: %w", err)
	}
	events, played := w.play(ctx)
	res.Forced = forced(events)
	if _, ok := w.clock.(*virtualTime); ok {
		res.VirtualMS = float64(w.clock.elapsed().Microseconds()) / 1000
	}
	if w.linux != nil {
		var err error
		if events, err = w.linux.merged(w, events); err != nil {
			played = errors.Join(played, err)
		}
	}
	closed := w.close()
	if m := w.judge(events); m != nil {
		res.Mismatch = (*Mismatch)(m)
	}
	for _, s := range w.stacks {
		if n := s.FilledStates(); n > 0 {
			played = errors.Join(played, fmt.Errorf("%d state changes that no hook saw", n))
		}
	}
	return w.journal.header, events, errors.Join(played, closed)
}

// judge compares the trace with what the run expects.
func (w *world) judge(events []tracer.Event) *sequence.Mismatch {
	in := sequence.MatchInput{
		Run: w.run, Players: w.players, Events: events,
		Stacks: map[sequence.End]string{}, Segments: map[sequence.End]bool{}, Calls: map[sequence.End]bool{},
		Inferred: map[sequence.End]bool{},
	}
	_, in.Virtual = w.clock.(*virtualTime)
	for _, e := range []sequence.End{sequence.Client, sequence.Server} {
		if name := w.stackOf(e); name != "" {
			in.Stacks[e] = name
		}
		in.Segments[e] = w.traced(e) || w.both != nil
		in.Inferred[e] = w.players[e] == sequence.Linux && (w.linux == nil || w.linux.states == nil)
		in.Calls[e] = w.traced(e) || w.players[e] == sequence.Linux && !w.callsHidden(e)
	}
	return sequence.Match(in)
}

// callsHidden tells whether an end's calls are made where they are not recorded: in
// another process.
func (w *world) callsHidden(e sequence.End) bool {
	return slices.ContainsFunc(flatten(w.c.program(e)), func(s sequence.Step) bool {
		return s.Do == sequence.Python || s.Do == sequence.Exit || s.Do == sequence.Kill
	})
}

// stuck says what a run that is not over waits for.
func stuck(err error, waiting []string, left string) error {
	var parts []string
	if len(waiting) > 0 {
		slices.Sort(waiting)
		parts = append(parts, "waiting: "+strings.Join(waiting, ", "))
	}
	if left != "" {
		parts = append(parts, left)
	}
	if len(parts) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.Join(parts, "; "))
}
