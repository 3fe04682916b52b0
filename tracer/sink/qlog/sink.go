package qlog

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"appliance/tracer"
)

// Sink writes a trace as qlog. It implements [tracer.Sink].
type Sink struct {
	w      *bufio.Writer
	header tracer.Header
	begun  bool // the first record is written
	last   time.Duration
	flows  map[flowKey]*flow
	err    error // the first
}

var _ tracer.Sink = (*Sink)(nil)

// New returns a Sink that writes to w, which it does not close.
func New(w io.Writer) *Sink {
	return &Sink{w: bufio.NewWriterSize(w, 64<<10), flows: map[flowKey]*flow{}}
}

// Start implements [tracer.Sink].
func (s *Sink) Start(h tracer.Header) error {
	s.header = h
	return nil
}

// Write implements [tracer.Sink].
func (s *Sink) Write(events []tracer.Event) error {
	for i := range events {
		if s.err != nil {
			return s.err
		}
		s.begin(events[i].Stack)
		s.last = max(s.last, events[i].T) // the draft wants times that never go back
		s.event(&events[i])
	}
	return s.err
}

// Close implements [tracer.Sink].
func (s *Sink) Close() error {
	if s.err != nil {
		return nil // it was told
	}
	s.begin("")
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("write qlog: %w", err)
	}
	if s.err != nil {
		return s.err
	}
	s.err = errClosed
	return nil
}

var errClosed = errors.New("write qlog: the sink is closed")

// ms is a time in milliseconds, told to the nanosecond.
type ms time.Duration

// MarshalJSON implements json.Marshaler.
func (t ms) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t)/1e6, 'f', -1, 64), nil
}

// file is the first record.
type file struct {
	Version     string `json:"qlog_version"`
	Format      string `json:"qlog_format"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Trace       trace  `json:"trace"`
}

type trace struct {
	VantagePoint  vantage         `json:"vantage_point"`
	Title         string          `json:"title"`
	CommonFields  common          `json:"common_fields"`
	Configuration json.RawMessage `json:"configuration"`
}

type vantage struct {
	Name string `json:"name,omitempty"`
	Type string `json:"type"`
}

type common struct {
	TimeFormat    string   `json:"time_format"`
	ReferenceTime ms       `json:"reference_time"` // since 1970
	ProtocolType  []string `json:"protocol_type"`
}

// begin writes the first record, once.
func (s *Sink) begin(stack string) {
	if s.begun {
		return
	}
	s.begun = true
	v := vantage{Name: stack, Type: "unknown"}
	if stack == "client" || stack == "server" {
		v.Type = stack
	}
	h := s.header
	title := "appliance " + h.Appliance
	if h.Link.Kind != "" {
		title += " on " + h.Link.Kind
	}
	reference := h.Started.UnixNano()
	if y := h.Started.Year(); y < 1970 || y > 2261 { // no time that milliseconds since 1970 can tell to the nanosecond
		reference = 0
	}
	s.record(file{
		Version: "0.3", Format: "JSON-SEQ", Title: title, Description: h.Link.Impair,
		Trace: trace{
			VantagePoint: v, Title: title,
			CommonFields:  common{TimeFormat: "relative", ReferenceTime: ms(reference), ProtocolType: []string{"TCP"}},
			Configuration: configuration(h),
		},
	})
}

// configuration is the trace's own header, in an object.
func configuration(h tracer.Header) json.RawMessage {
	return append(append([]byte(`{"trace":`), tracer.AppendHeader(nil, h)...), '}')
}

// record writes one record.
func (s *Sink) record(v any) {
	if s.err != nil {
		return
	}
	b, err := json.Marshal(v)
	if err == nil {
		_ = s.w.WriteByte(recordSeparator) // the Writer keeps its error
		_, _ = s.w.Write(b)
		err = s.w.WriteByte('\n')
	}
	if err != nil {
		s.err = fmt.Errorf("write qlog: %w", err)
	}
}

// recordSeparator begins a record (RFC 7464, 2.2).
const recordSeparator = 0x1e
