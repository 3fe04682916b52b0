package bench

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// traceFile is a file for a trace. It has no name: it goes with this process, however that
// ends.
type traceFile struct {
	*os.File
	dir string // in whose file system it is
}

// newTraceFile makes one in dir; "" means the directory for temporary files.
func newTraceFile(dir string) (*traceFile, error) {
	dir = cmp.Or(dir, os.TempDir())
	f, err := openUnnamed(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		f, err = openUnlinked(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("bench: make a file for traces: %w: set TMPDIR to a directory that you can write to", err)
	}
	return &traceFile{f, dir}, nil
}

// openUnlinked makes a file and takes its name off.
func openUnlinked(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "appliance-bench-*.jsonl")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Write implements io.Writer. Its error says where the file is.
func (f *traceFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if place, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("%w in %s (TMPDIR says where)", place.Err, f.dir)
	}
	return n, err
}
