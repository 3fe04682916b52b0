package infer_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
	"appliance/tracer/infer"
)

func mergeAll(events []tracer.Event, o infer.Options, window int) []tracer.Event {
	m := infer.NewMerger(o, infer.MergerOptions{Window: window})
	var out []tracer.Event
	for _, e := range events {
		out = append(out, slices.Clone(m.Add(e))...)
	}
	return append(out, m.Close()...)
}

// segments are those of a trace, with numbers without gaps, as a Merger wants them.
func segments(events []tracer.Event) []tracer.Event {
	out := slices.DeleteFunc(slices.Clone(events), func(e tracer.Event) bool { return e.Body.Type() != tracer.TypeSegment })
	for i := range out {
		out[i].N = uint64(i + 1)
	}
	return out
}

// TestMerger: with a window that holds the trace it does what Merge does; with any other
// the changes are the same, the numbers rise by one and times do not go back.
func TestMerger(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	for _, file := range files {
		all := readTrace(t, file)
		for vantage, other := range map[string]string{"client": "server", "server": "client"} {
			events := segments(seenFrom(all, vantage, false))
			o := infer.Options{Vantage: vantage, Stack: other, OpensOnACK: true}
			want := infer.Merge(slices.Clone(events), o)
			for _, window := range []int{0, 1, 3, 10} {
				t.Run(fmt.Sprintf("%s/%s/%d", filepath.Base(file), other, window), func(t *testing.T) {
					got := mergeAll(events, o, window)
					if window == 0 {
						if d := cmp.Diff(lines(want), lines(got)); d != "" {
							t.Fatalf("-Merge +Merger\n%s", d)
						}
					}
					if d := cmp.Diff(changes(want), changes(got)); d != "" {
						t.Errorf("-Merge +Merger\n%s", d)
					}
					wantOrder(t, got)
				})
			}
		}
	}
}

func lines(events []tracer.Event) []string {
	out := make([]string, len(events))
	for i := range events {
		out[i] = string(tracer.AppendJSON(nil, &events[i]))
	}
	return out
}

// changes are the state changes, by connection: what they say but for numbers and times.
func changes(events []tracer.Event) map[string][]string {
	m := map[string][]string{}
	for _, e := range events {
		if c, ok := e.Body.(*tracer.StateChange); ok {
			m[byAddress(e)] = append(m[byAddress(e)], fmt.Sprintf("%v → %v by %s %s", c.From, c.To, c.Cause.Kind, c.Cause.What))
		}
	}
	return m
}

func wantOrder(t *testing.T, events []tracer.Event) {
	t.Helper()
	for i, e := range events {
		if e.N != uint64(i+1) {
			t.Fatalf("event %d has the number %d", i+1, e.N)
		}
		if i > 0 && e.T < events[i-1].T {
			t.Errorf("event %d is earlier than the one before", e.N)
		}
		c, ok := e.Body.(*tracer.StateChange)
		if !ok || c.Cause.N == 0 {
			continue
		}
		if c.Cause.N >= e.N {
			t.Errorf("the change %d is caused by %d", e.N, c.Cause.N)
			continue
		}
		if _, ok := events[c.Cause.N-1].Body.(*tracer.Segment); ok != (c.Cause.Kind == tracer.CauseSegment) {
			t.Errorf("the change %d, %+v, is caused by %+v", e.N, c, events[c.Cause.N-1].Body)
		}
	}
}
