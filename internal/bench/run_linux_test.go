package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"appliance/internal/bench/report"
	"appliance/internal/lab"
	"appliance/internal/runner"
)

// TestMain runs as a lab's holder, or as the end that makes the load, where it is asked to.
func TestMain(m *testing.M) {
	lab.RegisterOpener(runner.OpenLabLink)
	lab.RunHolderIfAsked()
	RunPeerIfAsked()
	goleak.VerifyTestMain(m)
}

func needRoot(t *testing.T) {
	t.Helper()
	if !lab.Privileged() {
		t.Skip("needs root: makes network namespaces (the command's own test does so in a user namespace too)")
	}
}

// oneOfEach are cases with every stack, link, direction and metric.
const oneOfEach = `throughput/in/1/offload-on/appliance/veth/full|throughput/out/4/offload-off/(appliance/tap/segments|fdbased)|` +
	`round-trip/offload-off/appliance/veth/off|connections/offload-on/appliance/tap/segments|round-trip/offload-on/appliance/tap/segments/busy|idle|trace`

// TestRun measures one of each, briefly: what comes of it is whole. How fast it is does not
// matter here.
func TestRun(t *testing.T) {
	needRoot(t)
	o := Options{
		Rounds: 2, Time: 30 * time.Millisecond, Idle: 100, Only: regexp.MustCompile(oneOfEach), Dir: t.TempDir(),
		Log: t.Logf,
	}
	cases, err := Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	var done []string
	o.Progress = func(n, total int, next string) { done = append(done, fmt.Sprintf("%d/%d %s", n, total, next)) }
	r, err := Run(t.Context(), o)
	if err != nil || len(r.Failed) > 0 || r.Interrupted {
		t.Fatalf("error %v, failed %+v", err, r.Failed)
	}
	// The kernel's memory is the whole host's, and others may give back more than this takes.
	hidden := len(r.Skipped)
	if len(r.Results) < len(cases)-hidden || hidden > 1 {
		t.Errorf("%d results of %d cases; skipped %+v", len(r.Results), len(cases), r.Skipped)
	}
	for i := range r.Results {
		checkResult(t, &r.Results[i], o.Rounds)
	}
	if n := 2*len(cases) + 1; len(done) != n || !strings.HasPrefix(done[n-1], fmt.Sprintf("%d/%d ", n-1, n-1)) {
		t.Errorf("progress %q, want %d of them", done, n)
	}
	wantEmpty(t, o.Dir)
}

// checkResult checks that a result has its values, in every round, and makes sense.
func checkResult(t *testing.T, r *report.Result, rounds int) {
	t.Helper()
	want := map[report.Metric][]string{
		report.Throughput:  {report.Rate, report.CPUPerGB},
		report.RoundTrip:   {report.P50, report.P99, report.P999},
		report.Connections: {report.Rate},
		report.Idle:        {report.Memory},
		report.Trace:       {report.Rate},
	}[r.Metric]
	if r.EventRate > 0 {
		want = append(want, report.LostShare)
	}
	if r.Metric == report.Throughput && r.Level != "" && r.Level != report.Off {
		want = append(want, report.Events, report.LostShare)
	}
	var got []string
	for _, v := range r.Values {
		got = append(got, v.Name)
		positive := v.Name != report.LostShare && v.Name != report.Events && v.Name != report.CPUPerGB
		whole := v.N == rounds || r.Metric == report.Idle && r.Who == report.Kernel
		if !whole || v.Min < 0 || positive && v.Min == 0 {
			t.Errorf("%s: %s: %+v, want %d rounds", r.Name, v.Name, v.Summary, rounds)
		}
		if base := r.Baseline() == r.Case; base != (v.Ratio == nil) && slices.Contains([]string{report.Rate, report.P50}, v.Name) {
			t.Errorf("%s: %s: ratio %v", r.Name, v.Name, v.Ratio)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: values %q, want %q", r.Name, got, want)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in %s: %v, %v", dir, left, err)
	}
}

// TestInterrupted: when the context ends, so does the run, with what it had, and nothing of
// it is left; in whatever measurement that is.
func TestInterrupted(t *testing.T) {
	needRoot(t)
	for _, name := range []string{
		"throughput/in/1/offload-off/kernel/veth", "throughput/in/1/offload-off/iperf3/veth",
		"throughput/in/1/offload-off/appliance/veth/segments", "round-trip/offload-off/appliance/veth/off",
		"idle/offload-off/appliance/veth/segments",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath("iperf3"); err != nil && strings.Contains(name, "iperf3") {
				t.Skip("needs iperf3")
			}
			stop := errors.New("stop")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			o := Options{
				// Long enough that it does not end before it is interrupted.
				Rounds: 1, Time: time.Second, Idle: 5000, Dir: t.TempDir(), Log: t.Logf,
				Only: regexp.MustCompile("^" + name + "$"),
			}
			o.Progress = func(_, _ int, next string) {
				if next == name {
					time.AfterFunc(50*time.Millisecond, func() { cancel(stop) }) // while it is measured, or its world made
				}
			}
			r, err := Run(ctx, o)
			if !errors.Is(err, stop) || r == nil || !r.Interrupted || r.InterruptedIn != 1 || len(r.Failed) > 0 {
				t.Errorf("error %v, report %+v", err, r)
			}
			wantEmpty(t, o.Dir)
		})
	}
}

// TestDiscard: a trace may go nowhere.
func TestDiscard(t *testing.T) {
	needRoot(t)
	o := Options{
		Rounds: 1, Time: 30 * time.Millisecond, Sink: Discard, Dir: t.TempDir(), Log: t.Logf,
		Only: regexp.MustCompile("throughput/in/1/offload-off/appliance/veth/segments"),
	}
	r, err := Run(t.Context(), o)
	if err != nil || len(r.Results) != 2 || r.Settings.Sink != Discard {
		t.Fatalf("error %v, report %+v", err, r)
	}
	checkResult(t, &r.Results[1], 1)
}

func TestIperf3Rate(t *testing.T) {
	for _, tt := range []struct {
		out  string
		want float64
		err  string
	}{
		{`{"end":{"sum_sent":{"bits_per_second":2},"sum_received":{"bits_per_second":1.5e9}}}`, 1.5e9, ""},
		{`{"error":"unable to connect"}`, 0, "iperf3 failed: unable to connect"},
		{`iperf3: oh`, 0, "read what iperf3 says"},
	} {
		got, err := iperf3Rate([]byte(tt.out))
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, %v, want %v, %q", tt.out, got, err, tt.want, tt.err)
		}
	}
}
