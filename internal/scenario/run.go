package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"appliance/internal/lab"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// Run plays what the options ask for, one combination after the other, and reports on
// each. Its error is of the options (it wraps ErrOptions, and nothing was run), of the
// list of permitted skips, of a missing privilege (a *lab.PrivilegeError), of a trace that could
// not be written, or ctx's; what fails in a combination is in its result. With the error is the
// report of what had been played.
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
		if err := makeDir(o.Dir); err != nil {
			return nil, err
		}
	}
	report := &Report{Results: []Result{}, NotPlayed: len(all)}
	for i := range all {
		if ctx.Err() != nil {
			break
		}
		res, header, events, err := all[i].play(ctx, &o)
		if res != nil {
			report.add(*res)
			if o.Each != nil {
				o.Each(res, header, events)
			}
		}
		if err != nil {
			return report, err
		}
	}
	if report.NotPlayed > 0 {
		report.Interrupted = true
		return report, fmt.Errorf("stopped after %d of %d: %w", len(all)-report.NotPlayed, len(all), context.Cause(ctx))
	}
	return report, nil
}

// On a real clock what a machine's standing still does to timers is no fault of either end:
// where a combination failed, and a processor stood still for so long meanwhile, it is played
// again, so often.
const (
	longStill  = 50 * time.Millisecond
	maxReplays = 3
)

// play makes the result of a combination, as playOnce; it is the last one's of those that were
// played again.
func (c *combination) play(ctx context.Context, o *Options) (*Result, tracer.Header, []tracer.Event, error) {
	if c.clock != Real { // time stands still of itself; a watch would not let it rest
		return c.playOnce(ctx, o)
	}
	for replays := 0; ; replays++ {
		end := o.still()
		res, header, events, err := c.playOnce(ctx, o)
		still := end()
		if res == nil {
			return nil, header, events, err
		}
		res.Replays = replays
		if err != nil || !res.failed() || still < longStill || replays == maxReplays || ctx.Err() != nil {
			return res, header, events, err
		}
		o.Log("%s: a processor stood still for %s: played again, after %s", res.Name(), still.Round(time.Millisecond), res.why())
	}
}

// playOnce makes the result of a combination; nil where there is none. Its error is one that
// every other combination would have as well.
func (c *combination) playOnce(ctx context.Context, o *Options) (*Result, tracer.Header, []tracer.Event, error) {
	res := c.result()
	if res.Skipped = o.skips(&res); res.Skipped != "" {
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
	res.OK = res.Error == "" && res.Mismatch == nil && !res.Interrupted
	if path := o.traceFile(&res); path != "" && len(events) > 0 {
		if err := writeTrace(path, header, events); err != nil {
			return &res, header, events, err // the next would not be written either
		}
		res.Trace = path
	}
	return &res, header, events, nil
}

// inWorld plays a combination in a world of its own, and judges what came of it, unless it
// was interrupted: half a sequence tells nothing.
func (c *combination) inWorld(ctx context.Context, o *Options, res *Result) (h tracer.Header, events []tracer.Event, err error) {
	w, err := newWorld(ctx, c, o)
	if err != nil {
		closed := w.close()
		if res.Interrupted = interrupted(ctx); res.Interrupted {
			return h, nil, closed
		}
		return h, nil, errors.Join(fmt.Errorf("make the link and its ends: %w", err), closed)
	}
	events, played := w.play(ctx)
	if res.Interrupted = played != nil && interrupted(ctx); res.Interrupted {
		played = nil // it says only that
	}
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
	if !res.Interrupted {
		res.Mismatch = (*Mismatch)(w.judge(events))
		played = errors.Join(played, w.filled())
	}
	return w.journal.header, events, errors.Join(played, closed)
}

// interrupted tells whether the caller has ended the context: its time is not just up.
func interrupted(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// filled errs where a stack changed its state and no hook saw it.
func (w *world) filled() error {
	var err error
	for _, s := range w.stacks {
		if n := s.FilledStates(); n > 0 {
			err = errors.Join(err, fmt.Errorf("%d state changes that no hook saw", n))
		}
	}
	return err
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
