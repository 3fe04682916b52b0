package sequence

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"appliance/tracer"
	"appliance/tracer/strictyaml"
)

// maxDepth bounds how deep groups, and steps that are done together, are nested.
const maxDepth = 8

// groupKinds are the keys of a row that is a group.
var groupKinds = []string{string(AnyOrder), string(Either), string(Optional), string(Only)}

// rows reads a list of rows. One item may stand for several.
func (p *parser) rows(n *yaml.Node, path string, depth int) []Row {
	items, ok := p.list(n, path)
	if !ok {
		return nil
	}
	var rows []Row
	for i, item := range items {
		rows = append(rows, p.row(item, index(path, i), depth)...)
	}
	return rows
}

// row reads an item of a list of rows: a line, a line with a label, which YAML takes for a
// mapping, or a group.
func (p *parser) row(n *yaml.Node, path string, depth int) []Row {
	text, at, ok := p.lineOf(n, path, groupKinds)
	if ok {
		return p.rowLine(text, at, path)
	}
	if at == nil {
		return nil // told already
	}
	if depth == maxDepth {
		p.fail(at, path, "groups within groups, deeper than %d", maxDepth)
		return nil
	}
	kind, content := at.Content[0].Value, at.Content[1]
	path = under(path, kind)
	var groups []Row
	switch GroupKind(kind) {
	case AnyOrder:
		groups = p.anyOrder(content, path, depth+1)
	case Either:
		groups = p.either(content, path, depth+1)
	case Optional:
		rows := p.rows(content, path, depth+1)
		groups = p.group(content, path, rows, Group{Kind: Optional, Lists: [][]Row{rows}})
	case Only:
		return p.only(content, path, depth+1)
	}
	for i := range groups {
		groups[i].Line = at.Line
	}
	p.see(at)
	return groups
}

// group returns g as a row, unless rows is empty.
func (p *parser) group(n *yaml.Node, path string, rows []Row, g Group) []Row {
	if len(rows) == 0 {
		p.problemUnlessBad(n, path, "has no rows")
		return nil
	}
	p.see(n)
	return []Row{{Line: n.Line, Body: g}}
}

// rowLine reads a row that is a line.
func (p *parser) rowLine(text string, n *yaml.Node, path string) []Row {
	name, word, colon := strings.Cut(text, ":")
	if !colon {
		name, word = "", text
	}
	if strings.TrimSpace(word) == "opening" {
		if colon && !connName.MatchString(name) {
			p.fail(n, path, "%q is not a connection's name: want small letters, digits and hyphens", name)
			return nil
		}
		rows := opening(name, p.listening, n.Line)
		p.listening = true
		p.see(n)
		return rows
	}
	body, err := parseRow(text)
	if err != nil {
		p.failLine(n, path, text, err)
		return nil
	}
	if call, ok := body.(CallRow); ok && call.Call == string(Listen) {
		p.listening = true
	}
	p.see(n)
	return []Row{{Line: n.Line, Body: body}}
}

// anyOrder reads the threads of an any-order: an item that is a list is one.
func (p *parser) anyOrder(n *yaml.Node, path string, depth int) []Row {
	items, ok := p.list(n, path)
	if !ok {
		return nil
	}
	g := Group{Kind: AnyOrder}
	var all []Row
	for i, item := range items {
		var rows []Row
		if resolve(item).Kind == yaml.SequenceNode {
			rows = p.rows(item, index(path, i), depth)
			p.group(item, index(path, i), rows, Group{})
		} else {
			rows = p.row(item, index(path, i), depth)
		}
		g.Lists = append(g.Lists, rows)
		all = append(all, rows...)
	}
	if len(items) < 2 {
		p.problemUnlessBad(n, path, "has fewer than two items: there is no order to leave open")
	}
	return p.group(n, path, all, g)
}

// either reads the alternatives of an either, each a list.
func (p *parser) either(n *yaml.Node, path string, depth int) []Row {
	items, ok := p.list(n, path)
	if !ok {
		return nil
	}
	g := Group{Kind: Either}
	var all []Row
	before, after := p.listening, p.listening
	for i, item := range items {
		if resolve(item).Kind != yaml.SequenceNode {
			p.fail(item, index(path, i), "is %s: want a list of rows for each alternative", strictyaml.KindName(item))
			continue
		}
		p.listening = before
		rows := p.rows(item, index(path, i), depth)
		after = after || p.listening
		p.group(item, index(path, i), rows, Group{})
		g.Lists = append(g.Lists, rows)
		all = append(all, rows...)
	}
	p.listening = after
	if len(items) < 2 {
		p.problemUnlessBad(n, path, "has fewer than two alternatives: want more, or optional")
	}
	return p.group(n, path, all, g)
}

// only reads the groups of an only, one a key.
func (p *parser) only(n *yaml.Node, path string, depth int) []Row {
	entries, ok := p.mapping(n, path, nil)
	if !ok {
		return nil
	}
	var groups []Row
	before, after := p.listening, p.listening
	for _, e := range entries {
		end, players, ok := p.who(e.key, path, true)
		p.listening = before
		rows := p.rows(e.value, under(path, e.key.Value), depth)
		after = after || p.listening
		if ok {
			groups = append(groups, p.group(e.key, under(path, e.key.Value), rows,
				Group{Kind: Only, Lists: [][]Row{rows}, For: end, Players: players})...)
		}
	}
	p.listening = after
	if len(entries) == 0 {
		p.problemUnlessBad(n, path, "is for nobody: want keys such as S@stack")
	}
	return groups
}

// who reads "S@stack", or "S@stack,linux" where several may be named.
func (p *parser) who(key *yaml.Node, path string, several bool) (End, []Player, bool) {
	end, names, ok := strings.Cut(key.Value, "@")
	if !ok || end != string(Client) && end != string(Server) {
		p.fail(key, path, "%q is nobody: want an end and who plays it, such as S@stack", key.Value)
		return "", nil, false
	}
	var players []Player
	for _, name := range strings.Split(names, ",") {
		if !slices.Contains(playerNames, name) {
			p.fail(key, path, "%q: %s", key.Value, unknown("player", name, playerNames))
			return "", nil, false
		}
		if slices.Contains(players, Player(name)) {
			p.fail(key, path, "%q: %s stands twice", key.Value, name)
			return "", nil, false
		}
		players = append(players, Player(name))
	}
	if len(players) > 1 && !several {
		p.fail(key, path, "%q: want one player", key.Value)
		return "", nil, false
	}
	return End(end), players, true
}

// playerNames are the players.
var playerNames = []string{string(Stack), string(Linux), string(Script)}

// opening returns the rows that "opening" stands for, of the connection conn. The listener's are
// left out where a row before has them.
func opening(conn string, listening bool, lineNumber int) []Row {
	c, s, prefix := At{Client, conn}, At{Server, conn}, ""
	if conn != "" {
		prefix = conn + "."
	}
	label := func(name string) By { return By{Label: prefix + name} }
	segment := func(name string, from At, flags tracer.Flags, seq uint32, ack Number) RowBody {
		return SegmentRow{
			Label: prefix + name, From: from, Flags: flags, Seq: Number{Equal, seq}, Ack: ack, Len: Number{Op: Equal}, Min: 1, Max: 1,
		}
	}
	bodies := []RowBody{
		CallRow{At: At{End: Server}, Call: string(Listen), Bytes: -1},
		StateRow{At: At{End: Server}, From: tracer.Closed, To: tracer.Listen, By: By{Call: string(Listen)}},
		CallRow{At: c, Call: string(Connect), Bytes: -1},
		StateRow{At: c, From: tracer.Closed, To: tracer.SynSent, By: By{Call: string(Connect)}},
		segment("syn", c, tracer.SYN, 0, Number{}),
		StateRow{At: s, From: tracer.Listen, To: tracer.SynReceived, By: label("syn")},
		segment("syn-ack", s, tracer.SYN|tracer.ACK, 0, Number{Equal, 1}),
		StateRow{At: c, From: tracer.SynSent, To: tracer.Established, By: label("syn-ack")},
		segment("ack", c, tracer.ACK, 1, Number{Equal, 1}),
		StateRow{At: s, From: tracer.SynReceived, To: tracer.Established, By: label("ack")},
		CallRow{At: s, Call: string(Accept), Bytes: -1},
	}
	if listening {
		bodies = bodies[2:]
	}
	rows := make([]Row, len(bodies))
	for i, body := range bodies {
		rows[i] = Row{Line: lineNumber, Body: body}
	}
	return rows
}
