package sequence

import (
	"net/netip"
	"slices"

	"appliance/tracer"
)

// connNames returns the names of the connections that rows speak of, TCP's and UDP's, in the
// order in which they have them.
func connNames(rows []Row, players Players) (tcp, udp []string) {
	var calls []string
	add := func(list *[]string, name string) {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	eachRow(rows, players, func(r *Row) {
		switch b := r.Body.(type) {
		case SegmentRow:
			add(&tcp, b.From.Conn)
		case DatagramRow:
			add(&udp, b.From.Conn)
		case StateRow:
			if !ofListener(b.From, b.To) {
				add(&tcp, b.At.Conn)
			}
		case TimerRow:
			add(&tcp, b.At.Conn)
		case CallRow:
			if !b.Listener && b.Call != "socket" && b.Call != "bind" && b.Call != "listen" {
				add(&calls, b.At.Conn)
			}
		case Group:
		}
	})
	for _, name := range calls { // calls alone do not tell the protocol
		if !slices.Contains(udp, name) {
			add(&tcp, name)
		}
	}
	return tcp, udp
}

// ofListener tells whether a change is one that a listener makes.
func ofListener(from, to tracer.State) bool {
	return from == tracer.Closed && to == tracer.Listen || from == tracer.Listen && to == tracer.Closed
}

// eachRow calls f with each row that is no group, in the file's order, but for those that do not
// count with these players.
func eachRow(rows []Row, players Players, f func(*Row)) {
	for i := range rows {
		g, isGroup := rows[i].Body.(Group)
		if !isGroup {
			f(&rows[i])
			continue
		}
		if !counts(&g, players) {
			continue
		}
		for _, list := range g.Lists {
			eachRow(list, players, f)
		}
	}
}

// counts tells whether a group's rows count with these players: all do but an Only's for another.
func counts(g *Group, players Players) bool {
	return g.Kind != Only || slices.Contains(g.Players, players[g.For])
}

// anyCounts tells whether a list has rows that count with these players, or none at all in the file.
func anyCounts(rows []Row, players Players) bool {
	found := len(rows) == 0
	eachRow(rows, players, func(*Row) { found = true })
	return found
}

// hasFlood tells whether a script of the run floods.
func hasFlood(r *Run) bool {
	flood := func(f Frame) bool { return f.From == "flood" }
	if slices.ContainsFunc(r.Extra, flood) {
		return true
	}
	for _, frames := range r.Scripts {
		if slices.ContainsFunc(frames, flood) {
			return true
		}
	}
	return false
}

// The addresses that a flood comes from.
var (
	floodFirst4 = netip.MustParseAddr("192.168.12.128")
	floodLast4  = netip.MustParseAddr("192.168.12.254")
	flood6      = netip.MustParsePrefix("fd00:12::f:0/112")
)

func isFloodSource(a netip.Addr) bool {
	if a.Is4() {
		return a.Compare(floodFirst4) >= 0 && a.Compare(floodLast4) <= 0
	}
	return flood6.Contains(a)
}
