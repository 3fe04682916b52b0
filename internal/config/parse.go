package config

import (
	"fmt"
	"io"
	"os"

	"appliance/tracer/strictyaml"
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
		return nil, &Error{Problems: []Problem{{File: name, Message: "larger than 1 MiB: is this a configuration?"}}}
	}
	return Parse(name, data)
}

// Parse returns the configuration that data, YAML, stands for: Default with what data
// says. name stands in the errors as the file's name. The error is an *Error with
// every problem.
func Parse(name string, data []byte) (*Config, error) {
	c := base()
	d := decoder{at: make(map[string]position), bad: make(map[string]bool)}
	root, problem := strictyaml.Document(data, "configuration")
	if problem != nil {
		problem.File = name
		return nil, &Error{Problems: []Problem{*problem}}
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
		return nil, strictyaml.NewError(name, d.problems)
	}
	return c, nil
}
