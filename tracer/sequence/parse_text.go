package sequence

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"appliance/tracer/strictyaml"
)

// ParseStep reads one step of a program, as [Step.String] writes it.
func ParseStep(s string) (Step, error) {
	p := newParser()
	n, err := textNode(s)
	if err != nil {
		return Step{}, err
	}
	step, _ := p.step(n, "", 0)
	return step, p.err()
}

// ParseFrame reads one step of a script, as [Frame.String] writes it.
func ParseFrame(s string) (Frame, error) {
	f, err := parseFrame(s)
	if err != nil {
		return Frame{}, lineProblem(s, err)
	}
	return f, nil
}

// ParseLinkRule reads a rule of the link, as [LinkRule.String] writes it. It does not read
// what netstack/link does: all behind the first word is taken as it is.
func ParseLinkRule(s string) (LinkRule, error) {
	r, err := parseLinkRule(s)
	if err != nil {
		return LinkRule{}, lineProblem(s, err)
	}
	return r, nil
}

// ParseRow reads one row of what is expected, as [Row.String] writes it. It errs on "opening"
// and on an only with several keys, which stand for several rows.
func ParseRow(s string) (Row, error) {
	p := newParser()
	n, err := textNode(s)
	if err != nil {
		return Row{}, err
	}
	rows := p.row(n, "", 0)
	if len(rows) != 1 && len(p.problems) == 0 {
		p.fail(n, "", "%s stands for %d rows: want one", quoteLine(s), len(rows))
	}
	if err := p.err(); err != nil {
		return Row{}, err
	}
	return rows[0], nil
}

// textNode returns a line as YAML's node, or the mapping that s is.
func textNode(s string) (*yaml.Node, error) {
	if !strings.HasPrefix(strings.TrimSpace(s), "{") {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Line: 1, Column: 1}, nil
	}
	n, problem := strictyaml.Document([]byte(s), "row or step")
	if problem != nil {
		return nil, &Error{Problems: []strictyaml.Problem{*problem}}
	}
	return n, nil
}

// err returns what is wrong, nil where nothing is.
func (p *parser) err() error {
	if len(p.problems) == 0 {
		return nil
	}
	return strictyaml.NewError("", p.problems)
}

func lineProblem(s string, err error) error {
	p := newParser()
	p.failLine(&yaml.Node{}, "", s, err)
	return p.err()
}
