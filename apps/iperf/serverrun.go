package iperf

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// test is the server's side of the protocol.
func (d *desk) test(ctx context.Context, t *served) error {
	if err := d.agree(ctx, t); err != nil {
		return err
	}
	if err := d.gather(ctx, t); err != nil {
		return err
	}
	if err := t.ctl.say(testStart); err != nil {
		return err
	}
	if err := t.ctl.say(testRunning); err != nil {
		return err
	}
	if err := t.run(ctx); err != nil {
		return err
	}
	t.t.stop()
	t.m.finish(time.Now())
	return d.conclude(ctx, t)
}

// agree gets the parameters, and refuses what this server cannot do.
func (d *desk) agree(ctx context.Context, t *served) error {
	if err := t.ctl.say(paramExchange); err != nil {
		return err
	}
	p := &params{}
	if err := t.ctl.readJSON(ctx, "parameters", maxParams, p); err != nil {
		return withCode(codeRecvParams, err)
	}
	p.setDefaults()
	r := p.check()
	if r == nil {
		r = d.cannot(t, p)
	}
	if r != nil {
		return r
	}
	t.params = p
	t.t = newTransfer(p, 0, p.sends(false))
	t.every, t.overdue = d.Interval, bytesOverdue(p, d.Timeout)
	out := &printer{to: d.Out, json: d.JSON, quiet: d.Interval < 0}
	if t.every <= 0 {
		t.every = DefaultInterval
	}
	if p.ServerOutput != 0 {
		out.copy = new(bytes.Buffer)
	}
	t.m = &meter{t: t.t, out: out, keep: d.Interval >= 0 && (d.JSON || d.Done != nil)}
	from := endpoint(t.ctl.conn.RemoteAddr())
	out.printf(rule+"Accepted connection from %s, port %d\n", from.Host, from.Port)
	t.m.report.Start.AcceptedFrom = from
	return nil
}

// cannot refuses options that act on the server's sockets, which have no way to set
// them. Where the client alone sends, its own sockets have them.
func (d *desk) cannot(t *served, p *params) *Refusal {
	no := func(code int, format string, args ...any) *Refusal {
		return &Refusal{Code: code, Errno: unsupported, Detail: fmt.Sprintf(format, args...)}
	}
	sends := p.sends(false)
	switch {
	case p.Affinity != nil:
		return no(codeAffinity, "CPU affinity of the server")
	case sends && p.TOS != 0:
		return no(codeSetTOS, "type of service %d", p.TOS)
	case sends && p.FlowLabel != 0:
		return no(codeSetFlowLabel, "flow label %d", p.FlowLabel)
	case sends && p.Congestion != "" && p.Congestion != congestion(t.ctl.conn):
		return no(codeCongestion, "congestion control %q", p.Congestion)
	}
	return nil
}

// gather lets the streams come, and puts them in order.
func (d *desk) gather(ctx context.Context, t *served) error {
	n := t.params.streams()
	d.expect(t, n)
	if err := t.ctl.say(createStreams); err != nil {
		return err
	}
	t.ctl.unlimit(ctx)
	timer := time.NewTimer(d.Timeout)
	defer timer.Stop()
	for len(t.t.streams) < n {
		select {
		case s := <-t.joined:
			t.t.streams = append(t.t.streams, s)
			if err := t.params.setSocket(s.conn); err != nil {
				return err
			}
		case r := <-t.ctl.next():
			t.ctl.took()
			return t.told(ctx, r, "waiting for the streams")
		case <-timer.C:
			return withCode(codeStreamAccept, fmt.Errorf("%d of %d streams came in %v", len(t.t.streams), n, d.Timeout))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	slices.SortFunc(t.t.streams, func(a, b *stream) int { return cmp.Compare(a.order, b.order) })
	for i, s := range t.t.streams {
		s.id = streamID(i)
		// The client's senders come first.
		s.sends = t.params.sends(false) && (!bool(t.params.Bidirectional) || i >= n/2)
	}
	accepted := t.m.report.Start.AcceptedFrom
	t.m.report.Start = startOf(t.params, t.cookie, t.t.streams)
	t.m.report.Start.AcceptedFrom = accepted
	t.m.report.Title, t.m.report.ExtraData = t.params.Title, t.params.ExtraData
	t.m.out.connected(t.t.streams, bool(t.params.Bidirectional))
	return nil
}

// conclude exchanges the results. The next test may come once the client has them.
func (d *desk) conclude(ctx context.Context, t *served) error {
	if err := t.ctl.say(exchangeResults); err != nil {
		return err
	}
	var theirs results
	if err := t.ctl.readJSON(ctx, "results", maxResults, &theirs); err != nil {
		return withCode(codeRecvResults, err)
	}
	if err := theirs.check(t.t.streams); err != nil {
		return err
	}
	mine := t.m.results(congestion(t.ctl.conn))
	t.m.conclude(mine, &theirs)
	t.m.out.summary(&t.m.report)
	if c := t.m.out.copy; c != nil {
		mine.ServerOutputText = c.String()
	}
	if err := t.ctl.sendJSON("results", mine); err != nil {
		return err
	}
	d.print(t, nil)
	d.release(t)
	if err := t.ctl.say(displayResults); err != nil {
		return err
	}
	// The rest is the client's: it has the grace of a server that stops.
	t.unwatch()
	ctx = context.WithoutCancel(ctx)
	s, err := t.ctl.await(ctx, "at the end")
	switch {
	case err != nil:
		return nil //nolint:nilerr // it has its results: whether it says goodbye is its own matter
	case s != iperfDone:
		return unexpected(s, "at the end")
	}
	// Its streams' ends come before or after its goodbye: to read them keeps them from
	// ending in RST.
	dctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	t.t.drained(dctx)
	return nil
}
