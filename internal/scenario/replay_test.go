package scenario

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// TestReplay: what failed on a real clock while the machine stood still is played again, some
// times, and the result says so; nothing else is.
func TestReplay(t *testing.T) {
	all, err := sequence.Load(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	const long, short = 60 * time.Millisecond, 40 * time.Millisecond
	for _, c := range []struct {
		name, clock string
		still       []time.Duration // one time after the other; then not at all
		replays     int
		ok          bool
	}{
		{"mismatch", Real, nil, 0, false},
		{"mismatch", Real, []time.Duration{short}, 0, false},
		{"mismatch", Real, []time.Duration{long}, 1, false},
		{"mismatch", Real, []time.Duration{long, long, long, long, long}, maxReplays, false},
		{"mismatch", Virtual, []time.Duration{long}, 0, false},
		{"passes", Real, []time.Duration{long}, 0, true},
	} {
		var said, told []string
		played := 0
		report, err := Run(t.Context(), Options{
			Sequences: all, Names: []string{c.name}, Peers: []string{Self}, Families: []int{4}, Clock: c.clock, Skips: []Skip{},
			Each: func(r *Result, _ tracer.Header, _ []tracer.Event) { told = append(told, r.Name()) },
			Log:  func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
			still: func() func() time.Duration {
				played++
				return func() time.Duration {
					if played > len(c.still) {
						return 0
					}
					return c.still[played-1]
				}
			},
		})
		if err != nil || len(report.Results) != 1 || len(told) != 1 {
			t.Fatalf("%s: %+v, told of %q, error %v", c.name, report, told, err)
		}
		r := report.Results[0]
		if r.Replays != c.replays || c.clock == Real && played != c.replays+1 || r.OK != c.ok || (len(said) > 0) != (c.replays > 0) {
			t.Errorf("%s, %s, %v: played %d times, said %q: %+v", c.name, c.clock, c.still, played, said, r)
		}
		want := r.Name() + ": a processor stood still for 60ms: played again, after C: expected C → S"
		if c.replays > 0 && !strings.HasPrefix(said[0], want) {
			t.Errorf("said %q", said)
		}
	}
}
