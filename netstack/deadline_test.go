package netstack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/tracer"
)

// blocked waits until a call has been entered.
func (l *lab) blocked(name string, since int) {
	l.t.Helper()
	l.wait(called(name, tracer.PhaseEnter), after(uint64(since)))
}

func TestReadDeadline(t *testing.T) {
	l := newLab(t, setup{})
	c, s := l.connect()
	read := func() (int, error) { return c.Read(make([]byte, 10)) }
	since := len(l.rec.Events())
	reading := async(read)
	l.blocked("recv", since)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := await(t, "Read", reading)
	wantTimeout(t, "a Read that is waiting when the deadline is set", err)
	_, err = read()
	wantTimeout(t, "a Read after the deadline", err)
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	since = len(l.rec.Events())
	reading = async(read)
	l.blocked("recv", since)
	l.send(s, "hello")
	if n, err := await(t, "Read", reading); n != 5 || err != nil {
		t.Errorf("after the deadline was taken away: %d, %v", n, err)
	}
	if err := c.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = read()
	wantTimeout(t, "a Read with a deadline in the past", err)
	_, err = c.Write([]byte("x"))
	wantTimeout(t, "a Write with a deadline in the past", err)
	if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	l.send(c, "x")
	l.recv(s, 1)
}

func TestWriteDeadline(t *testing.T) {
	l := newLab(t, setup{
		level:  tracer.LevelSegments,
		client: netstack.Options{TCP: netstack.TCPOptions{SendBuffer: 16 << 10}},
		server: netstack.Options{TCP: netstack.TCPOptions{RecvBuffer: 1 << 20}},
	})
	c, s := l.connect()
	since := len(l.rec.Events())
	const size = 4 << 20
	writing := async(func() (int, error) { return c.Write(make([]byte, size)) })
	l.blocked("send", since)
	l.wait(ofConn(c), noted("zero-window"))
	if err := c.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	n, err := await(t, "Write", writing)
	wantTimeout(t, "a Write that waits", err)
	if n <= 0 || n >= size {
		t.Errorf("Write took %d bytes before it blocked", n)
	}
	if err := c.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	writing = async(func() (int, error) { return c.Write(make([]byte, size-n)) })
	reading := async(func() (int64, error) { return io.Copy(io.Discard, io.LimitReader(s, size)) })
	if got, err := await(t, "Write", writing); got != size-n || err != nil {
		t.Errorf("after the deadline was taken away: %d, %v", got, err)
	}
	if got, err := await(t, "Read", reading); got != size || err != nil {
		t.Errorf("the server got %d bytes, %v", got, err)
	}
}

func TestAcceptDeadline(t *testing.T) {
	l := newLab(t, setup{})
	ln := l.listen(serverPort)
	since := len(l.rec.Events())
	accepting := async(ln.Accept)
	l.blocked("accept", since)
	if err := ln.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	c, err := await(t, "Accept", accepting)
	wantTimeout(t, "an Accept that is waiting when the deadline is set", err)
	if c != nil {
		t.Error("a connection with the error")
	}
	_, err = await(t, "Accept", async(ln.Accept))
	wantTimeout(t, "an Accept after the deadline", err)
	if err := ln.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	l.connectTo(ln, serverPort)
}

// Close ends what waits in another goroutine, and what comes after it errs.
func TestCloseUnblocks(t *testing.T) {
	l := newLab(t, setup{level: tracer.LevelSegments})
	ln := l.listen(serverPort)
	c, _ := l.connectTo(ln, serverPort)
	since := len(l.rec.Events())
	calls := map[string]<-chan result[int]{
		"recv": async(func() (int, error) { return c.Read(make([]byte, 1)) }),
		"send": async(func() (int, error) { return c.Write(make([]byte, 8<<20)) }),
		"accept": async(func() (int, error) {
			_, err := ln.Accept()
			return 0, err
		}),
	}
	for name := range calls {
		l.blocked(name, since)
	}
	l.wait(ofConn(c), noted("zero-window"))
	l.close(c, ln)
	for name, ch := range calls {
		if _, err := await(t, name, ch); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v, want net.ErrClosed", name, err)
		}
	}
	for name, call := range map[string]func() error{
		"Close":          c.Close,
		"Listener.Close": ln.Close,
		"Abort":          c.Abort,
		"CloseWrite":     c.CloseWrite,
		"CloseRead":      c.CloseRead,
		"Read":           func() error { _, err := c.Read(make([]byte, 1)); return err },
		"Write":          func() error { _, err := c.Write(make([]byte, 1)); return err },
		"Accept":         func() error { _, err := ln.Accept(); return err },
	} {
		if err := call(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v, want net.ErrClosed", name, err)
		}
	}
}

// A context that ends in the moment when the connection is made ends it, or not; the
// trace has one connection either way, which the client opened.
func TestDialCancelledAsItConnects(t *testing.T) {
	l := newLab(t, setup{level: tracer.LevelSegments})
	ln := l.listen(serverPort)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		since := len(l.rec.Events())
		dialed := async(func() (net.Conn, error) { return l.client.DialContext(ctx, "tcp", serverPort) })
		l.wait(on("client"), seg(tracer.In, tracer.SYN), after(uint64(since)))
		cancel()
		c, err := await(t, "DialContext", dialed)
		if err == nil {
			_ = c.Close() // the server may have reset it
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("DialContext: %v", err)
		}
	}
	l.close(ln)
	within(t, "Close", func() { _ = l.client.Close() })
	for _, e := range l.events(on("client"), ofType(tracer.TypeState)) {
		if stateOf(e).From == tracer.Listen || e.Parent != 0 {
			t.Fatalf("a connection that nobody opened: %d, %s:\n%s", e.N, tell(e), l.rec)
		}
	}
}
