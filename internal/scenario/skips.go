package scenario

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Skip permits combinations to be skipped: those that all of its conditions hold for. A
// condition is a list, any of whose items may hold; an empty one always does. Sequence,
// Run, Link, Peer, Role and Clock are patterns as path.Match has them ("close-*"); a run
// without a name is "".
type Skip struct {
	Sequence, Run, Link, Peer, Role, Clock []string
	Family                                 []int
	Reason                                 string
	Line                                   int // in the file
}

// Permits tells whether it permits to skip the combination that a result is of.
func (s *Skip) Permits(r *Result) bool {
	return matchesAny(s.Sequence, r.Sequence) && matchesAny(s.Run, r.Run) && matchesAny(s.Link, r.Link) &&
		matchesAny(s.Peer, r.Peer) && matchesAny(s.Role, r.Role) && matchesAny(s.Clock, r.Clock) &&
		(len(s.Family) == 0 || slices.Contains(s.Family, r.Family))
}

// skips is why the combination that a result is of is permitted to be skipped; "" where it
// is not.
func (o *Options) skips(r *Result) string {
	for i := range o.Skips {
		if o.Skips[i].Permits(r) {
			return o.Skips[i].Reason
		}
	}
	return ""
}

func matchesAny(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil // ParseSkips refuses bad patterns
	})
}

// ParseSkips reads a file of permitted skips: a list of
//
//	{sequence: …, run: …, link: …, peer: …, role: …, clock: …, family: …, reason: "…"}
//
// with a pattern or a list of patterns for each condition, all of which but the reason
// may be left out. An unknown key, a key given twice or a missing reason is an error, which
// names the file and the line.
func ParseSkips(name string, data []byte) ([]Skip, error) {
	loader, err := yaml.NewLoader(strings.NewReader(string(data)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var doc yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: not YAML: %w", name, err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	list := doc.Content[0]
	if list.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s:%d: want a list of skips", name, list.Line)
	}
	var all []Skip
	for _, item := range list.Content {
		s, at, err := parseSkip(item)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, at, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// parseSkip reads one item; at is the line of what is wrong.
func parseSkip(n *yaml.Node) (s Skip, at int, err error) {
	s.Line = n.Line
	if n.Kind != yaml.MappingNode {
		return s, n.Line, errors.New("want the keys sequence, run, link, peer, role, clock, family, reason")
	}
	fields := map[string]*[]string{
		"sequence": &s.Sequence, "run": &s.Run, "link": &s.Link, "peer": &s.Peer, "role": &s.Role,
		"clock": &s.Clock,
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			return s, key.Line, fmt.Errorf("%s is given twice", key.Value)
		}
		seen[key.Value] = true
		words, err := wordsOf(value)
		if err != nil {
			return s, value.Line, fmt.Errorf("%s: %w", key.Value, err)
		}
		switch field, known := fields[key.Value]; {
		case known:
			*field = words
		case key.Value == "family":
			s.Family, err = familiesOf(words)
		case key.Value == "reason":
			s.Reason = strings.Join(words, " ")
		default:
			err = fmt.Errorf("unknown key %q: want sequence, run, link, peer, role, clock, family or reason", key.Value)
		}
		if err != nil {
			return s, key.Line, err
		}
	}
	if s.Reason == "" {
		return s, n.Line, errors.New("want a reason")
	}
	return s, 0, nil
}

// wordsOf returns a value, or a list's.
func wordsOf(n *yaml.Node) ([]string, error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	var all []string
	for _, item := range items {
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			return nil, errors.New("want a word, or a list of words")
		}
		if _, err := path.Match(item.Value, ""); err != nil {
			return nil, fmt.Errorf("%q: %w", item.Value, err)
		}
		all = append(all, item.Value)
	}
	if len(all) == 0 {
		return nil, errors.New("want a word, or a list of words, not an empty one")
	}
	return all, nil
}

func familiesOf(words []string) ([]int, error) {
	var all []int
	for _, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || n != 4 && n != 6 {
			return nil, fmt.Errorf("family %q: want 4 or 6", w)
		}
		all = append(all, n)
	}
	return all, nil
}
