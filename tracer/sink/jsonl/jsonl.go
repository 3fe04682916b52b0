package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"appliance/tracer"
)

// batch is how many bytes of lines are gathered, at most, before they are written.
// A line longer than that is written by itself.
const batch = 256 << 10

// Sink writes a trace as lines of JSON. It implements [tracer.Sink].
type Sink struct {
	w      io.Writer
	closer io.Closer // nil where the writer is the caller's
	name   string    // in errors
	path   string    // "" where there is none
	buf    []byte
	events uint64 // written
	failed bool
}

var _ tracer.Sink = (*Sink)(nil)

// New returns a Sink that writes to w, each time as many whole lines as it has. It
// does not close w.
func New(w io.Writer) *Sink { return &Sink{w: w, name: "trace"} }

// Create makes the file at path (mode 0644), or empties the one that is there, and
// returns a Sink that writes to it and closes it. "-" is the standard output, which
// is not closed. Who does not give the Sink to a Bus closes it.
func Create(path string) (*Sink, error) {
	if path == "-" {
		return &Sink{w: os.Stdout, name: "trace to the standard output"}, nil
	}
	if path == "" {
		return nil, errors.New("create trace file: no name given: name a file, or - for the standard output")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create trace file %q: %w: %s", path, cause(err), createAdvice(path, err))
	}
	return &Sink{w: f, closer: f, name: fmt.Sprintf("trace file %q", path), path: path}, nil
}

// cause leaves out the path and the system call, which the message names already.
func cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// createAdvice tells what to do about err.
func createAdvice(path string, err error) string {
	dir := filepath.Dir(path)
	if st, statErr := os.Stat(path); statErr == nil && st.IsDir() {
		return "name a file in it, such as " + filepath.Join(path, "trace.jsonl")
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("make the directory first (mkdir -p %s)", dir)
	case errors.Is(err, fs.ErrPermission):
		return "choose a directory that you may write to, or - for the standard output"
	case errors.Is(err, syscall.ENOTDIR):
		return dir + " is no directory: choose another"
	case errors.Is(err, syscall.ENOSPC):
		return "free some space, or choose another file system"
	case errors.Is(err, syscall.EROFS):
		return "choose a file system that is not read-only"
	default:
		return "choose another file, or - for the standard output"
	}
}

// Start implements tracer.Sink: it writes the header at once.
func (s *Sink) Start(h tracer.Header) error {
	s.buf = append(tracer.AppendHeader(s.buf[:0], h), '\n')
	return s.flush(0)
}

// Write implements tracer.Sink.
func (s *Sink) Write(events []tracer.Event) error {
	var n uint64
	for i := range events {
		s.buf = append(tracer.AppendJSON(s.buf, &events[i]), '\n')
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

// flush writes the buffer, which holds n events and whole lines.
func (s *Sink) flush(n uint64) error {
	if s.failed {
		return fmt.Errorf("write %s: an earlier write failed", s.name)
	}
	written, err := s.w.Write(s.buf)
	if err == nil && written < len(s.buf) {
		err = io.ErrShortWrite
	}
	if err == nil {
		s.events += n
		s.buf = s.buf[:0]
		if cap(s.buf) > 4*batch {
			s.buf = nil
		}
		return nil
	}
	s.failed = true
	err = s.explain(err, s.buf[:min(max(written, 0), len(s.buf))])
	s.buf = nil
	return err
}

// explain says what became of the trace when a write failed after part, whose last
// line it cuts off the file where it can.
func (s *Sink) explain(err error, part []byte) error {
	whole := bytes.LastIndexByte(part, '\n') + 1
	s.events += uint64(bytes.Count(part[:whole], []byte("\n")))
	state := fmt.Sprintf("%d events were written", s.events)
	switch cut, cutErr := s.cut(len(part) - whole); {
	case cutErr != nil:
		err = errors.Join(err, fmt.Errorf("cut off the half line: %w", cutErr))
	case cut:
		state += ", the file ends with a whole line"
	}
	advice := "write it elsewhere"
	switch {
	case errors.Is(err, syscall.ENOSPC):
		advice = "free some space, or write it to another file system"
	case errors.Is(err, syscall.EFBIG):
		advice = "raise the file size limit (ulimit -f)"
	case errors.Is(err, syscall.EPIPE):
		advice = "the program that read it is gone"
	}
	return fmt.Errorf("write %s: %w: %s; %s", s.name, cause(err), state, advice)
}

// file is what cut needs of an *os.File.
type file interface {
	io.Seeker
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
}

// cut takes the last n bytes that were written off the end of a regular file. It
// leaves alone any other, and one that somebody else has appended to.
func (s *Sink) cut(n int) (bool, error) {
	f, ok := s.w.(file)
	if !ok {
		return false, nil
	}
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return false, err
	}
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil || end != st.Size() || end < int64(n) {
		return false, err
	}
	if n == 0 {
		return true, nil
	}
	return true, f.Truncate(end - int64(n))
}

// Close implements tracer.Sink. Everything was written by then; it closes the file
// that Create made. A second Close does nothing.
func (s *Sink) Close() error {
	c := s.closer
	if c == nil {
		return nil
	}
	s.closer = nil
	if err := c.Close(); err != nil {
		return fmt.Errorf("close %s: %w: its end may be missing", s.name, cause(err))
	}
	return nil
}
