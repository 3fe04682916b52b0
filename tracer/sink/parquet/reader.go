package parquet

import (
	"errors"
	"fmt"
	"io"
	"strings"

	pq "github.com/parquet-go/parquet-go"

	"appliance/tracer"
)

// Reader reads a trace back that a [Sink] has written. It is for one goroutine, and for
// files of one's own making: the library that it stands on trusts what a file says of
// its sizes.
type Reader struct {
	header tracer.Header
	pq     *pq.GenericReader[row]
	rows   []row
	next   int
	total  int64
}

// NewReader opens the file of size bytes in r. It errs where that is no Parquet file, or
// none of a trace.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	f, err := pq.OpenFile(r, size)
	if err != nil {
		return nil, fmt.Errorf("open parquet: %w", err)
	}
	schema, _ := f.Lookup(SchemaKey)
	if schema != tracer.Schema {
		return nil, fmt.Errorf("open parquet: found schema %q in the file's metadata; want %q", schema, tracer.Schema)
	}
	line, _ := f.Lookup(HeaderKey)
	head, err := tracer.NewReader(strings.NewReader(line + "\n"))
	if err != nil {
		return nil, fmt.Errorf("open parquet: the header in the file's metadata: %w", err)
	}
	return &Reader{header: head.Header(), pq: pq.NewGenericReader[row](f), total: f.NumRows()}, nil
}

// Header returns the trace's header.
func (r *Reader) Header() tracer.Header { return r.header }

// NumEvents returns how many events the file has.
func (r *Reader) NumEvents() int64 { return r.total }

// Next returns the next event; io.EOF at the end.
func (r *Reader) Next() (tracer.Event, error) {
	if r.next == len(r.rows) {
		r.rows, r.next = make([]row, batch), 0
		n, err := r.pq.Read(r.rows)
		r.rows = r.rows[:n]
		switch {
		case n == 0 && (err == nil || errors.Is(err, io.EOF)):
			return tracer.Event{}, io.EOF
		case n == 0:
			return tracer.Event{}, fmt.Errorf("read parquet: %w", err)
		}
	}
	r.next++
	e, err := r.rows[r.next-1].event()
	if err != nil {
		return e, fmt.Errorf("read parquet: event %d: %w", e.N, err)
	}
	return e, nil
}

// Close frees what the reader has of the library's.
func (r *Reader) Close() error { return r.pq.Close() }
