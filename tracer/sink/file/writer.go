package file

// Lines is the form of units that are lines, an event each.
var Lines = Format{"line", wholeLines}

func wholeLines(part []byte) (n int, events uint64) {
	for i, c := range part {
		if c == '\n' {
			n = i + 1
			events++
		}
	}
	return n, events
}

// Writer makes an io.Writer of f for a sink that writes whole lines and knows nothing of
// files: each Write goes to one file.
func (f *File) Writer() *Writer { return &Writer{f} }

// Writer is a [File] as an io.Writer.
type Writer struct{ f *File }

// Write implements io.Writer.
func (w *Writer) Write(lines []byte) (int, error) {
	if w.f.Over(len(lines), 0) {
		if err := w.f.Next(); err != nil {
			return 0, err
		}
	}
	_, events := wholeLines(lines)
	if err := w.f.Put(lines, events, Lines); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// Close closes the file.
func (w *Writer) Close() error { return w.f.Close() }
