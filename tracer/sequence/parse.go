package sequence

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"appliance/tracer/strictyaml"
)

// Error is all that is wrong with a file, in the order of its lines.
type Error = strictyaml.Error

// maxFile bounds what is parsed; a sequence is a few kilobytes.
const maxFile = 1 << 20

// SkipsFile is the one file among the sequences that is none: the list of what a runner may skip.
const SkipsFile = "skips.yaml"

// Load parses every *.yaml file of fsys's root but [SkipsFile], and returns the sequences in
// the order of their names. The error joins an [*Error] for each file that is wrong, and that
// a file cannot be read; what could be parsed is returned besides. It errs, too, where there is
// no such file.
func Load(fsys fs.FS) ([]*Sequence, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("sequences: %w", err)
	}
	if len(names) == 0 {
		return nil, errors.New("sequences: no *.yaml file here: want the directory that has them itself (see fs.Sub)")
	}
	var all []*Sequence
	var failed []error
	for _, name := range names {
		if name == SkipsFile {
			continue
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			failed = append(failed, fmt.Errorf("sequences: %w", err))
			continue
		}
		s, err := Parse(name, data)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Sequence) int { return strings.Compare(a.Name, b.Name) })
	return all, errors.Join(failed...)
}

// Parse returns the sequence that data, YAML, holds; see the package's comment. name stands
// in the errors as the file's; where it ends in ".yaml", the sequence must have its name. The
// error is an [*Error] with every problem: of form first, and where there is none, of meaning
// (see [Sequence.Validate]).
func Parse(name string, data []byte) (*Sequence, error) {
	if len(data) > maxFile {
		return nil, &Error{Problems: []strictyaml.Problem{{File: name, Message: "larger than 1 MiB: is this a sequence?"}}}
	}
	root, problem := strictyaml.Document(data, "sequence")
	if problem == nil && root == nil {
		problem = &strictyaml.Problem{Line: 1, Column: 1, Message: "is empty: want a sequence, with the keys " + strings.Join(sequenceKeys, ", ")}
	}
	if problem != nil {
		problem.File = name
		return nil, &Error{Problems: []strictyaml.Problem{*problem}}
	}
	p := newParser()
	s := p.sequence(root)
	if base, ok := strings.CutSuffix(path.Base(name), ".yaml"); ok && s.Name != "" && s.Name != base {
		p.failAt(p.at["sequence"], "sequence", "%q is not the file's name: want %q", s.Name, base)
	}
	if len(p.problems) == 0 {
		p.problems = p.locate(s.problems())
	}
	if len(p.problems) > 0 {
		return nil, strictyaml.NewError(name, p.problems)
	}
	return s, nil
}

// locate gives each problem the position of its row or step, or of the nearest key around it.
func (p *parser) locate(problems []strictyaml.Problem) []strictyaml.Problem {
	for i := range problems {
		at := &problems[i]
		if at.Line > 0 {
			at.Column = p.columns[at.Line]
			continue
		}
		for path := at.Path; ; path = parentPath(path) {
			if known, ok := p.at[path]; ok {
				at.Line, at.Column = known.line, known.column
				break
			}
			if path == "" {
				break
			}
		}
	}
	return problems
}

var sequenceKeys = []string{"sequence", "title", "shows", "source", "rfc", "differs", "numbers", "runs"}

var sequenceName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// sequence reads a file's content.
func (p *parser) sequence(n *yaml.Node) *Sequence {
	s := &Sequence{}
	entries, ok := p.mapping(n, "", sequenceKeys)
	if !ok {
		return s
	}
	for _, e := range entries {
		key, value := e.key.Value, e.value
		switch key {
		case "sequence":
			s.Name = p.name(value, key)
		case "title":
			s.Title = p.sentence(value, key)
		case "shows":
			s.Shows = p.sentence(value, key)
		case "source":
			s.Sources = p.sources(value, key)
		case "rfc":
			s.RFC = p.texts(value, key)
		case "differs":
			s.Differs = p.sentence(value, key)
		case "numbers":
			s.Numbers = byEnd(p, value, key, func(n *yaml.Node, path string) uint32 {
				return uint32(p.whole(n, path, 0, math.MaxUint32)) //nolint:gosec // whole has bounded it
			})
			if len(s.Numbers) == 1 {
				p.problemUnlessBad(value, key, "has one end's: want both, C and S")
			}
		case "runs":
			s.Runs = p.runs(value, key)
		}
	}
	for _, key := range []string{"sequence", "title", "shows", "source", "runs"} {
		if _, ok := p.at[key]; !ok {
			p.failAt(p.at[""], key, "missing: every sequence has one")
		}
	}
	return s
}

// name reads a name of small letters, digits and hyphens.
func (p *parser) name(n *yaml.Node, path string) string {
	text, ok := p.text(n, path)
	if ok && !sequenceName.MatchString(text) {
		p.fail(n, path, "%q is not a name: want small letters, digits and hyphens, such as syn-lost", text)
	}
	return text
}

// sentence reads a text, of which line ends become spaces.
func (p *parser) sentence(n *yaml.Node, path string) string {
	text, _ := p.text(n, path)
	return strings.Join(strings.Fields(text), " ")
}

// texts reads a list of texts.
func (p *parser) texts(n *yaml.Node, path string) []string {
	items, _ := p.list(n, path)
	var texts []string
	for i, item := range items {
		texts = append(texts, p.sentence(item, index(path, i)))
	}
	return texts
}

// sources reads the documents.
func (p *parser) sources(n *yaml.Node, path string) []Source {
	items, ok := p.list(n, path)
	if ok && len(items) == 0 {
		p.fail(n, path, "is empty: want the documents that the sequence is from")
	}
	var sources []Source
	for i, item := range items {
		var s Source
		at := index(path, i)
		entries, ok := p.mapping(item, at, []string{"document", "passage"})
		for _, e := range entries {
			text := p.sentence(e.value, under(at, e.key.Value))
			if e.key.Value == "document" {
				s.Document = text
			} else {
				s.Passage = text
			}
		}
		if ok && (s.Document == "" || s.Passage == "") {
			p.problemUnlessBad(item, at, "is incomplete: want document and passage")
		}
		sources = append(sources, s)
	}
	return sources
}

// whole reads a whole number from low to high.
func (p *parser) whole(n *yaml.Node, path string, low, high int) int {
	text, ok := p.text(n, path)
	if !ok {
		return 0
	}
	number, err := token{}.whole(text, "", low, high)
	if err != nil {
		p.fail(n, path, "%s", err)
	}
	return number
}

// byEnd reads a mapping with the keys C and S.
func byEnd[V any](p *parser, n *yaml.Node, path string, read func(n *yaml.Node, path string) V) map[End]V {
	entries, ok := p.mapping(n, path, []string{string(Client), string(Server)})
	if !ok {
		return nil
	}
	values := make(map[End]V, len(entries))
	for _, e := range entries {
		values[End(e.key.Value)] = read(e.value, under(path, e.key.Value))
	}
	if len(entries) == 0 {
		p.problemUnlessBad(n, path, "is empty: want C or S, or remove the key")
	}
	return values
}
