package sequence

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"appliance/tracer"
)

// mutant is a good trace with one thing wrong.
type mutant struct {
	kind   string // what was done
	what   string // to what, in detail
	at     int    // the event of the good trace that it was done to
	events []tracer.Event
}

// mutants makes every mutant of a good trace.
func mutants(good []tracer.Event, yield func(mutant)) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable on purpose
	for i := range good {
		yield(mutant{"drop", "", i, renumbered(slices.Delete(slices.Clone(good), i, i+1))})
		twin := good[i]
		twin.N = 0 // nothing refers to it
		yield(mutant{"duplicate", "", i, renumbered(slices.Insert(slices.Clone(good), i+1, twin))})
		if i+1 < len(good) {
			yield(mutant{"swap", "with the next", i, swapped(good, i)})
		}
		m := &mutator{good: good, i: i, rng: rng, yield: yield}
		m.event()
		switch b := good[i].Body.(type) {
		case *tracer.Segment:
			m.segment(b)
		case *tracer.StateChange:
			m.state(b)
		case *tracer.Call:
			m.call(b)
		case *tracer.Timer:
			m.timer(b)
		case *tracer.End:
			m.end(b)
		case *tracer.Datagram:
			m.datagram(b)
		case *tracer.TCB:
			m.variables(b)
		default:
		}
	}
}

// renumbered gives events the numbers 1, 2, 3, … and their references along; what refers to an
// event that is gone refers to none.
func renumbered(events []tracer.Event) []tracer.Event {
	now := map[uint64]uint64{}
	for i := range events {
		if events[i].N != 0 {
			now[events[i].N] = uint64(i) + 1
		}
	}
	for i := range events {
		events[i].N = uint64(i) + 1
		switch b := events[i].Body.(type) {
		case *tracer.StateChange:
			c := *b
			c.Cause.N = now[c.Cause.N]
			events[i].Body = &c
		case *tracer.Call:
			c := *b
			c.Of = now[c.Of]
			events[i].Body = &c
		case *tracer.TCB:
			c := *b
			c.After = now[c.After]
			events[i].Body = &c
		default:
		}
	}
	return events
}

// swapped swaps an event with the next; their times stay where they were.
func swapped(good []tracer.Event, i int) []tracer.Event {
	events := slices.Clone(good)
	events[i], events[i+1] = events[i+1], events[i]
	events[i].T, events[i+1].T = events[i+1].T, events[i].T
	return renumbered(events)
}

// mutator makes the mutants of one event.
type mutator struct {
	good  []tracer.Event
	i     int
	rng   *rand.Rand
	yield func(mutant)
}

// as yields the mutant with the event changed.
func (m *mutator) as(kind, what string, change func(*tracer.Event)) {
	events := slices.Clone(m.good)
	change(&events[m.i])
	m.yield(mutant{kind, what, m.i, events})
}

// event changes what every event has.
func (m *mutator) event() {
	stacks := map[string]bool{"client": true, "server": true, "peer": true}
	for s := range stacks {
		if s != m.good[m.i].Stack {
			m.as("stack", s, func(e *tracer.Event) { e.Stack = s })
		}
	}
}

// with returns a copy of a body with one thing changed.
func with[T any](b *T, change func(*T)) *T {
	c := *b
	change(&c)
	return &c
}

func (m *mutator) segment(g *tracer.Segment) {
	set := func(kind, what string, change func(*tracer.Segment)) {
		m.as(kind, what, func(e *tracer.Event) { e.Body = with(g, change) })
	}
	for _, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		flag, _ := tracer.ParseFlag(name)
		set("flag", name, func(c *tracer.Segment) {
			c.Flags ^= flag
			if flag == tracer.ACK { // a trace that holds together: no ack without the flag
				c.HasRelAck = c.Flags.Has(tracer.ACK)
				if !c.HasRelAck {
					c.Ack, c.RelAck = 0, 0
				}
			}
		})
	}
	for _, d := range []uint32{1, ^uint32(0), 1 + m.rng.Uint32N(1<<20)} {
		what := fmt.Sprintf("%+d", int32(d)) //nolint:gosec // modulo 2^32 is meant
		if g.HasRel {
			set("rel_seq", what, func(c *tracer.Segment) { c.RelSeq += d })
		}
		set("seq", what, func(c *tracer.Segment) { c.RelSeq += d; c.Seq += d })
		if g.HasRelAck {
			set("rel_ack", what, func(c *tracer.Segment) { c.RelAck += d })
		}
		if g.Flags.Has(tracer.ACK) {
			set("ack", what, func(c *tracer.Segment) { c.RelAck += d; c.Ack += d })
		}
		set("len", what, func(c *tracer.Segment) { c.Len += int(int32(d)) }) //nolint:gosec // modulo 2^32 is meant
	}
	for _, n := range SignificantNotes {
		if k := slices.Index(g.Notes, n); k >= 0 {
			set("note", "-"+n, func(c *tracer.Segment) { c.Notes = slices.Delete(slices.Clone(g.Notes), k, k+1) })
		} else {
			set("note", "+"+n, func(c *tracer.Segment) { c.Notes = append(slices.Clone(g.Notes), n) })
		}
	}
	m.options(g, set)
	set("direction", "", func(c *tracer.Segment) { c.Dir = opposite(g.Dir) })
	set("dropped", "", func(c *tracer.Segment) { c.Dropped = flipped(g.Dropped) })
}

func flipped(dropped string) string {
	if dropped == "" {
		return "impairment: loss"
	}
	return ""
}

// options takes an option from a SYN, and gives one that only SYNs have to another.
func (m *mutator) options(g *tracer.Segment, set func(kind, what string, change func(*tracer.Segment))) {
	if !g.Flags.Has(tracer.SYN) {
		set("option", "+mss", func(c *tracer.Segment) { c.Opts.MSS = 1460 })
		set("option", "+ws", func(c *tracer.Segment) { c.Opts.HasWS, c.Opts.WS = true, 7 })
		set("option", "+sack_ok", func(c *tracer.Segment) { c.Opts.SACKOK = true })
		return
	}
	if g.Opts.MSS != 0 {
		set("option", "-mss", func(c *tracer.Segment) { c.Opts.MSS = 0 })
	}
	if g.Opts.HasWS {
		set("option", "-ws", func(c *tracer.Segment) { c.Opts.HasWS, c.Opts.WS = false, 0 })
	}
	if g.Opts.SACKOK {
		set("option", "-sack_ok", func(c *tracer.Segment) { c.Opts.SACKOK = false })
	}
	if g.Opts.HasTS {
		set("option", "-ts", func(c *tracer.Segment) { c.Opts.HasTS, c.Opts.TSVal, c.Opts.TSEcr = false, 0, 0 })
	}
}

func (m *mutator) state(b *tracer.StateChange) {
	set := func(kind, what string, change func(*tracer.StateChange)) {
		m.as(kind, what, func(e *tracer.Event) { e.Body = with(b, change) })
	}
	for s := tracer.Closed; s <= tracer.TimeWait; s++ {
		if s != b.From {
			set("from", s.String(), func(c *tracer.StateChange) { c.From = s })
		}
		if s != b.To {
			set("to", s.String(), func(c *tracer.StateChange) { c.To = s })
		}
	}
	for _, k := range []tracer.CauseKind{tracer.CauseSegment, tracer.CauseCall, tracer.CauseTimer, tracer.CauseICMP, tracer.CauseStack} {
		if k != b.Cause.Kind {
			set("cause kind", string(k), func(c *tracer.StateChange) { c.Cause.Kind = k })
		}
	}
	for n := range uint64(len(m.good)) + 2 {
		if n != b.Cause.N {
			set("cause", fmt.Sprint("#", n), func(c *tracer.StateChange) { c.Cause.N = n })
			for _, k := range []tracer.CauseKind{tracer.CauseSegment, tracer.CauseCall, tracer.CauseTimer} {
				if k != b.Cause.Kind {
					set("cause", fmt.Sprint(k, " #", n), func(c *tracer.StateChange) { c.Cause.N, c.Cause.Kind = n, k })
				}
			}
		}
	}
	set("via", "filled", func(c *tracer.StateChange) { c.Via = "filled" })
	set("dwell", "+1ms", func(c *tracer.StateChange) { c.Dwell += 1e6 })
}

func (m *mutator) call(b *tracer.Call) {
	set := func(kind, what string, change func(*tracer.Call)) {
		m.as(kind, what, func(e *tracer.Event) { e.Body = with(b, change) })
	}
	for _, name := range calls {
		if name != b.Name {
			set("call", name, func(c *tracer.Call) { c.Name = name })
		}
	}
	set("error", "", func(c *tracer.Call) {
		if c.Error = "broken pipe"; b.Error != "" {
			c.Error = ""
		}
	})
	if b.Error != "" {
		set("error", "another", func(c *tracer.Call) { c.Error = "input/output error" })
	}
	set("bytes", "+1", func(c *tracer.Call) { c.Bytes++ })
	set("bytes", "-1", func(c *tracer.Call) { c.Bytes-- })
	for n := range uint64(len(m.good)) + 1 {
		if n != b.Of {
			set("of", fmt.Sprint("#", n), func(c *tracer.Call) { c.Of = n })
		}
	}
	for _, p := range []tracer.Phase{tracer.PhaseEnter, tracer.PhaseReturn, tracer.PhaseDone} {
		if p != b.Phase {
			set("phase", string(p), func(c *tracer.Call) { c.Phase = p })
		}
	}
	if b.Conn != 0 {
		set("accepted", "+1", func(c *tracer.Call) { c.Conn++ })
		set("accepted", "none", func(c *tracer.Call) { c.Conn = 0 })
	}
}

func (m *mutator) timer(b *tracer.Timer) {
	for _, name := range timers {
		if name != b.Name {
			m.as("timer", name, func(e *tracer.Event) { e.Body = with(b, func(c *tracer.Timer) { c.Name = name }) })
		}
	}
}

func (m *mutator) end(b *tracer.End) {
	set := func(what string, change func(*tracer.End)) {
		m.as("end", what, func(e *tracer.Event) { e.Body = with(b, change) })
	}
	set("role", func(c *tracer.End) {
		if c.Role = tracer.Active; b.Role == tracer.Active {
			c.Role = tracer.Passive
		}
	})
	for _, h := range []tracer.How{
		tracer.HowFIN, tracer.HowReset, tracer.HowAborted, tracer.HowTimeout, tracer.HowRefused, tracer.HowUnreachable,
	} {
		if h != b.How {
			set(string(h), func(c *tracer.End) { c.How = h })
		}
	}
	for _, d := range []uint64{1, ^uint64(0)} {
		set("bytes in", func(c *tracer.End) { c.BytesIn += d })
		set("bytes out", func(c *tracer.End) { c.BytesOut += d })
		set("segments in", func(c *tracer.End) { c.SegmentsIn += d })
		set("segments out", func(c *tracer.End) { c.SegmentsOut += d })
		set("retransmits", func(c *tracer.End) { c.Retransmits += d })
	}
}

func (m *mutator) datagram(b *tracer.Datagram) {
	set := func(kind, what string, change func(*tracer.Datagram)) {
		m.as(kind, what, func(e *tracer.Event) { e.Body = with(b, change) })
	}
	set("len", "+1", func(c *tracer.Datagram) { c.Len++ })
	set("len", "-1", func(c *tracer.Datagram) { c.Len-- })
	set("direction", "", func(c *tracer.Datagram) { c.Dir = opposite(b.Dir) })
	set("dropped", "", func(c *tracer.Datagram) { c.Dropped = flipped(b.Dropped) })
}

func (m *mutator) variables(b *tracer.TCB) {
	for k, v := range b.Vars {
		if v.Name != "snd_una" && v.Name != "snd_buf" {
			continue
		}
		for _, d := range []int64{1, -1} {
			m.as("variable", fmt.Sprint(v.Name, " ", d), func(e *tracer.Event) {
				e.Body = with(b, func(c *tracer.TCB) {
					c.Vars = slices.Clone(b.Vars)
					c.Vars[k].Value += d
				})
			})
		}
	}
}
