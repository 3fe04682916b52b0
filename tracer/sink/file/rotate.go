package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Over tells whether units of so many bytes, the last event of which is not the file's first
// (events counts those that stand in the units before it), are too many for this file:
// [File.Next] comes before that last event then.
func (f *File) Over(bytes int, events uint64) bool {
	return f.o.Size > 0 && f.here+events > 0 && f.size+int64(bytes) > f.o.Size
}

// Next puts the file behind the others, removes the oldest where there are too many, and
// goes on with an empty file of the name that was given. The sink writes its header next.
func (f *File) Next() error {
	if f.failed {
		return fmt.Errorf("write %s: an earlier write failed", f.name)
	}
	// The file is ours until it has its other name.
	err := errors.Join(shift(f.path, f.o.Count), f.Close())
	var next *os.File
	if err == nil {
		// O_EXCL: what stands there now is somebody else's.
		next, err = openFile(f.path, flags|os.O_EXCL)
	}
	if err != nil {
		f.failed = true
		return fmt.Errorf("rotate %s: %w: %d events were written; see to the directory, or write it elsewhere", f.name, err, f.events)
	}
	f.w, f.closer, f.size, f.here = next, next, 0, 0
	return nil
}

// Numbered is the name of the nth file before path: x.jsonl, x.1.jsonl, x.2.jsonl, …
func Numbered(path string, n int) string {
	if n == 0 {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "." + strconv.Itoa(n) + ext
}

// shift gives path and its older files the next number each, so that path is free. Of
// count files the last is removed.
func shift(path string, count int) error {
	if count == 1 {
		return os.Remove(path)
	}
	last := 0
	for last < count-1 {
		if _, err := os.Lstat(Numbered(path, last)); errors.Is(err, fs.ErrNotExist) {
			break
		}
		last++
	}
	for n := last; n > 0; n-- {
		if err := os.Rename(Numbered(path, n-1), Numbered(path, n)); err != nil {
			return err
		}
	}
	return nil
}
