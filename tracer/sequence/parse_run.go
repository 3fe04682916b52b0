package sequence

import (
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"appliance/tracer"
)

var runKeys = []string{
	"name", "shows", "port", "tcp", "msl", "real_msl", "sysctl", "mtu", "programs", "scripts", "extra", "link", "forced",
	"expect", "allow", "check", "until", "players",
}

// runs reads the ways through a sequence.
func (p *parser) runs(n *yaml.Node, path string) []Run {
	items, ok := p.list(n, path)
	if ok && len(items) == 0 {
		p.fail(n, path, "is empty: want at least one run")
	}
	var runs []Run
	for i, item := range items {
		p.listening = false
		runs = append(runs, p.run(item, index(path, i)))
	}
	return runs
}

func (p *parser) run(n *yaml.Node, path string) Run {
	var r Run
	entries, ok := p.mapping(n, path, runKeys)
	for _, e := range entries {
		p.runKey(&r, e.key.Value, e.value, under(path, e.key.Value))
	}
	if _, has := p.at[under(path, "expect")]; ok && !has {
		p.failAt(p.at[path], under(path, "expect"), "missing: want what happens in the run")
	}
	return r
}

// minMTU is the least that IPv4 asks of a link (RFC 791).
const minMTU = 68

// runKey reads one key's value.
func (p *parser) runKey(r *Run, key string, n *yaml.Node, path string) {
	switch key {
	case "name":
		r.Name = p.name(n, path)
	case "shows":
		r.Shows = p.sentence(n, path)
	case "port":
		r.Port = uint16(p.whole(n, path, 1, math.MaxUint16)) //nolint:gosec // whole has bounded it
	case "tcp":
		r.TCP = p.tcp(n, path)
	case "msl":
		r.MSL = p.duration(n, path)
	case "real_msl":
		r.RealMSL = p.duration(n, path)
	case "sysctl":
		r.Sysctl = p.sysctl(n, path)
	case "mtu":
		r.MTU = p.whole(n, path, minMTU, math.MaxUint16)
	case "programs":
		r.Programs = p.programs(n, path)
	case "scripts":
		r.Scripts = byEnd(p, n, path, p.frames)
	case "extra":
		r.Extra = p.frames(n, path)
	case "link":
		r.Link = p.linkRules(n, path)
	case "forced":
		r.Forced = p.forced(n, path)
	case "expect":
		if r.Expect = p.rows(n, path, 0); len(r.Expect) == 0 {
			p.problemUnlessBad(n, path, "has no rows: want what happens in the run")
		}
	case "allow":
		r.Allow = p.allow(n, path)
	case "check":
		r.Check = p.checks(n, path)
	case "until":
		r.Until = byEnd(p, n, path, p.state)
	case "players":
		r.Players = p.players(n, path)
	}
}

// duration reads a time above 0.
func (p *parser) duration(n *yaml.Node, path string) time.Duration {
	text, ok := p.text(n, path)
	if !ok {
		return 0
	}
	d, err := token{text: text}.duration()
	if err != nil {
		p.fail(n, path, "%s", err)
	}
	return d
}

func (p *parser) state(n *yaml.Node, path string) tracer.State {
	text, ok := p.text(n, path)
	if !ok {
		return tracer.Closed
	}
	s, err := token{text: text}.state()
	if err != nil {
		p.fail(n, path, "%s", err)
	}
	return s
}

// bothEnds is the key for settings of either end.
const bothEnds = "both"

// tcp reads the stacks' settings; what they mean is the configuration's to say.
func (p *parser) tcp(n *yaml.Node, path string) map[End]map[string]any {
	entries, ok := p.mapping(n, path, []string{string(Client), string(Server), bothEnds})
	if !ok {
		return nil
	}
	settings := make(map[End]map[string]any, len(entries))
	for _, e := range entries {
		at := under(path, e.key.Value)
		inner, ok := p.mapping(e.value, at, nil)
		if ok && len(inner) == 0 {
			p.problemUnlessBad(e.value, at, "is empty: want settings, or remove the key")
		}
		values := make(map[string]any, len(inner))
		for _, i := range inner {
			values[i.key.Value] = p.value(i.value, under(at, i.key.Value))
		}
		end := End(e.key.Value)
		if end == bothEnds {
			end = ""
		}
		settings[end] = values
	}
	return settings
}

// value reads a bool, a number or a text.
func (p *parser) value(n *yaml.Node, path string) any {
	if _, ok := p.text(n, path); !ok {
		return nil
	}
	var v any
	if err := resolve(n).Decode(&v); err != nil {
		p.fail(n, path, "%s", err)
	}
	return v
}

func (p *parser) sysctl(n *yaml.Node, path string) map[string]string {
	entries, _ := p.mapping(n, path, nil)
	values := make(map[string]string, len(entries))
	for _, e := range entries {
		name := e.key.Value
		if !strings.HasPrefix(name, "net.") || strings.ContainsAny(name, "/ ") {
			p.fail(e.key, path, "%q is not a setting of a network namespace: want one such as net.ipv4.tcp_sack", name)
		}
		values[name], _ = p.text(e.value, under(path, name))
	}
	return values
}

// programs reads the programs by who runs them.
func (p *parser) programs(n *yaml.Node, path string) map[string][]Step {
	entries, _ := p.mapping(n, path, nil)
	programs := make(map[string][]Step, len(entries))
	for _, e := range entries {
		key := e.key.Value
		if key != string(Client) && key != string(Server) {
			_, players, ok := p.who(e.key, path, false)
			if ok && players[0] == Script {
				p.fail(e.key, path, "%q: a script has no program: it stands in scripts", key)
			}
		}
		programs[key] = p.steps(e.value, under(path, key), 0)
	}
	return programs
}

// steps reads a program. One without steps does nothing.
func (p *parser) steps(n *yaml.Node, path string, depth int) []Step {
	items, _ := p.list(n, path)
	steps := make([]Step, 0, len(items))
	for i, item := range items {
		if s, ok := p.step(item, index(path, i), depth); ok {
			steps = append(steps, s)
		}
	}
	return steps
}

// step reads a line, or a map with the key together.
func (p *parser) step(n *yaml.Node, path string, depth int) (s Step, ok bool) {
	text, at, ok := p.lineOf(n, path, []string{string(Together)})
	switch {
	case ok:
		var err error
		if s, err = parseStep(text); err != nil {
			p.failLine(at, path, text, err)
			return s, false
		}
		p.see(at)
		s.Line = at.Line
		return s, true
	case at == nil:
		return s, false
	case depth == maxDepth:
		p.fail(at, path, "steps together within others, deeper than %d", maxDepth)
		return s, false
	}
	p.see(n)
	s = Step{Do: Together, Line: n.Line}
	path = under(path, string(Together))
	content := at.Content[1]
	items, ok := p.list(content, path)
	for i, item := range items {
		steps := p.steps(item, index(path, i), depth+1)
		if len(steps) == 0 {
			p.problemUnlessBad(item, index(path, i), "has no steps")
		}
		s.Together = append(s.Together, steps)
	}
	if ok && len(items) < 2 {
		p.problemUnlessBad(content, path, "has fewer than two lists: there is nothing to do at the same time")
	}
	return s, true
}

// lines reads a list of lines of one grammar.
func lines[T any](p *parser, n *yaml.Node, path string, read func(text string, n *yaml.Node) (T, error)) []T {
	items, ok := p.list(n, path)
	var all []T
	for i, item := range items {
		text, at, ok := p.lineOf(item, index(path, i), nil)
		if !ok {
			continue
		}
		v, err := read(text, at)
		if err != nil {
			p.failLine(at, index(path, i), text, err)
			continue
		}
		p.see(at)
		all = append(all, v)
	}
	if ok && len(items) == 0 {
		p.fail(n, path, "is empty: want at least one line, or remove the key")
	}
	return all
}

func (p *parser) frames(n *yaml.Node, path string) []Frame {
	return lines(p, n, path, func(text string, n *yaml.Node) (Frame, error) {
		f, err := parseFrame(text)
		f.Line = n.Line
		return f, err
	})
}

func (p *parser) linkRules(n *yaml.Node, path string) []LinkRule {
	return lines(p, n, path, func(text string, _ *yaml.Node) (LinkRule, error) { return parseLinkRule(text) })
}

func (p *parser) forced(n *yaml.Node, path string) map[string][]LinkRule {
	entries, _ := p.mapping(n, path, nil)
	rules := make(map[string][]LinkRule, len(entries))
	for _, e := range entries {
		_, players, ok := p.who(e.key, path, false)
		if ok && players[0] == Script {
			p.fail(e.key, path, "%q: a script needs no force: it sends what it is told to", e.key.Value)
		}
		rules[e.key.Value] = p.linkRules(e.value, under(path, e.key.Value))
	}
	return rules
}

var allowances = []string{string(AllowACKs), string(AllowTimers), string(AllowProbes), string(AllowRetransmissions)}

func (p *parser) allow(n *yaml.Node, path string) []Allowance {
	items, _ := p.list(n, path)
	var allowed []Allowance
	for i, item := range items {
		text, ok := p.text(item, index(path, i))
		if !ok {
			continue
		}
		switch a := Allowance(text); {
		case !slices.Contains(allowances, text):
			p.fail(item, index(path, i), "%s", unknown("allowance", text, allowances))
		case slices.Contains(allowed, a):
			p.fail(item, index(path, i), "%q stands twice", text)
		default:
			allowed = append(allowed, a)
		}
	}
	return allowed
}

var checkKeys = []string{"max_len", "max_half_open", "min_cookies", "established", "no_answer", "max_events", "tcb"}

// checks reads what holds for a whole trace.
func (p *parser) checks(n *yaml.Node, path string) Checks {
	var c Checks
	entries, ok := p.mapping(n, path, checkKeys)
	if ok && len(entries) == 0 {
		p.problemUnlessBad(n, path, "is empty: want checks, or remove the key")
	}
	for _, e := range entries {
		at := under(path, e.key.Value)
		switch e.key.Value {
		case "max_len":
			c.MaxLen = byEnd(p, e.value, at, func(n *yaml.Node, path string) int { return p.whole(n, path, 0, maxPayload) })
		case "max_half_open":
			c.MaxHalfOpen = p.whole(e.value, at, 1, maxTimes)
		case "min_cookies":
			c.MinCookies = p.whole(e.value, at, 1, maxTimes)
		case "established":
			c.Established = p.whole(e.value, at, 1, maxTimes)
		case "max_events":
			c.MaxEvents = p.whole(e.value, at, 1, math.MaxInt32)
		case "no_answer":
			text, ok := p.text(e.value, at)
			if c.NoAnswer = text == "true"; ok && !c.NoAnswer {
				p.fail(e.value, at, "%q: want true, or remove the key", text)
			}
		case "tcb":
			text, ok := p.text(e.value, at)
			if c.TCB = End(text); ok && c.TCB != Client && c.TCB != Server {
				p.fail(e.value, at, "%q is not an end: want C or S", text)
			}
		}
	}
	return c
}

// players reads pairs such as "C@linux S@stack".
func (p *parser) players(n *yaml.Node, path string) []Players {
	items, ok := p.list(n, path)
	if ok && len(items) == 0 {
		p.fail(n, path, "is empty: nobody could play; remove the key for everybody that has a program or a script")
	}
	var all []Players
	for i, item := range items {
		at := index(path, i)
		text, ok := p.text(item, at)
		if !ok {
			continue
		}
		pair := make(Players)
		for _, word := range strings.Fields(text) {
			key := *resolve(item)
			key.Value, key.Line, key.Column = word, item.Line, item.Column
			if end, players, ok := p.who(&key, at, false); ok {
				pair[end] = players[0]
			}
		}
		if len(pair) != 2 || len(strings.Fields(text)) != 2 {
			p.problemUnlessBad(item, at, "want both ends, such as C@linux S@stack")
		}
		all = append(all, pair)
	}
	return all
}
