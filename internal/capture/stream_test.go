package capture_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"appliance/internal/capture"
	"appliance/tracer"
)

func stream(frames []capture.Frame, window int) ([]tracer.Event, error) {
	var events []tracer.Event
	s := capture.NewStream(func(run []tracer.Event) error {
		events = append(events, slices.Clone(run)...)
		return nil
	}, capture.StreamOptions{Window: window})
	for _, f := range frames {
		if _, _, err := s.Add(f); err != nil {
			return events, err
		}
	}
	return events, s.Close()
}

func lines(events []tracer.Event) []string {
	out := make([]string, len(events))
	for i := range events {
		out[i] = string(tracer.AppendJSON(nil, &events[i]))
	}
	return out
}

// TestStream: with a window that holds everything, a Stream gives what Read gives; with any
// other the segments are the same, numbered from 1 on, and causes come first.
func TestStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frames := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) capture.Frame {
			f := frameOf(rapid.SampledFrom([]string{"A", "B"}).Draw(t, "from"),
				rapid.SampledFrom([]tracer.Flags{syn, synAck, ack, finAck, rstAck}).Draw(t, "flags"),
				uint32(rapid.IntRange(99, 104).Draw(t, "seq")), uint32(rapid.IntRange(99, 104).Draw(t, "ack")), //nolint:gosec // small
				rapid.IntRange(0, 2).Draw(t, "len"))
			f.T = time.Duration(rapid.IntRange(0, 9).Draw(t, "t"))
			return f
		}), 0, 40).Draw(t, "frames")
		want := capture.Read(frames, capture.ReadOptions{})
		for _, window := range []int{0, rapid.IntRange(1, 20).Draw(t, "window")} {
			got, err := stream(frames, window)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(lines(want), lines(got)); window == 0 && d != "" {
				t.Fatalf("-Read +Stream\n%s", d)
			}
			if n := len(segmentsOf(got)); n != 2*len(frames) {
				t.Fatalf("window %d: %d segments of %d frames", window, n, len(frames))
			}
			if err := inOrder(got); err != nil {
				t.Fatalf("window %d: %v", window, err)
			}
		}
	})
}

func segmentsOf(events []tracer.Event) []tracer.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e tracer.Event) bool { return e.Body.Type() != tracer.TypeSegment })
}

func inOrder(events []tracer.Event) error {
	for i, e := range events {
		switch c, ok := e.Body.(*tracer.StateChange); {
		case e.N != uint64(i+1):
			return fmt.Errorf("event %d has the number %d", i+1, e.N)
		case i > 0 && e.T < events[i-1].T:
			return fmt.Errorf("event %d is earlier than the one before", e.N)
		case ok && c.Cause.N >= e.N:
			return fmt.Errorf("event %d is caused by %d", e.N, c.Cause.N)
		}
	}
	return nil
}

// TestStreamError: what the taker errs with ends it.
func TestStreamError(t *testing.T) {
	full := errors.New("full")
	s := capture.NewStream(func([]tracer.Event) error { return full }, capture.StreamOptions{Window: 2})
	var err error
	for range 20 {
		if _, _, e := s.Add(frameOf("A", ack, 1, 1, 1)); e != nil {
			err = e
		}
	}
	if !errors.Is(err, full) || !errors.Is(s.Close(), full) {
		t.Errorf("%v", err)
	}
}

// TestStreamForgets: however many segments wait for a connection that never comes, they are
// not all remembered, and the stream goes on in bounded time.
func TestStreamForgets(t *testing.T) {
	n := 0
	s := capture.NewStream(func(run []tracer.Event) error { n += len(run); return nil }, capture.StreamOptions{Window: 100})
	const frames = 50000
	for i := range frames {
		f := frameOf("A", ack, uint32(i)*10, 1, 1) //nolint:gosec // a hole before each
		if i%2 == 1 {
			f = frameOf("B", rstAck, 7, 1, 0)
		}
		if _, _, err := s.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil || n != 2*frames {
		t.Errorf("%d events, %v", n, err)
	}
}

// endsOf are the ends of a stack's connections, but for their times.
func endsOf(events []tracer.Event, stack string) []tracer.End {
	var all []tracer.End
	for _, e := range events {
		if b, ok := e.Body.(*tracer.End); ok && e.Stack == stack {
			end := *b
			end.Opened, end.Duration = 0, 0
			all = append(all, end)
		}
	}
	return all
}

// TestEnds: the totals of a connection are those that the stack itself counts.
func TestEnds(t *testing.T) {
	for name, rules := range map[string][]string{"whole": nil, "data lost before the tap": {"drop out payload>0 nth=2"}} {
		t.Run(name, func(t *testing.T) {
			w := newTapped(t, rules...)
			w.talk("192.168.12.53:9000")
			w.stop()
			var got []tracer.Event
			s := capture.NewStream(func(run []tracer.Event) error {
				got = append(got, slices.Clone(run)...)
				return nil
			}, capture.StreamOptions{Ends: true})
			for _, f := range w.tap.frames {
				if _, _, err := s.Add(f); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := inOrder(got); err != nil {
				t.Error(err)
			}
			want := endsOf(w.trace.Events(), "server") // the client's is in TIME-WAIT, whose end nothing shows
			if d := cmp.Diff(want, endsOf(got, "server")); d != "" || len(want) != 1 {
				t.Errorf("-its own +capture's\n%s", d)
			}
		})
	}
}
