package sequence

import (
	"maps"
	"slices"
)

// Program returns the steps that the player p runs at end, and the key that it has them
// under: "S@linux" before "S". ok is false where there are none for it.
func (r *Run) Program(end End, p Player) (steps []Step, key string, ok bool) {
	for _, key := range []string{string(end) + "@" + string(p), string(end)} {
		if steps, ok := r.Programs[key]; ok && p != Script {
			return steps, key, true
		}
	}
	return nil, "", false
}

// CanPlay tells whether p has what it needs to play end: a script, or a program without
// steps that are Linux's alone, where p is not Linux.
func (r *Run) CanPlay(end End, p Player) bool {
	if p == Script {
		_, ok := r.Scripts[end]
		return ok
	}
	steps, _, ok := r.Program(end, p)
	return ok && (p == Linux || linuxOnly(steps) == nil)
}

// linuxOnly returns the first step that Linux alone can do.
func linuxOnly(steps []Step) *Step {
	for i := range steps {
		switch steps[i].Do {
		case Python, Exit, Kill:
			return &steps[i]
		case Together:
			for _, list := range steps[i].Together {
				if s := linuxOnly(list); s != nil {
					return s
				}
			}
		default:
		}
	}
	return nil
}

// Pairings returns who can play the run's ends: Players, or where there are none, everybody
// that has a program or a script, but not scripts at both ends.
func (r *Run) Pairings() []Players {
	if len(r.Players) > 0 {
		return slices.Clone(r.Players)
	}
	var pairs []Players
	for _, c := range []Player{Stack, Linux, Script} {
		for _, s := range []Player{Stack, Linux, Script} {
			if r.CanPlay(Client, c) && r.CanPlay(Server, s) && (c != Script || s != Script) {
				pairs = append(pairs, Players{Client: c, Server: s})
			}
		}
	}
	return pairs
}

// Rows returns Expect as it is with these players: the rows of an [Only] stand in its place,
// or are gone. An alternative or a thread of which nothing remains is gone too; so is a group.
func (r *Run) Rows(players Players) []Row { return rowsFor(r.Expect, players) }

func rowsFor(rows []Row, players Players) []Row {
	var kept []Row
	for _, row := range rows {
		g, ok := row.Body.(Group)
		if !ok {
			kept = append(kept, row)
			continue
		}
		if g.Kind == Only && !slices.Contains(g.Players, players[g.For]) {
			continue
		}
		var lists [][]Row
		for _, list := range g.Lists {
			if list = rowsFor(list, players); len(list) > 0 {
				lists = append(lists, list)
			}
		}
		switch {
		case len(lists) == 0:
		case len(lists) == 1 && g.Kind != Optional:
			kept = append(kept, lists[0]...)
		default:
			g.Lists = lists
			kept = append(kept, Row{Line: row.Line, Body: g})
		}
	}
	return kept
}

// String returns "C@linux S@stack".
func (p Players) String() string {
	w := words{}
	for _, end := range slices.Sorted(maps.Keys(p)) {
		w.add(string(end) + "@" + string(p[end]))
	}
	return w.String()
}
