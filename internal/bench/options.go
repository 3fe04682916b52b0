package bench

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// ErrOptions is wrapped by errors about the options.
var ErrOptions = errors.New("bad options")

// The sinks of traces.
const (
	// JSONL writes the trace to a file, as appliance run -w does: what people do.
	JSONL = "jsonl"
	// Discard throws events away: what is left is the cost of the hooks and the Bus.
	Discard = "discard"
)

// Options say what to measure and how.
type Options struct {
	// Brief leaves out the cases that are like others: four streams, tracing everything.
	// It is of no matter where Only is given.
	Brief bool
	// Rounds is how often each case is measured; 0 means 5.
	Rounds int
	// Time is a measurement's, after WarmUp; 0 means 400 ms, and a third of Time.
	Time, WarmUp time.Duration
	// Idle is how many connections are held for their memory; 0 means 10,000.
	Idle int
	// Only selects the cases whose names it matches, and what they are compared with;
	// nil means all.
	Only *regexp.Regexp
	// Links are those of the appliance: "veth", "tap"; none means both.
	Links []string
	// Sink is where traces go: JSONL ("" means that) or Discard.
	Sink string
	// Dir is the directory of whose file system traces take space, in files without a name,
	// for the time that they are needed; "" means the one for temporary files.
	Dir string
	// Appliance and GVisor are versions, for the report.
	Appliance, GVisor string
	// Log gets what there is to say meanwhile, one line a call; nil is nobody.
	Log func(format string, args ...any)
	// Progress is told how many measurements of how many are done, and which comes
	// next; nil is nobody.
	Progress func(done, total int, next string)
}

// withDefaults fills in what is left out.
func (o Options) withDefaults() Options {
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Time == 0 {
		o.Time = 400 * time.Millisecond
	}
	if o.WarmUp == 0 {
		o.WarmUp = max(time.Millisecond, (o.Time / 3).Round(time.Millisecond))
	}
	if o.Idle == 0 {
		o.Idle = 10000
	}
	if len(o.Links) == 0 {
		o.Links = []string{"veth", "tap"}
	}
	if o.Sink == "" {
		o.Sink = JSONL
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.Rounds < 1:
		return fmt.Errorf("%w: %d rounds: want 1 or more", ErrOptions, o.Rounds)
	case o.Time < time.Millisecond || o.Time > time.Hour:
		return fmt.Errorf("%w: a time of %v for a measurement: want 1ms to 1h", ErrOptions, o.Time)
	case o.WarmUp < 0 || o.WarmUp > time.Hour:
		return fmt.Errorf("%w: a warm-up of %v: want 0 to 1h", ErrOptions, o.WarmUp)
	case o.Idle < 1:
		return fmt.Errorf("%w: %d idle connections: want 1 or more", ErrOptions, o.Idle)
	case o.Sink != JSONL && o.Sink != Discard:
		return fmt.Errorf("%w: sink %q: want %s or %s", ErrOptions, o.Sink, JSONL, Discard)
	}
	for _, l := range o.Links {
		if l != "veth" && l != "tap" {
			return fmt.Errorf("%w: link %q: want veth or tap", ErrOptions, l)
		}
	}
	return nil
}
