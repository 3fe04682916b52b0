package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/draw"
	"appliance/tracer/view/ladder"
)

// titleOf names what was traced: the connection where there is one, else who listened.
func titleOf(t *view.Trace, o Options) string {
	if all := ladder.All(t); len(all) == 1 {
		return addresses(all[0])
	}
	var at []string
	for _, c := range t.Conns {
		if c.Listener && len(at) < 4 {
			at = append(at, c.Local.String())
		}
	}
	n := uint64(len(t.Pairs()))
	switch {
	case n > 0 && len(at) == 1:
		return o.Lang.F("%[1]s connections to %[2]s", grouped(n), at[0])
	case n > 0:
		return o.Lang.F("%s connections", grouped(n))
	case len(at) > 0:
		return o.Lang.F("Listening at %s", strings.Join(at, ", "))
	default:
		return o.Lang.T("A trace without connections")
	}
}

// addresses tells who opened to whom, or who sent first.
func addresses(p view.Pair) string {
	from, to := p.A.Local, p.A.Remote
	switch {
	case !to.IsValid():
		return from.String()
	case !from.IsValid():
		return to.String()
	case p.A.Role() == tracer.Passive:
		from, to = to, from
	}
	return from.String() + " → " + to.String()
}

// whatOf tells in short when and where the trace was made.
func whatOf(t *view.Trace, o Options) []string {
	var list []string
	if !t.Header.Started.IsZero() {
		list = append(list, t.Header.Started.UTC().Format("2006-01-02 15:04:05")+" UTC")
	}
	list = append(list, o.Lang.F("%s long", lasted(t.End())))
	l := t.Header.Link
	link := strings.TrimSpace(l.Kind + " " + l.Name)
	if l.Peer != "" {
		link += " ↔ " + l.Peer
	}
	if l.MTU > 0 {
		link += ", MTU " + strconv.FormatUint(uint64(l.MTU), 10)
	}
	if link != "" {
		list = append(list, link)
	}
	if l.Impair != "" {
		list = append(list, o.Lang.F("impaired: %s", l.Impair))
	}
	if t.Header.GVisor != "" {
		list = append(list, o.Lang.T("recorded inside gVisor's TCP"))
	}
	return list
}

// factsOf is how the trace was made: versions, link and settings.
func factsOf(h tracer.Header, o Options) []fact {
	var list []fact
	add := func(name, value string) {
		if value != "" && value != "0" {
			list = append(list, fact{name, value})
		}
	}
	size := func(n int) string { return strconv.Itoa(n) }
	add(o.Lang.T("appliance"), h.Appliance)
	add("gVisor", h.GVisor)
	add("Go", h.Go)
	add(o.Lang.T("schema"), tracer.Schema)
	add(o.Lang.T("link"), strings.TrimSpace(h.Link.Kind+" "+h.Link.Name))
	add(o.Lang.T("link's other end"), h.Link.Peer)
	add("MAC", h.Link.MAC)
	add("MTU", strconv.FormatUint(uint64(h.Link.MTU), 10))
	add(o.Lang.T("offload"), h.Link.Offload)
	add(o.Lang.T("impairment"), h.Link.Impair)
	add(o.Lang.T("congestion control"), h.TCP.Congestion)
	for _, s := range []struct {
		name string
		on   bool
	}{{"SACK", h.TCP.SACK}, {"RACK", h.TCP.RACK}, {"Nagle", h.TCP.Nagle}} {
		if h.TCP.Congestion != "" { // else nothing is known of the settings
			add(s.name, map[bool]string{true: o.Lang.T("on"), false: o.Lang.T("off")}[s.on])
		}
	}
	add("MSS", size(h.TCP.MSS))
	add("MSL", duration(h.TCP.MSL))
	add("FIN-WAIT-2", duration(h.TCP.FinWait2))
	add(o.Lang.T("least RTO"), duration(h.TCP.MinRTO))
	add(o.Lang.T("retries"), size(h.TCP.Retries))
	add(o.Lang.T("send buffer"), size(h.TCP.SendBuffer))
	add(o.Lang.T("receive buffer"), size(h.TCP.RecvBuffer))
	add(o.Lang.T("backlog"), size(h.TCP.Backlog))
	return list
}

// duration is a setting; "" for none.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// lasted is a measured time in three digits or so.
func lasted(d time.Duration) string {
	unit, name := time.Microsecond, "µs"
	switch {
	case d >= 10*time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		unit, name = time.Second, "s"
	case d >= time.Millisecond:
		unit, name = time.Millisecond, "ms"
	}
	f := float64(d) / float64(unit)
	decimals := 0
	switch {
	case unit == time.Microsecond:
	case f < 10:
		decimals = 2
	case f < 100:
		decimals = 1
	}
	return strconv.FormatFloat(f, 'f', decimals, 64) + " " + name
}

// stateVariables are the states' colours as variables of the page's own style, by number,
// and the classes of the table's strips.
func stateVariables() string {
	var b strings.Builder
	b.WriteString(":root{")
	for s := range tracer.TimeWait + 1 {
		c := draw.StatePalette[s]
		fmt.Fprintf(&b, "--s-%d:light-dark(%s,%s);", s, c.Light, c.Dark)
	}
	b.WriteString("}\n")
	for s := range tracer.TimeWait + 1 {
		fmt.Fprintf(&b, ".strip .s-%d{background:var(--s-%d)}\n", s, s)
	}
	return b.String()
}
