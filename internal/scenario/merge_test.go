package scenario

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"appliance/tracer"
)

func call(n uint64, t time.Duration, phase tracer.Phase, of uint64) tracer.Event {
	return tracer.Event{N: n, T: t, Stack: "server", Body: &tracer.Call{Name: "send", Phase: phase, Of: of}}
}

func change(n uint64, t time.Duration, cause uint64) tracer.Event {
	return tracer.Event{N: n, T: t, Stack: "peer", Body: &tracer.StateChange{Cause: tracer.Cause{N: cause}}}
}

// TestMerge: late events stand by their times, behind their causes, and every reference
// leads where it led.
func TestMerge(t *testing.T) {
	events := []tracer.Event{
		call(1, 10, tracer.PhaseEnter, 0),
		call(2, 20, tracer.PhaseReturn, 1),
		call(3, 30, tracer.PhaseEnter, 0),
		call(4, 40, tracer.PhaseReturn, 3),
	}
	late := []tracer.Event{
		change(0, 35, 3),
		change(0, 5, 2),   // the clock's grain put it before its cause
		change(100, 1, 0), // the first of all
		change(0, 2, 100), // by a late event
	}
	got := merge(events, late)
	var order []string
	for i, e := range got {
		if e.N != uint64(i+1) {
			t.Errorf("event %d bears the number %d", i+1, e.N)
		}
		order = append(order, e.T.String()+" "+e.Stack)
	}
	want := []string{"1ns peer", "2ns peer", "10ns server", "20ns server", "20ns peer", "30ns server", "35ns peer", "40ns server"}
	if !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
	for at, n := range map[int]uint64{1: 1, 3: 3, 4: 4, 6: 6, 7: 6} {
		if got := reference(got[at].Body); got != n {
			t.Errorf("event %d refers to %d, want %d", at+1, got, n)
		}
	}
	if events[1].N != 2 || reference(events[3].Body) != 3 || late[0].N != 0 || reference(late[0].Body) != 3 {
		t.Error("the slices that were merged have changed")
	}
}

// TestMergeAny: whatever is merged, numbers rise by one, times never go back, and a
// reference leads to the same event.
func TestMergeAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events, late []tracer.Event
		at := time.Duration(0)
		for n := range uint64(rapid.IntRange(0, 30).Draw(t, "events")) {
			at += time.Duration(rapid.IntRange(0, 3).Draw(t, "step"))
			e := change(n+1, at, uint64(rapid.IntRange(0, int(n)).Draw(t, "cause")))
			e.Conn = uint32(n + 1) // to know it by
			events = append(events, e)
		}
		for range rapid.IntRange(0, 10).Draw(t, "late") {
			late = append(late, change(0, time.Duration(rapid.IntRange(0, 60).Draw(t, "when")), uint64(rapid.IntRange(0, len(events)).Draw(t, "of"))))
		}
		got := merge(events, late)
		if len(got) != len(events)+len(late) {
			t.Fatalf("%d events of %d and %d", len(got), len(events), len(late))
		}
		for i := range got {
			if got[i].N != uint64(i+1) || i > 0 && got[i].T < got[i-1].T {
				t.Fatalf("event %d: number %d at %v after %v", i+1, got[i].N, got[i].T, got[max(i, 1)-1].T)
			}
			if n := reference(got[i].Body); n > got[i].N {
				t.Fatalf("event %d has its cause behind it, %d", i+1, n)
			}
			if got[i].Conn == 0 {
				continue
			}
			was := reference(events[got[i].Conn-1].Body)
			if now := reference(got[i].Body); was == 0 && now != 0 || was != 0 && got[now-1].Conn != uint32(was) {
				t.Fatalf("event %d refers to %d, not to what was %d", i+1, now, was)
			}
		}
	})
}

// TestFinished: calls that have not returned are left out, and the rest is whole.
func TestFinished(t *testing.T) {
	got := finished([]tracer.Event{
		call(1, 10, tracer.PhaseEnter, 0), call(2, 20, tracer.PhaseEnter, 0), call(3, 30, tracer.PhaseReturn, 2),
	})
	if len(got) != 2 || got[0].T != 20 || got[1].N != 2 || reference(got[1].Body) != 1 {
		t.Errorf("%+v", got)
	}
}
