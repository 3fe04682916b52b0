package pcapng

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"appliance/tracer"
	"appliance/tracer/sink/file"
	"appliance/tracer/tracertest"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

// signal is a writer that tells of each write.
type signal struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	wrote chan struct{}
}

func newSignal() *signal { return &signal{wrote: make(chan struct{}, 100)} }

func (s *signal) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.wrote <- struct{}{} }()
	return s.buf.Write(b)
}

func (s *signal) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.buf.Bytes())
}

// TestNothingStaysBehind: an event that no other follows is written soon.
func TestNothingStaysBehind(t *testing.T) {
	w := newSignal()
	s := New(w)
	e := packetEvent(1, "server", tracer.In, &tracer.Segment{})
	if err := errors.Join(s.Start(tracer.Header{}), s.Write([]tracer.Event{e})); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(patience)
	for len(capture(t, w.bytes())) == 0 {
		select {
		case <-w.wrote:
		case <-deadline:
			t.Fatal("the packet is not written")
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestIdleError: an error while nobody writes is told by the next Write, or by Close.
func TestIdleError(t *testing.T) {
	for _, next := range []string{"Write", "Close"} {
		w := &failing{after: 1, failed: make(chan struct{})}
		s := New(w)
		e := packetEvent(1, "server", tracer.In, &tracer.Segment{})
		if err := errors.Join(s.Start(tracer.Header{}), s.Write([]tracer.Event{e})); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.failed:
		case <-time.After(patience):
			t.Fatal("nothing is written")
		}
		var err error
		if next == "Write" {
			if err = s.Write([]tracer.Event{e}); err != nil && s.Close() != nil {
				t.Error("Close tells again what Write has told")
			}
		} else {
			err = s.Close()
		}
		if !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%s: %v", next, err)
		}
	}
}

// failing is a writer that fails after some writes.
type failing struct {
	after  int
	failed chan struct{}
}

func (f *failing) Write(b []byte) (int, error) {
	if f.after--; f.after < 0 {
		close(f.failed)
		return 0, syscall.EPIPE
	}
	return len(b), nil
}

// TestFIFO: a reader follows a trace through a FIFO, and its leaving is a clear error.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.pcapng")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("needs a file system that has FIFOs: %v", err)
	}
	got := make(chan tracer.Event)
	leave := make(chan struct{})
	gone := make(chan error, 1)
	go func() { gone <- follow(path, got, leave) }()
	s, err := Create(path) // waits for the reader
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{OnError: func(err error) { failed <- err }}, s)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		bus.Record(packetEvent(0, "server", tracer.In, &tracer.Segment{}))
		select {
		case e := <-got:
			if e.N != n+1 {
				t.Fatalf("n %d, want %d", e.N, n+1)
			}
		case err := <-gone:
			t.Fatalf("the reader left: %v", err)
		case <-time.After(patience):
			t.Fatalf("event %d does not arrive", n+1)
		}
	}
	close(leave)
	if err := <-gone; err != nil {
		t.Fatal(err)
	}
	// An event is written at the latest when the next comes after a while; the error is of that write.
	deadline := time.After(patience)
	for done := false; !done; {
		bus.Record(packetEvent(0, "server", tracer.In, &tracer.Segment{}))
		bus.Sync()
		select {
		case err = <-failed:
			done = true
		case <-deadline:
			t.Fatal("nobody noticed that the reader is gone")
		default:
		}
	}
	if !errors.Is(err, syscall.EPIPE) || !strings.Contains(err.Error(), "the program that read it is gone") {
		t.Errorf("error %v", err)
	}
	if err := bus.Close(); err == nil {
		t.Error("Close says nothing of it")
	}
}

// follow reads events from a FIFO until leave.
func follow(path string, got chan<- tracer.Event, leave <-chan struct{}) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	r, err := NewReader(f)
	for err == nil {
		var e tracer.Event
		if e, err = r.Next(); err != nil {
			break
		}
		got <- e
		if e.N == 3 {
			<-leave
			break
		}
	}
	return errors.Join(err, f.Close())
}

// half is a file that takes so many bytes and then errs.
type half struct {
	*os.File
	room int
}

func (h *half) Write(p []byte) (int, error) {
	n, err := h.File.Write(p[:min(len(p), h.room)])
	h.room -= n
	if err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

// TestHalfBlockIsCutOff: a full disk leaves whole blocks.
func TestHalfBlockIsCutOff(t *testing.T) {
	events := load(t, "testdata/demo.jsonl")
	all := write(t, tracer.Header{}, events, 10)
	for room := len(all) - 1; room > 400; room -= 997 {
		path := filepath.Join(t.TempDir(), "t")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		s := New(&half{f, room})
		err = errors.Join(s.Start(tracer.Header{}), s.Write(events), s.Close(), f.Close())
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "whole block; free some space") {
			t.Errorf("room for %d: %v", room, err)
		}
		left, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := wholeBlocks(left); n != len(left) {
			t.Errorf("room for %d: %d of %d bytes are whole blocks", room, n, len(left))
		}
		if len(left) == 0 {
			continue
		}
		if _, got, err := read(bytes.NewReader(left)); err != nil || !strings.Contains(string(all), string(left)) {
			t.Errorf("room for %d: %d events, %v", room, len(got), err)
		}
	}
}

// TestRotation: each file is a trace by itself, none is too large, n goes on, the oldest are
// removed.
func TestRotation(t *testing.T) {
	events := load(t, "testdata/demo.jsonl")
	const size = 8 << 10
	path := filepath.Join(t.TempDir(), "x.pcapng")
	out, err := file.Create(path, file.Options{Size: size, Count: 4})
	if err != nil {
		t.Fatal(err)
	}
	s := To(out, Options{})
	h := tracer.Header{Started: time.Unix(1e9, 0).UTC(), Appliance: "v1"}
	if err := errors.Join(s.Start(h), s.Write(events), s.Close()); err != nil {
		t.Fatal(err)
	}
	last := uint64(len(events))
	for i := range 4 {
		name := file.Numbered(path, i)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > size {
			t.Errorf("%s has %d bytes", name, len(data))
		}
		gotHeader, got, err := read(bytes.NewReader(data))
		if err != nil || len(got) == 0 {
			t.Fatalf("%s: %d events, %v", name, len(got), err)
		}
		checkSame(t, h, events[int(last)-len(got):last], gotHeader, got)
		capture(t, data) // its packets have the interfaces that they name
		last -= uint64(len(got))
	}
	if last == 0 {
		t.Error("four files hold it all: this test shows nothing")
	}
	if _, err := os.Stat(file.Numbered(path, 4)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a fifth file: %v", err)
	}
	// Put together again, they are one trace.
	var parts []io.Reader
	for i := 3; i >= 0; i-- {
		f, err := os.Open(file.Numbered(path, i))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		parts = append(parts, f)
	}
	gotHeader, got, err := read(io.MultiReader(parts...))
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, h, events[last:], gotHeader, got)
}

// load reads the events of a trace of lines.
func load(t *testing.T, path string) []tracer.Event {
	t.Helper()
	_, events := tracertest.Read(t, path)
	return events
}
