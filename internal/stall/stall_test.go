package stall

import (
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWatch: what took longer than it should is told, by the longest, and the watch ends.
func TestWatch(t *testing.T) {
	w := &Watch{done: make(chan struct{})}
	w.all.Add(1)
	late := []time.Duration{0, 30 * time.Millisecond, 10 * time.Millisecond}
	w.watch(func(d time.Duration) {
		for end := time.Now().Add(d + late[0]); time.Now().Before(end); {
			runtime.Gosched()
		}
		if late = late[1:]; len(late) == 0 {
			close(w.done)
		}
	})
	w.all.Wait()
	if w.longest < 30*time.Millisecond {
		t.Errorf("%v", w.longest)
	}
}

// TestStart: every processor is watched, and none of the watches stays.
func TestStart(t *testing.T) {
	if still := Start().Stop(); still < 0 {
		t.Errorf("%v", still)
	}
}
