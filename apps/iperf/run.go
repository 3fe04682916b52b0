package iperf

import (
	"context"
	"fmt"
	"time"
)

const (
	// DefaultInterval is the time between two lines about a test that runs.
	DefaultInterval = time.Second
	// minInterval is the least; a shorter last one is not worth a line.
	minInterval = 100 * time.Millisecond
	// lastWord is how long the other side has for what it does at once: to say why a
	// stream broke, to close.
	lastWord = time.Second / 2
)

// A test is one test, of either side. Its control goroutine uses it.
type test struct {
	ctl     *control
	params  *params
	t       *transfer
	m       *meter
	every   time.Duration // between samples
	client  bool
	overdue time.Duration // after which a server waits for TEST_END no longer; 0 is never
}

// run lets the data go until the test ends. A client's ends with its time or with its
// bytes, a server's with its client's TEST_END.
func (t *test) run(ctx context.Context) error {
	t.ctl.unlimit(ctx)
	now := time.Now()
	omit := time.Duration(t.params.Omit) * time.Second
	t.m.begin(now, omit > 0)
	t.t.start()
	var omitted, end <-chan time.Time
	if omit > 0 {
		timer := time.NewTimer(omit)
		defer timer.Stop()
		omitted = timer.C
	}
	if d := t.lasts(); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		end = timer.C
	}
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-t.ctl.next():
			t.ctl.took()
			return t.told(ctx, r, inTest)
		case err := <-t.t.failed:
			return t.broken(ctx, err)
		case <-omitted:
			omitted = nil
			t.m.count(time.Now())
			tick.Reset(t.every)
		case <-end:
			if t.client {
				return nil
			}
			return fmt.Errorf("no %v came %v after the end of the test", testEnd, t.ctl.timeout)
		case <-t.full():
			return nil
		case now := <-tick.C:
			t.m.sample(now)
			if d := t.m.idle(now); t.overdue > 0 && d > t.overdue {
				return fmt.Errorf("no byte moved for %v", t.overdue)
			}
		}
	}
}

// lasts is how long the test goes on; a server gives its client's word more time to come.
func (t *test) lasts() time.Duration {
	if t.params.Time == 0 {
		return 0
	}
	d := time.Duration(t.params.Time+t.params.Omit) * time.Second
	if !t.client {
		d += t.ctl.timeout
	}
	return d
}

// full is closed when a client's bytes have gone.
func (t *test) full() <-chan struct{} {
	if t.client {
		return t.t.full
	}
	return nil
}

// broken gives the control connection a moment to say why a stream broke: a peer that
// goes away resets all its connections, in any order.
func (t *test) broken(ctx context.Context, err error) error {
	timer := time.NewTimer(lastWord)
	defer timer.Stop()
	select {
	case r := <-t.ctl.next():
		t.ctl.took()
		if said := t.told(ctx, r, inTest); said != nil {
			return said
		}
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return withCode(codeStreamData, err)
}

// inTest is when most of what a control connection says comes.
const inTest = "during the test"

// told acts on a state that came while data went, or was about to.
func (t *test) told(ctx context.Context, r received, during string) error {
	switch {
	case r.err != nil:
		return fmt.Errorf("%s: %w", during, t.ctl.reason(ctx, r.err))
	case t.client && r.state == serverTerminate, !t.client && r.state == clientTerminate:
		return ErrTerminated
	case t.client && r.state == serverError:
		return t.ctl.refusal(ctx)
	case !t.client && r.state == testEnd && during == inTest:
		return nil
	}
	return unexpected(r.state, during)
}

// bytesOverdue is how long a test without a time may go without a byte: a slow rate
// puts that much between two blocks.
func bytesOverdue(p *params, timeout time.Duration) time.Duration {
	if p.Time > 0 {
		return 0 // it ends by time
	}
	d := 2 * timeout
	if r := p.rate(); r > 0 {
		d += time.Duration(float64(p.Length) * 16 / float64(r) * float64(time.Second))
	}
	return d
}
