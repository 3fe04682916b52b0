package processors

import (
	"runtime"
	"testing"
)

func TestShare(t *testing.T) {
	start := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(start)
	for _, tt := range []struct {
		env          string
		before, want int
	}{{"", 8, 4}, {"", 2, 1}, {"", 1, 1}, {"", 5, 2}, {"8", 8, 8}} {
		t.Setenv("GOMAXPROCS", tt.env)
		runtime.GOMAXPROCS(tt.before)
		restore := Share()
		if got := runtime.GOMAXPROCS(0); got != tt.want {
			t.Errorf("of %d processors, GOMAXPROCS=%q: %d, want %d", tt.before, tt.env, got, tt.want)
		}
		restore()
		restore() // does nothing
		if got := runtime.GOMAXPROCS(0); got != tt.before {
			t.Errorf("restored to %d, want %d", got, tt.before)
		}
	}
}
