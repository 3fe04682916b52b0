package tuning

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// percent is the collector's percentage.
func percent() int {
	now := debug.SetGCPercent(100)
	debug.SetGCPercent(now)
	return now
}

func TestApply(t *testing.T) {
	start, collecting := runtime.GOMAXPROCS(0), percent()
	defer func() {
		runtime.GOMAXPROCS(start)
		debug.SetGCPercent(collecting)
	}()
	for _, tt := range []struct {
		procs, gogc  string
		before, want int
		percent      int
	}{
		{"", "", 8, 4, collect},
		{"", "", 2, 1, collect},
		{"", "", 1, 1, collect},
		{"", "", 5, 2, collect},
		{"8", "", 8, 8, collect},
		{"", "50", 2, 1, 50},
		{"8", "50", 8, 8, 50},
	} {
		t.Setenv("GOMAXPROCS", tt.procs)
		t.Setenv("GOGC", tt.gogc)
		runtime.GOMAXPROCS(tt.before)
		debug.SetGCPercent(50)
		restore := Apply()
		if got := runtime.GOMAXPROCS(0); got != tt.want {
			t.Errorf("of %d processors, GOMAXPROCS=%q: %d, want %d", tt.before, tt.procs, got, tt.want)
		}
		if got := percent(); got != tt.percent {
			t.Errorf("GOGC=%q: %d percent, want %d", tt.gogc, got, tt.percent)
		}
		restore()
		restore() // does nothing
		if got := runtime.GOMAXPROCS(0); got != tt.before {
			t.Errorf("restored to %d processors, want %d", got, tt.before)
		}
		if got := percent(); got != 50 {
			t.Errorf("restored to %d percent, want 50", got)
		}
	}
}
