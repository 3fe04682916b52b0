package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"appliance/internal/bench/report"
)

// benchFiles are those that the report goes to, made before a long run rather than after.
type benchFiles struct {
	json, plot *os.File
	fresh      []string // that were not there before
}

func openBenchFiles(c *cli.Context) (*benchFiles, error) {
	f := &benchFiles{}
	for flag, to := range map[string]**os.File{"write": &f.json, "plot": &f.plot} {
		path := c.String(flag)
		if path == "" {
			continue
		}
		_, missing := os.Lstat(path)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // a report is for others to read
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bench: --%s: %w: name a file in a directory that you can write to", flag, err), f.abandon())
		}
		*to = file
		if errors.Is(missing, os.ErrNotExist) {
			f.fresh = append(f.fresh, path)
		}
	}
	return f, nil
}

// write writes the report to them.
func (f *benchFiles) write(r *report.Report) error {
	return errors.Join(writeFile(f.json, r.WriteJSON), writeFile(f.plot, r.WritePlot))
}

// writeFile replaces what is in a file, and closes it. No file is fine.
func writeFile(f *os.File, write func(io.Writer) error) error {
	if f == nil {
		return nil
	}
	err := f.Truncate(0)
	if errors.Is(err, os.ErrInvalid) || isDevice(f) {
		err = nil // a pipe or a terminal has nothing to cut off
	}
	if err == nil {
		err = write(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("bench: write %s: %w", f.Name(), err)
	}
	return nil
}

func isDevice(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && !st.Mode().IsRegular()
}

// abandon leaves the files as they were.
func (f *benchFiles) abandon() error {
	var err error
	for _, file := range []*os.File{f.json, f.plot} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	for _, path := range f.fresh {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
