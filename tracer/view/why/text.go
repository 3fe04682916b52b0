package why

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"appliance/tracer/sink/text"
	"appliance/tracer/view/words"
)

// TextOptions are how an answer is written; the zero value is ready.
type TextOptions struct {
	Lang  words.Lang
	Color bool // the terminal's own colours
}

// WriteText writes the answer as a tree, a line an event: first the chain of causes, then
// the event, marked by », then what it caused.
func (a *Answer) WriteText(w io.Writer, o TextOptions) error {
	p := &printer{o: o, sink: text.New(io.Discard, text.Options{Lang: o.Lang, Color: o.Color, Width: 100, Conns: text.ConnsAlways})}
	for i := range a.t.Events {
		p.sink.Pass(&a.t.Events[i])
	}
	for _, s := range a.Chain {
		p.add(s, "")
	}
	p.rows[len(p.rows)-1].mark = "»"
	p.effects(a.Effects, a.More, "")
	p.legend()
	_, err := io.WriteString(w, p.text())
	return err
}

// row is a line of the answer; of one that is no event, only the story is there.
type row struct {
	mark, n, at, name, link, tree, story string
}

type printer struct {
	o    TextOptions
	sink *text.Sink
	rows []row
	used map[Link]bool
}

// add adds an event's row; tree is what stands before its story.
func (p *printer) add(s Step, tree string) {
	if p.used == nil {
		p.used = map[Link]bool{}
	}
	p.used[s.Link] = true
	e := s.Event
	name := e.Stack
	if e.Conn != 0 {
		name += "." + strconv.FormatUint(uint64(e.Conn), 10)
	}
	p.rows = append(p.rows, row{
		n: strconv.FormatUint(e.N, 10), at: strconv.FormatFloat(float64(e.T)/float64(time.Millisecond), 'f', 3, 64),
		name: visible(name), link: p.link(s.Link), tree: tree, story: p.sink.Story(e),
	})
}

// link is a link's word.
func (p *printer) link(l Link) string {
	switch l {
	case Recorded:
		return p.o.Lang.T("recorded")
	case Wire:
		return p.o.Lang.T("wire")
	case Deduced:
		return p.o.Lang.T("deduced")
	default:
		return ""
	}
}

// effects adds the rows of what an event caused, behind indent.
func (p *printer) effects(list []*Effect, more int, indent string) {
	for i, e := range list {
		branch, below := "├─ ", "│  "
		if i == len(list)-1 && more == 0 {
			branch, below = "└─ ", "   "
		}
		p.add(e.Step, indent+branch)
		p.effects(e.Effects, e.More, indent+below)
	}
	if more > 0 {
		p.rows = append(p.rows, row{tree: indent + "└─ ", story: p.o.Lang.F("… %d more", more)})
	}
}

// legend explains the links.
func (p *printer) legend() {
	l := p.o.Lang
	var lines []string
	for _, x := range []struct {
		link Link
		says string
	}{
		{Recorded, l.T("the trace names the cause")},
		{Wire, l.T("the same packet, at its other end")},
		{Deduced, l.T("follows from what the packet is and what came before it")},
	} {
		if p.used[x.link] {
			lines = append(lines, l.F("%s: %s|a word and what it means", p.link(x.link), x.says))
		}
	}
	p.rows = append(p.rows, row{})
	for _, line := range lines {
		p.rows = append(p.rows, row{mark: line})
	}
}

// text lays the rows out.
func (p *printer) text() string {
	l := p.o.Lang
	head := row{n: "n", at: "ms", name: l.T("stack"), link: l.T("because"), story: l.T("event")}
	var wn, wat, wname, wlink int
	for _, r := range append([]row{head}, p.rows...) {
		wn, wat = max(wn, words.Width(r.n)), max(wat, words.Width(r.at))
		wname, wlink = max(wname, words.Width(r.name)), max(wlink, words.Width(r.link))
	}
	var b strings.Builder
	line := func(r row, style string) {
		if r.n == "" && r.story == "" {
			b.WriteString(p.paint("2", r.mark) + "\n")
			return
		}
		lead := fmt.Sprintf("%-1s %s%s  %s%s  ", r.mark, spaces(wn-words.Width(r.n)), r.n, spaces(wat-words.Width(r.at)), r.at)
		mid := r.name + spaces(wname-words.Width(r.name)) + "  "
		tail := r.link + spaces(wlink-words.Width(r.link)) + "  "
		text := p.paint("2", lead) + p.paint(style, mid) + p.paint("2", tail+r.tree) + r.story
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	head.story = p.paint("2", head.story)
	line(head, "2")
	for _, r := range p.rows {
		style := ""
		if r.mark == "»" {
			style = "1"
		}
		line(r, style)
	}
	return b.String()
}

func (p *printer) paint(style, s string) string {
	if !p.o.Color || style == "" || strings.TrimSpace(s) == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

func spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }

// visible keeps what comes out of a trace from acting on the terminal.
func visible(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q[1 : len(q)-1]
	}
	return s
}
