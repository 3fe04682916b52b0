package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File is where one sink writes. It is for one goroutine.
type File struct {
	w      io.Writer
	closer io.Closer // nil where the writer is the caller's
	name   string    // in errors
	path   string    // "" where there is none
	o      Options
	size   int64  // of the file, bytes
	here   uint64 // events in the file
	events uint64 // written in all
	failed bool
}

// New returns a File that writes to w and does not close it.
func New(w io.Writer) *File { return &File{w: w, name: "trace"} }

// Create makes the file at path (mode 0644), or empties the one that is there, and returns
// a File that writes to it and closes it. It errs where another File writes that one (a lock,
// by flock; only SMB keeps readers out by it). "-" is the standard output, which is not closed.
// Of a FIFO it waits for the reader: see [Options].
func Create(path string, o Options) (*File, error) {
	switch {
	case path == "":
		return nil, errors.New("create trace file: no name given: name a file, or - for the standard output")
	case path == "-" && o.Size > 0:
		return nil, errors.New("create trace file: the standard output cannot be followed by another file: name a file, or leave out the size at which it rotates")
	case path == "-":
		return &File{w: os.Stdout, name: "trace to the standard output"}, nil
	}
	f, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("create trace file %q: %w: %s", path, cause(err), createAdvice(path, err))
	}
	return &File{w: f, closer: f, name: fmt.Sprintf("trace file %q", path), path: path, o: o.complete()}, nil
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
	case errors.Is(err, errSpecial):
		return "name a regular file, or leave out the size at which it rotates"
	case errors.Is(err, errTaken):
		return "end that program first, or choose another file"
	case errors.Is(err, errNoReader):
		return "start the program that reads it, such as wireshark -k -i " + path
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

// Events returns how many events have been written so far, to this file and those before.
func (f *File) Events() uint64 { return f.events }

// Format tells a File how to find the units.
type Format struct {
	Unit string // "line", "block"
	// Whole tells of the start of a batch of units how many bytes of it are whole units, and
	// how many events those hold.
	Whole func(part []byte) (n int, events uint64)
}

// Put writes units, which are whole and hold so many events. After an error it does not
// write any more.
func (f *File) Put(units []byte, events uint64, form Format) error {
	if f.failed {
		return fmt.Errorf("write %s: an earlier write failed", f.name)
	}
	if len(units) == 0 {
		return nil
	}
	n, err := f.w.Write(units)
	if err == nil && n < len(units) {
		err = io.ErrShortWrite
	}
	if err == nil {
		f.size += int64(n)
		f.here += events
		f.events += events
		return nil
	}
	f.failed = true
	return f.explain(err, units[:min(max(n, 0), len(units))], form)
}

// explain says what became of the trace when a write failed after part, whose last unit it
// cuts off the file where it can.
func (f *File) explain(err error, part []byte, form Format) error {
	n, events := form.Whole(part)
	f.events += events
	state := fmt.Sprintf("%d events were written", f.events)
	switch cut, cutErr := f.cut(len(part) - n); {
	case cutErr != nil:
		err = errors.Join(err, fmt.Errorf("cut off the half %s: %w", form.Unit, cutErr))
	case cut && f.size+int64(n) > 0: // else it is empty
		state += ", the file ends with a whole " + form.Unit
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
	return fmt.Errorf("write %s: %w: %s; %s", f.name, cause(err), state, advice)
}

// regular is what cut needs of an *os.File.
type regular interface {
	io.Seeker
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
}

// cut takes the last n bytes that were written off the end of a regular file. It leaves
// alone any other, and one that somebody else has appended to.
func (f *File) cut(n int) (bool, error) {
	r, ok := f.w.(regular)
	if !ok {
		return false, nil
	}
	st, err := r.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return false, err
	}
	end, err := r.Seek(0, io.SeekCurrent)
	if err != nil || end != st.Size() || end < int64(n) {
		return false, err
	}
	if n == 0 {
		return true, nil
	}
	return true, r.Truncate(end - int64(n))
}

// Close closes the file that Create made. A second Close does nothing.
func (f *File) Close() error {
	c := f.closer
	if c == nil {
		return nil
	}
	f.closer = nil
	if err := c.Close(); err != nil {
		return fmt.Errorf("close %s: %w: its end may be missing", f.name, cause(err))
	}
	return nil
}
