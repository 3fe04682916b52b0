package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"appliance/netstack/virtual"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// play runs the programs and scripts of a world until the run is over, and returns the
// trace up to there. Its error is of the first step that failed, or says what the run still
// waits for.
func (w *world) play(ctx context.Context) ([]tracer.Event, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &running{world: w, cancel: cancel, listens: make(chan struct{})}
	w.programs(r)
	for _, job := range r.jobs {
		r.start(ctx, job)
	}
	err := r.until(ctx)
	events, _ := w.journal.so()
	if w.linux != nil {
		w.linux.until = w.bus.Now()
	}
	if w.both != nil {
		events, err = w.both.trace(ctx, err)
	}
	if w.over != nil {
		err = errors.Join(err, w.over(events))
	}
	if err == nil {
		events = finished(events)
	}
	cancel(errOver)
	// What still waits in a socket: a server that has no end, or all that is left of a failed run.
	woken := w.wake()
	r.all.Wait()
	return events, errors.Join(err, woken)
}

// errOver is why the steps of a run that is over are stopped.
var errOver = errors.New("the run is over")

// job is one thing that runs: a program or a script.
type job struct {
	name    string
	awaited bool // the run is not over before it has ended
	first   bool // it need not wait until somebody listens
	do      func(context.Context) error
}

// running is a run in progress.
type running struct {
	world    *world
	jobs     []job
	programs []*program
	cancel   context.CancelCauseFunc
	listens  chan struct{} // closed once the listening end listens
	once     sync.Once
	all      sync.WaitGroup

	mu   sync.Mutex
	left int   // jobs that are awaited
	err  error // the first
}

func (r *running) listening() { r.once.Do(func() { close(r.listens) }) }

// programs makes the jobs.
func (w *world) programs(r *running) {
	listener := false
	for _, e := range []sequence.End{sequence.Server, sequence.Client} {
		if frames := w.run.Scripts[e]; w.players[e] == sequence.Script {
			s := w.plays[e]
			r.jobs = append(r.jobs, job{
				name: string(e) + "'s script", awaited: true, first: e == sequence.Server,
				do: func(ctx context.Context) error { return s.Play(ctx, frames) },
			})
			continue
		}
		steps := w.c.program(e)
		p := &program{stage: &w.stage, end: e, host: w.hosts[e], steps: steps, listening: func() {}}
		p.sends = w.sendsOf(e.Other())
		if e == sequence.Server && listensFirst(steps) {
			p.listening, listener = r.listening, true
		}
		r.programs = append(r.programs, p)
		last := len(steps) > 0 && endless(e, &steps[len(steps)-1])
		r.jobs = append(r.jobs, job{name: string(e), awaited: !last, first: e == sequence.Server, do: p.play})
	}
	if w.extra != nil {
		r.jobs = append(r.jobs, job{
			name: "the extra script", awaited: true,
			do: func(ctx context.Context) error { return w.extra.Play(ctx, w.run.Extra) },
		})
	}
	if !listener {
		r.listening()
	}
	for _, j := range r.jobs {
		if j.awaited {
			r.left++
		}
	}
}

// listensFirst tells whether a server's program makes a listening socket.
func listensFirst(steps []sequence.Step) bool {
	return slices.ContainsFunc(flatten(steps), func(s sequence.Step) bool {
		switch s.Do {
		case sequence.Listen, sequence.App, sequence.Python, sequence.UDPRecv:
			return true
		default:
			return false
		}
	})
}

// sendsOf is what an end sends, by connection; nil where that is not known.
func (w *world) sendsOf(e sequence.End) map[string]stream {
	if w.players[e] == sequence.Script {
		return scriptStreams(e == sequence.Client, w.run.Scripts[e])
	}
	if all, ok := streamsOf(e == sequence.Client, w.c.program(e)); ok {
		return all
	}
	return nil
}

// start runs a job on a goroutine of its own, once somebody listens.
func (r *running) start(ctx context.Context, j job) {
	r.all.Add(1)
	go func() {
		defer r.all.Done()
		if !j.first {
			select {
			case <-r.listens:
			case <-ctx.Done():
			}
		}
		err := ctx.Err()
		if err == nil {
			err = j.do(ctx)
		}
		r.ended(ctx, j, err)
	}()
}

// ended takes note of a job's end. An error ends the run.
func (r *running) ended(ctx context.Context, j job, err error) {
	if err != nil && errors.Is(context.Cause(ctx), errOver) {
		err = nil // it was stopped
	}
	var step *stepError
	if err != nil && !errors.As(err, &step) {
		err = fmt.Errorf("%s: %w", j.name, err)
	}
	r.mu.Lock()
	if j.awaited {
		r.left--
	}
	if err != nil && r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.world.journal.poke()
	if err != nil {
		r.cancel(errFailed)
	}
}

// errFailed is why the other steps of a run are stopped in which one has failed.
var errFailed = errors.New("another step failed")

// until lets time pass until the run is over, or failed, and nothing is on its way between
// what was seen and the trace.
func (r *running) until(ctx context.Context) error {
	end := newEnding(&r.world.stage)
	over := func() bool {
		left, failed := r.state()
		if failed != nil || left > 0 {
			return failed != nil
		}
		r.world.bus.Sync() // what the programs did may still be on its way to the journal
		events, _ := r.world.journal.so()
		return end.over(events)
	}
	err := r.world.clock.drive(ctx, r.world.journal, over)
	for err == nil {
		if err = r.world.settle(ctx); err != nil || over() {
			break
		}
		err = r.world.clock.drive(ctx, r.world.journal, over) // more has come of it
	}
	if _, failed := r.state(); failed != nil {
		return failed
	}
	if err == nil {
		return nil
	}
	events, _ := r.world.journal.so()
	end.over(events)
	var waiting []string
	for _, p := range r.programs {
		waiting = append(waiting, p.waiting()...)
	}
	switch {
	case errors.Is(err, virtual.ErrIdle):
		err = errors.New("nothing more happens, and the run is not over")
	case errors.Is(err, virtual.ErrHorizon):
		err = fmt.Errorf("%s have passed on the virtual clock, and the run is not over", virtualLimit)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return stuck(err, waiting, end.left())
}

// state is how many jobs are left, and the first error of one.
func (r *running) state() (left int, failed error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left, r.err
}
