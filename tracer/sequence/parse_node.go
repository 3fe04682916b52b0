package sequence

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"appliance/tracer/strictyaml"
)

// maxNodes bounds the nodes of a file, those of aliases counted each time.
const maxNodes = 10000

// position is where in a file something stands.
type position struct{ line, column int }

// A parser reads a file's nodes and collects what is wrong with them.
type parser struct {
	problems []strictyaml.Problem
	at       map[string]position // each value's, by its path
	columns  map[int]int         // where the first row or step of a line begins
	bad      map[string]bool     // paths whose values could not be read
	inFlow   map[*yaml.Node]bool // items of lists in brackets that have several
	nodes    int                 // how many have been read

	// listening tells that the rows so far have the listener's.
	listening bool
}

func newParser() *parser {
	return &parser{
		at: make(map[string]position), columns: make(map[int]int), bad: make(map[string]bool), inFlow: make(map[*yaml.Node]bool),
	}
}

// fail records that the value at path is wrong.
func (p *parser) fail(n *yaml.Node, path, format string, args ...any) {
	p.failAt(position{n.Line, n.Column}, path, format, args...)
}

func (p *parser) failAt(at position, path, format string, args ...any) {
	for parent := path; parent != ""; parent = parentPath(parent) {
		p.bad[parent] = true
	}
	p.problems = append(p.problems, strictyaml.Problem{
		Line: at.line, Column: at.column, Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// problemUnlessBad is fail, unless something within path is wrong already.
func (p *parser) problemUnlessBad(n *yaml.Node, path, message string) {
	if !p.bad[path] {
		p.fail(n, path, "%s", message)
	}
}

// failLine records what is wrong with a line.
func (p *parser) failLine(n *yaml.Node, path, text string, err error) {
	at := position{n.Line, n.Column}
	var le *lineError
	if n.Style == 0 && errors.As(err, &le) && strings.HasPrefix(n.Value, text) && le.at <= len(text) {
		at.column += utf8.RuneCountInString(text[:le.at])
	}
	p.failAt(at, path, "%s: %s%s", quoteLine(text), err, p.commaHint(n))
}

// quoteLine puts a line in quotes for people.
func quoteLine(s string) string {
	if strings.Contains(s, `"`) && strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

// commaHint tells of a trap of YAML's.
func (p *parser) commaHint(n *yaml.Node) string {
	if p.inFlow[n] && n.Style == 0 {
		return " (within [ ] a comma divides: put a line that has one in quotes)"
	}
	return ""
}

// see notes where a row or step stands, for what is found out later.
func (p *parser) see(n *yaml.Node) {
	if _, ok := p.columns[n.Line]; !ok {
		p.columns[n.Line] = n.Column
	}
}

// parentPath returns "runs[1]" for "runs[1].port", "runs" for "runs[1]", "" for "runs".
func parentPath(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// under returns the path of key in the mapping at path.
func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// index returns the path of the item i of the list at path.
func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// resolve returns what an alias stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// node returns what n stands for, nil where it cannot be read.
func (p *parser) node(n *yaml.Node, path string) *yaml.Node {
	p.at[path] = position{n.Line, n.Column}
	if p.nodes++; p.nodes >= maxNodes {
		if p.nodes == maxNodes {
			p.fail(n, path, "is too much: a sequence has at most %d keys and values, an alias counted as what it stands for", maxNodes)
		}
		return nil
	}
	r := resolve(n)
	if r.Style&yaml.TaggedStyle != 0 {
		p.fail(n, path, "has the tag %q: want the value without a tag", r.Tag)
		return nil
	}
	return r
}

// entry is a key with its value.
type entry struct{ key, value *yaml.Node }

// mapping returns a mapping's entries, of those keys alone that are known, where known is not
// nil; ok is false where n is no mapping.
func (p *parser) mapping(n *yaml.Node, path string, known []string) (entries []entry, ok bool) {
	r := p.node(n, path)
	if r == nil {
		return nil, false
	}
	if r.Kind != yaml.MappingNode {
		hint := ""
		if known != nil {
			hint = "; the keys here are " + strings.Join(known, ", ")
		}
		p.fail(n, path, "is %s: want keys and values%s", strictyaml.KindName(r), hint)
		return nil, false
	}
	lines := make(map[string]int)
	for i := 0; i+1 < len(r.Content); i += 2 {
		key := r.Content[i]
		switch line, twice := lines[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			p.fail(key, path, "a key is %s: want a word", strictyaml.KindName(key))
			continue
		case twice:
			p.fail(key, under(path, key.Value), "given twice: line %d has it already", line)
			continue
		case known != nil && !slices.Contains(known, key.Value):
			p.fail(key, path, "%s", unknownKey(key.Value, known))
			continue
		}
		lines[key.Value] = key.Line
		entries = append(entries, entry{key, r.Content[i+1]})
	}
	return entries, true
}

// unknownKey says what is wrong with a key that is not known.
func unknownKey(key string, known []string) string {
	if c, ok := strictyaml.Nearest(key, known); ok {
		return fmt.Sprintf("unknown key %q: did you mean %q?", key, c)
	}
	return fmt.Sprintf("unknown key %q: the keys here are %s", key, strings.Join(known, ", "))
}

// list returns a list's items; ok is false where n is no list.
func (p *parser) list(n *yaml.Node, path string) (items []*yaml.Node, ok bool) {
	r := p.node(n, path)
	if r == nil {
		return nil, false
	}
	if r.Kind != yaml.SequenceNode {
		p.fail(n, path, "is %s: want a list", strictyaml.KindName(r))
		return nil, false
	}
	for _, item := range r.Content {
		p.inFlow[item] = r.Style&yaml.FlowStyle != 0 && len(r.Content) > 1
	}
	return r.Content, true
}

// text returns a single value as it is written; ok is false where there is none.
func (p *parser) text(n *yaml.Node, path string) (text string, ok bool) {
	r := p.node(n, path)
	switch {
	case r == nil:
		return "", false
	case r.Kind != yaml.ScalarNode:
		p.fail(n, path, "is %s: want a single value", strictyaml.KindName(r))
		return "", false
	case r.Tag == "!!null" || strings.TrimSpace(r.Value) == "":
		p.fail(n, path, "has no value: give it one, or remove it")
		return "", false
	}
	return r.Value, true
}

func ofKinds(kinds []string) string {
	if len(kinds) == 0 {
		return ""
	}
	return ": " + strictyaml.List(kinds)
}

// lineOf returns an item's line. A line that begins with "name: " is a mapping to YAML; of
// a mapping whose key is one of kinds, and of nothing else, it returns the node without a
// line. A nil node means that what is wrong has been told.
func (p *parser) lineOf(n *yaml.Node, path string, kinds []string) (text string, at *yaml.Node, ok bool) {
	if resolve(n).Kind != yaml.MappingNode {
		text, ok := p.text(n, path)
		if !ok {
			return "", nil, false
		}
		return text, resolve(n), true
	}
	entries, ok := p.mapping(n, path, nil)
	if !ok {
		return "", nil, false
	}
	r := resolve(n)
	if len(entries) != 1 || len(r.Content) != 2 {
		p.problemUnlessBad(n, path, fmt.Sprintf("has %d keys: want a line, or one key%s", len(entries), ofKinds(kinds)))
		return "", nil, false
	}
	e := entries[0]
	if slices.Contains(kinds, e.key.Value) {
		return "", r, false
	}
	if v := resolve(e.value); v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
		if len(kinds) == 0 {
			p.fail(e.key, path, "%q is a key: want a line", e.key.Value)
		} else {
			p.fail(e.key, path, "%s", unknown("key", e.key.Value, kinds))
		}
		return "", nil, false
	}
	value, ok := p.text(e.value, path)
	if !ok {
		return "", nil, false
	}
	return e.key.Value + ": " + value, e.key, true
}
