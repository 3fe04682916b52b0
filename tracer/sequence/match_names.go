package sequence

import (
	"net/netip"
	"slices"

	"appliance/tracer"
)

// connNames returns the names of the connections that rows speak of, TCP's and UDP's, in the
// order in which they have them.
func connNames(rows []Row) (tcp, udp []string) {
	var calls []string
	add := func(list *[]string, name string) {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	eachRow(rows, func(r *Row) {
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

// eachRow calls f with each row that is no group, in the file's order.
func eachRow(rows []Row, f func(*Row)) {
	for i := range rows {
		g, isGroup := rows[i].Body.(Group)
		if !isGroup {
			f(&rows[i])
			continue
		}
		for _, list := range g.Lists {
			eachRow(list, f)
		}
	}
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
