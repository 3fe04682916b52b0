package ladder

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clean returns s with every character that is not seen, or that a terminal or a page would
// act on, as an escape.
func clean(s string) string {
	var b strings.Builder
	for i, w := 0, 0; i < len(s); i += w {
		var r rune
		r, w = utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 || !unicode.IsPrint(r) {
			q := strconv.QuoteToASCII(s[i : i+w])
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// millis is a time in milliseconds with three decimals, as the margin has it.
func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Round(time.Microsecond))/float64(time.Millisecond), 'f', 3, 64)
}

// stay is how long a state lasted, as exact as a trace's story has it: "0.139 ms", "5.010 s",
// "80 ms".
func stay(d time.Duration) string {
	switch {
	case d < time.Second:
		return strings.TrimSuffix(millis(d), ".000") + " ms"
	case d < 10*time.Minute:
		return strings.TrimSuffix(millis(d/1000), ".000") + " s"
	default:
		return d.Round(time.Second).String()
	}
}

// span is a time in three digits or so: "0.629 ms", "12.4 ms", "60 s", "4 min".
func span(d time.Duration) string {
	f, unit := float64(d)/float64(time.Millisecond), " ms"
	switch {
	case d >= 2*time.Minute:
		f, unit = float64(d)/float64(time.Minute), " min"
	case d >= time.Second:
		f, unit = float64(d)/float64(time.Second), " s"
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
	s := strconv.FormatFloat(f, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + unit
}
