package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"appliance/internal/bench/report"
	"appliance/internal/lab"
)

// congestion is the kernel's congestion control, set on each of its sockets.
const congestion = "cubic"

// mtu is the labs', in bytes.
const mtu = lab.DefaultMTU

// busyPoll is the link's in cases with busy polling.
const busyPoll = 50 * time.Microsecond

// The ends' addresses.
var (
	nearAddress = netip.MustParsePrefix("192.168.12.1/24")
	farAddress  = netip.MustParsePrefix("192.168.12.53/24")
)

// errSkip is wrapped by errors that say why something cannot be measured here.
var errSkip = errors.New("not measured")

// Run measures. What cannot be measured on this host, and what went wrong with single
// measurements, is in the report. When ctx ends, the report holds what was measured by
// then, and the error is ctx's cause. main must have called [RunPeerIfAsked].
func Run(ctx context.Context, o Options) (*report.Report, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	cases, err := Plan(o)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "appliance-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: make a directory for traces: %w: set TMPDIR to one that you can write to", err)
	}
	o.Dir = dir
	r := &session{o: o, ctx: ctx, skipped: map[string]bool{}}
	r.report = &report.Report{
		Schema: report.Schema, Started: time.Now(), Host: host(o),
		Settings: report.Settings{
			Rounds: o.Rounds, Time: o.Time, WarmUp: o.WarmUp, Sink: o.Sink, Congestion: congestion, MTU: mtu, Idle: o.Idle,
		},
	}
	if o.Only != nil {
		r.report.Settings.Only = o.Only.String()
	}
	release, awake := keepAwake()
	r.report.Host.Awake = awake
	err = r.run(steps(cases, o.Rounds))
	release()
	r.finish(cases)
	if err == nil && r.nothing(cases) {
		err = r.denied
	}
	return r.report, errors.Join(err, os.RemoveAll(dir))
}

// session is a run under way.
type session struct {
	o       Options
	ctx     context.Context
	report  *report.Report
	samples []report.Sample
	skipped map[string]bool // by reason, what has been said
	denied  error           // the first permission that was missing
}

func (r *session) run(all []step) error {
	for i, s := range all {
		r.o.Progress(i, len(all), s.c.Name())
		sample, err := r.one(s)
		var privilege *lab.PrivilegeError
		switch {
		case err == nil:
			r.samples = append(r.samples, sample)
		case r.ctx.Err() != nil:
			r.report.Interrupted = true
			return context.Cause(r.ctx)
		case errors.Is(err, errSkip):
			r.skip(s.c, err)
		case s.c.Link == report.TAP && errors.As(err, &privilege):
			r.denied = cmp.Or(r.denied, err)
			r.skip(s.c, err)
		case errors.As(err, &privilege):
			return err // nothing can be measured
		default:
			r.report.Failed = append(r.report.Failed, report.Note{Name: s.c.Name(), Round: s.round, Why: err.Error()})
			r.o.Log("%s, round %d: %v", s.c.Name(), s.round, err)
		}
	}
	r.o.Progress(len(all), len(all), "")
	return nil
}

// skip notes, once, why cases are not measured.
func (r *session) skip(c report.Case, err error) {
	name := c.Who + "/" + c.Link
	why := err.Error()
	if r.skipped[name+why] {
		return
	}
	r.skipped[name+why] = true
	r.report.Skipped = append(r.report.Skipped, report.Note{Name: name, Why: why})
	r.o.Log("%s: %s", name, why)
}

// nothing tells whether the appliance was to be measured, and was not once.
func (r *session) nothing(cases []report.Case) bool {
	ours := func(c report.Case) bool { return c.Who == report.Appliance }
	return slices.ContainsFunc(cases, ours) &&
		!slices.ContainsFunc(r.report.Results, func(res report.Result) bool { return ours(res.Case) })
}

// finish computes what follows from the samples.
func (r *session) finish(cases []report.Case) {
	rep := r.report
	rep.Took = time.Since(rep.Started)
	rep.Host.LoadAfter = loadAverage()
	rep.Results = report.Results(cases, r.samples)
	rep.Targets = report.Judge(rep.Results)
}

// patience is how much longer than its time a measurement may take.
const patience = 30 * time.Second

// one makes one measurement, in a world of its own.
func (r *session) one(s step) (report.Sample, error) {
	limit := r.o.WarmUp + r.o.Time + patience
	ctx, cancel := context.WithTimeoutCause(r.ctx, limit, fmt.Errorf("it was not through after %v: the host may be too busy, or the connection stalled", limit))
	defer cancel()
	readings, err := r.measure(ctx, s.c)
	return report.Sample{Case: s.c, Round: s.round, Readings: readings}, err
}

func (r *session) measure(ctx context.Context, c report.Case) ([]report.Reading, error) {
	switch {
	case c.Metric == report.Trace:
		return trace(ctx, c, r.o)
	case c.Who == report.Iperf3:
		return iperf3(ctx, c, r.o)
	}
	w, err := openWorld(ctx, c, r.o)
	if err != nil {
		return nil, err
	}
	for _, warning := range w.warnings {
		r.o.Log("%s: %s", c.Name(), warning)
	}
	var readings []report.Reading
	switch c.Metric {
	case report.Throughput:
		readings, err = w.throughput(ctx, c, r.o)
	case report.RoundTrip:
		readings, err = w.roundTrip(ctx, r.o)
	case report.Connections:
		readings, err = w.connections(ctx, r.o)
	case report.Idle:
		readings, err = w.idle(ctx, r.o)
	case report.Trace: // above: it needs no world
	}
	err = errors.Join(err, w.close())
	if i := slices.IndexFunc(readings, func(x report.Reading) bool { return x.Name == report.Events }); i >= 0 {
		// The share of those lost is known once the last event is written.
		readings = append(readings, report.Reading{Name: report.LostShare, Unit: report.Share, Value: w.sink.lostShare()})
	}
	return readings, err
}
