package link

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/refs"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// impairDeadline is how long a test waits for what must happen.
const impairDeadline = 10 * time.Second

// withinDeadline fails the test when f has not returned by the deadline.
func withinDeadline(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(impairDeadline):
		t.Fatalf("%s: not done after %v", what, impairDeadline)
	}
}

func TestImpairCloseReleasesWhatIsHeld(t *testing.T) {
	clock := faketime.NewManualClock()
	i := Impairment{Delay: time.Second}
	im, lower, up := impaired(t, ImpairOptions{In: i, Out: i, Clock: clock, Rules: mustRules(t, "reorder both SYN")})
	sendOut(t, im, numberedSegs(5)...)
	sendOut(t, im, testSeg{port: 1, flags: tracer.SYN})
	in := testSeg{in: true, port: 1, flags: tracer.ACK}
	lower.inject(in.proto(), in.wire())
	im.Close()
	withinDeadline(t, "Wait", im.Wait)
	clock.Advance(time.Minute)
	if w, u := lower.take(), up.take(); len(w)+len(u) != 0 {
		t.Errorf("%d out and %d in after Close", len(w), len(u))
	}
	if !lower.closed {
		t.Error("the lower link was not closed")
	}
	pkt := in.out()
	defer pkt.DecRef()
	err := im.WritePlanned(pkt, im.Plan(tracer.Out, pkt))
	if _, ok := err.(*tcpip.ErrClosedForSend); !ok {
		t.Errorf("WritePlanned after Close: %v, want ErrClosedForSend", err)
	}
	lower.inject(in.proto(), in.wire())
	clock.Advance(time.Minute)
	if u := up.take(); len(u) != 0 {
		t.Errorf("%d delivered after Close", len(u))
	}
	im.Close() // again
}

func TestImpairWaitWaitsForTheDelivery(t *testing.T) {
	clock := faketime.NewManualClock()
	im, lower, up := impaired(t, ImpairOptions{In: Impairment{Delay: time.Second}, Clock: clock})
	inside, leave := make(chan struct{}), make(chan struct{})
	up.onDeliver = func(*stack.PacketBuffer) { close(inside); <-leave }
	s := testSeg{in: true, port: 1, flags: tracer.ACK}
	lower.inject(s.proto(), s.wire())
	advanced := make(chan struct{})
	go func() { defer close(advanced); clock.Advance(time.Second) }()
	<-inside
	im.Wait() // before Close it does not wait for deliveries
	im.Close()
	waited := make(chan struct{})
	go func() { defer close(waited); im.Wait() }()
	select {
	case <-waited:
		t.Error("Wait returned during a delivery")
	case <-time.After(20 * time.Millisecond): // it waits, as it should
	}
	close(leave)
	withinDeadline(t, "Wait", func() { <-waited; <-advanced })
}

// TestImpairAnswersOnTheSameGoroutine: a stack answers within its delivery, and a
// link may deliver within the writing. Neither must wait for itself.
func TestImpairAnswersOnTheSameGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	some := Impairment{Duplicate: 0.2, Reorder: 0.2, Corrupt: 0.2, Jitter: 50 * time.Microsecond}
	im, lower, up := impaired(t, ImpairOptions{Seed: 1, In: some, Out: some})
	var left atomic.Int64
	left.Store(500)
	done := make(chan struct{})
	lower.onWrite = func(*stack.PacketBuffer) {
		s := testSeg{in: true, port: 1, flags: tracer.ACK}
		lower.inject(s.proto(), s.wire())
	}
	up.onDeliver = func(*stack.PacketBuffer) {
		switch n := left.Add(-1); {
		case n > 0:
			sendOut(t, im, testSeg{port: 1, flags: tracer.ACK})
		case n == 0:
			close(done)
		}
	}
	withinDeadline(t, "a chain of answers", func() {
		sendOut(t, im, testSeg{port: 1, flags: tracer.ACK})
		<-done
	})
	im.Close()
	withinDeadline(t, "Wait", im.Wait)
}

// overlapWatcher notes deliveries that overlap.
type overlapWatcher struct {
	*fakeWatcher
	inside  atomic.Int32
	overlap atomic.Bool
}

func (w *overlapWatcher) enter() func() {
	if w.inside.Add(1) != 1 {
		w.overlap.Store(true)
	}
	return func() { w.inside.Add(-1) }
}

func (w *overlapWatcher) DroppedIn(tcpip.NetworkProtocolNumber, *stack.PacketBuffer, Verdict) {
	defer w.enter()()
}

func (w *overlapWatcher) DeliverIn(p tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, _ Verdict) {
	defer w.enter()()
	w.up.DeliverNetworkPacket(p, pkt)
}

func TestImpairManyGoroutines(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	some := Impairment{Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Corrupt: 0.1, Delay: 100 * time.Microsecond, Jitter: 100 * time.Microsecond, Rate: 1e10}
	im, lower, up := impaired(t, ImpairOptions{In: some, Out: some, Rules: mustRules(t, "delay both 1ms nth=7", "drop out nth=9 state=ESTABLISHED")})
	w := &overlapWatcher{fakeWatcher: &fakeWatcher{up: up}}
	im.SetWatcher(w)
	// The last answers may come after Close.
	up.onDeliver = func(*stack.PacketBuffer) { sendClosed(im, testSeg{port: 2, flags: tracer.ACK}) }
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 300 {
				s := testSeg{port: uint16(g), seq: uint32(n), flags: tracer.ACK, payload: make([]byte, n)}
				sendOut(t, im, s)
				s.in = true
				lower.inject(s.proto(), s.wire())
			}
		})
	}
	withinDeadline(t, "writers", wg.Wait)
	im.Close()
	withinDeadline(t, "Wait", im.Wait)
	if w.overlap.Load() {
		t.Error("deliveries overlapped")
	}
}

func TestImpairTellsTheWatcherWhenItDrops(t *testing.T) {
	clock := faketime.NewManualClock()
	im, lower, up := impaired(t, ImpairOptions{In: Impairment{Delay: time.Second}, Clock: clock, Rules: mustRules(t, "drop in FIN")})
	defer im.Close()
	w := &fakeWatcher{up: up}
	im.SetWatcher(w)
	for _, f := range []tracer.Flags{tracer.ACK, tracer.FIN} {
		s := testSeg{in: true, port: 1, flags: f}
		lower.inject(s.proto(), s.wire())
	}
	if len(w.dropped) != 1 || w.dropped[0].Drop != `impairment: rule "drop in FIN"` || len(w.delivered) != 0 {
		t.Errorf("told of %+v, %+v; want the drop at once", w.dropped, w.delivered)
	}
	clock.Advance(time.Second)
	if len(w.delivered) != 1 || w.delivered[0].Delay != time.Second {
		t.Errorf("delivered %+v", w.delivered)
	}
	im.SetWatcher(nil)
	s := testSeg{in: true, port: 1, flags: tracer.ACK, seq: 8}
	lower.inject(s.proto(), s.wire())
	up.take()
	clock.Advance(time.Second)
	wantSeqs(t, "without a watcher", up.take(), 8)
}

func TestImpairUndisturbedGoesToTheDispatcher(t *testing.T) {
	for _, o := range []ImpairOptions{{}, {Rules: mustRules(t, "drop in FIN nth=3")}} {
		im, lower, up := impaired(t, o)
		w := &fakeWatcher{up: up}
		im.SetWatcher(w)
		s := testSeg{in: true, port: 1, flags: tracer.ACK, seq: 8}
		lower.inject(s.proto(), s.wire())
		wantSeqs(t, "in", up.take(), 8)
		if len(w.delivered)+len(w.dropped) != 0 {
			t.Errorf("the watcher was told: %+v", w)
		}
		im.Close()
	}
}

func TestImpairPassesTheLowerError(t *testing.T) {
	for _, o := range []ImpairOptions{{}, {Rules: mustRules(t, "corrupt out")}} {
		im, lower, _ := impaired(t, o)
		lower.err = &tcpip.ErrNoBufferSpace{}
		var list stack.PacketBufferList
		for _, s := range numberedSegs(2) {
			list.PushBack(s.out())
		}
		n, err := im.WritePackets(list)
		if _, ok := err.(*tcpip.ErrNoBufferSpace); !ok || n != 0 {
			t.Errorf("WritePackets = %d, %v", n, err)
		}
		list.DecRef()
		im.Close()
	}
}

func TestImpairQueueIsBounded(t *testing.T) {
	im, _, _ := impaired(t, ImpairOptions{Out: Impairment{Delay: time.Hour}, Clock: faketime.NewManualClock()})
	defer im.Close()
	pkt := testSeg{port: 1}.out()
	defer pkt.DecRef()
	for range maxQueue {
		if v := im.Plan(tracer.Out, pkt); v.Drop != "" {
			t.Fatal(v.Drop)
		} else if err := im.WritePlanned(pkt, v); err != nil {
			t.Fatal(err)
		}
	}
	if v := im.Plan(tracer.Out, pkt); v.Drop != "impairment: queue full" {
		t.Errorf("one more: %+v", v)
	}
}

// linkLower is a fakeLower that is a Link.
type linkLower struct {
	fakeLower
	done chan struct{}
	err  error
}

func (l *linkLower) GSOMaxSize() uint32               { return 0 }
func (l *linkLower) SupportedGSO() stack.SupportedGSO { return stack.GSONotSupported }

func (l *linkLower) Info() tracer.LinkInfo { return tracer.LinkInfo{Kind: "veth", Name: "v0"} }
func (l *linkLower) Done() <-chan struct{} { return l.done }
func (l *linkLower) Err() error            { return l.err }

func TestImpairForwardsTheLink(t *testing.T) {
	gone := errors.New("interface is gone")
	lower := &linkLower{done: make(chan struct{})}
	im, err := NewImpair(lower, ImpairOptions{Out: Impairment{Loss: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	if want := (tracer.LinkInfo{Kind: "veth", Name: "v0", Impair: "out: loss 50 %; seed 0"}); im.Info() != want {
		t.Errorf("Info() = %+v", im.Info())
	}
	if im.Err() != nil {
		t.Error(im.Err())
	}
	lower.err = gone
	close(lower.done)
	withinDeadline(t, "Done", func() { <-im.Done() })
	if !errors.Is(im.Err(), gone) {
		t.Errorf("Err() = %v", im.Err())
	}
	plain, _, _ := impaired(t, ImpairOptions{})
	if want := (tracer.LinkInfo{MTU: 1500, MAC: "02:00:00:00:00:01"}); plain.Info() != want {
		t.Errorf("Info() = %+v", plain.Info())
	}
	plain.Close()
	withinDeadline(t, "Done", func() { <-plain.Done() })
	if plain.Err() != nil {
		t.Error(plain.Err())
	}
}

// leakEnv makes TestImpairLeaksNoReference the child process of itself: gVisor's
// leak checker is one for the process, and would see other tests' packets.
const leakEnv = "APPLIANCE_TEST_IMPAIR_LEAK"

func TestImpairLeaksNoReference(t *testing.T) {
	if os.Getenv(leakEnv) != "" {
		refs.SetLeakMode(refs.LeaksPanic)
		leakRun(t)
		refs.DoRepeatedLeakCheck() // panics with the list
		fmt.Println("no reference leaked")
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestImpairLeaksNoReference$", "-test.v")
	cmd.Env = append(os.Environ(), leakEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("no reference leaked")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func leakRun(t *testing.T) {
	all := Impairment{Loss: 0.2, Duplicate: 0.2, Reorder: 0.2, Corrupt: 0.2, Delay: 2 * time.Millisecond, Jitter: 2 * time.Millisecond, Rate: 1e7, RateBuffer: 4000}
	for _, i := range []Impairment{all, {Duplicate: 0.5, Corrupt: 0.5}, {}} {
		clock := faketime.NewManualClock()
		im, lower, up := impaired(t, ImpairOptions{Seed: 5, In: i, Out: i, Clock: clock, Rules: mustRules(t, "drop both nth=3-4", "duplicate both nth=7-20 copies=3")})
		im.SetWatcher(&fakeWatcher{up: up})
		var went int
		for n, s := range numberedSegs(300) {
			sendOut(t, im, s)
			s.in, s.v6 = true, n%2 == 0
			lower.inject(s.proto(), s.wire())
			clock.Advance(300 * time.Microsecond)
			went += len(lower.take()) + len(up.take())
		}
		if went < 100 {
			t.Errorf("only %d packets went", went)
		}
		sendOut(t, im, slices.Repeat(numberedSegs(1), 3)...)
		im.Close() // some are held
		im.Wait()
		sendClosed(im, numberedSegs(1)[0])
	}
}

// sendClosed writes where Close may have been before, and an error is right.
func sendClosed(im *Impair, s testSeg) {
	pkt := s.out()
	defer pkt.DecRef()
	_ = im.WritePlanned(pkt, im.Plan(tracer.Out, pkt))
}
