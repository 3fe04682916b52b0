package jsonl

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"appliance/tracer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// events returns n of about 200 bytes each.
func events(n int) []tracer.Event {
	es := make([]tracer.Event, n)
	for i := range es {
		es[i] = tracer.Event{N: uint64(i + 1), Stack: "server", Body: &tracer.Timer{Name: strings.Repeat("t", 150), What: "fired"}}
	}
	return es
}

// checkFile holds that path is a trace of whole lines, with the first want events.
func checkFile(t *testing.T, path string, want int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(data, []byte("\n")) {
		t.Errorf("the file ends in the middle of a line")
	}
	r, err := tracer.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for ; ; got++ {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.N != uint64(got+1) {
			t.Fatalf("event %d has n %d", got+1, e.N)
		}
	}
	if want >= 0 && got != want {
		t.Errorf("%d events, want %d", got, want)
	}
}

func TestSinkThroughBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.jsonl")
	if err := os.WriteFile(path, bytes.Repeat([]byte("old\n"), 100000), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	bus, err := tracer.NewBus(tracer.Header{Appliance: "x"}, tracer.BusOptions{}, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events(5000) {
		bus.Record(e)
	}
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, 5000)
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// batches notes what each Write was given.
type batches struct {
	sizes []int
	bytes.Buffer
}

func (b *batches) Write(p []byte) (int, error) {
	b.sizes = append(b.sizes, len(p))
	if !bytes.HasSuffix(p, []byte("\n")) {
		return 0, errors.New("a write that does not end a line")
	}
	return b.Buffer.Write(p)
}

func TestWholeLinesInBatches(t *testing.T) {
	var w batches
	s := New(&w)
	if err := errors.Join(s.Start(tracer.Header{}), s.Write(events(10)), s.Write(nil), s.Write(events(1)), s.Write(events(10000)), s.Close()); err != nil {
		t.Fatal(err)
	}
	if len(w.sizes) < 6 || len(w.sizes) > 20 {
		t.Errorf("%d writes: %v", len(w.sizes), w.sizes)
	}
	for i, n := range w.sizes {
		if n > batch+1000 {
			t.Errorf("write %d: %d bytes", i, n)
		}
	}
	if got := bytes.Count(w.Bytes(), []byte("\n")); got != 1+10+1+10000 {
		t.Errorf("%d lines", got)
	}
}

func TestCreateErrors(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		is   error
		want string
	}{
		"directory":    {dir, syscall.EISDIR, "name a file in it, such as " + dir},
		"no directory": {filepath.Join(dir, "a", "b"), os.ErrNotExist, "mkdir -p " + filepath.Join(dir, "a")},
		"in a file":    {filepath.Join(plain, "b"), syscall.ENOTDIR, "is no directory"},
		"no name":      {"", nil, "no name given"},
	} {
		_, err := Create(c.path)
		if err == nil || !strings.HasPrefix(err.Error(), "create trace file") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v is not %v", name, err, c.is)
		}
		if c.path != "" && strings.Count(err.Error(), strconv.Quote(c.path)) != 1 {
			t.Errorf("%s: says the path again and again: %v", name, err)
		}
	}
	if os.Geteuid() == 0 {
		return // to root, nothing is closed
	}
	if err := os.Chmod(plain, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(plain); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "that you may write to") {
		t.Errorf("no permission: %v", err)
	}
}

// short is a file that takes so many bytes and then errs, in the middle of a line.
type short struct {
	*os.File
	room int
	err  error
}

func (s *short) Write(p []byte) (int, error) {
	n, err := s.File.Write(p[:min(len(p), s.room)])
	s.room -= n
	if err == nil && n < len(p) {
		err = s.err
	}
	return n, err
}

func TestHalfLineIsCutOff(t *testing.T) {
	header := len(tracer.AppendHeader(nil, tracer.Header{})) + 1
	one := events(1)
	line := len(tracer.AppendJSON(nil, &one[0])) + 1
	for name, c := range map[string]struct{ room, want int }{
		"in the middle of a line":    {header + 3*line + 10, 3},
		"at the end of a line":       {header + 3*line, 3},
		"right before a newline":     {header + 3*line - 1, 2},
		"with nothing but a header":  {header, 0},
		"after one byte of an event": {header + 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			s := New(&short{f, c.room, syscall.ENOSPC})
			if err := s.Start(tracer.Header{}); err != nil {
				t.Fatal(err)
			}
			err = s.Write(events(9))
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "whole line; free some space") {
				t.Errorf("error %v", err)
			}
			if want := " " + string(rune('0'+c.want)) + " events were written"; !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want …%s…", err, want)
			}
			if err := s.Write(events(1)); err == nil {
				t.Error("wrote on after a failure")
			}
			if err := errors.Join(s.Close(), f.Close()); err != nil {
				t.Error(err)
			}
			checkFile(t, path, c.want)
		})
	}
}

// TestLeavesOthersLinesAlone: what another process appended is not cut off.
func TestLeavesOthersLinesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w := &short{f, 1 << 20, syscall.ENOSPC}
	s := New(w)
	if err := s.Start(tracer.Header{}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.WriteString(strings.Repeat("theirs", 100)); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(path)
	w.room = 5
	if err := s.Write(events(1)); err == nil || strings.Contains(err.Error(), "whole line") {
		t.Errorf("error %v", err)
	}
	if after, _ := os.Stat(path); after.Size() != before.Size() {
		t.Errorf("size %d, was %d", after.Size(), before.Size())
	}
}

func TestShortWriteWithoutError(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := New(&short{f, 10, nil})
	if err := s.Start(tracer.Header{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("Start: %v", err)
	}
}

func TestBrokenPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	err = New(w).Start(tracer.Header{})
	if !errors.Is(err, syscall.EPIPE) || !strings.Contains(err.Error(), "the program that read it is gone") {
		t.Errorf("Start: %v", err)
	}
}

func TestStandardOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	old := os.Stdout
	os.Stdout = w
	s, err := Create("-")
	os.Stdout = old
	if err != nil {
		t.Fatal(err)
	}
	h := tracer.Header{Started: time.Unix(0, 0)}
	if err := errors.Join(s.Start(h), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("still open\n"); err != nil {
		t.Errorf("Close closed the standard output: %v", err)
	}
	w.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(tracer.AppendHeader(nil, h))+"\nstill open\n", string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
