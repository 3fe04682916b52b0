package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"appliance/internal/lab"
	"appliance/internal/stall"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// The links, peers, roles and clocks, as Options and Results name them.
const (
	Pipe = "pipe"
	Veth = "veth"
	TAP  = "tap"

	Self   = "self"
	Linux  = "linux"
	Script = "script"

	Client = "client"
	Server = "server"
	Both   = "both"
	None   = "none"

	Real    = "real"
	Virtual = "virtual"
)

// ErrOptions is wrapped by what [Run] returns where an option has no meaning: the
// caller's mistake, before anything was run.
var ErrOptions = errors.New("bad options")

// Options say what to run.
type Options struct {
	Sequences []*sequence.Sequence // all that there are
	// Names are those to run, each a sequence's name or "name/run"; empty means all.
	Names []string
	// Links are of pipe, veth and tap; empty means the pipe.
	Links []string
	// Peers are of self, linux and script; empty means all that make sense on the link:
	// self and script on the pipe, linux on veth and tap.
	Peers []string
	// FirstPeer has each run played with the first only of those that can play it, in
	// the order above, where Peers names none.
	FirstPeer bool
	// Role is which end the appliance is: client, server or both, one after the other; ""
	// means both. With the peer self the appliance is both ends: another role cannot be played.
	// With both, a run that names two Linux ends among its players is also played by these, for
	// comparison: the result's role is then none.
	Role string
	// Families are 4 and 6; empty means both.
	Families []int
	// Clock is real or virtual; "" means virtual on the pipe and real elsewhere.
	Clock string
	// Dir is where traces are kept, as <sequence>[-<run>]-<link>-<peer>-<role>-ipv<N> with the
	// form's ending; "" keeps none. It is made where it is missing.
	Dir string
	// Form is the traces' form in Dir: jsonl or pcapng; "" means jsonl.
	Form string
	// File is where the trace of the one combination that is played is kept, in the form that
	// its ending tells; "" keeps none. It must be one.
	File string
	// Appliance and GVisor are versions, for the traces' headers.
	Appliance, GVisor string
	// Skips are the combinations that are permitted to be skipped; nil means those of
	// configs/sequences/skips.yaml.
	Skips []Skip
	// Each is called after each result, in order, with the trace that was judged: none
	// where the combination was skipped or its world could not be made.
	Each func(*Result, tracer.Header, []tracer.Event)
	// Watch, where it is not nil, is called for each combination with Linux's end or a script's
	// on a lab's link, when the link is there and nothing has passed it. What it returns
	// is called once the run is over, with the trace up to there and before anything is
	// closed: what both ends do then is not watched. Its error fails the combination. The
	// context ends with the combination, also where over is never called.
	Watch func(context.Context, *lab.Lab) (over func([]tracer.Event) error, err error)
	// Log gets what the runner says of itself, one line a call; nil means nobody reads it.
	Log func(format string, args ...any)

	// still begins to watch whether the machine stands still, and tells at the end for how long.
	still func() (end func() time.Duration)
}

// Result is what came of one combination. Its JSON is a contract.
type Result struct {
	Sequence string `json:"sequence"`
	Run      string `json:"run,omitempty"`
	Link     string `json:"link"`
	Peer     string `json:"peer"`
	// Role is client or server, both where both ends are the appliance, or none where both
	// are Linux, and the trace is that of a capture.
	Role   string  `json:"role"`
	Family int     `json:"family"` // 4 or 6
	OK     bool    `json:"ok"`
	MS     float64 `json:"ms"` // by the machine's clock, milliseconds
	// Clock is real or virtual.
	Clock string `json:"clock,omitempty"`
	// VirtualMS is how much time passed on the virtual clock; 0 on a real one.
	VirtualMS float64 `json:"virtual_ms,omitempty"`
	// Replays is how often it was played before, and failed while the machine stood still; the
	// rest is of the last time.
	Replays int `json:"replays,omitempty"`
	// Trace is the file that has the trace, "" where none was kept.
	Trace string `json:"trace"`
	// Mismatch is where the trace and the sequence part; nil where they do not.
	Mismatch *Mismatch `json:"mismatch"`
	// Forced tells that the link made a form that the end does not choose by itself.
	Forced bool `json:"forced,omitempty"`
	// Skipped is why the combination was not run; "" where it was. It is then neither
	// passed nor failed.
	Skipped string `json:"skipped,omitempty"`
	// Interrupted tells that it was ended from outside before it was over. It is then neither
	// passed nor failed, and its trace is not judged.
	Interrupted bool `json:"interrupted,omitempty"`
	// Error is what else failed: a step of a program, the time, the world.
	Error string `json:"error,omitempty"`
}

// failed tells whether it neither holds nor was left out.
func (r *Result) failed() bool { return !r.OK && r.Skipped == "" && !r.Interrupted }

// why says what failed.
func (r *Result) why() string {
	if r.Mismatch != nil && r.Error == "" {
		return r.Mismatch.String()
	}
	return r.Error
}

// Name returns what the result is of, for people and file names:
// "syn-lost-all-pipe-self-both-ipv4".
func (r *Result) Name() string {
	name := r.Sequence
	if r.Run != "" {
		name += "-" + r.Run
	}
	return fmt.Sprintf("%s-%s-%s-%s-ipv%d", name, r.Link, r.Peer, r.Role, r.Family)
}

// Mismatch is where a trace and a sequence part, as JSON.
type Mismatch struct {
	Line     int    `json:"line"` // of the sequence's file
	At       string `json:"at,omitempty"`
	Expected string `json:"expected"`
	Seen     string `json:"seen"`
	N        uint64 `json:"n,omitempty"` // the event's number; 0 where there is none
	Why      string `json:"why"`
}

// String says it in one line.
func (m *Mismatch) String() string { return (*sequence.Mismatch)(m).Error() }

// Report is what came of all combinations.
type Report struct {
	Results []Result `json:"results"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	// Interrupted tells that the run was ended before it was through.
	Interrupted bool `json:"interrupted,omitempty"`
	// NotPlayed counts the combinations that it did not come to, and the one in which it was
	// interrupted.
	NotPlayed int `json:"not_played,omitempty"`
}

func (r *Report) add(res Result) {
	r.Results = append(r.Results, res)
	if res.Interrupted {
		return
	}
	r.NotPlayed--
	switch {
	case res.Skipped != "":
		r.Skipped++
	case res.OK:
		r.Passed++
	default:
		r.Failed++
	}
}

// clockOn is the clock for runs on a link.
func (o *Options) clockOn(link string) string {
	switch {
	case o.Clock != "":
		return o.Clock
	case link == Pipe:
		return Virtual
	default:
		return Real
	}
}

// complete fills in the defaults and checks the rest.
func (o *Options) complete() error {
	if len(o.Links) == 0 {
		o.Links = []string{Pipe}
	}
	if len(o.Families) == 0 {
		o.Families = []int{4, 6}
	}
	if o.Role == "" {
		o.Role = Both
	}
	o.Log = once(o.Log)
	if o.still == nil {
		o.still = func() func() time.Duration { return stall.Start().Stop }
	}
	for _, check := range []error{
		oneOf("link", o.Links, Pipe, Veth, TAP),
		oneOf("peer", o.Peers, Self, Linux, Script),
		oneOf("role", []string{o.Role}, Client, Server, Both),
		oneOf("clock", []string{o.Clock}, "", Real, Virtual),
	} {
		if check != nil {
			return check
		}
	}
	for _, f := range o.Families {
		if f != 4 && f != 6 {
			return fmt.Errorf("%w: family %d: want 4 or 6", ErrOptions, f)
		}
	}
	if o.Clock == Virtual && slices.ContainsFunc(o.Links, func(l string) bool { return l != Pipe }) {
		return fmt.Errorf("%w: the virtual clock is for the pipe: a %s link has Linux at the other end, whose time is real",
			ErrOptions, o.Links[slices.IndexFunc(o.Links, func(l string) bool { return l != Pipe })])
	}
	return nil
}

// once returns a log that says the same only once: what a host lacks, it lacks in every
// combination.
func once(log func(string, ...any)) func(string, ...any) {
	said := map[string]bool{}
	return func(format string, args ...any) {
		if line := fmt.Sprintf(format, args...); log != nil && !said[line] {
			said[line] = true
			log("%s", line)
		}
	}
}

func oneOf(what string, got []string, want ...string) error {
	for _, g := range got {
		if !slices.Contains(want, g) {
			known := strings.Trim(strings.Join(want, ", "), ", ")
			return fmt.Errorf("%w: %s %q: want one of %s", ErrOptions, what, g, known)
		}
	}
	return nil
}
