package tracefile

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"appliance/tracer"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// following reads a file on a goroutine of its own.
type following struct {
	got chan uint64 // the events' numbers; closed at the end
	err error
}

func follow(ctx context.Context, t *testing.T, path string, o Options) *following {
	t.Helper()
	f, err := Follow(ctx, path, o)
	if err != nil {
		t.Fatal(err)
	}
	l := &following{got: make(chan uint64)}
	go func() {
		defer close(l.got)
		l.err = f.Each(func(e *tracer.Event) error {
			l.got <- e.N
			return nil
		})
		l.err = errors.Join(l.err, f.Close())
	}()
	return l
}

// want waits for events, and for the end where there are none.
func (l *following) want(t *testing.T, numbers ...uint64) {
	t.Helper()
	late := time.After(patience)
	for i := 0; i < max(len(numbers), 1); i++ {
		select {
		case n, ok := <-l.got:
			if ok != (len(numbers) > 0) || ok && n != numbers[i] {
				t.Fatalf("got %d, %v; want %d", n, ok, numbers)
			}
		case <-late:
			t.Fatalf("waited in vain for %d", numbers)
		}
	}
}

// TestFollow: what is written is shown as it comes, half lines are waited for, and the
// writer's Close is the end.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.jsonl")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	say := func(text string) {
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	say(lines(2))
	l := follow(t.Context(), t, path, Options{})
	l.want(t, 1, 2)
	e := events(5)
	say(line(e[2]))
	l.want(t, 3)
	half := line(e[3])
	say(half[:20])
	say(half[20:] + line(e[4]))
	l.want(t, 4, 5)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l.want(t)
	if l.err != nil {
		t.Error(l.err)
	}
}

// TestFollowEnds: with the caller's context, in the middle of a line too; and at once where
// nobody writes.
func TestFollowEnds(t *testing.T) {
	path := write(t, lines(1))
	w, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := follow(ctx, t, path, Options{})
	l.want(t, 1)
	if _, err := w.WriteString("{\"n\":2"); err != nil {
		t.Fatal(err)
	}
	cancel()
	l.want(t)
	if l.err != nil && !errors.Is(l.err, tracer.ErrTruncated) {
		t.Error(l.err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l = follow(t.Context(), t, write(t, lines(3)), Options{})
	l.want(t, 1, 2, 3)
	l.want(t)
	if _, err := Follow(t.Context(), path+"x", Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestFollowPipe: a pipe ends with its writer; or, once the context is done, when its
// writer has had time to end.
func TestFollowPipe(t *testing.T) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := io.WriteString(w, lines(2))
		if err == nil {
			cancel() // what comes after it is read all the same
			_, err = io.WriteString(w, line(events(3)[2]))
		}
		w.CloseWithError(err)
	}()
	l := follow(ctx, t, "-", Options{Stdin: r})
	l.want(t, 1, 2, 3)
	l.want(t)
	if l.err != nil {
		t.Error(l.err)
	}
	r, w = io.Pipe()
	defer w.Close()
	go func() { _, _ = io.WriteString(w, lines(1)) }()
	ctx, cancel = context.WithCancel(t.Context())
	l = follow(ctx, t, "-", Options{Stdin: r})
	l.want(t, 1)
	cancel()
	l.want(t) // though the pipe stays open
	if l.err != nil {
		t.Error(l.err)
	}
}
