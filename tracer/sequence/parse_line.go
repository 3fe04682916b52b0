package sequence

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"appliance/tracer"
	"appliance/tracer/strictyaml"
)

// A lineError is what is wrong with a line: at is where in it, in bytes.
type lineError struct {
	at      int
	message string
}

// Error implements error.
func (e *lineError) Error() string { return e.message }

// A token is a word of a line. Where text has quoted parts, value has what they stand for.
type token struct {
	text   string
	value  string
	at     int
	quoted bool // all of it is one quoted text
}

func (t token) fail(format string, args ...any) error {
	return &lineError{t.at, fmt.Sprintf(format, args...)}
}

// arrows are the arrows and what may be written for them.
var arrows = []struct{ written, means string }{
	{"→", "→"}, {"->", "→"}, {"▶", "▶"}, {">>", "▶"}, {"◀", "◀"}, {"<<", "◀"},
}

// arrowAt returns the arrow that s begins with, and how it is written.
func arrowAt(s string) (means, written string) {
	for _, a := range arrows {
		if strings.HasPrefix(s, a.written) {
			return a.means, a.written
		}
	}
	return "", ""
}

// A line is a line's words, of which the first next have been read.
type line struct {
	tokens []token
	next   int
	end    int // the line's length, bytes
}

// scan divides s into words. Quoted text is Go's; an arrow is a word of its own, with or
// without spaces around it, where withArrows says so.
func scan(s string, withArrows bool) (*line, error) {
	l := &line{end: len(s)}
	for i := 0; i < len(s); {
		if s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r' {
			i++
			continue
		}
		if means, written := arrowAt(s[i:]); withArrows && means != "" {
			l.tokens = append(l.tokens, token{text: means, value: means, at: i})
			i += len(written)
			continue
		}
		t, err := word(s, i, withArrows)
		if err != nil {
			return nil, err
		}
		l.tokens = append(l.tokens, t)
		i += len(t.text)
	}
	if len(l.tokens) == 0 {
		return nil, &lineError{0, "is empty"}
	}
	return l, nil
}

// word reads the word that begins at s[i].
func word(s string, i int, withArrows bool) (token, error) {
	var value strings.Builder
	start := i
	for i < len(s) && !strings.ContainsRune(" \t\n\r", rune(s[i])) {
		if means, _ := arrowAt(s[i:]); withArrows && means != "" && !strings.Contains(s[start:i], "=") {
			break
		}
		if s[i] != '"' {
			value.WriteByte(s[i])
			i++
			continue
		}
		quoted, err := strconv.QuotedPrefix(s[i:])
		if err != nil {
			return token{}, &lineError{i, fmt.Sprintf("%s: the quoted text does not end, or has an escape that Go does not know", s[i:])}
		}
		part, err := strconv.Unquote(quoted)
		if err != nil {
			return token{}, &lineError{i, fmt.Sprintf("%s: %v", quoted, err)}
		}
		value.WriteString(part)
		i += len(quoted)
		if start+len(quoted) == i && i < len(s) && !strings.ContainsRune(" \t\n\r", rune(s[i])) {
			return token{}, &lineError{i, fmt.Sprintf("%s is followed by more without a space between", quoted)}
		}
	}
	t := token{text: s[start:i], value: value.String(), at: start}
	if t.text[0] == '"' {
		t.quoted = true
	}
	return t, nil
}

// left tells how many words have not been read.
func (l *line) left() int { return len(l.tokens) - l.next }

// peek returns the next word, an empty one at the line's end.
func (l *line) peek() token {
	if l.left() == 0 {
		return token{at: l.end}
	}
	return l.tokens[l.next]
}

// take returns the next word; what says what is missing where there is none.
func (l *line) take(what string) (token, error) {
	t := l.peek()
	if l.left() == 0 {
		return t, t.fail("ends where %s should stand", what)
	}
	l.next++
	return t, nil
}

// is takes the next word if it is s.
func (l *line) is(s string) bool {
	if l.left() > 0 && l.peek().text == s {
		l.next++
		return true
	}
	return false
}

// done errs when there are words left.
func (l *line) done() error {
	if l.left() > 0 {
		t := l.peek()
		return t.fail("%s: nothing more may stand here", t.text)
	}
	return nil
}

// prefix takes the name before a colon at the line's start, "" where there is none.
func (l *line) prefix() (name string, t token) {
	t = l.peek()
	if name, ok := strings.CutSuffix(t.text, ":"); ok && l.next == 0 && !t.quoted {
		l.next++
		return name, t
	}
	return "", t
}

// tail takes KEYWORD "text" from the line's end, "" where it is not there.
func (l *line) tail(keyword string) (string, error) {
	if l.left() < 1 {
		return "", nil
	}
	if t := l.tokens[len(l.tokens)-1]; t.text == keyword {
		return "", t.fail(`%s wants a text in quotes behind it: %s "…"`, keyword, keyword)
	}
	if l.left() < 2 || l.tokens[len(l.tokens)-2].text != keyword {
		return "", nil
	}
	t := l.tokens[len(l.tokens)-1]
	if !t.quoted {
		return "", t.fail("%s: want the text behind %s in quotes", t.text, keyword)
	}
	if t.value == "" {
		return "", t.fail("%s wants a text that is not empty", keyword)
	}
	l.tokens = l.tokens[:len(l.tokens)-2]
	return t.value, nil
}

var (
	connName  = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	labelName = regexp.MustCompile(`^[a-z0-9]+([-.][a-z0-9]+)*$`)
)

// conn checks a connection's name.
func (t token) conn(name string) (string, error) {
	if !connName.MatchString(name) {
		return "", t.fail("%q is not a connection's name: want small letters, digits and hyphens", name)
	}
	return name, nil
}

// at reads "C" or "S.b".
func (t token) end() (At, error) {
	end, conn, dotted := strings.Cut(t.text, ".")
	if end != string(Client) && end != string(Server) {
		return At{}, t.fail("%q is not an end: want C or S, or C.b for the connection b", t.text)
	}
	if !dotted {
		return At{End: End(end)}, nil
	}
	conn, err := t.conn(conn)
	return At{End(end), conn}, err
}

// unknown says that t is not one of known.
func (t token) unknown(what string, known []string) error {
	return t.fail("%s", unknown(what, t.text, known))
}

// unknown says that word is not one of known: which it was probably meant to be, or all of
// them where none is near.
func unknown(what, word string, known []string) string {
	if c, ok := strictyaml.Nearest(word, known); ok {
		return fmt.Sprintf("unknown %s %q: did you mean %s?", what, word, c)
	}
	return fmt.Sprintf("unknown %s %q: want %s", what, word, strictyaml.List(known))
}

var stateNames = func() (names []string) {
	for s := tracer.Closed; s <= tracer.TimeWait; s++ {
		names = append(names, s.String())
	}
	return names
}()

func (t token) state() (tracer.State, error) {
	s, err := tracer.ParseState(t.text)
	if err != nil {
		return s, t.unknown("state", stateNames)
	}
	return s, nil
}

// flagNames are the flags, and the word for none.
var flagNames = []string{"SYN", "FIN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "none"}

// flags reads "SYN,ACK"; "none" is a segment without any. others are words that might have been
// meant instead.
func (t token) flags(others ...string) (tracer.Flags, error) {
	if t.text == "none" {
		return 0, nil
	}
	var flags tracer.Flags
	for _, name := range strings.Split(t.text, ",") {
		f, err := tracer.ParseFlag(name)
		if err != nil {
			return 0, token{text: name, at: t.at}.unknown("flag", slices.Concat(flagNames, others))
		}
		if flags.Has(f) {
			return 0, t.fail("%s: %s stands twice", t.text, name)
		}
		flags |= f
	}
	return flags, nil
}

// whole reads a whole number from low to high; what says of what, "" for nothing.
func (t token) whole(text, what string, low, high int) (int, error) {
	if text == "" {
		return 0, t.fail("%s needs a number from %d to %d", what, low, high)
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || int64(n) < int64(low) || int64(n) > int64(high) || strconv.FormatUint(n, 10) != text {
		if what != "" {
			what += ": "
		}
		return 0, t.fail("%s%q is not a number from %d to %d", what, text, low, high)
	}
	return int(n), nil
}

// duration reads a time above 0.
func (t token) duration() (time.Duration, error) {
	d, err := strictyaml.ParseDuration(t.text)
	if err != nil {
		return 0, t.fail("%s", err)
	}
	if d == 0 {
		return 0, t.fail("%q is no time at all: want more", t.text)
	}
	return d, nil
}

// number reads a condition: "5", "*", ">0", "<=10".
func (t token) number(text, what string) (Number, error) {
	switch text {
	case string(Any):
		return Number{Op: Any}, nil
	case "":
		return Number{}, t.fail("%s needs a number: %s=N, or %s=* for any", what, what, what)
	}
	op, digits := Equal, text
	for _, o := range []Op{AtLeast, AtMost, More, Less, Equal} {
		if rest, ok := strings.CutPrefix(text, string(o)); ok {
			op, digits = o, rest
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != digits {
		return Number{}, t.fail("%s: %q is not a number from 0 to 4294967295, a comparison such as >0, or *", what, text)
	}
	if op == Less && n == 0 || op == More && n == 1<<32-1 {
		return Number{}, t.fail("%s: no number is %s", what, text)
	}
	return Number{op, uint32(n)}, nil
}

// field divides "seq=1", "len>0" or "opts=mss" into the key and the value, which keeps its
// comparison unless that is "=". ok is false where it is no field.
func (t token) field() (key, value string, ok bool) {
	i := strings.IndexAny(t.text, "=<>")
	if t.quoted || i <= 0 {
		return t.text, "", false
	}
	return t.text[:i], strings.TrimPrefix(t.text[i:], "="), true
}
