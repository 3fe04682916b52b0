// Package words has the languages of the views: English, in which they are written, and
// Chinese.
//
// A view's text goes through [Lang.T], with the English as the key. A key is a literal at
// the call or in [Key], so that a test can find every one and hold the table to them. Names that the
// field has in English everywhere (flags, states, calls, ack, seq, cwnd) stay as they are.
package words

import (
	"fmt"
	"strings"
)

// Lang is a language of the views; the zero value is English.
type Lang string

// The languages, by their ISO 639-1 names.
const (
	English Lang = "en"
	Chinese Lang = "zh"
)

// Parse returns the language that a name means.
func Parse(name string) (Lang, error) {
	switch l := Lang(name); l {
	case English, Chinese:
		return l, nil
	default:
		return "", fmt.Errorf("language %q is not known: use en or zh", name)
	}
}

// T is an English text in the language: the text itself where the table has no other. What
// follows "|" in the text tells two meanings of the same words apart and is not shown.
func (l Lang) T(english string) string {
	if l == Chinese {
		if text, ok := chinese[english]; ok {
			return text
		}
	}
	text, _, _ := strings.Cut(english, "|")
	return text
}

// Key returns its argument, a key of [Lang.T] that does not stand at the call: in a table of
// words, say. By it the test that holds the table to the keys finds it.
func Key(english string) string { return english }

// F is [Lang.T] of a format, with its arguments filled in. A translation that needs them in
// another order says so by their numbers (%[2]s).
func (l Lang) F(format string, args ...any) string { return fmt.Sprintf(l.T(format), args...) }

// Note is a packet's note; what follows its first word, "delayed 40ms", is its measure or name.
func (l Lang) Note(n string) string {
	if d, ok := strings.CutPrefix(n, "delayed "); ok {
		return l.F("delayed %s", d)
	}
	if name, ok := strings.CutPrefix(n, "rule "); ok {
		return l.F("rule %s", name)
	}
	return l.T(n)
}
