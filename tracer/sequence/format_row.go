package sequence

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns the row as the file has it, a group in YAML's short form.
func (r Row) String() string {
	if r.Body == nil {
		return ""
	}
	return fmt.Sprint(r.Body)
}

// String returns the row's line.
func (r CallRow) String() string {
	w := words{r.At.String(), r.Call}
	switch {
	case r.Listener:
		w.add("listener")
	case r.EOF && r.Bytes < 0:
		w.add("all")
	case r.EOF && r.Bytes == 0:
		w.add("EOF")
	case r.EOF:
		w.add(strconv.Itoa(r.Bytes), "EOF")
	case r.Bytes > 0:
		w.add(strconv.Itoa(r.Bytes))
	}
	w.text("fails", r.Fails)
	return w.String()
}

// String returns the row's line.
func (r StateRow) String() string {
	w := words{r.At.String(), r.From.String(), "→", r.To.String(), "by", r.By.String()}
	w.after(r.After, r.MSLs)
	return w.String()
}

// String returns the row's line.
func (r TimerRow) String() string {
	w := words{r.At.String(), "timer", r.Timer}
	w.after(r.After, r.MSLs)
	return w.String()
}

// wayOf returns what a segment's or datagram's line begins with.
func wayOf(from At, way Ways) words {
	to := At{from.End.Other(), from.Conn}
	switch way {
	case Sent:
		return words{from.String(), "▶"}
	case Arrives:
		return words{to.String(), "◀"}
	default:
		return words{from.String(), "→", to.String()}
	}
}

// String returns the row's line, with its label.
func (r SegmentRow) String() string {
	w := wayOf(r.From, r.Way)
	w.add(flagList(r.Flags))
	w.number("seq", r.Seq)
	w.number("ack", r.Ack)
	if r.Len != (Number{Op: Equal}) {
		w.number("len", r.Len)
	}
	w.number("win", r.Win)
	if r.Opts != nil {
		w.add("opts=" + r.Opts.String())
	}
	if len(r.Notes) > 0 {
		w.add("note=" + strings.Join(r.Notes, ","))
	}
	switch {
	case r.Max == 0:
		w.add(fmt.Sprintf("times=%d+", r.Min))
	case r.Min != r.Max:
		w.add(fmt.Sprintf("times=%d-%d", r.Min, r.Max))
	case r.Min != 1:
		w.add("times=" + strconv.Itoa(r.Min))
	}
	if r.Lost {
		w.add("lost")
	}
	return of(r.Label, w.String())
}

// String returns the options as they stand behind "opts=": "mss=1460,ws,sack_ok", "none".
func (o Opts) String() string {
	var names []string
	add := func(has bool, name string) {
		if has {
			names = append(names, name)
		}
	}
	switch {
	case o.MSS && o.MSSValue != 0:
		add(true, "mss="+strconv.Itoa(int(o.MSSValue)))
	default:
		add(o.MSS, "mss")
	}
	switch {
	case o.WS && o.WSValue >= 0:
		add(true, "ws="+strconv.Itoa(o.WSValue))
	default:
		add(o.WS, "ws")
	}
	add(o.SACKOK, "sack_ok")
	add(o.TS, "ts")
	add(o.SACK, "sack")
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

// String returns the row's line, with its label.
func (r DatagramRow) String() string {
	w := wayOf(r.From, r.Way)
	w.add("datagram")
	w.number("len", r.Len)
	if r.Lost {
		w.add("lost")
	}
	return of(r.Label, w.String())
}

// String returns the group in YAML's short form: {optional: ["S timer retransmit"]}.
func (g Group) String() string {
	switch g.Kind {
	case Optional:
		return fmt.Sprintf("{%s: %s}", g.Kind, g.list(0))
	case Only:
		players := make([]string, len(g.Players))
		for i, p := range g.Players {
			players[i] = string(p)
		}
		return fmt.Sprintf("{%s: {%q: %s}}", g.Kind, fmt.Sprintf("%s@%s", g.For, strings.Join(players, ",")), g.list(0))
	default:
		lists := make([]string, len(g.Lists))
		for i, rows := range g.Lists {
			lists[i] = flowList(rows)
		}
		return fmt.Sprintf("{%s: [%s]}", g.Kind, strings.Join(lists, ", "))
	}
}

// list returns the list i.
func (g Group) list(i int) string {
	if i >= len(g.Lists) {
		return "[]"
	}
	return flowList(g.Lists[i])
}

// flowList returns lines as a list of YAML's short form; groups stand as they are.
func flowList[T fmt.Stringer](items []T) string {
	lines := make([]string, len(items))
	for i, item := range items {
		if lines[i] = item.String(); !strings.HasPrefix(lines[i], "{") {
			lines[i] = quoteYAML(lines[i])
		}
	}
	return "[" + strings.Join(lines, ", ") + "]"
}

// quoteYAML quotes a line, which has printable characters alone, for YAML.
func quoteYAML(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
