package netstack

import (
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// The timers of TCP, as the trace names them.
const (
	timerRetransmit = "retransmit"
	timerTimeWait   = "time-wait"
	timerFinWait2   = "fin-wait-2"
	timerKeepalive  = "keepalive"
	timerTLP        = "tail-loss-probe"
	timerReorder    = "reorder"
	timerCork       = "cork"
	timerUnknown    = "tcp"
)

// wrapClock returns c, observed unless tracing is off.
func (o *observer) wrapClock(c tcpip.Clock) tcpip.Clock {
	if o == nil {
		return c
	}
	return &observedClock{Clock: c, o: o}
}

// observedClock is the clock and timer hooks.
type observedClock struct {
	tcpip.Clock
	o *observer
}

// NowMonotonic is the clock hook: a handshake reads the clock right after the
// endpoint has entered SYN-SENT or SYN-RECEIVED.
func (c *observedClock) NowMonotonic() tcpip.MonotonicTime {
	if c.o.newborns.Load() > 0 {
		c.o.lookAtNewborns()
	}
	return c.Clock.NowMonotonic()
}

// AfterFunc starts a timer; those of TCP's are watched.
func (c *observedClock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	if !strings.Contains(name, "/transport/tcp.") {
		return c.Clock.AfterFunc(d, func() { c.otherTimer(f) })
	}
	t := &timer{o: c.o, name: timerName(name)}
	t.set.Store(int64(d))
	if t.name == timerRetransmit {
		if child := c.o.childBeingBorn(); child != nil {
			t.owner.Store(child)
		}
	} else if owner := c.o.receiver(f, name); owner != nil {
		t.owner.Store(owner)
	}
	t.timer = c.Clock.AfterFunc(d, func() { t.fire(f) })
	return t
}

// receiver is the endpoint that a callback is a method of; nil where it is no method of
// an endpoint's, by its name. The timers of TIME-WAIT and FIN-WAIT-2 must know whose they
// are before they fire, as another goroutine may be the first to see what they did. A
// method value is a pointer to the code and the receiver.
func (o *observer) receiver(f func(), name string) *tracked {
	if !strings.HasSuffix(name, "-fm") || !strings.Contains(name, "/tcp.(*Endpoint).") {
		return nil
	}
	method := *(**struct {
		code uintptr
		ep   *tcp.Endpoint
	})(unsafe.Pointer(&f))
	return o.byEP.get(method.ep)
}

// otherTimer runs a timer of the network layer's. Neighbour resolution may give up
// in it and take half-open connections along.
func (c *observedClock) otherTimer(f func()) {
	f()
	c.o.lookAtHalfOpen()
	keep.Add(1)
}

// timerName tells which timer is being started for the first time: by its callback
// where that has a name, else by the functions of gVisor's that start it.
func timerName(callback string) string {
	switch {
	case strings.Contains(callback, "timeWaitTimerExpired"):
		return timerTimeWait
	case strings.Contains(callback, "finWait2TimerExpired"):
		return timerFinWait2
	}
	var pcs [4]uintptr // mostly enough
	for skip := 3; skip < 23; skip += len(pcs) {
		for _, pc := range pcs[:runtime.Callers(skip, pcs[:])] {
			if name := starters.at(pc); name != "" {
				return name
			}
		}
	}
	return timerUnknown
}

// starters are the places that timers are started from.
var starters = frames[string]{of: timerOf}

// timerOf is the timer that a function of gVisor's starts; "" for none.
func timerOf(function string) string {
	function = function[strings.LastIndexByte(function, '/')+1:]
	switch {
	case strings.Contains(function, "newBackoffTimer"), strings.Contains(function, "newHandshake"):
		return timerRetransmit
	case strings.Contains(function, "schedulePTO"):
		return timerTLP
	case strings.Contains(function, "resetKeepaliveTimer"):
		return timerKeepalive
	case strings.Contains(function, "(*rackControl)"):
		return timerReorder
	case strings.Contains(function, "maybeSendSegment"):
		return timerCork
	case strings.Contains(function, "tcp.(*sender)"):
		return timerRetransmit
	default:
		return ""
	}
}

// timer is a timer of TCP's.
type timer struct {
	o     *observer
	name  string
	timer tcpip.Timer
	set   atomic.Int64 // what it was set to last, ns; 0 when that is not known
	owner atomic.Pointer[tracked]

	// While it fires, on the goroutine that fires it or with the owner's mu held:
	told   uint64 // the number of this firing's event
	isTold bool
	rto    time.Duration // what it had been set to when it fired
}

// Stop implements tcpip.Timer.
func (t *timer) Stop() bool { return t.timer.Stop() }

// Reset implements tcpip.Timer. gVisor moves a timer's end without touching it, and
// when it runs out early sets it anew to what is left: what it was set to is then not
// known.
func (t *timer) Reset(d time.Duration) {
	set := d
	if t.o.firing.Load() == t && marked() && calledByCheck() {
		set = 0
	}
	t.set.Store(int64(set))
	t.timer.Reset(d)
}

// checks are the places that are in gVisor's (*timer).checkExpiration.
var checks = frames[bool]{of: func(function string) bool { return strings.HasSuffix(function, "tcp.(*timer).checkExpiration") }}

// calledByCheck tells whether checkExpiration called the caller of this one's.
func calledByCheck() bool {
	var pc [1]uintptr
	return runtime.Callers(3, pc[:]) > 0 && checks.at(pc[0])
}

// fire runs the callback. gVisor lets a timer run out that it needs no more, and
// ignores it: such a firing does nothing and is not told.
func (t *timer) fire(f func()) {
	o := t.o
	o.firingMu.Lock()
	defer o.firingMu.Unlock()
	t.told, t.isTold, t.rto = 0, false, time.Duration(t.set.Load())
	if c := t.owner.Load(); c != nil {
		c.setFiring(t)
	}
	o.firing.Store(t)
	unmark := mark()
	runTimer(f)
	unmark()
	o.firing.Store(nil)
	if c := t.owner.Load(); c != nil {
		c.diedUnaccepted(viaTimer)
		c.lookNow(viaTimer)
		c.setFiring(nil)
	}
}

func (c *tracked) setFiring(t *timer) {
	c.mu.Lock()
	c.firing = t
	c.mu.Unlock()
}

// tell records, once a firing, that the timer did something. c.mu is held.
func (t *timer) tell(c *tracked) uint64 {
	if !t.isTold {
		t.isTold = true
		if t.owner.Load() == nil {
			t.owner.Store(c)
			c.firing = t
		}
		if c.o.level >= tracer.LevelSegments {
			t.told = c.emit(&tracer.Timer{Name: t.name, What: "fired", RTO: t.rto})
		}
	}
	return t.told
}

// canEnd tells whether a connection can end in a state by this timer: where our FIN is
// acknowledged there is nothing to send again, and a segment came first.
func (t *timer) canEnd(from tracer.State) bool {
	return t.name != timerRetransmit || from != tracer.FinWait2 && from != tracer.TimeWait
}

// cause is the timer's part in a change of c's state. c.mu is held.
func (t *timer) cause(c *tracked) tracer.Cause {
	return tracer.Cause{Kind: tracer.CauseTimer, N: t.tell(c), What: t.name + " timer"}
}

// timerHere returns the timer that is firing on this goroutine; nil for none.
func (o *observer) timerHere() *timer {
	t := o.firing.Load()
	if t == nil || !marked() || whose() != actorTimer {
		return nil
	}
	return t
}

// ---- endpoints that are being born ----

func (o *observer) addNewborn(c *tracked) {
	o.mu.Lock()
	o.newborn = append(o.newborn, c)
	o.newborns.Store(int32(len(o.newborn))) //nolint:gosec // a few
	o.mu.Unlock()
}

func (o *observer) dropNewborn(c *tracked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, other := range o.newborn {
		if other == c {
			o.newborn = append(o.newborn[:i:i], o.newborn[i+1:]...)
			break
		}
	}
	o.newborns.Store(int32(len(o.newborn))) //nolint:gosec // a few
}

// lookAtNewborns looks at the endpoints that have not entered their first state
// yet. A record that is locked is being looked at already.
func (o *observer) lookAtNewborns() {
	o.mu.RLock()
	list := o.newborn
	o.mu.RUnlock()
	for _, c := range list {
		st := c.ep.EndpointState()
		if rfcState(st) == tracer.Closed || !c.mu.TryLock() {
			continue
		}
		if c.passive {
			c.look(viaClock)
		} else if c.state == tracer.Closed && c.early == 0 {
			c.early = st // the next look tells it, when both ends are known
		}
		c.mu.Unlock()
		o.dropNewborn(c)
	}
}

// childBeingBorn finds the child whose handshake is just starting, if one is: its
// SYN waits in its listener's inbox and the stack has an endpoint for it that the
// observer does not know.
func (o *observer) childBeingBorn() *tracked {
	for _, l := range o.allListeners() {
		l.mu.Lock()
		var ids []tuple
		for _, a := range l.inbox {
			if a.flags&(tracer.SYN|tracer.ACK) == tracer.SYN {
				ids = append(ids, *a.id)
			}
		}
		l.mu.Unlock()
		for _, id := range ids {
			if c := o.findNew(id, l.ep, viaClock); c != nil {
				o.addNewborn(c)
				return c
			}
		}
	}
	return nil
}

// lookAtHalfOpen looks at every half-open connection.
func (o *observer) lookAtHalfOpen() {
	for _, l := range o.allListeners() {
		l.mu.Lock()
		list := make([]*tracked, 0, len(l.halfOpen))
		for c := range l.halfOpen {
			if isDead(c.ep.EndpointState()) {
				list = append(list, c)
			}
		}
		l.mu.Unlock()
		for _, c := range list {
			c.diedUnaccepted(viaTimer)
		}
	}
}

// allListeners are the listeners of this moment.
func (o *observer) allListeners() []*tracked {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.Collect(maps.Keys(o.listeners))
}
