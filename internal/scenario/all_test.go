package scenario_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"appliance/configs"
	"appliance/internal/lab"
	"appliance/internal/scenario"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// documented are the sequences that the program has.
func documented(t *testing.T) []*sequence.Sequence {
	t.Helper()
	files, err := fs.Sub(configs.Sequences, "sequences")
	if err != nil {
		t.Fatal(err)
	}
	all, err := sequence.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// needLab skips a test where no lab can be made.
func needLab(t *testing.T) {
	t.Helper()
	l, err := lab.NewTemporary(context.Background(), lab.Options{Name: "probe"})
	var missing *lab.PrivilegeError
	if errors.As(err, &missing) {
		t.Skipf("needs a lab: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAllOnPipe plays every documented sequence on the pipe, with both ends the appliance
// and with scripted ends, in IPv4 and IPv6: in a few seconds, with no privilege.
func TestAllOnPipe(t *testing.T) {
	all := documented(t)
	if len(all) < 25 {
		t.Fatalf("%d sequences: the documents have more", len(all))
	}
	start := time.Now()
	report, err := scenario.Run(context.Background(), scenario.Options{
		Sequences: all,
		Each: func(r *scenario.Result, _ tracer.Header, events []tracer.Event) {
			if r.OK || r.Skipped != "" {
				return
			}
			t.Errorf("%s: error %q, mismatch %v\n%s", r.Name(), r.Error, r.Mismatch, tail(events, 80))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d passed, %d failed, %d skipped in %v", report.Passed, report.Failed, report.Skipped, time.Since(start))
}

// tail is the last events as lines.
func tail(events []tracer.Event, n int) string {
	var b strings.Builder
	for i := range events[max(0, len(events)-n):] {
		b.Write(tracer.AppendJSON(nil, &events[max(0, len(events)-n):][i]))
		b.WriteByte('\n')
	}
	return b.String()
}
