package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/urfave/cli/v2"

	"appliance/internal/bench/report"
)

// benchFiles are those that the report goes to, besides standard output.
type benchFiles struct{ json, plot *benchFile }

// openBenchFiles tries, before a long run rather than after, whether they can be written.
func openBenchFiles(c *cli.Context) (*benchFiles, error) {
	write, plot := c.String("write"), c.String("plot")
	err := errors.Join(
		notOver(c, c.String("read"), "-w", write),
		notOver(c, c.String("read"), "--plot", plot),
	)
	if err != nil {
		return nil, err
	}
	if oneFile(write, plot) {
		return nil, usageErr("bench: -w and --plot name one file: name another for the picture")
	}
	f := &benchFiles{}
	if f.json, err = openBenchFile(write); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if f.plot, err = openBenchFile(plot); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %w", err), f.close())
	}
	return f, nil
}

// oneFile tells whether two names are of one regular file, be it there or not.
func oneFile(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	at, other := fileAt(a, nil), fileAt(b, nil)
	if at != nil || other != nil {
		return at != nil && other != nil && at.Mode().IsRegular() && os.SameFile(at, other)
	}
	dir, otherDir := fileAt(filepath.Dir(a), nil), fileAt(filepath.Dir(b), nil)
	return filepath.Base(a) == filepath.Base(b) && dir != nil && otherDir != nil && os.SameFile(dir, otherDir)
}

// write writes the report to them.
func (f *benchFiles) write(r *report.Report) error {
	return errors.Join(f.json.write(r.WriteJSON), f.plot.write(r.WritePlot))
}

// close gives them up unwritten.
func (f *benchFiles) close() error { return errors.Join(f.json.close(), f.plot.close()) }

// benchFile is one of them; nil is none.
type benchFile struct {
	path string
	// open is what is no regular file, such as a pipe. A regular file is made when it is
	// written: a run that is killed leaves nothing of it.
	open *outFile
}

func openBenchFile(path string) (*benchFile, error) {
	if path == "" || path == "-" {
		return nil, nil //nolint:nilnil // none is fine
	}
	out, err := createOutFile(path, nil)
	if err != nil {
		return nil, err
	}
	if out.tmp == "" {
		return &benchFile{path, out}, nil
	}
	return &benchFile{path: path}, errors.Join(out.file.Close(), os.Remove(out.tmp))
}

// write writes the file, whole or not at all.
func (f *benchFile) write(write func(io.Writer) error) error {
	if f == nil {
		return nil
	}
	out, err := f.open, error(nil)
	if out == nil {
		if out, err = createOutFile(f.path, nil); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	if err := out.finish(write(out)); err != nil {
		return fmt.Errorf("bench: write %s: %w", f.path, benchAdvice(err))
	}
	return nil
}

// benchAdvice adds what to do to err, and leaves out the name of the temporary file.
func benchAdvice(err error) error {
	if place, ok := errors.AsType[*fs.PathError](err); ok {
		err = place.Err
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: free some space, or name a file on another file system", err)
	}
	return err
}

func (f *benchFile) close() error {
	if f == nil || f.open == nil {
		return nil
	}
	return f.open.file.Close()
}
