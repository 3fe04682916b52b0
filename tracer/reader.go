package tracer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine is the longest line that a Reader takes, in bytes. No sink writes one
// that comes near it; hostile input shall not fill the memory.
const maxLine = 8 << 20

// ErrTruncated is what [Reader.Next] ends with when the last line is not whole: its
// writer was killed. It wraps [io.ErrUnexpectedEOF].
var ErrTruncated error = cutShort("the trace ends in the middle of a line: its writer was stopped")

// cutShort is an [io.ErrUnexpectedEOF] in words of our own.
type cutShort string

// Error implements error.
func (e cutShort) Error() string { return string(e) }

// Unwrap returns io.ErrUnexpectedEOF.
func (cutShort) Unwrap() error { return io.ErrUnexpectedEOF }

// LineError is an error about one line of a trace.
type LineError struct {
	Line int // 1 is the header
	Err  error
}

// Error implements error: "line 7: …".
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns Err.
func (e *LineError) Unwrap() error { return e.Err }

// Reader reads a trace, line by line. It is for one goroutine.
type Reader struct {
	in      *bufio.Reader
	dec     decoder
	header  Header
	line    int // of the line that was read last
	skipped int
	buf     []byte // a line that did not fit into in's buffer
	end     error  // what every further Next returns
}

// NewReader reads the header of the trace in r. It errs, with the line and what was
// found there, when that is not a header of this schema ([Schema]).
func NewReader(r io.Reader) (*Reader, error) {
	rd := &Reader{in: bufio.NewReaderSize(r, 64<<10)}
	// No rule of lines holds for what is no text.
	if start, err := rd.in.Peek(4); err == nil {
		for _, m := range magics {
			if bytes.HasPrefix(start, []byte(m.prefix)) {
				_, err := parseHeader(start)
				return nil, fmt.Errorf("read trace: line 1: %w", err)
			}
		}
	}
	line, whole, err := rd.readLine()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read trace: %w", cutShort("no header: the input is empty"))
	case err != nil:
		return nil, fmt.Errorf("read trace: %w", err)
	case !whole && bytes.HasPrefix(line, []byte("{")) && !json.Valid(line):
		return nil, fmt.Errorf("read trace: %w", &LineError{rd.line, ErrTruncated})
	}
	if rd.header, err = parseHeader(line); err != nil {
		return nil, fmt.Errorf("read trace: %w", &LineError{rd.line, err})
	}
	return rd, nil
}

// Header returns the trace's header.
func (r *Reader) Header() Header { return r.header }

// Skipped returns how many lines were passed over so far because their type of
// event is not known here: a newer version wrote them.
func (r *Reader) Skipped() int { return r.skipped }

// Next returns the next event. At the end it returns [io.EOF], or [ErrTruncated]
// where the last line is not whole. Any other error is a [*LineError]: about the
// line, after which Next may be called for the ones behind it, or the input's own,
// which stays.
//
// Fields that are not known are passed over. Lines above 8 MiB are refused.
func (r *Reader) Next() (Event, error) {
	for r.end == nil {
		line, whole, err := r.readLine()
		if err != nil {
			if errors.Is(err, errLong) {
				return Event{}, err
			}
			r.end = err
			break
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		e, known, err := r.dec.event(line)
		switch {
		case errors.Is(err, errSyntax) && !whole:
			r.end = &LineError{r.line, ErrTruncated}
		case errors.Is(err, errSyntax):
			return Event{}, &LineError{r.line, invalid(line)}
		case err != nil:
			return Event{}, &LineError{r.line, err}
		case known:
			return e, nil
		default:
			r.skipped++
		}
	}
	return Event{}, r.end
}

// invalid tells why a line is not JSON.
func invalid(line []byte) error {
	var v json.RawMessage
	if err := json.Unmarshal(line, &v); err != nil {
		return fmt.Errorf("not JSON: %w: found %s", err, excerpt(line))
	}
	return fmt.Errorf("not JSON: found %s", excerpt(line))
}

var errLong = fmt.Errorf("longer than %d bytes: not a line of a trace", maxLine)

// readLine returns the next line without its newline; whole is false when it had
// none. The slice holds until the next call. Its error is io.EOF or a *LineError.
func (r *Reader) readLine() (line []byte, whole bool, err error) {
	r.buf = r.buf[:0]
	r.line++
	for {
		part, err := r.in.ReadSlice('\n')
		switch {
		case err == nil && len(r.buf) == 0:
			return part[:len(part)-1], true, nil
		case len(r.buf)+len(part) > maxLine:
			return nil, false, r.skipLong(err)
		case err == nil:
			r.buf = append(r.buf, part...)
			return r.buf[:len(r.buf)-1], true, nil
		case errors.Is(err, bufio.ErrBufferFull):
			r.buf = append(r.buf, part...)
		case errors.Is(err, io.EOF) && len(r.buf)+len(part) == 0:
			return nil, false, io.EOF
		case errors.Is(err, io.EOF):
			r.buf = append(r.buf, part...)
			return r.buf, false, nil
		default:
			return nil, false, &LineError{r.line, err}
		}
	}
}

// skipLong passes over the rest of a line that is too long; err is what reading it
// came to so far.
func (r *Reader) skipLong(err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.in.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return &LineError{r.line, err}
	}
	return &LineError{r.line, errLong}
}
