package demo

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"appliance/apps/hello"
	"appliance/internal/lab"
	"appliance/tracer"
)

// client runs hello's client in this process.
func (o Options) client(ctx context.Context, conn net.Conn) error {
	var out strings.Builder
	if _, err := (&hello.Client{Out: &out}).Run(ctx, conn); err != nil {
		return err
	}
	o.Log("the client prints %s", strings.TrimSpace(out.String()))
	return nil
}

// kernelClient runs hello's client in this process, on the Linux side's kernel.
func (o Options) kernelClient(ctx context.Context, l *lab.Lab, to netip.AddrPort) error {
	var conn net.Conn
	err := l.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return err
	}
	return o.client(ctx, conn)
}

// endWatch is a sink that waits for the ends of connections.
type endWatch struct {
	left  int // how many it waits for
	ended chan struct{}
}

func newEndWatch(ends int) *endWatch { return &endWatch{left: ends, ended: make(chan struct{})} }

// Start implements tracer.Sink.
func (*endWatch) Start(tracer.Header) error { return nil }

// Write implements tracer.Sink.
func (w *endWatch) Write(events []tracer.Event) error {
	for i := range events {
		if events[i].Body.Type() == tracer.TypeEnd {
			if w.left--; w.left == 0 {
				close(w.ended)
			}
		}
	}
	return nil
}

// Close implements tracer.Sink.
func (*endWatch) Close() error { return nil }

// wait waits for the ends, TIME-WAIT included.
func (w *endWatch) wait(ctx context.Context) error {
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// story tells the events that the screen shows: those of hello's listener, which is
// the trace's first connection, and of its connections, not the listeners of the
// other programs.
func story(e *tracer.Event) bool {
	return e.Stack != serverName || e.Conn <= 1 || e.Parent == 1
}

// prints logs what a program prints.
type prints func(format string, args ...any)

// Write implements io.Writer.
func (p prints) Write(b []byte) (int, error) {
	p("the server prints %s", strings.TrimSpace(string(b)))
	return len(b), nil
}
