package pcapng

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"sync"
	"time"

	"appliance/tracer"
	"appliance/tracer/sink/file"
	"appliance/tracer/view/words"
)

// batch is how many bytes of blocks are gathered, at most, before they are written.
const batch = 256 << 10

// Sink writes a trace as pcapng. It implements [tracer.Sink].
type Sink struct {
	mu      sync.Mutex // Bus and timer
	out     *file.File
	section []byte // the section header of each file
	started int64  // Unix time of the trace's start, ns
	link    string // in the interfaces' descriptions
	buf     []byte // blocks not written yet, which hold …
	events  uint64 // … so many events
	hold    hold
	idle    *time.Timer // writes what is held when no events come
	err     error       // the first; nothing is written after it
	told    bool        // err has been returned
	closed  bool
	encoder
}

var _ tracer.Sink = (*Sink)(nil)

// Options are a Sink's settings; the zero value is ready.
type Options struct {
	// Lang is the language of journal entries and comments.
	Lang words.Lang
}

// New returns a Sink that writes to w, each time as many whole blocks as it has. It does
// not close w.
func New(w io.Writer) *Sink { return To(file.New(w), Options{}) }

// To returns a Sink that writes to out, and closes it.
func To(out *file.File, o Options) *Sink {
	return &Sink{out: out, hold: hold{twins: newTwins()}, encoder: newEncoder(o.Lang)}
}

// Create makes the file at path (mode 0644), or empties the one that is there, and returns
// a Sink that writes to it and closes it. "-" is the standard output, which is not closed; a
// FIFO waits for its reader. Who does not give the Sink to a Bus closes it.
func Create(path string) (*Sink, error) {
	out, err := file.Create(path, file.Options{})
	if err != nil {
		return nil, err
	}
	return To(out, Options{}), nil
}

// Start implements tracer.Sink: it writes the section header at once. It errs where the
// header is too long for a comment, 65,535 bytes.
func (s *Sink) Start(h tracer.Header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	comment := tracer.Schema + aboutTrace + "\n" + string(tracer.AppendHeader(nil, h))
	if len(comment) > maxOption {
		return fmt.Errorf("write the trace as pcapng: its header has %d bytes, and a comment holds %d: write it as .jsonl", len(comment), maxOption)
	}
	application := strings.TrimSpace("appliance " + h.Appliance)
	if h.GVisor != "" {
		application += ", gVisor " + h.GVisor
	}
	if h.Go != "" {
		application += ", " + h.Go
	}
	s.section = newSection(application, runtime.GOOS+"/"+runtime.GOARCH, comment)
	s.started = unixNano(h.Started)
	s.link = describeLink(h.Link)
	s.buf = append(s.buf[:0], s.section...)
	s.err = s.flush()
	return s.tellErr()
}

// tellErr returns the error for the first time, or again.
func (s *Sink) tellErr() error {
	s.told = s.err != nil
	return s.err
}

// unixNano is a time in Unix nanoseconds; 0 for one that they cannot tell, or before 1970.
func unixNano(t time.Time) int64 {
	const last = math.MaxInt64/int64(time.Second) - 1
	if s := t.Unix(); s < 0 || s > last {
		return 0
	}
	return t.UnixNano()
}

// Write implements tracer.Sink. What it holds back is written with later events, or soon.
func (s *Sink) Write(events []tracer.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		if s.err != nil {
			return s.tellErr()
		}
		if s.hold.isFull() {
			s.release()
		}
		s.hold.put(&events[i])
	}
	if n := len(events); n > 0 {
		for last := events[n-1].T; !s.hold.isEmpty() && last-s.hold.at(s.hold.first).e.T > holdTime; {
			s.release()
		}
	}
	if s.err == nil {
		s.err = s.flush()
	}
	if !s.hold.isEmpty() && s.err == nil {
		if s.idle == nil {
			s.idle = time.AfterFunc(holdTime, s.letGo)
		} else {
			s.idle.Reset(holdTime)
		}
	}
	return s.tellErr()
}

// letGo writes what is held. An error is the next Write's, or Close's.
func (s *Sink) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.releaseAll()
	}
}

func (s *Sink) releaseAll() {
	for !s.hold.isEmpty() {
		s.release()
	}
	if s.err == nil {
		s.err = s.flush()
	}
}

// release encodes the oldest event that is held.
func (s *Sink) release() {
	if s.err != nil {
		s.hold.drop()
		return
	}
	s.prepare(&s.hold)
	start := len(s.buf)
	s.buf = s.append(s.buf, s.link, s.started)
	if s.out.Over(len(s.buf), s.events) {
		s.turn(start)
	}
	s.events++
	s.hold.drop()
	if len(s.buf) >= batch && s.err == nil {
		s.err = s.flush()
	}
}

// turn begins another file before the event at start of the buffer: its blocks are made
// again, as each file needs interfaces of its own.
func (s *Sink) turn(start int) {
	s.buf = s.buf[:start]
	if s.err = s.flush(); s.err != nil {
		return
	}
	if s.err = s.out.Next(); s.err != nil {
		return
	}
	clear(s.interfaces)
	s.buf = append(s.buf, s.section...)
	s.buf = s.append(s.buf, s.link, s.started)
}

// flush writes the buffer.
func (s *Sink) flush() error {
	err := s.out.Put(s.buf, s.events, blocks)
	s.buf, s.events = s.buf[:0], 0
	if err != nil || cap(s.buf) > 4*batch {
		s.buf = nil
	}
	return err
}

// Close implements tracer.Sink: it writes what is held, and closes the file that Create
// made. A second Close does nothing.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.idle != nil {
		s.idle.Stop()
	}
	s.releaseAll()
	err := s.out.Close()
	if !s.told {
		err = errors.Join(s.err, err)
	}
	return err
}

// blocks are the units of a file.
var blocks = file.Format{Unit: "block", Whole: wholeBlocks}

func wholeBlocks(part []byte) (n int, events uint64) {
	for len(part)-n >= 12 {
		size := int(le.Uint32(part[n+4:]))
		if size > len(part)-n {
			break
		}
		switch le.Uint32(part[n:]) {
		case blockPacket, blockJournal, blockCustom:
			events++
		}
		n += size
	}
	return n, events
}
