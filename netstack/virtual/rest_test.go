package virtual_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"appliance/netstack/virtual"
)

// compute keeps a processor busy so long.
func compute(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
		continue
	}
}

// Whatever is under way, Rest returns when it is over and not before.
func TestRestWaits(t *testing.T) {
	for _, tt := range []struct {
		name  string
		times int
		work  func(done func())
	}{
		{"nothing", 20, func(done func()) { done() }},
		{"a goroutine that computes", 3, func(done func()) {
			go func() { compute(30 * time.Millisecond); done() }()
		}},
		{"a goroutine that starts another, and so on", 20, func(done func()) {
			var next func(n int)
			next = func(n int) {
				if n == 0 {
					done()
					return
				}
				compute(10 * time.Microsecond)
				go next(n - 1)
			}
			go next(200)
		}},
		{"two that wake each other", 20, func(done func()) {
			ping, pong := make(chan int), make(chan int)
			go func() {
				for i := range ping {
					pong <- i
				}
			}()
			go func() {
				for i := range 2000 {
					ping <- i
					<-pong
				}
				done()
				close(ping)
			}()
		}},
		{"a lock that is handed round", 20, func(done func()) {
			var mu sync.Mutex
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 50 {
						mu.Lock()
						compute(time.Microsecond)
						runtime.Gosched()
						mu.Unlock()
					}
				})
			}
			go func() { wg.Wait(); done() }()
		}},
		{"a condition", 20, func(done func()) {
			var mu sync.Mutex
			turn, cond := 0, sync.NewCond(&mu)
			for me := range 3 {
				go func() {
					mu.Lock()
					defer mu.Unlock()
					for turn < 300 {
						for turn%3 != me && turn < 300 {
							cond.Wait()
						}
						turn++
						cond.Broadcast()
					}
					if me == 0 {
						done()
					}
				}()
			}
		}},
		{"garbage collection", 3, func(done func()) {
			go func() {
				for range 5 {
					runtime.GC()
				}
				done()
			}()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := virtual.New(time.Time{})
			for range tt.times {
				var over atomic.Bool
				tt.work(func() { over.Store(true) })
				if err := c.Rest(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !over.Load() {
					t.Fatal("Rest returned while it went on")
				}
			}
		})
	}
}

// A goroutine that waits for a timer of the machine's is at rest: the contract.
func TestRestPassesRealTimers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
	}()
	if err := virtual.New(time.Time{}).Rest(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
		t.Error("Rest waited for the timer")
	default:
	}
	cancel()
	<-ended
}

// Who never comes to rest is named.
func TestRestNamesWhoWorks(t *testing.T) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			compute(time.Millisecond)
		}
	})
	c := virtual.New(time.Time{})
	c.AfterFunc(time.Second, func() { t.Error("a timer fired") })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	fired, err := c.Step(ctx)
	stop.Store(true)
	wg.Wait()
	if fired || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Step: %t, %v", fired, err)
	}
	if !strings.Contains(err.Error(), "virtual_test.compute") && !strings.Contains(err.Error(), "TestRestNamesWhoWorks") {
		t.Errorf("the error does not say who is at work: %v", err)
	}
	if c.Elapsed() != 0 {
		t.Errorf("time went on to %s", c.Elapsed())
	}
}

// Worlds of one process do not disturb each other, nor hold each other up for ever.
func TestTwoClocks(t *testing.T) {
	const rounds = 100
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			c := virtual.New(time.Time{})
			var over atomic.Bool
			c.Go(func() {
				for range rounds {
					if err := c.Sleep(ctx, time.Second); err != nil {
						t.Error(err)
					}
					compute(10 * time.Microsecond)
				}
				over.Store(true)
			})
			if err := c.Run(ctx, over.Load); err != nil {
				t.Error(err)
			}
			if c.Elapsed() != rounds*time.Second {
				t.Errorf("ended at %s", c.Elapsed())
			}
		})
	}
	wg.Wait()
}

func TestRunErrors(t *testing.T) {
	never := func() bool { return false }
	t.Run("idle", func(t *testing.T) {
		c := virtual.New(time.Time{})
		c.AfterFunc(3*time.Second, func() {})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { waitHere(stop) })
		err := c.Run(t.Context(), never)
		close(stop)
		wg.Wait()
		if !errors.Is(err, virtual.ErrIdle) || !strings.Contains(err.Error(), "at 3s") ||
			!strings.Contains(err.Error(), "1× chan receive in appliance/netstack/virtual_test.waitHere") {
			t.Errorf("%v: want ErrIdle, the time, and who waits", err)
		}
	})
	t.Run("horizon", func(t *testing.T) {
		c := virtual.New(time.Time{})
		c.Limit = 10 * time.Second
		s := &stage{clock: c}
		var tick func()
		tick = func() { s.note("%s", c.Elapsed()); c.AfterFunc(5*time.Second, tick) }
		c.AfterFunc(5*time.Second, tick)
		err := c.Run(t.Context(), never)
		if !errors.Is(err, virtual.ErrHorizon) || c.Elapsed() != c.Limit || strings.Join(s.logged(), " ") != "5s 10s" {
			t.Errorf("%v at %s, fired at %v: want ErrHorizon after the timer at the limit itself", err, c.Elapsed(), s.logged())
		}
	})
	t.Run("until is asked first", func(t *testing.T) {
		c := virtual.New(time.Time{})
		c.AfterFunc(time.Second, func() { t.Error("a timer fired") })
		if err := c.Run(t.Context(), func() bool { return true }); err != nil {
			t.Error(err)
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := virtual.New(time.Time{})
		c.AfterFunc(time.Second, cancel)
		var tick func()
		tick = func() { c.AfterFunc(time.Second, tick) }
		tick()
		if err := c.Run(ctx, never); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: want the context's error", err)
		}
	})
}

// waitHere gives the goroutine that waits a name.
func waitHere(stop <-chan struct{}) { <-stop }

func TestSleep(t *testing.T) {
	c := virtual.New(time.Time{})
	s := &stage{clock: c}
	ctx, cancel := context.WithCancel(t.Context())
	c.Go(func() { s.note("slept %v until %s", c.Sleep(ctx, time.Minute), c.Elapsed()) })
	c.Go(func() { s.note("slept %v until %s", c.Sleep(ctx, 0), c.Elapsed()) })
	c.Go(func() {
		err := c.Sleep(ctx, time.Hour)
		s.note("woken %t at %s", errors.Is(err, context.Canceled), c.Elapsed())
	})
	c.AfterFunc(2*time.Minute, cancel)
	if err := c.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.logged(), "; "); got != "slept <nil> until 0s; slept <nil> until 1m0s; woken true at 2m0s" {
		t.Error(got)
	}
	if c.Elapsed() != 2*time.Minute {
		t.Errorf("a sleep that was given up left its timer: %s", c.Elapsed())
	}
}

// Turns come after what is due now, in order, one at a time, and before time goes on.
func TestTurn(t *testing.T) {
	c := virtual.New(time.Time{})
	s := &stage{clock: c}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		c.Go(func() {
			s.note("%s begins", name)
			c.AfterFunc(0, func() { compute(time.Millisecond); s.note("timer of %s", name) })
			c.Turn(nil)
			s.note("%s goes on at %s", name, c.Elapsed())
		})
	}
	wg.Go(func() { c.Turn(stop); s.note("given up") })
	if err := c.Rest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at, ok := c.Next(); !ok || at != 0 || c.Pending() != 3 {
		t.Errorf("Next with turns pending: %s, %t; %d pending", at, ok, c.Pending())
	}
	close(stop)
	wg.Wait()
	c.AfterFunc(time.Second, func() { s.note("a second") })
	if err := c.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.logged(), "; "); got !=
		"given up; a begins; timer of a; b begins; timer of b; a goes on at 0s; b goes on at 0s; a second" {
		t.Error(got)
	}
}
