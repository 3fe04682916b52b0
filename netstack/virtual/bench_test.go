package virtual_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/netstack/link"
)

// BenchmarkRest is what asking costs when two stacks do nothing.
func BenchmarkRest(b *testing.B) {
	w := newWorld(b, netstack.TCPOptions{}, link.ImpairOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if err := w.clock.Rest(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStep is what one timer costs.
func BenchmarkStep(b *testing.B) {
	w := newWorld(b, netstack.TCPOptions{}, link.ImpairOptions{})
	b.ReportAllocs()
	for b.Loop() {
		w.clock.AfterFunc(time.Millisecond, func() {})
		if _, err := w.clock.Step(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnection is a whole connection: handshake, a line each way, close, and
// TIME-WAIT with an MSL of 2 minutes.
func BenchmarkConnection(b *testing.B) {
	w := newWorld(b, netstack.TCPOptions{MSL: 2 * time.Minute}, link.ImpairOptions{Out: link.Impairment{Delay: 5 * time.Millisecond}})
	l := w.listen(families[0].server)
	b.ReportAllocs()
	for b.Loop() {
		w.start("server", func() error { return greet(l) })
		w.start("client", func() error { return w.visit(families[0].server) })
		w.run(nil)
	}
	w.start("close", l.Close)
	w.run(w.ended)
}

// greet accepts one connection, sends a line, reads to the end and closes.
func greet(l *netstack.Listener) error {
	c, err := l.AcceptTCP()
	if err != nil {
		return err
	}
	_, err = io.WriteString(c, "hello")
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	return errors.Join(err, c.Close())
}

// visit connects, reads a line, answers and closes first.
func (w *world) visit(server string) error {
	c, err := w.dial(server)
	if err != nil {
		return err
	}
	if _, err = c.Read(make([]byte, 1024)); err == nil {
		_, err = io.WriteString(c, "byebye")
	}
	return errors.Join(err, c.Close())
}
