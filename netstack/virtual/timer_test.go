package virtual_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"pgregory.net/rapid"

	"appliance/netstack/virtual"
)

// stage is a clock, its timers by name, and a log of which fired when.
type stage struct {
	clock *virtual.Clock

	mu     sync.Mutex
	timers map[string]tcpip.Timer
	log    []string
}

func newStage() *stage {
	return &stage{clock: virtual.New(time.Time{}), timers: map[string]tcpip.Timer{}}
}

func (s *stage) note(format string, args ...any) {
	s.mu.Lock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
	s.mu.Unlock()
}

// after starts a timer that logs its name and the time, then does what then say.
func (s *stage) after(name string, d time.Duration, then ...func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timers[name] = s.clock.AfterFunc(d, func() {
		s.note("%s %s", name, s.clock.Elapsed())
		for _, f := range then {
			f()
		}
	})
}

func (s *stage) timer(name string) tcpip.Timer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timers[name]
}

func (s *stage) stop(name string)                   { s.note("stop %s %t", name, s.timer(name).Stop()) }
func (s *stage) reset(name string, d time.Duration) { s.timer(name).Reset(d) }

// logged is the log so far.
func (s *stage) logged() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// step makes a Step and waits for what it did.
func (s *stage) step(t testing.TB) {
	t.Helper()
	if fired, err := s.clock.Step(t.Context()); err != nil || !fired {
		s.note("step %t %v", fired, err)
	}
	if err := s.clock.Rest(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTimers(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(*testing.T, *stage)
		want []string
	}{
		{"in order of time", func(_ *testing.T, s *stage) {
			s.after("c", 3*time.Second)
			s.after("a", time.Second)
			s.after("b", 2*time.Second)
		}, []string{"a 1s", "b 2s", "c 3s"}},
		{"ties in order of creation", func(_ *testing.T, s *stage) {
			for i := range 20 {
				s.after(fmt.Sprint(i), time.Second)
			}
		}, []string{
			"0 1s", "1 1s", "2 1s", "3 1s", "4 1s", "5 1s", "6 1s", "7 1s", "8 1s", "9 1s", "10 1s", "11 1s", "12 1s",
			"13 1s", "14 1s", "15 1s", "16 1s", "17 1s", "18 1s", "19 1s",
		}},
		{"a tie after Reset comes last", func(_ *testing.T, s *stage) {
			s.after("a", time.Second)
			s.after("b", time.Second)
			s.reset("a", time.Second)
		}, []string{"b 1s", "a 1s"}},
		{"zero and negative are now, at the next step", func(_ *testing.T, s *stage) {
			s.after("a", 0)
			s.after("b", -time.Hour)
			s.after("c", math.MinInt64)
			s.note("set")
		}, []string{"set", "a 0s", "b 0s", "c 0s"}},
		{"never goes back", func(t *testing.T, s *stage) {
			s.after("a", time.Second)
			s.step(t)
			s.after("b", -time.Hour)
		}, []string{"a 1s", "b 1s"}},
		{"the longest there is", func(t *testing.T, s *stage) {
			s.after("a", time.Second)
			s.step(t)
			s.after("b", math.MaxInt64)
		}, []string{"a 1s", "b " + time.Duration(math.MaxInt64).String()}},
		{"Stop before", func(_ *testing.T, s *stage) {
			s.after("a", time.Second)
			s.stop("a")
			s.stop("a")
		}, []string{"stop a true", "stop a false"}},
		{"Stop of one that is due and has not fired", func(_ *testing.T, s *stage) {
			s.after("a", 0)
			s.stop("a")
		}, []string{"stop a true"}},
		{"Stop after", func(t *testing.T, s *stage) {
			s.after("a", time.Second)
			s.step(t)
			s.stop("a")
		}, []string{"a 1s", "stop a false"}},
		{"Stop while it runs", func(_ *testing.T, s *stage) {
			s.after("a", time.Second, func() { s.stop("a") })
		}, []string{"a 1s", "stop a false"}},
		{"Reset of a pending one", func(_ *testing.T, s *stage) {
			s.after("a", time.Second)
			s.after("b", 2*time.Second)
			s.reset("a", 3*time.Second)
		}, []string{"b 2s", "a 3s"}},
		{"Reset of a stopped one", func(_ *testing.T, s *stage) {
			s.after("b", time.Second)
			s.stop("b")
			s.reset("b", 2*time.Second)
		}, []string{"stop b true", "b 2s"}},
		{"Reset of one that has fired", func(t *testing.T, s *stage) {
			s.after("a", time.Second)
			s.step(t)
			s.reset("a", time.Second)
			s.step(t)
			s.reset("a", -1)
			s.stop("a")
		}, []string{"a 1s", "a 2s", "stop a true"}},
		{"Reset while it runs", func(_ *testing.T, s *stage) {
			var n atomic.Int32
			s.after("a", time.Second, func() {
				if n := n.Add(1); n < 3 {
					s.reset("a", time.Duration(n)*time.Second)
				}
			})
		}, []string{"a 1s", "a 2s", "a 4s"}},
		{"timers that start timers", func(_ *testing.T, s *stage) {
			s.after("a", time.Second, func() {
				s.after("now", 0)
				s.after("soon", time.Millisecond)
			})
			s.after("b", time.Second)
			s.after("c", 2*time.Second)
		}, []string{"a 1s", "b 1s", "now 1s", "soon 1.001s", "c 2s"}},
		{"timers that stop timers", func(_ *testing.T, s *stage) {
			s.after("a", time.Second, func() { s.stop("b") })
			s.after("b", time.Second)
		}, []string{"a 1s", "stop b true"}},
		{"one whose function waits for a later one", func(_ *testing.T, s *stage) {
			done := make(chan struct{})
			s.after("a", time.Second, func() { <-done; s.note("a ends %s", s.clock.Elapsed()) })
			s.after("b", 2*time.Second, func() { close(done) })
		}, []string{"a 1s", "b 2s", "a ends 2s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage()
			tt.play(t, s)
			if err := s.clock.Run(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if got := s.logged(); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if n := s.clock.Pending(); n != 0 {
				t.Errorf("%d pending at the end", n)
			}
		})
	}
}

// The clock's readings agree.
func TestReadings(t *testing.T) {
	start := time.Now() // bears a monotonic reading, which the clock's times must not
	for _, s := range []time.Time{start, {}} {
		c := virtual.New(s)
		begin, mono := c.Now(), c.NowMonotonic()
		if !s.IsZero() && !begin.Equal(s) {
			t.Errorf("starts at %s, want %s", begin, s)
		}
		if begin != begin.Round(0) { //nolint:revive,staticcheck // == sees the reading, Equal does not
			t.Errorf("%v bears a monotonic reading", begin)
		}
		if begin.Before(time.Unix(1e9, 0)) {
			t.Errorf("starts at %s: programs take a time after 1970 for long ago", begin)
		}
		if !mono.After(tcpip.MonotonicTime{}) {
			t.Errorf("starts at %s, which gVisor takes for never", mono)
		}
		if at, ok := c.Next(); ok {
			t.Errorf("Next of a new clock: %s", at)
		}
		c.AfterFunc(90*time.Second, func() {})
		c.AfterFunc(2*time.Hour, func() {})
		if at, ok := c.Next(); !ok || at != 90*time.Second || c.Pending() != 2 {
			t.Errorf("Next: %s, %t with %d pending", at, ok, c.Pending())
		}
		if fired, err := c.Step(t.Context()); !fired || err != nil {
			t.Fatal(fired, err)
		}
		if e, n, m := c.Elapsed(), c.Now().Sub(begin), c.NowMonotonic().Sub(mono); e != 90*time.Second || n != e || m != e {
			t.Errorf("after a step of 90 s: elapsed %s, now %s, monotonic %s later", e, n, m)
		}
	}
}

// model is a clock that is too simple to be wrong.
type model struct {
	now    time.Duration
	order  int
	timers []modelTimer
}

type modelTimer struct {
	when   time.Duration
	order  int
	active bool
}

func (m *model) set(i int, d time.Duration) {
	m.order++
	m.timers[i] = modelTimer{when: m.now + max(d, 0), order: m.order, active: true}
}

// next is the timer that fires next; -1 for none.
func (m *model) next() int {
	best := -1
	for i, t := range m.timers {
		if t.active && (best < 0 || t.when < m.timers[best].when ||
			t.when == m.timers[best].when && t.order < m.timers[best].order) {
			best = i
		}
	}
	return best
}

func (m *model) pending() (n int) {
	for _, t := range m.timers {
		if t.active {
			n++
		}
	}
	return n
}

func TestTimersLikeModel(t *testing.T) {
	duration := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.IntRange(-2, 5).Draw(t, "d")) * time.Second // few values: many ties
	})
	rapid.Check(t, func(t *rapid.T) {
		var (
			m      model
			c      = virtual.New(time.Time{})
			timers []tcpip.Timer
			mu     sync.Mutex
			fired  []int
		)
		t.Repeat(map[string]func(*rapid.T){
			"after": func(t *rapid.T) {
				i, d := len(timers), duration.Draw(t, "d")
				m.timers = append(m.timers, modelTimer{})
				m.set(i, d)
				timers = append(timers, c.AfterFunc(d, func() { mu.Lock(); fired = append(fired, i); mu.Unlock() }))
			},
			"stop": func(t *rapid.T) {
				if len(timers) == 0 {
					t.Skip("no timers")
				}
				i := rapid.IntRange(0, len(timers)-1).Draw(t, "i")
				if got := timers[i].Stop(); got != m.timers[i].active {
					t.Fatalf("Stop of timer %d: %t, want %t", i, got, m.timers[i].active)
				}
				m.timers[i].active = false
			},
			"reset": func(t *rapid.T) {
				if len(timers) == 0 {
					t.Skip("no timers")
				}
				i, d := rapid.IntRange(0, len(timers)-1).Draw(t, "i"), duration.Draw(t, "d")
				timers[i].Reset(d)
				m.set(i, d)
			},
			"step": func(t *rapid.T) {
				var want []int
				if i := m.next(); i >= 0 {
					want, m.now, m.timers[i].active = []int{i}, m.timers[i].when, false
				}
				ok, err := c.Step(context.Background())
				if err := errors.Join(err, c.Rest(context.Background())); err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if ok != (want != nil) || !slices.Equal(fired, want) {
					t.Fatalf("Step: %t, fired %v, want %v", ok, fired, want)
				}
				fired = nil
			},
			"": func(t *rapid.T) {
				if c.Elapsed() != m.now || c.Pending() != m.pending() {
					t.Fatalf("at %s with %d pending, want %s with %d", c.Elapsed(), c.Pending(), m.now, m.pending())
				}
				at, ok := c.Next()
				if i := m.next(); ok != (i >= 0) || ok && at != m.timers[i].when {
					t.Fatalf("Next: %s, %t; want that of timer %d of %v", at, ok, i, m.timers)
				}
			},
		})
	})
}
