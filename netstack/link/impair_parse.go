package link

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"appliance/tracer"
)

// ParseRule reads a rule. In order, with spaces between:
//
//	drop | delay | duplicate | corrupt | reorder
//	in | out | both
//	SYN,!ACK          flags, with ! for those that must not be set; optional
//	20ms              how long delay holds, or reorder at most
//	payload=0         or != < <= > >=; the payload's length in bytes
//	contains="hello"  what the payload contains; a Go string, quoted where needed
//	nth=2             or 1-3, or 2- for all from there on; counted per connection
//	state=ESTABLISHED,CLOSE-WAIT
//	copies=2          of duplicate
//	by=3              of reorder: how many pass
//	name="late SYN"   what the trace calls the rule
//
// The key=value conditions may stand in any order, each once. It errs on anything
// else, and where Rule.Validate does.
func ParseRule(s string) (Rule, error) {
	r, err := parseRule(s)
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		return Rule{}, fmt.Errorf("rule %q: %w", s, err)
	}
	return r, nil
}

func parseRule(s string) (Rule, error) {
	var r Rule
	tokens, err := fields(s)
	if err != nil {
		return r, err
	}
	if len(tokens) < 2 {
		return r, fmt.Errorf("want an action and a direction, as in \"drop out FIN nth=2\"")
	}
	r.Action = Action(tokens[0])
	switch tokens[1] {
	case "both":
	case "in", "out":
		r.Dir = tracer.Direction(tokens[1])
	default:
		return r, fmt.Errorf("unknown direction %q: want in, out or both", tokens[1])
	}
	tokens = tokens[2:]
	if len(tokens) > 0 && isFlags(tokens[0]) {
		if err := r.parseFlags(tokens[0]); err != nil {
			return r, err
		}
		tokens = tokens[1:]
	}
	if len(tokens) > 0 && tokens[0][0] >= '0' && tokens[0][0] <= '9' {
		if r.Delay, err = time.ParseDuration(tokens[0]); err != nil {
			return r, fmt.Errorf("how long: %w", err)
		}
		if r.Delay == 0 {
			return r, fmt.Errorf("how long: %s: want more than 0", tokens[0])
		}
		tokens = tokens[1:]
	}
	return r, r.parseConditions(tokens)
}

// fields splits at spaces, but not within double quotes.
func fields(s string) ([]string, error) {
	var tokens []string
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return tokens, nil
		}
		end := 0
		for end < len(s) && s[end] != ' ' {
			if s[end] != '"' {
				end++
				continue
			}
			q, err := strconv.QuotedPrefix(s[end:])
			if err != nil {
				return nil, fmt.Errorf("%s: the quoted text has no end, or is no Go string", s[end:])
			}
			end += len(q)
		}
		tokens = append(tokens, s[:end])
		s = s[end:]
	}
}

// isFlags tells "SYN,!ACK" from "20ms" and "nth=2".
func isFlags(token string) bool {
	c := strings.TrimPrefix(token, "!")
	return !strings.ContainsAny(c, "=<>") && (c == "" || c[0] < '0' || c[0] > '9')
}

func (r *Rule) parseFlags(token string) error {
	for name := range strings.SplitSeq(token, ",") {
		set := &r.Set
		if n, unset := strings.CutPrefix(name, "!"); unset {
			name, set = n, &r.Unset
		}
		f, err := tracer.ParseFlag(name)
		if err != nil {
			return fmt.Errorf("%w: want FIN, SYN, RST, PSH, ACK, URG, ECE or CWR, with commas between", err)
		}
		if *set&f != 0 {
			return fmt.Errorf("flag %s stands twice", name)
		}
		*set |= f
	}
	return nil
}

func (r *Rule) parseConditions(tokens []string) error {
	seen := map[string]bool{}
	for _, token := range tokens {
		end := strings.IndexAny(token, "=<>!")
		if end <= 0 {
			return fmt.Errorf("%q: want a condition such as nth=2", token)
		}
		key, rest := token[:end], token[end:]
		var op Compare
		for _, c := range comparisons {
			if strings.HasPrefix(rest, string(c)) {
				op, rest = c, rest[len(c):]
				break
			}
		}
		if op == noCompare || op != Equal && key != "payload" {
			return fmt.Errorf("%q: want %s=…", token, key)
		}
		if seen[key] {
			return fmt.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if err := r.parseCondition(key, op, rest); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func (r *Rule) parseCondition(key string, op Compare, value string) (err error) {
	switch key {
	case "payload":
		r.Payload.Op = op
		r.Payload.Len, err = parseNumber(value, 0)
	case "contains":
		var text string
		if text, err = unquote(value); err == nil {
			r.Payload.Contains = []byte(text)
		}
	case "name":
		r.Name, err = unquote(value)
	case "nth":
		err = r.parseNth(value)
	case "copies":
		r.Copies, err = parseNumber(value, 1)
	case "by":
		r.By, err = parseNumber(value, 1)
	case "state":
		for name := range strings.SplitSeq(value, ",") {
			s, e := tracer.ParseState(name)
			if e != nil {
				return fmt.Errorf("%w: want RFC 9293's names, as in ESTABLISHED,FIN-WAIT-1", e)
			}
			r.States = append(r.States, s)
		}
	default:
		return fmt.Errorf("unknown condition: want payload, contains, nth, state, copies, by or name")
	}
	return err
}

// parseNth reads "2", "2-4" and "2-".
func (r *Rule) parseNth(value string) (err error) {
	first, last, isRange := strings.Cut(value, "-")
	if r.Nth, err = parseNumber(first, 1); err != nil || !isRange {
		return err
	}
	if last == "" {
		r.Count = -1
		return nil
	}
	n, err := parseNumber(last, r.Nth)
	if n > r.Nth {
		r.Count = n - r.Nth + 1 // 2-2 is 2, for which Count is 0
	}
	return err
}

// parseNumber reads a number of digits alone, least or more.
func parseNumber(s string, least int) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || int(n) < least {
		return 0, fmt.Errorf("%q: want a number, %d or more", s, least)
	}
	return int(n), nil
}

// unquote reads "a b" as well as a.
func unquote(s string) (string, error) {
	if s == "" || s == `""` {
		return "", fmt.Errorf("nothing given")
	}
	if s[0] != '"' {
		if needsQuotes(s) {
			return "", fmt.Errorf("%s: want it in double quotes", s)
		}
		return s, nil
	}
	text, err := strconv.Unquote(s)
	if err != nil {
		return "", fmt.Errorf("%s is no Go string", s)
	}
	return text, nil
}

// quote writes what unquote reads.
func quote(s string) string {
	if needsQuotes(s) {
		return strconv.Quote(s)
	}
	return s
}

func needsQuotes(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsAny(s, " \"\\`") || strconv.Quote(s) != `"`+s+`"`
}

// String writes the rule as ParseRule reads it: "drop out FIN nth=2".
func (r Rule) String() string {
	dir := string(r.Dir)
	if dir == "" {
		dir = "both"
	}
	parts := []string{string(r.Action), dir}
	add := func(key, value string) { parts = append(parts, key+value) }
	if flags := r.flagList(); flags != "" {
		add("", flags)
	}
	if r.Delay != 0 {
		add("", words(r.Delay))
	}
	if r.Payload.Op != noCompare {
		add("payload", string(r.Payload.Op)+strconv.Itoa(r.Payload.Len))
	}
	if len(r.Payload.Contains) > 0 {
		add("contains=", quote(string(r.Payload.Contains)))
	}
	switch {
	case r.Nth == 0:
	case r.Count < 0:
		add("nth=", fmt.Sprintf("%d-", r.Nth))
	case r.Count > 1:
		add("nth=", fmt.Sprintf("%d-%d", r.Nth, r.Nth+r.Count-1))
	default:
		add("nth=", strconv.Itoa(r.Nth))
	}
	if len(r.States) > 0 {
		add("state=", joinStates(r.States, ","))
	}
	if r.Copies > 0 {
		add("copies=", strconv.Itoa(r.Copies))
	}
	if r.By > 0 {
		add("by=", strconv.Itoa(r.By))
	}
	if r.Name != "" {
		add("name=", quote(r.Name))
	}
	return strings.Join(parts, " ")
}

func (r Rule) flagList() string {
	flags := r.Set.Names()
	for _, n := range r.Unset.Names() {
		flags = append(flags, "!"+n)
	}
	return strings.Join(flags, ",")
}

func joinStates(states []tracer.State, sep string) string {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = s.String()
	}
	return strings.Join(names, sep)
}
