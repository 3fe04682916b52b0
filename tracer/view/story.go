package view

import (
	"cmp"
	"slices"

	"appliance/tracer"
)

// Item is an event of a pair's story: its index in Trace.Events, and at which end it
// happened, 0 for A and 1 for B.
type Item struct{ Index, End int }

// Story returns all that happened to a pair, in order: the events of its connections; the
// segments between its addresses that the trace has under a listener or under none (the
// SYN that a listener took, the RST in answer to a segment that nobody expects); and of the
// listener's calls the accept that returned the connection and, where it made no other
// connection, how it came to listen. Where B is not traced, what its stack tells without a
// connection still is at end 1.
func (t *Trace) Story(p Pair) []Item {
	var items []Item
	add := func(c *Conn, end int) {
		for _, i := range c.Events {
			items = append(items, Item{i, end})
		}
		for _, i := range t.before(c) {
			items = append(items, Item{i, end})
		}
	}
	add(p.A, 0)
	if p.B != nil {
		add(p.B, 1)
	}
	here := ends{p.A.Local, p.A.Remote}
	if len(t.between[normal(here)]) > 0 && here.local.IsValid() && here.remote.IsValid() {
		for end, e := range []ends{here, here.mirrored()} {
			for _, i := range t.loose[e] {
				if t.owner(i, here) == p {
					items = append(items, Item{i, end})
				}
			}
		}
	}
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Index, b.Index) })
	return slices.CompactFunc(items, func(a, b Item) bool { return a.Index == b.Index })
}

// Whole returns the listener's own story as a pair: all its segments, also those of
// connections that never came to be.
func (t *Trace) Whole(listener *Conn) []Item {
	items := make([]Item, len(listener.Events))
	for k, i := range listener.Events {
		items[k] = Item{i, 0}
	}
	return items
}

// index notes what Story looks up of an event.
func (t *Trace) index(i int, e *tracer.Event) {
	if b, ok := e.Body.(*tracer.Call); ok && b.Conn != 0 {
		t.accepted[b.Conn] = i
	}
	if _, udp, ok := packet(e.Body); !ok || udp || !e.Remote.IsValid() || !e.Local.IsValid() {
		return
	}
	if c := t.conns[e.Conn]; c == nil || c.Listener || c.UDP {
		key := ends{e.Local, e.Remote}
		t.loose[key] = append(t.loose[key], i)
	}
}

// before are the events of a connection's listener that belong to its story.
func (t *Trace) before(c *Conn) []int {
	var is []int
	if i, ok := t.accepted[c.ID]; ok && c.ID != 0 {
		is = append(is, i)
		if b, _ := t.Events[i].Body.(*tracer.Call); b.Of != 0 {
			if enter := t.Index(b.Of); enter >= 0 && t.Events[enter].Body.Type() == tracer.TypeCall {
				is = append(is, enter)
			}
		}
	}
	l := t.conns[c.Parent]
	if l == nil || t.children[c.Parent] != 1 {
		return is
	}
	for _, i := range l.Events {
		if i > c.Events[0] {
			break
		}
		switch b := t.Events[i].Body.(type) {
		case *tracer.StateChange:
			is = append(is, i)
		case *tracer.Call:
			if b.Name != "accept" {
				is = append(is, i)
			}
		default:
		}
	}
	return is
}

// owner is the pair that a loose segment between two addresses belongs to: a port that is
// used again makes several. The segment is of the connection that began last, or of the
// one that it began; of the first where it comes before all.
func (t *Trace) owner(i int, e ends) Pair {
	list := t.between[normal(e)]
	for _, n := range t.effects[t.Events[i].N] {
		if k, ok := t.pairOf[t.ByN(n).Conn]; ok {
			if _, here := slices.BinarySearch(list, k); here {
				return t.pairs[k]
			}
		}
	}
	k, _ := slices.BinarySearchFunc(list, i, func(k, i int) int { return cmp.Compare(t.pairs[k].first(), i) })
	return t.pairs[list[max(k-1, 0)]]
}

// first is the index of a pair's first event.
func (p Pair) first() int {
	if p.B != nil {
		return min(p.A.Events[0], p.B.Events[0])
	}
	return p.A.Events[0]
}

// normal is the same for both ends of a connection.
func normal(e ends) ends {
	if e.local.Compare(e.remote) > 0 {
		return e.mirrored()
	}
	return e
}
