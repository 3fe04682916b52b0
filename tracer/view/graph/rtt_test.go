package graph

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/summary"
)

// checkSamples holds what the graph measures to what the summary tells.
func checkSamples(t interface {
	Fatal(...any)
	Errorf(string, ...any)
}, name string, trace *view.Trace,
) (samples int) {
	want := map[uint32]*summary.RTT{}
	s := summary.New(summary.Options{}, func(c *summary.Conn) error { want[c.ID] = c.RTT; return nil })
	for i := range trace.Events {
		if err := s.Add(&trace.Events[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	for _, c := range trace.Conns {
		if c.Listener || c.UDP {
			continue
		}
		var list []time.Duration
		for _, s := range choose(trace, c, tracer.Out).samples() {
			list = append(list, s.rtt)
		}
		slices.Sort(list)
		var got *summary.RTT
		if n := len(list); n > 0 {
			got = &summary.RTT{Samples: uint64(n), Min: list[0], Median: list[n/2], P99: list[(99*n+99)/100-1], Max: list[n-1]}
		}
		if diff := cmp.Diff(want[c.ID], got); diff != "" {
			t.Errorf("%s, connection %d (-summary +graph):\n%s", name, c.ID, diff)
		}
		samples += len(list)
	}
	return samples
}

// TestSamplesAreTheSummarys: the graph and the summary measure the same round-trip times.
func TestSamplesAreTheSummarys(t *testing.T) {
	files, err := filepath.Glob(traces + "/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	samples := 0
	for _, path := range files {
		samples += checkSamples(t, filepath.Base(path), load(t, path))
	}
	if samples < 80 {
		t.Errorf("only %d samples", samples)
	}
	rapid.Check(t, func(t *rapid.T) { checkSamples(t, "drawn", transfer(t)) })
}
