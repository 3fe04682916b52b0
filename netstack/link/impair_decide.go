package link

import (
	"container/list"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"appliance/tracer"
)

// The reasons of a drop, as the trace has them.
const (
	dropLoss  = "impairment: loss"
	dropQueue = "impairment: queue full"
)

// decider draws the decisions of one direction.
type decider struct {
	Impairment
	clock tcpip.Clock

	mu sync.Mutex
	// TCP has a stream of random numbers of its own, so that stray traffic (router
	// solicitations, a ping) leaves what happens to TCP as it was.
	tcp, other *rand.PCG
	lineFree   tcpip.MonotonicTime // when the line will have sent what waits for it
	last       tcpip.MonotonicTime // when the latest packet that keeps its place may go
}

// newDecider numbers its streams from the direction: one seed, four sequences.
func newDecider(dir tracer.Direction, i Impairment, seed uint64, clock tcpip.Clock) *decider {
	var stream uint64
	if dir == tracer.Out {
		stream = 2
	}
	return &decider{Impairment: i, clock: clock, tcp: rand.NewPCG(seed, stream), other: rand.NewPCG(seed, stream+1)}
}

// draw is the random numbers of one packet: the same count for each packet,
// whatever is asked for, so that one setting does not shift another's decisions.
type draw struct {
	loss, duplicate, reorder, corrupt float64 // [0, 1)
	jitter                            float64 // [-1, 1)
	bit                               uint64
}

func (d *decider) draw(tcp bool) draw {
	g := d.other
	if tcp {
		g = d.tcp
	}
	// 53 bits are what a float64 holds without rounding up to 1.
	unit := func() float64 { return float64(g.Uint64()>>11) / (1 << 53) }
	return draw{unit(), unit(), unit(), unit(), 2*unit() - 1, g.Uint64()}
}

// decide draws for a packet on which the rules fired act; queued is how many
// packets its direction holds.
func (d *decider) decide(p *packet, fired []*Rule, queued int) Verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.draw(p.tcp)
	v := Verdict{flow: p.flow}
	delay := d.Delay + time.Duration(r.jitter*float64(d.Jitter))
	var labels, names []string
	for _, rule := range fired {
		labels = append(labels, rule.label())
		v.Rule = strings.Join(labels, "; ")
		if rule.Name != "" && (rule.Action != Corrupt || p.length > 0) {
			names = append(names, rule.Name)
			v.named = strings.Join(names, "; ")
		}
		switch rule.Action {
		case Drop:
			return Verdict{Drop: `impairment: rule "` + rule.label() + `"`, Rule: v.Rule, flow: p.flow}
		case Delay:
			delay = max(delay, 0) + rule.Delay
		case Duplicate:
			v.Copies += max(rule.Copies, 1)
		case Corrupt:
			v.Corrupt = p.length > 0
		case Reorder:
			v.Reorder = true
			v.by, v.hold = max(v.by, rule.By), max(v.hold, rule.Delay)
		}
	}
	if r.loss < d.Loss {
		return Verdict{Drop: dropLoss, Rule: v.Rule, flow: p.flow}
	}
	if r.duplicate < d.Duplicate {
		v.Copies++
	}
	if r.reorder < d.Reorder {
		v.Reorder = true
		v.by, v.hold = max(v.by, d.ReorderBy), max(v.hold, d.ReorderHold)
	}
	v.Corrupt = v.Corrupt || r.corrupt < d.Corrupt && p.length > 0
	if v.Corrupt {
		v.flipAt, v.flipMask = p.bit(r.bit)
	}
	if queued >= maxQueue || !d.schedule(&v, p.size, max(delay, 0)) {
		return Verdict{Drop: dropQueue, Rule: v.Rule, flow: p.flow}
	}
	return v
}

// schedule sets when the packet may go: it waits for the line, travels so long,
// and does not overtake. It is false when there is no room to wait in.
func (d *decider) schedule(v *Verdict, size int, delay time.Duration) bool {
	now := d.clock.NowMonotonic()
	due := now
	if d.Rate > 0 {
		if d.lineFree.Before(now) {
			d.lineFree = now
		}
		buffer := d.RateBuffer
		if buffer == 0 {
			buffer = defaultRateBuffer
		}
		// What is on the line itself counts as waiting: a packet that finds the
		// line free is never refused, however small the buffer.
		waiting := int(float64(d.lineFree.Sub(now)) * float64(d.Rate) / 8 / float64(time.Second))
		if waiting > 0 && waiting+size > buffer {
			return false
		}
		fits := v.Copies
		if waiting+size*(1+v.Copies) > buffer {
			fits = max(0, (buffer-waiting)/max(size, 1)-1)
		}
		v.Copies = min(v.Copies, fits)
		sent := float64(size) * 8 * float64(1+v.Copies)
		d.lineFree = d.lineFree.Add(time.Duration(sent * float64(time.Second) / float64(d.Rate)))
		due = d.lineFree
	}
	due = due.Add(delay)
	if due.Before(d.last) && !v.Reorder {
		due = d.last
	}
	if !v.Reorder {
		d.last = due
	}
	v.planned, v.due, v.Delay = true, due, due.Sub(now)
	return true
}

// maxConnections is how many connections the rules count segments for. Beyond it,
// the one that was quiet the longest is forgotten.
const maxConnections = 1 << 16

// ruleSet counts, connection by connection, the segments that its rules match.
type ruleSet struct {
	rules []Rule
	// data tells whether a rule looks into the payload, states at the state.
	data, states bool

	mu    sync.Mutex
	conns map[flow]*list.Element // of *connection
	quiet list.List              // the front is the connection seen last
}

// connection is what is known of one: how many segments each rule matched, by
// direction, and the initial sequence numbers that tell a retransmitted SYN from a
// new connection's.
type connection struct {
	flow   flow
	counts [2][]int
	hasISN [2]bool
	isn    [2]uint32
	over   bool // a RST was seen
}

func newRuleSet(rules []Rule) *ruleSet {
	s := &ruleSet{rules: slices.Clone(rules), conns: map[flow]*list.Element{}}
	for i := range s.rules {
		r := &s.rules[i]
		r.States, r.Payload.Contains = slices.Clone(r.States), slices.Clone(r.Payload.Contains)
		s.data = s.data || len(r.Payload.Contains) > 0
		s.states = s.states || len(r.States) > 0
	}
	return s
}

// fire returns the rules that act on a segment, in their order. It calls state at
// most once, and not with the lock held.
func (s *ruleSet) fire(dir tracer.Direction, p *packet, state func() (tracer.State, bool)) []*Rule {
	if len(s.rules) == 0 || !p.tcp {
		return nil
	}
	matched := make([]int, 0, 8)
	var now tracer.State
	var known, asked bool
	for i := range s.rules {
		r := &s.rules[i]
		if !r.matches(dir, p) {
			continue
		}
		if len(r.States) > 0 {
			if !asked {
				now, known = state()
				asked = true
			}
			if !known || !slices.Contains(r.States, now) {
				continue
			}
		}
		matched = append(matched, i)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.connection(dir, p)
	var fired []*Rule
	for _, i := range matched {
		n := &c.counts[index(dir)][i]
		*n++
		if s.rules[i].acts(*n) {
			fired = append(fired, &s.rules[i])
		}
	}
	return fired
}

func index(dir tracer.Direction) int {
	if dir == tracer.In {
		return 0
	}
	return 1
}

// connection returns the segment's connection; a SYN that opens another one on
// the same addresses and ports starts it anew. s.mu is held.
func (s *ruleSet) connection(dir tracer.Direction, p *packet) *connection {
	e := s.conns[p.flow]
	if e == nil {
		if len(s.conns) >= maxConnections {
			oldest := s.quiet.Remove(s.quiet.Back()).(*connection)
			delete(s.conns, oldest.flow)
		}
		e = s.quiet.PushFront(newConnection(p.flow, len(s.rules)))
		s.conns[p.flow] = e
	}
	s.quiet.MoveToFront(e)
	c := e.Value.(*connection)
	d := index(dir)
	if p.flags.Has(tracer.SYN) {
		// A SYN without ACK opens a connection; but not when it was seen before,
		// nor as the second of a simultaneous open (RFC 9293, figure 7).
		again := c.hasISN[d] && c.isn[d] == p.seq && !c.over
		second := !c.hasISN[d] && c.hasISN[1-d] && !c.over
		if !p.flags.Has(tracer.ACK) && !again && !second {
			*c = *newConnection(p.flow, len(s.rules))
		}
		c.hasISN[d], c.isn[d] = true, p.seq
	}
	if p.flags.Has(tracer.RST) {
		c.over = true
	}
	return c
}

func newConnection(f flow, rules int) *connection {
	return &connection{flow: f, counts: [2][]int{make([]int, rules), make([]int, rules)}}
}
