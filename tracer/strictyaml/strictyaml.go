// Package strictyaml is what a strict reader of YAML files needs: the nodes of a single
// document, problems that say where they are, and the word that was probably meant.
//
// Those who use it walk the nodes themselves: so errors of meaning, not only of form, have
// a line and a column, and can be told in the file's words instead of Go's types.
package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Problem is one thing wrong with a file.
type Problem struct {
	File    string // "" when the content did not come from a file
	Line    int    // 1 is the first; 0 when unknown
	Column  int    // 1 is the first; 0 when unknown
	Path    string // the key: "apps[1].port"; "" for the file as a whole
	Message string // what is wrong, and what is allowed
}

// String returns "FILE:LINE:COLUMN: KEY: MESSAGE", without the parts that are
// unknown.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
			if p.Column > 0 {
				fmt.Fprintf(&b, ":%d", p.Column)
			}
		}
		b.WriteString(": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Error is all that is wrong with a file, in the order of its lines.
type Error struct{ Problems []Problem }

// Error returns one line a problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// NewError sorts problems by their lines and gives each the file's name.
func NewError(file string, problems []Problem) *Error {
	for i := range problems {
		problems[i].File = file
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &Error{problems}
}

// Document returns the root of data's single document, nil when there is none, or
// what is wrong with data as YAML. what says what a document is: "configuration".
func Document(data []byte, what string) (*yaml.Node, *Problem) {
	loader, err := yaml.NewLoader(strings.NewReader(string(data)))
	if err != nil {
		return nil, &Problem{Message: err.Error()}
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntax(err)
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, syntax(err)
	default:
		return nil, &Problem{
			Line: second.Line, Column: second.Column,
			Message: fmt.Sprintf("a second document starts here: want one %s a file", what),
		}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// syntax turns the YAML package's error into a Problem.
func syntax(err error) *Problem {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return &Problem{Message: "not YAML: " + err.Error()}
	}
	message := "not YAML: " + le.Message
	if le.ContextMsg != "" {
		message += " (" + le.ContextMsg
		if le.ContextMark.Line > 0 && le.ContextMark.Line != le.Mark.Line {
			message += fmt.Sprintf(" that starts in line %d", le.ContextMark.Line)
		}
		message += ")"
	}
	return &Problem{Line: le.Mark.Line, Column: le.Mark.Column, Message: message}
}

// KindName says what a node is, as a person would.
func KindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping of keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
		if n.Tag == "!!null" {
			return "empty"
		}
		return fmt.Sprintf("the value %q", n.Value)
	}
}
