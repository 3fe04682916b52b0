package main

import (
	"path/filepath"
	"testing"
	"time"

	"appliance/internal/bench/report"
)

func TestBenchWords(t *testing.T) {
	for _, tt := range []struct {
		cases, rounds int
		about         time.Duration
		want          string
	}{
		{1, 1, 499 * time.Millisecond, "1 case, measured once: less than a second"},
		{2, 1, 500 * time.Millisecond, "2 cases, each measured once: about 1s"},
		{1, 5, 61 * time.Second, "1 case, measured 5 times: about 1m1s"},
		{2, 5, 1400 * time.Millisecond, "2 cases, each measured 5 times: about 1s"},
	} {
		if got := planText(tt.cases, tt.rounds, tt.about); got != tt.want {
			t.Errorf("%d cases, %d rounds, %v: %q, want %q", tt.cases, tt.rounds, tt.about, got, tt.want)
		}
	}
	for n, want := range map[int]string{1: "bench: 1 measurement failed: the report says why", 3: "bench: 3 measurements failed: the report says why"} {
		if err := failedErr(&report.Report{Failed: make([]report.Note, n)}); err == nil || err.Error() != want {
			t.Errorf("%d failed: %v, want %q", n, err, want)
		}
	}
	if err := failedErr(&report.Report{}); err != nil {
		t.Errorf("none failed: %v", err)
	}
}

// TestOneFile: two names may be of one file before it is there.
func TestOneFile(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := filepath.Abs("x.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"x.svg", "./x.svg", true},
		{"x.svg", here, true},
		{"x.svg", "y.svg", false},
		{"", "", false},
		{"none/x.svg", "none/x.svg", false}, // it cannot be made
		{"/dev/null", "/dev/null", false},
	} {
		if got := oneFile(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %t, want %t", tt.a, tt.b, got, tt.want)
		}
	}
}
