package scenario_test

import (
	"context"
	"testing"
	"time"

	"appliance/internal/scenario"
	"appliance/tracer"
)

// TestAllOnLinux plays every documented sequence against Linux's TCP, on a veth pair and
// on a TAP device.
func TestAllOnLinux(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes: real links take real time")
	}
	needLab(t)
	for _, link := range []string{scenario.Veth, scenario.TAP} {
		t.Run(link, func(t *testing.T) {
			start := time.Now()
			report, err := scenario.Run(context.Background(), scenario.Options{
				Sequences: documented(t), Links: []string{link}, Log: t.Logf,
				Each: func(r *scenario.Result, _ tracer.Header, events []tracer.Event) {
					if !r.OK && r.Skipped == "" {
						t.Errorf("%s (%.0f ms): error %q, mismatch %v\n%s", r.Name(), r.MS, r.Error, r.Mismatch, tail(events, 80))
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d passed, %d failed, %d skipped in %v", report.Passed, report.Failed, report.Skipped, time.Since(start))
		})
	}
}
