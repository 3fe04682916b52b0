package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Options say how a file is opened and when another follows it; the zero value is ready:
// one file, however large.
type Options struct {
	// Size is how many bytes a file holds at most, before another follows; 0 is no limit.
	// A file always holds one event.
	Size int64
	// Count is how many files are kept, the one that is written among them; 0 means
	// DefaultCount.
	Count int
	// Context ends the wait for a FIFO's reader; nil means that it is waited for without end.
	Context context.Context //nolint:containedctx // of the one call that Options is for
	// Waiting, where it is not nil, is called when a FIFO has no reader yet.
	Waiting func()
}

// DefaultCount is how many files are kept where nothing else is said.
const DefaultCount = 10

func (o Options) complete() Options {
	if o.Count <= 0 {
		o.Count = DefaultCount
	}
	return o
}

const (
	flags = os.O_WRONLY | os.O_CREATE
	mode  = 0o644 // a trace is for others to read
)

var (
	errSpecial  = errors.New("no regular file: it cannot be followed by another")
	errNoReader = errors.New("a FIFO that nobody reads")
	errTaken    = errors.New("it is being written by another program, or given twice")
)

// open opens a file to be written from its start.
func open(path string, o Options) (*os.File, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err == nil && o.Size > 0 && !st.Mode().IsRegular() && !st.IsDir():
		return nil, errSpecial
	case err == nil && st.Mode()&fs.ModeNamedPipe != 0:
		return openFIFO(path, o)
	}
	return openFile(path, flags)
}

// openFile opens a file that no other program writes, and empties it.
func openFile(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags, mode) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && st.Mode().IsRegular() {
		if err = take(f, st, path); err == nil {
			err = f.Truncate(0)
		}
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// take locks the file that was opened at path. Between the two its writer may have put it
// behind another.
func take(f *os.File, st fs.FileInfo, path string) error {
	if err := lock(f); err != nil {
		return err
	}
	there, err := os.Stat(path)
	if err != nil || !os.SameFile(st, there) {
		return errTaken
	}
	return nil
}

// openFIFO opens a FIFO, when somebody reads it.
func openFIFO(path string, o Options) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err == nil || !errors.Is(err, syscall.ENXIO) {
		return f, err
	}
	if o.Waiting != nil {
		o.Waiting()
	}
	if o.Context == nil {
		return os.OpenFile(path, os.O_WRONLY, 0)
	}
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // until it has a reader
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-o.Context.Done():
	}
	// A reader of our own lets the goroutine go on, and with it the FIFO.
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	last := <-done
	_ = reader.Close() // nothing was read
	if last.f != nil {
		_ = last.f.Close() // nothing was written
	}
	return nil, fmt.Errorf("%w: %w", errNoReader, context.Cause(o.Context))
}
