package summary

import (
	"slices"

	"appliance/tracer"
)

// naiveSYN is the SYN that made the connection whose first event is events[i], nil where the
// trace has none.
func naiveSYN(events []tracer.Event, i int) *tracer.Segment {
	e := events[i]
	if b, ok := e.Body.(*tracer.StateChange); e.Parent == 0 || ok && b.From == tracer.Listen && b.To == tracer.Established {
		return nil
	}
	begins := func(k int) bool {
		return !slices.ContainsFunc(events[:k], func(o tracer.Event) bool { return o.Conn == events[k].Conn })
	}
	for k := i - 1; k >= 0; k-- {
		o := events[k]
		if o.Local != e.Local || o.Remote != e.Remote {
			continue
		}
		if g, ok := o.Body.(*tracer.Segment); ok && g.Dir == tracer.In && g.Dropped == "" && g.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN {
			return g
		}
		if o.Conn != 0 && o.Parent != 0 && begins(k) {
			return nil // it has taken what was before
		}
	}
	return nil
}

// naiveConn computes a connection's line from all its events; nil where it is none.
func naiveConn(events []tracer.Event, id uint32) *Conn {
	c := &Conn{ID: id, States: []string{}, Open: true, State: "CLOSED"}
	var told, begun, shown, answered, strays bool
	var role tracer.Role
	opener := func(r tracer.Role) {
		if role == "" {
			role = r
		}
	}
	type bytes struct{ first, end int64 }
	var flows [2]*bytes
	var known [2]uint64 // bytes, at the end
	payload := func(dir int, b *tracer.Segment) {
		if b.Len == 0 {
			return
		}
		seq := int64(b.Seq)
		if b.Flags.Has(tracer.SYN) {
			seq++
		}
		if flows[dir] == nil {
			flows[dir] = &bytes{first: seq, end: seq}
			if b.HasRel && b.RelSeq > 0 {
				flows[dir].first = seq - int64(b.RelSeq) + 1
				flows[dir].end = flows[dir].first
			}
		}
		flows[dir].end = max(flows[dir].end, seq+int64(b.Len))
	}
	count := func(b *tracer.Segment) {
		switch {
		case b.Dir == tracer.Out:
			c.SegmentsOut++
			if slices.Contains(b.Notes, "retransmission") {
				c.Retransmits++
			}
			payload(0, b)
		case b.Dropped == "":
			c.SegmentsIn++
			payload(1, b)
		}
	}
	size := func(dir int) uint64 {
		if flows[dir] == nil {
			return 0
		}
		return uint64(flows[dir].end - flows[dir].first)
	}
	for i, e := range events {
		if !c.Open {
			if b, ok := e.Body.(*tracer.Segment); ok && e.Conn == id {
				count(b)
			}
			continue
		}
		if e.Parent == id {
			return nil
		}
		if e.Conn != id {
			continue
		}
		if !begun {
			begun, c.Stack, c.Opened = true, e.Stack, e.T
			if g := naiveSYN(events, i); g != nil {
				c.SegmentsIn++
				payload(1, g)
			}
		}
		shown = shown || e.Parent != 0
		strays = strays || e.Remote.IsValid() && c.Remote.IsValid() && e.Remote != c.Remote
		if e.Local.IsValid() {
			c.Local = e.Local
		}
		if e.Remote.IsValid() {
			c.Remote = e.Remote
		}
		if e.Parent != 0 {
			opener(tracer.Passive)
		}
		switch b := e.Body.(type) {
		case *tracer.Call:
			switch b.Name {
			case "connect":
				shown = true
				opener(tracer.Active)
			case "accept":
				return nil
			}
		case *tracer.StateChange:
			told, c.State = true, b.To.String()
			if b.To == tracer.Listen || b.From == tracer.Listen && b.To == tracer.Closed && !shown {
				return nil
			}
			shown = true
			if b.From == tracer.Listen {
				opener(tracer.Passive)
			} else if b.To == tracer.SynSent {
				opener(tracer.Active)
			}
			if !slices.Contains(c.States, c.State) {
				c.States = append(c.States, c.State)
			}
		case *tracer.Segment:
			told = true
			answered = answered || b.Dir == tracer.Out || b.Flags&(tracer.SYN|tracer.ACK) != tracer.SYN
			if b.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN {
				if b.Dir == tracer.In {
					opener(tracer.Passive)
				} else {
					opener(tracer.Active)
				}
			}
			count(b)
		case *tracer.End:
			c.Open, c.State, c.How = false, "", b.How
			if b.Role != "" {
				role = b.Role
			}
			c.SegmentsIn, c.SegmentsOut, c.Retransmits = b.SegmentsIn, b.SegmentsOut, b.Retransmits
			c.BytesOut, known[0] = b.BytesOut, max(b.BytesOut, size(0))
			c.BytesIn, known[1] = b.BytesIn, max(b.BytesIn, size(1))
			c.Opened, c.Duration, c.Role = b.Opened, b.Duration, role
		default:
		}
	}
	if c.Open && (!told || !shown && (strays || !answered)) {
		return nil
	}
	if c.Open {
		c.Role, c.Duration = role, events[len(events)-1].T-c.Opened
	}
	c.BytesOut += max(size(0), known[0]) - known[0]
	c.BytesIn += max(size(1), known[1]) - known[1]
	return c
}
