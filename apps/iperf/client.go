package iperf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"appliance/apps/internal/serve"
)

// Client runs a test with a server; the zero value is ready.
type Client struct {
	Params
	// Out gets what iperf3 -c prints, in whole lines; nil means nobody reads it.
	Out io.Writer
	// JSON prints the Report at the end in place of text.
	JSON bool
	// Interval is the time between two lines about the test while it runs: 0 means
	// DefaultInterval, below 0 means none.
	Interval time.Duration
	// Timeout is how long the server may take for each step of the protocol; 0 means
	// DefaultTimeout.
	Timeout time.Duration
}

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// Run is the whole client: it connects to the server at addr ("host:port"), runs the
// test, prints and gives what it came to, and closes its connections. It fails with
// ErrBusy, with a *Refusal where the server refuses the parameters, with ErrTerminated,
// with ctx's cause when ctx ended, and with the connections' errors; the report then
// has what is known.
func (c *Client) Run(ctx context.Context, dial Dial, addr string) (*Report, error) {
	p, err := c.wire()
	if err != nil {
		return &Report{Error: err.Error()}, fmt.Errorf("iperf: %w", err)
	}
	t := &dialled{dial: dial, addr: addr, cookie: newCookie()}
	t.params, t.client, t.every = p, true, c.Interval
	if t.every <= 0 {
		t.every = DefaultInterval
	}
	t.out = &printer{to: c.Out, json: c.JSON, client: true, quiet: c.Interval < 0}
	t.t = newTransfer(p, p.limit(), p.sends(true))
	t.m = &meter{t: t.t, client: true, out: t.out, keep: c.Interval >= 0}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	t.overdue = bytesOverdue(p, timeout)
	err = t.talk(ctx, timeout)
	r := &t.m.report
	if err != nil {
		r.Error = err.Error()
		err = fmt.Errorf("iperf with %s: %w", addr, err)
	}
	if perr := t.out.finish(r); err == nil {
		err = perr
	}
	return r, err
}

// dialled is a client's test.
type dialled struct {
	test
	dial   Dial
	addr   string
	cookie cookie
	out    *printer
}

// talk opens the control connection and closes it.
func (t *dialled) talk(ctx context.Context, timeout time.Duration) error {
	conn, err := t.open(ctx, timeout)
	if err != nil {
		return err
	}
	t.ctl = &control{conn: conn, timeout: timeout}
	to := endpoint(conn.RemoteAddr())
	t.m.report.Start = startOf(t.params, t.cookie, nil)
	t.m.report.Start.ConnectingTo = to
	t.m.report.Title = t.params.Title
	t.out.printf("Connecting to host %s, port %d\n", to.Host, to.Port)
	if t.params.Reverse {
		t.out.printf("Reverse mode, remote host %s is sending\n", to.Host)
	}
	unwatch := serve.Watch(ctx, conn)
	err = t.follow(ctx)
	unwatch()
	t.ctl.stop()
	if err != nil && !errors.Is(err, ErrTerminated) && !errors.Is(err, ErrBusy) {
		_ = t.ctl.say(clientTerminate) // the server may be gone, and the error is known
	}
	t.t.abort()
	for _, s := range t.t.streams {
		err = serve.Close(s.conn, err)
	}
	return serve.Close(conn, err)
}

// open opens a connection and says which test it is for.
func (t *dialled) open(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	dctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := t.dial(dctx, "tcp", t.addr)
	if err != nil {
		return nil, err // a dialer's error names the operation and the address
	}
	_ = conn.SetWriteDeadline(time.Now().Add(timeout))
	if _, err := conn.Write(t.cookie[:]); err != nil {
		return nil, fmt.Errorf("send the cookie: %w", serve.Close(conn, err))
	}
	return conn, conn.SetWriteDeadline(time.Time{})
}

// follow does what the server's states ask for, in their order.
func (t *dialled) follow(ctx context.Context) error {
	steps := []struct {
		state state
		do    func(context.Context) error
	}{
		{paramExchange, func(context.Context) error { return t.ctl.sendJSON("parameters", t.params) }},
		{createStreams, t.connect},
		{testStart, func(context.Context) error { return nil }},
		{testRunning, t.move},
		{exchangeResults, t.exchange},
		{displayResults, t.end},
	}
	for _, step := range steps {
		during := "waiting for " + step.state.String()
		s, err := t.ctl.await(ctx, during)
		switch {
		case err != nil:
			return err
		case s == step.state:
			err = step.do(ctx)
		case s == accessDenied:
			err = ErrBusy
		case s == serverTerminate:
			err = ErrTerminated
		case s == serverError:
			err = t.ctl.refusal(ctx)
		default:
			err = unexpected(s, during)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// connect opens the streams, one after the other, so that they come to the server in
// their order.
func (t *dialled) connect(ctx context.Context) error {
	n := t.params.streams()
	for i := range n {
		conn, err := t.open(ctx, t.ctl.timeout)
		if err != nil {
			return fmt.Errorf("stream %d: %w", streamID(i), err)
		}
		s := newStream(conn, uint64(i)) //nolint:gosec // small
		s.id = streamID(i)
		s.sends = t.params.sends(true) && (!bool(t.params.Bidirectional) || i < n/2)
		t.t.streams = append(t.t.streams, s)
		go t.t.work(s)
		if err := t.params.setSocket(conn); err != nil {
			return fmt.Errorf("stream %d: %w", s.id, err)
		}
	}
	to := t.m.report.Start.ConnectingTo
	t.m.report.Start = startOf(t.params, t.cookie, t.t.streams)
	t.m.report.Start.ConnectingTo = to
	t.out.connected(t.t.streams, bool(t.params.Bidirectional))
	return nil
}

// move lets the data go, and tells the server when it is over.
func (t *dialled) move(ctx context.Context) error {
	if err := t.run(ctx); err != nil {
		return err
	}
	t.t.stop()
	t.m.finish(time.Now())
	return t.ctl.say(testEnd)
}

// exchange sends this side's results and gets the server's.
func (t *dialled) exchange(ctx context.Context) error {
	mine := t.m.results(congestion(t.ctl.conn))
	if err := t.ctl.sendJSON("results", mine); err != nil {
		return err
	}
	var theirs results
	if err := t.ctl.readJSON(ctx, "results", maxResults, &theirs); err != nil {
		return err
	}
	if err := theirs.check(t.t.streams); err != nil {
		return err
	}
	t.m.conclude(mine, &theirs)
	r := &t.m.report
	r.ServerOutputText, r.ServerOutputJSON = theirs.ServerOutputText, theirs.ServerOutputJSON
	t.out.summary(r)
	if text := theirs.ServerOutputText; text != "" {
		t.out.printf("\nServer output:\n%s\n", strings.TrimRight(text, "\n"))
	}
	return nil
}

// end closes the streams, says goodbye, and lets the server close first: it is ready for
// the next test then.
func (t *dialled) end(ctx context.Context) error {
	// A server that sent has closed its streams: to read to their ends keeps them from
	// ending in RST.
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	t.t.drained(ctx)
	t.t.abort()
	var err error
	for _, s := range t.t.streams {
		err = serve.Close(s.conn, err)
	}
	t.out.printf("\niperf Done.\n")
	if serr := t.ctl.say(iperfDone); err == nil {
		err = serr
	}
	select {
	case <-t.ctl.next():
		t.ctl.took()
	case <-ctx.Done():
	}
	return err
}
