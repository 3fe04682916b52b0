package sequence

import (
	"fmt"
	"maps"
	"slices"

	"appliance/tracer/strictyaml"
)

// maxRows bounds the rows of a run.
const maxRows = 500

// Validate returns an [*Error] with everything in the sequence that contradicts itself: labels
// and calls that are named as causes and do not come before, changes of state that RFC 9293
// does not have or that do not follow each other in each way through the groups, waits for what
// never comes, ends that nobody can play, and what nobody uses. A Sequence that Parse returned
// is valid. It is nil where nothing is wrong.
func (s *Sequence) Validate() error {
	if problems := s.problems(); len(problems) > 0 {
		return strictyaml.NewError("", problems)
	}
	return nil
}

// problems returns what contradicts itself: each with its line, or its key.
func (s *Sequence) problems() []strictyaml.Problem {
	v := &validator{told: make(map[string]bool)}
	names := make(map[string]bool)
	for i := range s.Runs {
		r := &s.Runs[i]
		v.path = index("runs", i)
		switch {
		case len(s.Runs) > 1 && r.Name == "":
			v.fail("", "has no name: with several runs, each needs one")
		case len(s.Runs) == 1 && r.Name != "":
			v.fail("name", "%q: the only run needs no name", r.Name)
		case names[r.Name]:
			v.fail("name", "%q: another run has this name", r.Name)
		}
		names[r.Name] = true
		v.run(r)
	}
	return v.all
}

// A validator collects what is wrong with a run.
type validator struct {
	path string // the run's
	all  []strictyaml.Problem
	told map[string]bool
}

// fail records what is wrong with a key of the run.
func (v *validator) fail(key, format string, args ...any) {
	v.add(0, key, fmt.Sprintf(format, args...), "")
}

// add records a problem once; aside is said the first time only.
func (v *validator) add(lineNumber int, key, message, aside string) {
	path := v.path
	if key != "" {
		path = under(path, key)
	}
	id := fmt.Sprintf("%d %s %s", lineNumber, path, message)
	if v.told[id] {
		return
	}
	v.told[id] = true
	v.all = append(v.all, strictyaml.Problem{Line: lineNumber, Path: path, Message: message + aside})
}

func (v *validator) run(r *Run) {
	v.players(r)
	for _, key := range slices.Sorted(maps.Keys(r.Programs)) {
		c := programCheck{v: v, key: under("programs", key), open: make(map[string]bool)}
		c.steps(r.Programs[key])
		c.end()
	}
	if n := countRows(r.Expect); n > maxRows {
		v.fail("expect", "has %d rows: want at most %d; times stands for several segments", n, maxRows)
		return
	}
	groups := onlies(r.Expect)
	pairs := r.Pairings()
	for _, g := range groups {
		if !slices.ContainsFunc(pairs, func(p Players) bool { return slices.Contains(g.row.Players, p[g.row.For]) }) {
			v.add(g.line, "expect", fmt.Sprintf("nobody plays %s@%s in this run", g.row.For, g.row.Players[0]), "")
		}
	}
	reached := make(map[stateAt]bool)
	for _, p := range pairs {
		f := rowsCheck{v: v, players: p}
		if len(groups) > 0 {
			f.aside = fmt.Sprintf(" (with %s)", p)
		}
		f.judge(r)
		maps.Copy(reached, f.reached)
	}
	for _, end := range slices.Sorted(maps.Keys(r.Until)) {
		state := r.Until[end]
		if len(pairs) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(reached)), func(s stateAt) bool {
			return s.at.End == end && s.state == state
		}) {
			v.fail(under("until", string(end)), "no row of expect takes %s to %s", end, state)
		}
	}
}

// players checks that each end has somebody to play it, and that all that is there is used.
func (v *validator) players(r *Run) {
	for i, p := range r.Players {
		key := index("players", i)
		if slices.ContainsFunc(r.Players[:i], func(other Players) bool { return maps.Equal(p, other) }) {
			v.fail(key, "%s stands twice", p)
		}
		if p[Client] == Script && p[Server] == Script {
			v.fail(key, "%s: two scripts have no stack between them to trace", p)
		}
		for _, end := range []End{Client, Server} {
			if !r.CanPlay(end, p[end]) {
				v.fail(key, "%s@%s cannot play: %s", end, p[end], cannot(r, end, p[end]))
			}
		}
	}
	pairs := r.Pairings()
	if len(pairs) == 0 {
		for _, end := range []End{Client, Server} {
			if !slices.ContainsFunc([]Player{Stack, Linux, Script}, func(p Player) bool { return r.CanPlay(end, p) }) {
				v.fail("", "nobody plays %s: want a program (an empty list for one that does nothing) or a script", end)
				return
			}
		}
		v.fail("", "nobody can play it: there are scripts at both ends and no program")
		return
	}
	v.unused(r, pairs)
}

// cannot says why a player cannot play.
func cannot(r *Run, end End, p Player) string {
	if p == Script {
		return fmt.Sprintf("there is no script for %s", end)
	}
	steps, _, ok := r.Program(end, p)
	if !ok {
		return fmt.Sprintf("there is no program for it: want the key %s or %s@%s", end, end, p)
	}
	return quoteLine(linuxOnly(steps).String()) + " is a step of Linux's alone"
}

// unused tells of programs, scripts and rules that no pairing uses.
func (v *validator) unused(r *Run, pairs []Players) {
	programs, plays := make(map[string]bool), make(map[string]bool)
	for _, p := range pairs {
		for end, player := range p {
			plays[string(end)+"@"+string(player)] = true
			if _, key, ok := r.Program(end, player); ok {
				programs[key] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Programs)) {
		if !programs[key] {
			v.fail(under("programs", key), "nobody runs it: of those who play, each has another program")
		}
	}
	for _, end := range slices.Sorted(maps.Keys(r.Scripts)) {
		if !plays[string(end)+"@"+string(Script)] {
			v.fail(under("scripts", string(end)), "nobody plays it: players has no %s@%s", end, Script)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Forced)) {
		if !plays[key] {
			v.fail(under("forced", key), "nobody plays %s in this run", key)
		}
	}
}

// countRows counts rows, groups and those within.
func countRows(rows []Row) int {
	n := len(rows)
	for _, row := range rows {
		if g, ok := row.Body.(Group); ok {
			for _, list := range g.Lists {
				n += countRows(list)
			}
		}
	}
	return n
}

// only is a group that is for some players, with its line.
type only struct {
	line int
	row  Group
}

// onlies returns the groups that are for some players.
func onlies(rows []Row) []only {
	var all []only
	for _, row := range rows {
		g, ok := row.Body.(Group)
		if !ok {
			continue
		}
		if g.Kind == Only {
			all = append(all, only{row.Line, g})
		}
		for _, list := range g.Lists {
			all = append(all, onlies(list)...)
		}
	}
	return all
}

// programCheck goes through a program's steps.
type programCheck struct {
	v    *validator
	key  string
	open map[string]bool // connections that have been opened

	listens, bound, ends bool
	program              *Step // an app or a script
	others               bool  // steps that an app or a script leaves no room for
}

func (c *programCheck) fail(s *Step, message string) {
	c.v.add(s.Line, c.key, quoteLine(s.String())+": "+message, "")
}

func (c *programCheck) steps(steps []Step) {
	for i := range steps {
		c.step(&steps[i])
	}
}

func (c *programCheck) step(s *Step) {
	if c.ends {
		c.fail(s, "comes after the end of the process")
	}
	switch s.Do {
	case Listen:
		if c.listens {
			c.fail(s, "listens already")
		}
		c.listens = true
	case Accept:
		if !c.listens {
			c.fail(s, "no listen comes before")
		}
		c.open[s.Conn] = true
	case Bind:
		c.bound = true
	case Connect:
		c.bound = false
		c.open[s.Conn] = true
	case Send, Recv, Shutdown, Abort, Close:
		c.use(s)
	case Exit, Kill:
		c.ends = true
	case App, Python:
		if c.program != nil {
			c.fail(s, "the program is one already: want one app or python")
		}
		c.program = s
	case Together:
		c.together(s)
	default:
	}
	switch s.Do {
	case App, Python, Wait, Pause, Together:
	default:
		c.others = true
	}
}

// use checks a step that needs a connection, or the listener.
func (c *programCheck) use(s *Step) {
	switch {
	case s.Listener && !c.listens:
		c.fail(s, "no listen comes before")
	case !s.Listener && !c.open[s.Conn]:
		c.fail(s, "the connection has not been opened: neither connect nor accept comes before")
	}
}

// together checks lists that are done at the same time: what one opens, another may use.
func (c *programCheck) together(s *Step) {
	for _, list := range s.Together {
		for i := range list {
			switch list[i].Do {
			case Connect, Accept:
				c.open[list[i].Conn] = true
			default:
			}
		}
	}
	ends := c.ends
	for _, list := range s.Together {
		c.ends = ends
		c.steps(list)
	}
}

// end checks the program as a whole.
func (c *programCheck) end() {
	if c.bound {
		c.v.fail(c.key, "bind is for the next connect, and there is none")
	}
	if c.program != nil && c.others {
		c.fail(c.program, "it stands instead of steps: want nothing else but wait and pause with it")
	}
}
