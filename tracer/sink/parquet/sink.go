package parquet

import (
	"errors"
	"fmt"
	"io"

	pq "github.com/parquet-go/parquet-go"

	"appliance/tracer"
)

const (
	// SchemaKey is the key of the schema's name in the file's metadata.
	SchemaKey = "appliance.schema"
	// HeaderKey is the key of the header there: a trace's first line.
	HeaderKey = "appliance.header"
	// GroupRows is how many events a row group has at most.
	GroupRows = 1 << 16
)

// batch is how many rows are made at a time.
const batch = 512

// Sink writes a trace as a Parquet file. It implements [tracer.Sink]. The file is whole
// only after Close: its index stands at its end.
type Sink struct {
	w    io.Writer
	pq   *pq.GenericWriter[row]
	enc  encoder
	rows []row
	err  error // the first
}

var _ tracer.Sink = (*Sink)(nil)

// New returns a Sink that writes to w, which it does not close.
func New(w io.Writer) *Sink { return &Sink{w: w, rows: make([]row, 0, batch)} }

// Start implements [tracer.Sink].
func (s *Sink) Start(h tracer.Header) error {
	s.enc.started = h.Started
	s.pq = pq.NewGenericWriter[row](s.w,
		pq.Compression(&pq.Zstd),
		pq.MaxRowsPerRowGroup(GroupRows),
		pq.DictionaryMaxBytes(1<<20),
		pq.CreatedBy("appliance", h.Appliance, ""),
		pq.KeyValueMetadata(SchemaKey, tracer.Schema),
		pq.KeyValueMetadata(HeaderKey, string(tracer.AppendHeader(nil, h))),
	)
	return nil
}

// Write implements [tracer.Sink].
func (s *Sink) Write(events []tracer.Event) error {
	if s.err != nil {
		return s.err
	}
	if s.pq == nil {
		return errors.New("write parquet: Write before Start")
	}
	for len(events) > 0 {
		n := min(len(events), batch)
		s.rows = s.rows[:0]
		for i := range events[:n] {
			s.rows = append(s.rows, s.enc.row(&events[i]))
		}
		if _, err := s.pq.Write(s.rows); err != nil {
			s.err = fmt.Errorf("write parquet: %w", err)
			return s.err
		}
		events = events[n:]
	}
	return nil
}

// Close implements [tracer.Sink]: it writes the last row group and the file's index. A
// second Close does nothing.
func (s *Sink) Close() error {
	if s.pq == nil {
		return nil
	}
	w := s.pq
	s.pq = nil
	if s.err != nil {
		return nil // it was told
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write parquet: %w", err)
	}
	return nil
}
