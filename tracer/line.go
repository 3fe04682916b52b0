package tracer

import (
	"bytes"
	"errors"
	"fmt"
)

// ParseHeader reads a trace's first line, as [AppendHeader] writes it. It errs, with what
// was found, when that is not a header of this schema ([Schema]).
func ParseHeader(line []byte) (Header, error) { return parseHeader(line) }

// LineDecoder reads events' lines that stand somewhere else than in a file of lines: see
// [Reader]. The zero value is ready; it is for one goroutine.
type LineDecoder struct{ dec decoder }

// Event reads one line, as [AppendJSON] writes it, and keeps nothing of it. known is false
// for a type of event that is not known here: a newer version wrote it.
func (d *LineDecoder) Event(line []byte) (e Event, known bool, err error) {
	switch {
	case len(bytes.TrimSpace(line)) == 0:
		return Event{}, false, errors.New("an event without a line")
	case len(line) > maxLine:
		return Event{}, false, fmt.Errorf("a line of %d bytes: %w", len(line), errLong)
	}
	e, known, err = d.dec.event(line)
	if errors.Is(err, errSyntax) {
		err = invalid(line)
	}
	return e, known, err
}
