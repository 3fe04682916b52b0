package iperf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"appliance/apps/internal/serve"
)

// Server runs one test at a time, as its clients ask; the zero value is ready.
type Server struct {
	// Out gets what iperf3 -s prints, in whole lines; nil means nobody reads it.
	Out io.Writer
	// Log takes the errors of connections, one line a call; nil means none.
	Log func(format string, args ...any)
	// Grace is how long open connections may go on after the stop: 0 means a
	// second, below 0 means none. A test ends at once, and its client is told.
	Grace time.Duration
	// Count is how many tests to serve before the listener is closed; 0 means no limit.
	Count int
	// JSON prints a Report for each test in place of text.
	JSON bool
	// Interval is the time between two lines about a test that runs: 0 means
	// DefaultInterval, below 0 means none.
	Interval time.Duration
	// Timeout is how long a client may take for each of its messages; 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// Done gets each test's report when it is over, from one goroutine at a time; nil
	// means nobody wants it.
	Done func(Report)
}

// maxWaiting bounds the connections that have not sent their cookie yet.
const maxWaiting = 256

// Serve serves TCP on l, which it closes. It returns nil once ctx has ended or Count
// tests are served, else the listener's error. Connections of a second client are told
// that the server is busy.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &desk{Server: *s, cancel: cancel}
	if d.Timeout <= 0 {
		d.Timeout = DefaultTimeout
	}
	o := serve.Options{Log: s.Log, Grace: s.Grace}
	return serve.Conns(ctx, &numbered{Listener: l}, o, d.handle)
}

// numbered tells connections' order, which the streams' numbers follow.
type numbered struct {
	net.Listener
	n atomic.Uint64
}

// Accept implements net.Listener.
func (l *numbered) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &accepted{c, l.n.Add(1)}, nil
}

type accepted struct {
	net.Conn
	order uint64
}

// A desk gives each connection to what it is for.
type desk struct {
	Server
	cancel  context.CancelFunc
	waiting atomic.Int64 // connections without a cookie

	mu      sync.Mutex
	current *served // the test that runs
	tests   int     // that have been
}

// served is a test and what its streams come by.
type served struct {
	test
	cookie  cookie
	joined  chan *stream
	printed bool
	unwatch func() // ctx's end interrupts the control connection no more
	open    int    // how many streams are still to come; under the desk's mu
}

// handle is a connection's life.
func (d *desk) handle(ctx context.Context, c net.Conn) error {
	a := c.(*accepted) //nolint:forcetypeassert // what the listener gives
	if d.waiting.Add(1) > maxWaiting {
		d.waiting.Add(-1)
		return fmt.Errorf("%d connections wait to say what they are for: refused", maxWaiting)
	}
	ctl := &control{conn: a.Conn, timeout: d.Timeout}
	unwatch := serve.Watch(ctx, a.Conn)
	defer unwatch()
	k, err := ctl.readCookie(ctx)
	d.waiting.Add(-1)
	if err != nil {
		return err
	}
	t, st := d.admit(k, a, ctl)
	switch {
	case st != nil:
		unwatch() // its test tells it when to stop
		_ = a.SetDeadline(time.Time{})
		t.joined <- st
		t.t.work(st)
		return nil
	case t != nil:
		t.unwatch = unwatch
		return d.serve(ctx, t)
	}
	if err := ctl.say(accessDenied); err != nil {
		return err
	}
	return errors.New("told that another test is running")
}

// admit gives a connection its place: a stream of the test that runs, or the control
// connection of the next; neither while another test runs.
func (d *desk) admit(k cookie, a *accepted, ctl *control) (*served, *stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.current == nil && (d.Count <= 0 || d.tests < d.Count):
		d.current = &served{cookie: k, joined: make(chan *stream, 2*MaxParallel)}
		d.current.ctl = ctl
		return d.current, nil
	case d.current != nil && d.current.cookie == k && d.current.open > 0:
		d.current.open--
		return d.current, newStream(a.Conn, a.order)
	}
	return nil, nil
}

// expect lets n streams come to t.
func (d *desk) expect(t *served, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t.open = n
}

// release makes room for the next test. It may be called again.
func (d *desk) release(t *served) (last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == t {
		d.current = nil
		d.tests++
	}
	t.open = 0
	return d.Count > 0 && d.tests >= d.Count
}

// serve runs a test from its parameters to its end.
func (d *desk) serve(ctx context.Context, t *served) error {
	err := d.test(ctx, t)
	if err != nil && t.m != nil && !t.printed {
		d.print(t, err)
	}
	t.unwatch()
	t.ctl.stop()
	stopped := ctx.Err() != nil
	if err != nil && t.t != nil {
		t.t.stop() // two tests never send at a time
	}
	last := d.release(t) // before the client is told the end: it may come back at once
	switch {
	case err == nil:
	case stopped:
		_ = t.ctl.say(serverTerminate) // the client may be gone, and nobody is left to care
		err = nil
		t.ctl.hangUp() // before the streams, whose end would come as a surprise
	case !errors.Is(err, ErrTerminated):
		_ = t.ctl.refuse(refusalFor(err)) // the same
		t.ctl.hangUp()
	}
	if t.t != nil {
		t.t.abort()
	}
	if last {
		d.cancel()
	}
	return err
}

// print ends what is printed of a test.
func (d *desk) print(t *served, err error) {
	t.printed = true
	r := &t.m.report
	if err != nil {
		r.Error = err.Error()
		t.m.out.printf("iperf: error - %v\n", err)
	}
	if perr := t.m.out.finish(r); perr != nil && d.Log != nil {
		d.Log("%v", perr)
	}
	if d.Done != nil {
		d.Done(*r)
	}
}
