package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a configuration.
type Problem struct {
	File    string // "" when the configuration did not come from a file
	Line    int    // 1 is the first; 0 when unknown
	Column  int    // 1 is the first, in bytes; 0 when unknown
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

// Error is all that is wrong with a configuration, in the order of its lines.
type Error struct{ Problems []Problem }

// Error returns one line a problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
