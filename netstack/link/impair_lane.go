package link

import (
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// held is a packet on its way. It owns one reference.
type held struct {
	proto tcpip.NetworkProtocolNumber
	pkt   *stack.PacketBuffer
	v     Verdict
	due   tcpip.MonotonicTime
	by    int // reordered: how many of its flow are still to pass it
}

// lane carries one direction's packets. It has no goroutine: whoever brings a
// packet, or the timer, sends what may go. While one does, others only leave their
// packets behind, so nobody waits for anybody: no deadlock, even where sending one
// packet brings the next one on the same goroutine (an echo, over a link that
// delivers at once).
//
// On a clock that lets one thing happen after another (one with a Turn method, as package
// virtual's), packets of the line that are due at the same time go one a timer.
type lane struct {
	clock  tcpip.Clock
	single bool // the clock is such a one
	// send takes the packet. No lock is held, and no two calls overlap.
	send func(held)

	mu      sync.Mutex
	idle    sync.Cond
	urgent  []held // go at once, before a line that waits: exempt, or news of a drop
	line    []held // go in their order, each not before it is due
	aside   []held // reordered: go when enough have passed, or when due
	sending bool
	closed  bool
	timer   tcpip.Timer // nil when none is armed
	armed   tcpip.MonotonicTime
	gen     uint64 // of the timer, to know it when it fires
	firing  int    // timers that could not be stopped and have not run yet
}

func newLane(clock tcpip.Clock, send func(held)) *lane {
	_, single := clock.(interface{ Turn(stop <-chan struct{}) })
	l := &lane{clock: clock, single: single, send: send}
	l.idle.L = &l.mu
	return l
}

// put takes the packet and sends what may go, unless someone does already. It is
// false, and the packet released, when the lane is closed.
func (l *lane) put(h held) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		h.pkt.DecRef()
		return false
	}
	now := l.clock.NowMonotonic()
	h.due = h.v.due
	if !h.v.planned {
		h.due = now.Add(h.v.Delay)
	}
	waits := len(l.line) > 0 && l.line[len(l.line)-1].due.After(now)
	switch {
	case (h.v.exempt || h.v.Drop != "") && waits:
		l.urgent = append(l.urgent, h)
	case h.v.Reorder:
		hold := h.v.hold
		if hold == 0 {
			hold = defaultReorderHold
		}
		h.by, h.due = max(h.v.by, 1), h.due.Add(hold)
		l.aside = append(l.aside, h)
	default:
		l.line = append(l.line, h)
	}
	l.run()
	return true
}

// free tells whether a packet may go past the lane at once: nothing is held.
func (l *lane) free() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed && !l.sending && len(l.urgent)+len(l.line)+len(l.aside) == 0
}

// queued returns how many packets are held.
func (l *lane) queued() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.line) + len(l.aside)
}

// run sends what may go, then arms the timer for the rest. l.mu is held, and
// released on return.
func (l *lane) run() {
	defer l.mu.Unlock()
	if l.sending {
		return
	}
	l.sending = true
	for sent := false; !l.closed; sent = true {
		if sent && l.single && !l.owes() {
			l.arm()
			break
		}
		h, ok := l.next()
		if !ok {
			l.arm()
			break
		}
		l.mu.Unlock()
		l.send(h)
		l.mu.Lock()
	}
	l.sending = false
	l.idle.Broadcast()
}

// owes tells whether a packet goes now whatever the time. l.mu is held.
func (l *lane) owes() bool {
	return len(l.urgent) > 0 || slices.ContainsFunc(l.aside, func(h held) bool { return h.by <= 0 })
}

// next takes out the packet that goes now, if there is one. l.mu is held.
func (l *lane) next() (held, bool) {
	if h, ok := pop(&l.urgent); ok {
		return h, true
	}
	now := l.clock.NowMonotonic()
	for i, h := range l.aside {
		if h.by <= 0 || !h.due.After(now) {
			l.aside = append(l.aside[:i], l.aside[i+1:]...)
			l.aside[:len(l.aside)+1][len(l.aside)] = held{}
			return h, true
		}
	}
	if len(l.line) == 0 || l.line[0].due.After(now) {
		return held{}, false
	}
	h, _ := pop(&l.line)
	for i := range l.aside {
		if h.v.Drop == "" && l.aside[i].v.flow == h.v.flow {
			l.aside[i].by--
		}
	}
	return h, true
}

func pop(q *[]held) (held, bool) {
	if len(*q) == 0 {
		return held{}, false
	}
	h := (*q)[0]
	(*q)[0] = held{}
	*q = (*q)[1:]
	return h, true
}

// arm sets the timer to the next packet's time. l.mu is held.
func (l *lane) arm() {
	due := tcpip.MonotonicTimeInfinite()
	if len(l.line) > 0 {
		due = l.line[0].due
	}
	for _, h := range l.aside {
		if h.due.Before(due) {
			due = h.due
		}
	}
	if l.timer != nil && l.armed == due {
		return
	}
	l.disarm()
	if len(l.line)+len(l.aside) == 0 {
		return
	}
	l.gen++
	gen := l.gen
	l.armed = due
	// At least 1 ns: a clock may run what is due at once on this goroutine. One that gives
	// turns does not, and there the packet is to go at its very time.
	least := time.Duration(1)
	if l.single {
		least = 0
	}
	l.timer = l.clock.AfterFunc(max(due.Sub(l.clock.NowMonotonic()), least), func() { l.fired(gen) })
}

// disarm stops the timer, or notes that it has fired already. l.mu is held.
func (l *lane) disarm() {
	if l.timer != nil && !l.timer.Stop() {
		l.firing++
	}
	l.timer = nil
}

func (l *lane) fired(gen uint64) {
	l.mu.Lock()
	if l.timer != nil && l.gen == gen {
		l.timer = nil
	} else {
		l.firing--
	}
	l.run()
}

// close releases what is held and stops the timer. What is being sent goes on.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.disarm()
	for _, q := range []*[]held{&l.urgent, &l.line, &l.aside} {
		for _, h := range *q {
			h.pkt.DecRef()
		}
		*q = nil
	}
	l.idle.Broadcast()
}

// wait waits, once the lane is closed, until nobody sends and no timer is to come.
func (l *lane) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.closed && (l.sending || l.firing > 0) {
		l.idle.Wait()
	}
}
