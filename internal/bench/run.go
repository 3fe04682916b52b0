package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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

// ErrDenied is of a run in which the appliance was never measured, for want of a permission.
// The report's notes say which.
var ErrDenied = errors.New("bench: nothing of the appliance was measured: the report says why")

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
	if err := tryTraceFile(o.Dir); err != nil {
		return nil, err
	}
	r := &session{o: o, ctx: ctx}
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
	if err == nil && r.denied && r.nothing(cases) {
		err = ErrDenied
	}
	return r.report, err
}

// tryTraceFile errs where no trace can be written: before a long run rather than in it.
func tryTraceFile(dir string) error {
	f, err := newTraceFile(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

// session is a run under way.
type session struct {
	o       Options
	ctx     context.Context
	report  *report.Report
	samples []report.Sample
	denied  bool // a permission was missing
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
			r.report.Interrupted, r.report.InterruptedIn = true, s.round
			return context.Cause(r.ctx)
		case errors.Is(err, errSkip):
			r.skip(s.c, err)
		case s.c.Link == report.TAP && errors.As(err, &privilege):
			r.denied = true
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
	n := report.Note{Name: c.Who + "/" + c.Link, Why: err.Error()}
	if !slices.Contains(r.report.Skipped, n) {
		r.report.Skipped = append(r.report.Skipped, n)
	}
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
