package states

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
	"appliance/tracer/view/words"
)

// Text writes the diagram as text of at most 100 columns, 80 for the drawing itself: what
// was taken is drawn heavily, and below it stand the steps or the counts.
func (d *Diagram) Text(w io.Writer) error {
	p := &printer{d: d, lang: d.opts.Lang}
	p.line("%s", d.Title())
	p.line("")
	p.b.WriteString(d.drawing().String())
	p.line("")
	p.key()
	if d.Many {
		p.counts()
	} else {
		for end := range d.Paths {
			p.path(end)
		}
	}
	p.others()
	p.coverage()
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("write the state diagram: %w", err)
	}
	return nil
}

// Title says what the picture shows.
func (d *Diagram) Title() string {
	if d.Many {
		ends, listeners := 0, 0
		for _, p := range d.Paths {
			if p.Conn.Listener {
				listeners++
			} else {
				ends++
			}
		}
		return d.opts.Lang.F("TCP's states (RFC 9293, figure 5): ends of connections: %d, listeners: %d", ends, listeners)
	}
	c := d.Paths[0].Conn
	if c.Listener {
		return d.opts.Lang.F("TCP's states (RFC 9293, figure 5): the listener at %s", c.Local)
	}
	return d.opts.Lang.F("TCP's states (RFC 9293, figure 5): %s → %s", from(d.Paths), to(d.Paths))
}

// from and to are the opener's address and the other end's.
func from(paths []Path) string {
	if c := paths[0].Conn; c.Role() == tracer.Passive {
		return c.Remote.String()
	}
	return paths[0].Conn.Local.String()
}

func to(paths []Path) string {
	if c := paths[0].Conn; c.Role() == tracer.Passive {
		return c.Local.String()
	}
	return paths[0].Conn.Remote.String()
}

// drawing is the diagram in characters.
func (d *Diagram) drawing() *grid {
	g := &grid{ascii: d.opts.ASCII}
	for i := range figure {
		r, w := routeOf(i), light
		if d.Taken[i] > 0 {
			w = heavy
		}
		above, below := r.words(figure[i])
		g.way(r, w)
		g.label(&r.label, above, below, d.badge(i), w)
	}
	for i := range boxes {
		b := &boxes[i]
		w, tag := light, ""
		lines := []string{b.state.String()}
		if d.reached(b) {
			w = heavy
			lines = append(lines, d.visits(b)...)
			if !b.below {
				tag = d.beyond(b.state)
			}
		}
		if tag != "" {
			tag += d.leftMark()
		}
		g.box(b, w, lines, tag)
	}
	return g
}

// leftMark marks a box that a connection left by no arrow of the figure.
func (d *Diagram) leftMark() string {
	if d.opts.ASCII {
		return "!"
	}
	return "✗"
}

// reached tells whether a box's state was: of CLOSED's two, whether anything begins or
// ends in it.
func (d *Diagram) reached(b *box) bool {
	if b.state == tracer.Closed {
		return strings.Join(d.closed(b), "") != ""
	}
	return d.States[b.state].Reached
}

// printer writes the lists under the drawing.
type printer struct {
	b    strings.Builder
	d    *Diagram
	lang words.Lang
}

func (p *printer) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.d.opts.ASCII {
		text = asciiOf.Replace(text)
		if p.lang != words.Chinese { // whose words have no other characters
			text = strings.Map(func(r rune) rune {
				if r > '~' {
					return '?'
				}
				return r
			}, text)
		}
	}
	p.b.WriteString(strings.TrimRight(text, " "))
	p.b.WriteByte('\n')
}

// asciiOf has what the views draw with in ASCII.
var asciiOf = strings.NewReplacer("→", "->", "×", "x", "━", "=", "─", "-", "✗", "!", "·", ".", "…", "...", "µ", "u")

// pad fills a text up to a width in columns.
func pad(s string, n int) string { return s + strings.Repeat(" ", max(n-words.Width(s), 0)) }

// padLeft fills a text up from the left.
func padLeft(s string, n int) string { return strings.Repeat(" ", max(n-words.Width(s), 0)) + s }

// clean is a text out of the trace, safe for a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// clip cuts a text that is wider than so many columns.
func clip(s string, columns int) string {
	n := 0
	for i, r := range s {
		if n += words.RuneWidth(r); n > columns {
			return s[:i] + "…"
		}
	}
	return s
}

// key says what the signs mean.
func (p *printer) key() {
	line := p.lang.T("━━ taken   ── not taken")
	if p.d.Many {
		line += "   " + p.lang.T("n× how often   ~ half of the visits were shorter")
	} else {
		line += "   " + p.lang.T("the numbers: in this order")
	}
	if len(p.d.Others) > 0 {
		line += "   " + p.lang.T("✗ left by no arrow of the figure")
	}
	p.line("%s", line)
	p.line("%s", p.lang.T("note 1: only after a passive OPEN · note 2: the RFC names it but does not draw it"))
}

// name says which end of a connection a path is.
func (p *Path) name(l words.Lang) string {
	c := p.Conn
	switch {
	case c.Listener:
		return l.F("%s, listener %d at %s", clean(c.Stack), c.ID, c.Local)
	case c.Role() == tracer.Passive:
		return l.F("%s, connection %d: %s, opened by %s", clean(c.Stack), c.ID, c.Local, c.Remote)
	default:
		return l.F("%s, connection %d: %s → %s", clean(c.Stack), c.ID, c.Local, c.Remote)
	}
}

// path lists one end's steps.
func (p *printer) path(end int) {
	path := &p.d.Paths[end]
	mark := [2]string{"", ""}
	if len(p.d.Paths) > 1 {
		mark = marks[end]
	}
	p.line("")
	p.line("%s  %s", mark[0]+mark[1], path.name(p.lang))
	p.row("", p.lang.T("ms"), p.lang.T("change of state"), p.lang.T("after"), p.lang.T("by|what caused it"), "RFC 9293")
	for k, s := range path.Steps {
		number := mark[0] + fmt.Sprint(k+1) + mark[1]
		if end == 0 && len(p.d.Paths) == 1 {
			number = marks[0][0] + fmt.Sprint(k+1) + marks[0][1]
		}
		dwell := ""
		if s.Dwell >= 0 {
			dwell = shortDuration(s.Dwell)
		}
		p.row(number, milliseconds(s.At), s.From.String()+" → "+s.To.String(), dwell, s.why(p.lang), s.place(p.lang))
	}
	if path.Open >= 0 {
		last := path.Steps[len(path.Steps)-1].To
		p.line("%s %s", strings.Repeat(" ", 17), p.lang.F("still in %s when the trace ended, after %s", last, shortDuration(path.Open)))
	}
}

// row writes one step.
func (p *printer) row(number, at, change, dwell, why, clause string) {
	p.line("%s %s  %s %s  %s %s", padLeft(number, 5), padLeft(at, 10), pad(change, 26), padLeft(dwell, 9), pad(why, 34), clause)
}

// why names a step's cause.
func (s *Step) why(l words.Lang) string {
	what := s.Cause.What
	if what == "" {
		what = string(s.Cause.Kind)
	}
	if what == "" {
		return ""
	}
	text := clip(clean(l.T(what)), 60)
	if s.Cause.N != 0 {
		text += fmt.Sprintf(" #%d", s.Cause.N)
	}
	if s.Listener != 0 {
		text = l.F("%s, listener %d", text, s.Listener)
	}
	return text
}

// place is where a step is specified.
func (s *Step) place(l words.Lang) string {
	if s.Arrow < 0 && s.Clause == "" {
		return l.T("in no RFC")
	}
	return clean(s.Clause)
}

// counts lists the states with their visits.
func (p *printer) counts() {
	p.line("")
	columns := func(values ...string) string {
		line := pad(values[0], 14)
		for _, v := range values[1:] {
			line += " " + padLeft(v, 13)
		}
		return line
	}
	p.line("%s", columns(p.lang.T("state"), p.lang.T("visits"), p.lang.T("shortest"), p.lang.T("median"), p.lang.T("longest"), p.lang.T("at the end")))
	for _, s := range allStates {
		t := p.d.States[s]
		if !t.Reached {
			continue
		}
		short, median, long, open := "", "", "", ""
		if n := len(t.Dwells); n > 0 {
			short, median, long = shortDuration(t.Dwells[0]), shortDuration(t.Dwells[n/2]), shortDuration(t.Dwells[n-1])
		}
		if t.Open > 0 {
			open = fmt.Sprint(t.Open)
		}
		p.line("%s", columns(s.String(), fmt.Sprint(t.Visits), short, median, long, open))
	}
}

// others lists the changes that the figure does not have.
func (p *printer) others() {
	if len(p.d.Others) == 0 {
		return
	}
	p.line("")
	p.line("%s", p.lang.T("changes that the figure does not draw:"))
	for _, o := range p.d.Others {
		p.line("%s  %s  %s", padLeft(fmt.Sprintf("%d×", o.Count), 6), pad(o.From.String()+" → "+o.To.String(), 27), o.reason(p.lang))
	}
}

// reason says what such a change is, by the table of all of them.
func (o *Other) reason(l words.Lang) string {
	t, ok := tcpstate.Lookup(o.From, o.To, o.Kind)
	what := clip(clean(l.T(o.What)), 60)
	switch {
	case !ok:
		return l.F("%s: no document has this change", what)
	case t.Source == "":
		return l.F("%s (in no RFC)", what)
	case strings.HasPrefix(t.Citation(), t.Source):
		return what + " (" + t.Citation() + ")"
	default:
		return what + " (" + t.Source + ", " + t.Citation() + ")"
	}
}

// coverage tells how much of the figure that was, and what it never reached.
func (p *printer) coverage() {
	p.line("")
	for _, s := range p.d.coverageWords() {
		for _, line := range wrap(s, 100) {
			p.line("%s", line)
		}
	}
}

// coverageWords are sentences about how much of the figure was covered.
func (d *Diagram) coverageWords() []string {
	l := d.opts.Lang
	states, transitions := d.Coverage()
	list := []string{l.F("reached %d of %d states (%s) and took %d of %d transitions of the figure (%s)",
		states, len(allStates), percent(states, len(allStates)), transitions, len(figure), percent(transitions, len(figure)))}
	never, untaken := d.Missed()
	if len(never) > 0 {
		names := make([]string, len(never))
		for i, s := range never {
			names[i] = s.String()
		}
		list = append(list, l.F("never reached: %s", strings.Join(names, ", ")))
	}
	if d.Many && len(untaken) > 0 {
		names := make([]string, len(untaken))
		for i, a := range untaken {
			names[i] = a.From.String() + " → " + a.To.String()
		}
		list = append(list, l.F("never taken: %s", strings.Join(names, ", ")))
	}
	return list
}

func percent(n, of int) string { return fmt.Sprintf("%d %%", (n*100+of/2)/of) }

// wrap breaks a text into lines of at most that many columns, behind commas or blanks.
func wrap(s string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range strings.SplitAfter(s, ", ") {
		if line != "" && words.Width(line)+words.Width(strings.TrimRight(word, " ")) > columns {
			lines = append(lines, strings.TrimRight(line, " "))
			line = "  "
		}
		line += word
	}
	return append(lines, line)
}
