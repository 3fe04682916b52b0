package kernel

import (
	"time"

	"appliance/tracer"
)

// outcome is what a call returns besides its error.
type outcome struct {
	n      uint64 // the enter's number
	bytes  int    // -1 for none
	result string
	conn   uint32
}

// moved tells how many bytes the call has moved and, on recv, shows the first.
func (o *outcome) moved(n int, received []byte) {
	o.bytes = n
	if len(received) > 0 {
		o.result = tracer.Preview(received)
	}
}

// call makes a call and records that it began and how it returned.
func (s *sock) call(name string, f func(*outcome) error, args ...tracer.Arg) error {
	o := outcome{bytes: -1}
	rec := s.host.opts.Recorder
	if rec == nil {
		return f(&o)
	}
	start := rec.Now()
	o.n = s.record(&tracer.Call{Name: name, Phase: tracer.PhaseEnter, Args: args, Bytes: -1})
	err := f(&o)
	s.record(&tracer.Call{
		Name: name, Phase: tracer.PhaseReturn, Of: o.n, Bytes: o.bytes, Result: o.result, Conn: o.conn,
		Error: tracer.ErrorName(err), Took: rec.Now() - start,
	})
	return err
}

// quick makes a call that returns at once and changes no state, and records it in one event.
func (s *sock) quick(name string, f func() error, args ...tracer.Arg) error {
	rec := s.host.opts.Recorder
	if rec == nil {
		return f()
	}
	start := rec.Now()
	err := f()
	s.record(&tracer.Call{
		Name: name, Phase: tracer.PhaseDone, Args: args, Bytes: -1,
		Error: tracer.ErrorName(err), Took: rec.Now() - start,
	})
	return err
}

func (s *sock) record(body tracer.Body) uint64 {
	local, remote := s.addrs()
	return s.host.opts.Recorder.Record(tracer.Event{
		Stack: s.host.opts.Stack, Conn: s.conn, Parent: s.parent, Local: local, Remote: remote, Body: body,
	})
}

// option sets an option that may make the kernel send: what it sends stands between the
// call and its return.
func (s *sock) option(name string, value any, set func(fd int) error) error {
	return s.call("setsockopt", func(*outcome) error {
		return s.control(func(fd int) error { return syscallError("setsockopt", set(fd)) })
	}, tracer.Arg{Name: "option", Value: name}, tracer.Arg{Name: "value", Value: value})
}

// seconds is a duration in whole seconds, which it must be.
func seconds(d time.Duration) (int, bool) {
	return int(d / time.Second), d >= time.Second && d%time.Second == 0
}
