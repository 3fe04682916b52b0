package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"appliance/tracer"
)

// ErrTruncated is what [Reader.Next] ends with when the last block is not whole: its writer
// was killed. It wraps [tracer.ErrTruncated].
var ErrTruncated error = truncated{}

type truncated struct{}

// Error implements error.
func (truncated) Error() string {
	return "the trace ends in the middle of a block: its writer was stopped"
}

// Unwrap makes it a tracer.ErrTruncated.
func (truncated) Unwrap() error { return tracer.ErrTruncated }

// OffsetError is an error about one block of a trace.
type OffsetError struct {
	Offset int64 // where the block starts, bytes from the input's start
	Err    error
}

// Error implements error: "offset 1032: …".
func (e *OffsetError) Error() string { return fmt.Sprintf("offset %d: %v", e.Offset, e.Err) }

// Unwrap returns Err.
func (e *OffsetError) Unwrap() error { return e.Err }

// Reader reads a trace that a [Sink] wrote, also after Wireshark's tools have written it
// anew. It is for one goroutine.
type Reader struct {
	in      blockReader
	dec     tracer.LineDecoder
	header  tracer.Header
	line    []byte // the header's
	skipped int
	end     error // what every further Next returns
}

// NewReader reads the section header in r. It errs, with the offset and what was found
// there, when that is not the header of a trace.
func NewReader(r io.Reader) (*Reader, error) {
	rd := &Reader{in: blockReader{in: r}}
	b, err := rd.in.next()
	switch {
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("no header: the input is empty: %w", io.ErrUnexpectedEOF)
	case err == nil && b.typ != blockSection:
		err = &OffsetError{b.offset, fmt.Errorf("a block of type %d: want a section header", b.typ)}
	case err == nil:
		err = rd.section(b)
	}
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	return rd, nil
}

// Header returns the trace's header.
func (r *Reader) Header() tracer.Header { return r.header }

// Skipped returns how many packets and events were passed over so far: a capture's own
// packets, which another program put there, and events of types that are not known here.
func (r *Reader) Skipped() int { return r.skipped }

// Next returns the next event. At the end it returns [io.EOF], or [ErrTruncated] where the
// last block is not whole. Any other error is an [*OffsetError]: about what a block holds,
// after which Next may be called for those behind it, or about the blocks' own order, which
// stays.
//
// Blocks above 16 MiB are refused.
func (r *Reader) Next() (tracer.Event, error) {
	for r.end == nil {
		b, err := r.in.next()
		if err == nil && b.typ == blockSection {
			err = r.section(b)
		}
		if err != nil {
			r.end = err
			break
		}
		line, err := eventLine(&b)
		if err != nil {
			return tracer.Event{}, &OffsetError{b.offset, err}
		}
		if line == nil {
			continue
		}
		if len(line) == 0 {
			r.skipped++
			continue
		}
		e, known, err := r.dec.Event(line)
		if err != nil {
			return tracer.Event{}, &OffsetError{b.offset, err}
		}
		if known {
			return e, nil
		}
		r.skipped++
	}
	return tracer.Event{}, r.end
}

// section reads a section header: the trace's, or the same again where files of one trace
// were put together.
func (r *Reader) section(b block) error {
	line, err := headerLine(&b)
	switch {
	case err != nil:
	case line == nil:
		err = errors.New("a capture, not a trace: its section header has no comment with the schema " +
			tracer.Schema + ": appliance trace import makes a trace of it")
	case r.line == nil:
		if r.header, err = tracer.ParseHeader(line); err == nil {
			r.line = bytes.Clone(line)
		}
	case !bytes.Equal(line, r.line):
		err = errors.New("a second header: two traces in one file: split them")
	}
	if err != nil {
		return &OffsetError{b.offset, err}
	}
	return nil
}

// headerMark is how the line of the header begins, in the section's comment.
var headerMark = []byte(`{"type":"trace"`)

// headerLine returns the trace's header in a section header; nil where there is none.
func headerLine(b *block) (line []byte, err error) {
	const fixed = 16 // byte order, version, length
	if len(b.body) < fixed {
		return nil, fmt.Errorf("a section header of %d bytes: want %d or more", len(b.body), fixed)
	}
	if major := b.order.Uint16(b.body[4:]); major != versionMajor {
		return nil, fmt.Errorf("pcapng version %d: want %d", major, versionMajor)
	}
	err = options(b, fixed, func(code uint16, value []byte) {
		if code != optComment || line != nil {
			return
		}
		for part := range bytes.Lines(value) {
			if bytes.HasPrefix(part, headerMark) {
				line = bytes.TrimRight(part, "\n")
			}
		}
	})
	return line, err
}

var eventMark = []byte(fieldEvent)

// eventLine returns the line of JSON in a block: nil where a block of its type has none,
// empty where one of ours would have it.
func eventLine(b *block) (line []byte, err error) {
	switch b.typ {
	case blockPacket:
		return packetLine(b)
	case blockJournal:
		for field := range bytes.Lines(b.body) {
			if after, ours := bytes.CutPrefix(field, eventMark); ours {
				return bytes.TrimRight(after, "\n"), nil
			}
		}
		return []byte{}, nil
	case blockCustom:
		if after, ours := cutMark(b.body, b.order); ours {
			return bytes.TrimRight(after, "\x00"), nil
		}
	}
	return nil, nil
}

// packetLine returns the line in a packet's options.
func packetLine(b *block) ([]byte, error) {
	const fixed = 20 // interface, time, lengths
	if len(b.body) < fixed {
		return nil, fmt.Errorf("a packet block of %d bytes: want %d or more", len(b.body), fixed)
	}
	captured := uint64(b.order.Uint32(b.body[12:]))
	at := fixed + (captured+3)&^3
	if at > uint64(len(b.body)) {
		return nil, fmt.Errorf("a packet of %d bytes in a block of %d", captured, len(b.body))
	}
	line := []byte{}
	err := options(b, int(at), func(code uint16, value []byte) { //nolint:gosec // at most the body's length
		if code != optCustomText {
			return
		}
		if after, ours := cutMark(value, b.order); ours {
			line = after
		}
	})
	return line, err
}

// cutMark cuts our marks off what a custom option or block holds.
func cutMark(b []byte, order binary.ByteOrder) (after []byte, ours bool) {
	if len(b) < 4 || order.Uint32(b) != enterprise {
		return nil, false
	}
	return bytes.CutPrefix(b[4:], eventMark)
}

// options calls each with every option of the block from at on.
func options(b *block, at int, each func(code uint16, value []byte)) error {
	for rest := b.body[at:]; len(rest) > 0; {
		if len(rest) < 4 {
			return fmt.Errorf("%d bytes behind the last option", len(rest))
		}
		code, n := b.order.Uint16(rest), int(b.order.Uint16(rest[2:]))
		rest = rest[4:]
		if code == optEnd {
			return nil
		}
		if n > len(rest) {
			return fmt.Errorf("an option of %d bytes where %d are left", n, len(rest))
		}
		each(code, rest[:n])
		rest = rest[min((n+3)&^3, len(rest)):]
	}
	return nil
}
