package ladder

import (
	"strings"
	"unicode/utf8"

	"appliance/tracer"
	"appliance/tracer/view/words"
)

// style is an SGR sequence's parameters; "" is the terminal's own colour. The eight plain
// colours are the ones that a terminal's theme makes readable on its background.
type style string

const (
	plain  style = ""
	dim    style = "2"
	bold   style = "1"
	right  style = "32" // what the left end sends
	left   style = "36" // what the right end sends
	amber  style = "33"
	red    style = "31"
	violet style = "35"
)

// stateStyle is a state's colour: yellow while it opens, green while it is open, blue where
// this end closed first, red where the other did.
func stateStyle(s tracer.State) style {
	switch s {
	case tracer.SynSent, tracer.SynReceived:
		return "1;33"
	case tracer.Established:
		return "1;32"
	case tracer.FinWait1, tracer.FinWait2:
		return "1;34"
	case tracer.Closing, tracer.TimeWait:
		return "1;35"
	case tracer.CloseWait, tracer.LastAck:
		return "1;31"
	default:
		return dim
	}
}

// laneGlyph is what a lane looks like in a state; without colours it still tells opening,
// open and closing apart.
func laneGlyph(p Phase) string {
	if !p.Known {
		return "│"
	}
	switch p.State {
	case tracer.Closed:
		return "·"
	case tracer.Listen:
		return "┆"
	case tracer.SynSent, tracer.SynReceived:
		return "╏"
	case tracer.Established:
		return "┃"
	default:
		return "║"
	}
}

// glyphs are the marks, by their Unicode form, in ASCII.
var glyphs = strings.NewReplacer(
	"│", "|", "┃", "|", "║", "#", "╏", ":", "┆", ".", "·", ".", "┊", ":", "⋮", ":", "●", "*",
	"─", "-", "┈", ".", "▶", ">", "◀", "<", "╮", ".", "╭", ".", "╰", "`", "╯", "'", "┄", "-",
	"…", "...", "✗", "x", "⏱", "@", "■", "#", "×", "x",
)

// ascii is a text in ASCII only.
func ascii(s string) string {
	s = glyphs.Replace(s)
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, s)
}

// line builds one line and knows the column that it has come to.
type line struct {
	buf   []byte
	col   int
	color bool
	ascii bool
}

func (l *line) put(st style, s string) {
	if s == "" {
		return
	}
	if l.ascii {
		s = ascii(s)
	}
	l.col += words.Width(s)
	if !l.color || st == plain || strings.TrimSpace(s) == "" {
		l.buf = append(l.buf, s...)
		return
	}
	l.buf = append(l.buf, "\x1b["+string(st)+"m"...)
	l.buf = append(l.buf, s...)
	l.buf = append(l.buf, "\x1b[0m"...)
}

// to goes on to a column, where the line has not come so far yet.
func (l *line) to(col int) {
	for l.col < col {
		l.buf = append(l.buf, ' ')
		l.col++
	}
}

// end ends the line, without spaces before its end.
func (l *line) end() {
	for len(l.buf) > 0 && l.buf[len(l.buf)-1] == ' ' {
		l.buf = l.buf[:len(l.buf)-1]
	}
	l.buf = append(l.buf, '\n')
	l.col = 0
}

// longestWord is how wide the widest part of a text is that wrap does not break if it can.
func longestWord(s string) int {
	wide := 0
	for _, word := range strings.Fields(s) {
		wide = max(wide, words.Width(word))
	}
	return wide
}

// wrap breaks a text into lines of at most width columns, at spaces where it can, but not
// between a time and its unit.
func wrap(s string, width int) []string {
	var lines []string
	for {
		head, rest := firstLine(s, width)
		lines = append(lines, head)
		if rest == "" {
			return lines
		}
		s = rest
	}
}

// firstLine returns the first of wrap's lines, and what is left for the others.
func firstLine(s string, width int) (head, rest string) {
	cut, space := 0, -1
	col := 0
	for i, r := range s {
		if col += words.RuneWidth(r); col > width {
			break
		}
		cut = i + utf8.RuneLen(r)
		if r == ' ' && !unitAt(s[i+1:]) {
			space = i
		}
	}
	if col <= width {
		return s, ""
	}
	next := cut
	if cut < len(s) && s[cut] == ' ' && !unitAt(s[cut+1:]) {
		space = cut
	}
	if space > 0 {
		cut, next = space, space+1
	}
	if cut == 0 { // a single character is wider than the line
		_, cut = utf8.DecodeRuneInString(s)
		next = cut
	}
	return strings.TrimRight(s[:cut], " "), strings.TrimLeft(s[next:], " ")
}

// unitAt tells whether a text begins with a unit of time.
func unitAt(s string) bool {
	word, _, _ := strings.Cut(s, " ")
	return word == "ms" || word == "s" || word == "min"
}

// cut shortens a text to at most width columns, with … at its end.
func cut(s string, width int, ascii bool) string {
	if words.Width(s) <= width {
		return s
	}
	dots := 1
	if ascii {
		dots = 3
	}
	col := 0
	for i, r := range s {
		if col += words.RuneWidth(r); col > width-dots {
			return s[:i] + "…"
		}
	}
	return s
}
