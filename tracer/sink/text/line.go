package text

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"appliance/tracer/view/words"
)

// style is an SGR sequence's parameters; "" is the terminal's own colour. The eight
// plain colours are the ones that a terminal's theme makes readable on its background.
type style string

const (
	plain  style = ""
	dim    style = "2"
	bold   style = "1"
	inward style = "36"   // cyan
	out    style = "32"   // green
	state  style = "1;35" // bold magenta
	amber  style = "33"
	bad    style = "31"
)

// reset is the SGR sequence that ends a style.
const reset = "\x1b[0m"

// glyphs are the marks, by their Unicode form, in ASCII.
var glyphs = strings.NewReplacer(
	"◀", "<", "▶", ">", "●", "*", "→", "->", "…", "...", "✗", "x", "⏱", "@",
	"·", ".", "■", "#", "──", "--", "×", "x", "µ", "u", "–", "-", "—", "-", "Δ", "+",
)

// line builds one line, and knows the column that it has come to.
type line struct {
	buf   []byte
	col   int
	color bool
	ascii bool
	// The last text's style and where it ended: more of the same style goes into one
	// sequence.
	last    style
	lastEnd int
}

// put appends a text of our own.
func (l *line) put(st style, s string) {
	if l.ascii {
		s = glyphs.Replace(s)
	}
	l.raw(st, s)
}

// say appends a text out of the trace, made safe for a terminal.
func (l *line) say(st style, s string) { l.put(st, clean(s, l.ascii)) }

func (l *line) raw(st style, s string) {
	if s == "" {
		return
	}
	l.col += words.Width(s)
	if l.color && st != plain {
		if l.last == st && l.lastEnd == len(l.buf) && len(l.buf) > 0 {
			l.buf = append(l.buf[:len(l.buf)-len(reset)], s...)
			l.buf = append(l.buf, reset...)
			l.lastEnd = len(l.buf)
			return
		}
		l.buf = append(l.buf, "\x1b["...)
		l.buf = append(l.buf, st...)
		l.buf = append(l.buf, 'm')
		l.buf = append(l.buf, s...)
		l.buf = append(l.buf, reset...)
		l.last, l.lastEnd = st, len(l.buf)
		return
	}
	l.buf = append(l.buf, s...)
}

// to goes on to a column, by at least gap spaces.
func (l *line) to(col, gap int) {
	for n := max(col-l.col, gap); n > 0; n-- {
		l.buf = append(l.buf, ' ')
		l.col++
	}
}

// right appends s, dim, so that it ends after width columns.
func (l *line) right(s string, width int) {
	l.to(l.col+width-words.Width(s), 0)
	l.put(dim, s)
}

// end ends the line, without spaces before its end.
func (l *line) end() {
	for len(l.buf) > 0 && l.buf[len(l.buf)-1] == ' ' {
		l.buf = l.buf[:len(l.buf)-1]
	}
	l.buf = append(l.buf, '\n')
	l.col = 0
	l.last = plain
}

// clean returns s with every character that a terminal would act on, or that is not
// seen, written as an escape.
func clean(s string, ascii bool) string {
	safe := true
	for i := 0; i < len(s) && safe; i++ {
		safe = s[i] >= ' ' && s[i] < 0x7f
	}
	if safe {
		return s
	}
	if ascii {
		s = glyphs.Replace(s)
	}
	var b strings.Builder
	for i, w := 0, 0; i < len(s); i += w {
		var r rune
		r, w = utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && w == 1) || !unicode.IsPrint(r) || (ascii && r >= 0x7f) {
			q := strconv.QuoteToASCII(s[i : i+w])
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// millis returns d in milliseconds with three decimals, as the columns have it.
func millis(d time.Duration) string {
	return string(appendMillis(nil, d))
}

func appendMillis(dst []byte, d time.Duration) []byte {
	us := d.Round(time.Microsecond).Microseconds()
	if us < 0 {
		dst = append(dst, '-')
		us = -us
	}
	dst = strconv.AppendInt(dst, us/1000, 10)
	return append(dst, '.', byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
}

// span returns a measured time: "0.051 ms", "127.204 s", "14m7s".
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return millis(d) + " ms"
	case d < 10*time.Minute:
		return millis(d/1000) + " s"
	default:
		return d.Round(time.Second).String()
	}
}

// setting returns a time that somebody chose: "200 ms", "1.5 s", "60 s".
func setting(d time.Duration) string {
	s := span(d)
	number, unit, ok := strings.Cut(s, " ")
	if !ok || !strings.Contains(number, ".") {
		return s
	}
	return strings.TrimRight(strings.TrimRight(number, "0"), ".") + " " + unit
}

// brief returns a time in three digits: "0.629 ms", "12.4 ms", "530 ms", "60.0 s".
func brief(d time.Duration) string {
	unit := " ms"
	f := float64(d) / float64(time.Millisecond)
	if d >= time.Second {
		unit = " s"
		f /= 1000
	}
	decimals := 0
	switch {
	case f < 1:
		decimals = 3
	case f < 10:
		decimals = 2
	case f < 100:
		decimals = 1
	}
	return strconv.FormatFloat(f, 'f', decimals, 64) + unit
}
