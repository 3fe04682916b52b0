//go:build exactness

package netstack

import (
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// exactCounts are gVisor's counters, counted anew from the trace.
type exactCounts struct {
	in, badSum, outSegs, active, passive     uint64
	rstOut, rstIn, established, resetFromEst uint64
	retransmits, closedInOrder               uint64
}

// exactConnected are the states that gVisor counts as connected.
var exactConnected = []tracer.State{
	tracer.Established, tracer.FinWait1, tracer.FinWait2, tracer.TimeWait, tracer.CloseWait, tracer.LastAck, tracer.Closing,
}

// count adds one event.
func (c *exactCounts) count(e tracer.Event) {
	switch b := e.Body.(type) {
	case *tracer.Segment:
		c.segment(b)
	case *tracer.StateChange:
		c.change(e, b)
	}
}

func (c *exactCounts) segment(b *tracer.Segment) {
	rst := b.Flags.Has(tracer.RST)
	if b.Dir == tracer.Out { // one that the impairment lost was sent all the same
		c.outSegs++
		if rst {
			c.rstOut++
		}
		isAgain := slices.Contains(b.Notes, noteRetransmission)
		if isAgain && !b.Flags.Has(tracer.SYN) {
			c.retransmits++
		}
		return
	}
	switch b.Dropped {
	case "", "receive queue full":
		c.in++
		if rst {
			c.rstIn++
		}
	case "bad checksum":
		c.badSum++
	}
}

func (c *exactCounts) change(e tracer.Event, b *tracer.StateChange) {
	switch b.To {
	case tracer.SynSent:
		c.active++
	case tracer.Established:
		c.established++
		if e.Parent != 0 {
			c.passive++
		}
	case tracer.Closed:
		if b.From == tracer.Established || b.From == tracer.CloseWait {
			c.resetFromEst++
		}
		if b.StackState != tcp.StateError.String() && slices.Contains(exactConnected, b.From) {
			c.closedInOrder++
		}
	}
	if b.From == tracer.Established {
		c.established--
	}
}

// counters compares gVisor's own counters with the trace.
func (j *exactJudge) counters() {
	for name, s := range j.stacks {
		st := s.Stats().TCP
		var c exactCounts
		for _, e := range j.trace.events {
			if e.Stack == name {
				c.count(e)
			}
		}
		j.counter(name, "ActiveConnectionOpenings", st.ActiveConnectionOpenings, c.active)
		j.counter(name, "PassiveConnectionOpenings", st.PassiveConnectionOpenings, c.passive)
		j.counter(name, "CurrentEstablished", st.CurrentEstablished, c.established)
		j.counter(name, "EstablishedResets", st.EstablishedResets, c.resetFromEst)
		j.counter(name, "EstablishedClosed", st.EstablishedClosed, c.closedInOrder)
		if j.level < tracer.LevelSegments {
			continue
		}
		u := exactAccount.unknown[s.stack]
		if u == nil {
			u = &exactUnknown{}
		}
		unsent := j.unsent(s)
		j.counter(name, "ValidSegmentsReceived", st.ValidSegmentsReceived, c.in-u.valid)
		j.counter(name, "ChecksumErrors", st.ChecksumErrors, c.badSum-u.bad)
		// A link that is just being closed errs: the trace has told by then what was sent.
		failed := st.SegmentSendErrors.Value()
		j.counter(name, "SegmentsSent", st.SegmentsSent, c.outSegs+unsent, failed)
		j.counter(name, "ResetsSent", st.ResetsSent, c.rstOut, failed)
		j.counter(name, "ResetsReceived", st.ResetsReceived, c.rstIn-u.resets)
		j.counter(name, "Retransmits", st.Retransmits, c.retransmits)
	}
}

// counter compares one counter; fewer are those that may be missing of want.
func (j *exactJudge) counter(name, what string, counter *tcpip.StatCounter, want uint64, fewer ...uint64) {
	got := counter.Value()
	if len(fewer) > 0 && got < want {
		want -= min(want-got, fewer[0])
	}
	if got != want {
		j.failf(0, "stack %s: %s is %d by gVisor's counter, %d by the trace", name, what, got, want)
	}
}

// exactNobody are addresses that nobody has: what is sent there waits for a
// neighbour and is dropped, so that no link sees it.
var exactNobody = []netip.Addr{netip.MustParseAddr("10.9.0.99"), netip.MustParseAddr("fd09::99")}

// unsent is how many segments a stack has sent to nobody, by its endpoints' counters.
func (j *exactJudge) unsent(s *Stack) (segments uint64) {
	for ep := range exactAccount.changes {
		e, ok := j.eventOf(ep)
		if !ok || j.stacks[e.Stack] != s || !slices.Contains(exactNobody, e.Remote.Addr()) {
			continue
		}
		segments += ep.Stats().(*tcp.Stats).SegmentsSent.Value() //nolint:forcetypeassert // the only type it returns
	}
	return segments
}

// eventOf returns the first change of an endpoint's in the trace.
func (j *exactJudge) eventOf(ep *tcp.Endpoint) (tracer.Event, bool) {
	states := j.changes[j.conns[ep]]
	if len(states) == 0 {
		return tracer.Event{}, false
	}
	return states[0], true
}
