package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put writes numbered lines as a sink does, each in a batch of its own, below a header.
func put(t *testing.T, f *File, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		line := fmt.Appendf(nil, "line %04d\n", i)
		if f.Over(len(line), 0) {
			if err := f.Next(); err != nil {
				t.Fatal(err)
			}
			if err := f.Put([]byte("header\n"), 0, Lines); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Put(line, 1, Lines); err != nil {
			t.Fatal(err)
		}
	}
}

// left is what stands in a directory: each file's name and its first and last line.
func left(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		all = append(all, fmt.Sprintf("%s %d bytes %s..%s", e.Name(), len(data), lines[min(1, len(lines)-1)], lines[len(lines)-1]))
	}
	return strings.Join(all, "; ")
}

func TestRotation(t *testing.T) {
	for name, c := range map[string]struct {
		name  string
		o     Options
		there []string // before
		want  string
	}{
		"three are kept": {
			"x.jsonl",
			Options{Size: 27, Count: 3},
			nil,
			"x.1.jsonl 27 bytes line 0006..line 0007; x.2.jsonl 27 bytes line 0004..line 0005; x.jsonl 27 bytes line 0008..line 0009",
		},
		"one is kept":         {"x.jsonl", Options{Size: 27, Count: 1}, nil, "x.jsonl 27 bytes line 0008..line 0009"},
		"a name with no end":  {"x", Options{Size: 47, Count: 2}, nil, "x 27 bytes line 0008..line 0009; x.1 47 bytes line 0004..line 0007"},
		"a line is too large": {"x.jsonl", Options{Size: 5, Count: 2}, nil, "x.1.jsonl 17 bytes line 0008..line 0008; x.jsonl 17 bytes line 0009..line 0009"},
		"no rotation":         {"x.jsonl", Options{}, nil, "x.jsonl 107 bytes line 0000..line 0009"},
		"earlier ones count too": {
			"x.jsonl",
			Options{Size: 67, Count: 4},
			[]string{"x.1.jsonl", "x.2.jsonl", "x.4.jsonl"},
			"x.1.jsonl 67 bytes line 0000..line 0005; x.2.jsonl 4 bytes old..old; x.3.jsonl 4 bytes old..old; x.4.jsonl 4 bytes old..old; x.jsonl 47 bytes line 0006..line 0009",
		},
	} {
		dir := t.TempDir()
		for _, n := range c.there {
			if err := os.WriteFile(filepath.Join(dir, n), []byte("old\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f, err := Create(filepath.Join(dir, c.name), c.o)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Put([]byte("header\n"), 0, Lines); err != nil {
			t.Fatal(err)
		}
		put(t, f, 0, 10)
		if err := errors.Join(f.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		if got := left(t, dir); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
		if f.Events() != 10 {
			t.Errorf("%s: %d events", name, f.Events())
		}
	}
}

// TestWriter: a sink that knows nothing of files rotates between its writes.
func TestWriter(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(filepath.Join(dir, "x.txt"), Options{Size: 20})
	if err != nil {
		t.Fatal(err)
	}
	w := f.Writer()
	for range 3 {
		if n, err := w.Write([]byte("one\ntwo\n")); n != 8 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := left(t, dir), "x.1.txt 16 bytes two..two; x.txt 8 bytes two..two"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestRotationFails: where the next file cannot be made, it says how much was written, and
// writes nothing more.
func TestRotationFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := Create(filepath.Join(dir, "x.jsonl"), Options{Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, 0, 1)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	err = f.Next()
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "1 events were written") {
		t.Errorf("Next: %v", err)
	}
	if f.Put([]byte("x\n"), 1, Lines) == nil || f.Next() == nil {
		t.Error("went on after a failure")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestTaken: what another writes is neither emptied nor written into, under whatever name.
func TestTaken(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "x.jsonl"), filepath.Join(dir, "y.jsonl")
	if err := os.Symlink(path, other); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path, Options{Size: 30})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(when string) {
		t.Helper()
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{path, other} {
			if _, err := Create(p, Options{}); err == nil || !strings.Contains(err.Error(), "it is being written by another program, or given twice: end that program first") {
				t.Errorf("%s, %s: %v", when, p, err)
			}
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: %q was there, and now %q, %v", when, before, after, err)
		}
	}
	put(t, f, 0, 2)
	refused("in the middle")
	if err := f.Next(); err != nil {
		t.Fatal(err)
	}
	put(t, f, 2, 1)
	refused("after a rotation")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := Create(other, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 0 {
		t.Errorf("not emptied: %v, %v", st, err)
	}
}

// TestTakenTooLate: a file that was opened, and that its writer then put behind another, is no
// longer the one of that name.
func TestTakenTooLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	f, err := Create(path, Options{Size: 30})
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, 0, 2)
	second, err := os.OpenFile(path, flags, mode)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	st, err := second.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := take(second, st, path); !errors.Is(err, errTaken) {
		t.Errorf("while it is written: %v", err)
	}
	if err := f.Next(); err != nil {
		t.Fatal(err)
	}
	if err := take(second, st, path); !errors.Is(err, errTaken) {
		t.Errorf("once it has another name: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "live.pcapng")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("needs a file system that has FIFOs: %v", err)
	}
	return path
}

func TestNotToBeRotated(t *testing.T) {
	for _, path := range []string{"-", fifo(t), "/dev/null"} {
		if _, err := Create(path, Options{Size: 1000}); err == nil || !strings.Contains(err.Error(), "leave out the size at which it rotates") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFIFOWaits: a FIFO is open once it has a reader, and what is written arrives.
func TestFIFOWaits(t *testing.T) {
	for _, ctx := range []context.Context{nil, t.Context()} {
		path := fifo(t)
		waiting := make(chan struct{})
		type result struct {
			data []byte
			err  error
		}
		done := make(chan result, 1)
		go func() {
			<-waiting
			data, err := os.ReadFile(path)
			done <- result{data, err}
		}()
		f, err := Create(path, Options{Context: ctx, Waiting: func() { close(waiting) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Put([]byte("a\n"), 1, Lines), f.Close()); err != nil {
			t.Fatal(err)
		}
		if r := <-done; r.err != nil || !bytes.Equal(r.data, []byte("a\n")) {
			t.Errorf("read %q, %v", r.data, r.err)
		}
	}
}

// TestFIFOGivenUp: who does not want to wait any longer gets an error, and no goroutine is
// left (TestMain sees to that).
func TestFIFOGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Second, errors.New("the test's patience"))
	defer cancel()
	_, err := Create(fifo(t), Options{Context: ctx, Waiting: cancel})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "a FIFO that nobody reads") || !strings.Contains(err.Error(), "wireshark -k -i") {
		t.Errorf("error %v", err)
	}
}
