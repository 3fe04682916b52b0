package jsonl

import (
	"bytes"
	"io"

	"appliance/tracer"
	"appliance/tracer/sink/file"
)

// batch is how many bytes of lines are gathered, at most, before they are written.
// A line longer than that is written by itself.
const batch = 256 << 10

// Sink writes a trace as lines of JSON. It implements [tracer.Sink].
type Sink struct {
	out    *file.File
	header []byte // the first line of each file
	buf    []byte
}

var _ tracer.Borrower = (*Sink)(nil)

// New returns a Sink that writes to w, each time as many whole lines as it has. It
// does not close w.
func New(w io.Writer) *Sink { return To(file.New(w)) }

// To returns a Sink that writes to out, and closes it.
func To(out *file.File) *Sink { return &Sink{out: out} }

// Create makes the file at path (mode 0644), or empties the one that is there, and
// returns a Sink that writes to it and closes it. "-" is the standard output, which
// is not closed. Who does not give the Sink to a Bus closes it.
func Create(path string) (*Sink, error) {
	out, err := file.Create(path, file.Options{})
	if err != nil {
		return nil, err
	}
	return To(out), nil
}

// Start implements tracer.Sink: it writes the header at once.
func (s *Sink) Start(h tracer.Header) error {
	s.header = append(tracer.AppendHeader(s.header[:0], h), '\n')
	s.buf = append(s.buf[:0], s.header...)
	return s.flush(0)
}

// Borrows implements tracer.Borrower.
func (*Sink) Borrows() bool { return true }

// Write implements tracer.Sink.
func (s *Sink) Write(events []tracer.Event) error {
	var n uint64
	for i := range events {
		start := len(s.buf)
		s.buf = append(tracer.AppendJSON(s.buf, &events[i]), '\n')
		if s.out.Over(len(s.buf), n) {
			if err := s.turn(start, n); err != nil {
				return err
			}
			n = 0
		}
		n++
		if len(s.buf) >= batch || i == len(events)-1 {
			if err := s.flush(n); err != nil {
				return err
			}
			n = 0
		}
	}
	return nil
}

// turn begins another file before the line at start of the buffer, which n events precede.
func (s *Sink) turn(start int, n uint64) error {
	line := bytes.Clone(s.buf[start:])
	s.buf = s.buf[:start]
	if err := s.flush(n); err != nil {
		return err
	}
	if err := s.out.Next(); err != nil {
		return err
	}
	s.buf = append(append(s.buf, s.header...), line...)
	return nil
}

// flush writes the buffer, which holds n events and whole lines.
func (s *Sink) flush(n uint64) error {
	err := s.out.Put(s.buf, n, file.Lines)
	s.buf = s.buf[:0]
	if err != nil || cap(s.buf) > 4*batch {
		s.buf = nil
	}
	return err
}

// Close implements tracer.Sink. Everything was written by then; it closes the file
// that Create made. A second Close does nothing.
func (s *Sink) Close() error { return s.out.Close() }
