package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxFile bounds what Load reads; a configuration is a few kilobytes.
const maxFile = 1 << 20

// Load reads and parses the file at path, or standard input for "-". What is wrong
// with the content is an *Error; that the file cannot be read is an *fs.PathError.
func Load(path string) (*Config, error) {
	if path == "-" {
		return load("standard input", os.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	return load(path, f)
}

func load(name string, r io.Reader) (*Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, &Error{[]Problem{{File: name, Message: "larger than 1 MiB: is this a configuration?"}}}
	}
	return Parse(name, data)
}

// Parse returns the configuration that data, YAML, stands for: Default with what data
// says. name stands in the errors as the file's name. The error is an *Error with
// every problem.
func Parse(name string, data []byte) (*Config, error) {
	c := base()
	d := decoder{at: make(map[string]position), bad: make(map[string]bool)}
	root, problem := document(data)
	if problem != nil {
		problem.File = name
		return nil, &Error{[]Problem{*problem}}
	}
	if root != nil {
		d.decode(root, c)
	}
	c.Complete()
	v := validator{c: c, bad: d.isBad}
	v.all()
	for _, p := range v.problems {
		if d.isBad(p.Path) {
			continue // what could not be read cannot be judged
		}
		d.problems = append(d.problems, d.locate(p))
	}
	if len(d.problems) > 0 {
		return nil, newError(name, d.problems)
	}
	return c, nil
}

// newError sorts problems by their lines and gives each the file's name.
func newError(file string, problems []Problem) *Error {
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

// document returns the root of data's single document, nil when there is none, or
// what is wrong with data as YAML.
func document(data []byte) (*yaml.Node, *Problem) {
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
			Message: "a second document starts here: want one configuration a file",
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
