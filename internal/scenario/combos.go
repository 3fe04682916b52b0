package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"appliance/tracer/sequence"
)

// combination is one way to play a run.
type combination struct {
	sequence *sequence.Sequence
	run      *sequence.Run
	link     string
	peer     string
	role     string
	family   int
	clock    string
	players  sequence.Players
}

func (c *combination) result() Result {
	return Result{
		Sequence: c.sequence.Name, Run: c.run.Name, Link: c.link, Peer: c.peer, Role: c.role, Family: c.family, Clock: c.clock,
	}
}

// combinations are all that the options ask for: sequence by sequence, in the order that
// they are in, and in each run by link, peer, role and family.
func combinations(o *Options) ([]combination, error) {
	runs, err := chosen(o)
	if err != nil {
		return nil, err
	}
	var all []combination
	for _, c := range runs {
		for _, c.link = range o.Links {
			c.clock = o.clockOn(c.link)
			for _, c.peer = range c.peers(o) {
				for _, c.role = range c.roles(o.Role) {
					c.players = playersOf(c.peer, c.role)
					for _, c.family = range o.Families {
						all = append(all, c)
					}
				}
			}
		}
	}
	return all, nil
}

// chosen are the runs that the options name, each once.
func chosen(o *Options) ([]combination, error) {
	left := map[string]bool{}
	for _, n := range o.Names {
		left[n] = true
	}
	var all []combination
	for _, s := range o.Sequences {
		for i := range s.Runs {
			run := &s.Runs[i]
			full := s.Name + "/" + run.Name
			if len(o.Names) > 0 && !slices.Contains(o.Names, s.Name) && !slices.Contains(o.Names, full) {
				continue
			}
			delete(left, s.Name)
			delete(left, full)
			all = append(all, combination{sequence: s, run: run})
		}
	}
	for _, n := range o.Names {
		if left[n] {
			return nil, fmt.Errorf("%w: no sequence %q%s", ErrOptions, n, hint(o.Sequences, n))
		}
	}
	return all, nil
}

// hint names what the name may have meant.
func hint(all []*sequence.Sequence, name string) string {
	base, run, _ := strings.Cut(name, "/")
	var known []string
	for _, s := range all {
		if s.Name == base && run != "" {
			var runs []string
			for i := range s.Runs {
				runs = append(runs, s.Name+"/"+s.Runs[i].Name)
			}
			return ": it has the runs " + strings.Join(runs, ", ")
		}
		known = append(known, s.Name)
	}
	return ": there are " + strings.Join(known, ", ")
}

// peers are those to play the run with on its link.
func (c combination) peers(o *Options) []string {
	if !o.FirstPeer || len(o.Peers) > 0 {
		return peersOn(c.link, o.Peers)
	}
	for _, c.peer = range []string{Self, Linux, Script} {
		for _, c.role = range c.roles(o.Role) {
			if c.players = playersOf(c.peer, c.role); c.unplayable() == "" {
				return []string{c.peer}
			}
		}
	}
	return peersOn(c.link, nil)
}

// peersOn are the peers to play with on a link.
func peersOn(link string, asked []string) []string {
	switch {
	case len(asked) > 0:
		return asked
	case link == Pipe:
		return []string{Self, Script}
	default:
		return []string{Linux}
	}
}

// roles are the appliance's, in the run against its peer. That it is both ends is for the
// peer self, that it is none for runs that say so.
func (c combination) roles(asked string) []string {
	switch {
	case asked != Both:
		return []string{asked}
	case c.peer == Self:
		return []string{Both}
	case c.peer == Linux && listsNeither(c.run):
		return []string{Client, Server, None}
	default:
		return []string{Client, Server}
	}
}

// playersOf are who plays which end.
func playersOf(peer, role string) sequence.Players {
	other := map[string]sequence.Player{Self: sequence.Stack, Linux: sequence.Linux, Script: sequence.Script}[peer]
	p := sequence.Players{sequence.Client: sequence.Stack, sequence.Server: sequence.Stack}
	switch role {
	case Client:
		p[sequence.Server] = other
	case Server:
		p[sequence.Client] = other
	case None:
		p[sequence.Client], p[sequence.Server] = other, other
	}
	return p
}

// unplayable says why the combination cannot be played; "" where it can.
func (c *combination) unplayable() string {
	switch {
	case c.link == Pipe && c.peer == Linux:
		return "there is no kernel at the end of a pipe"
	case c.link != Pipe && c.peer == Self:
		return "a lab has one end for the appliance; the pipe has two"
	case c.peer == Self && c.role != Both:
		return "with the peer self both ends are the appliance"
	}
	if len(c.run.Players) > 0 && !slices.ContainsFunc(c.run.Players, c.plays) {
		return fmt.Sprintf("the run is not for C played by %s and S by %s", c.players[sequence.Client], c.players[sequence.Server])
	}
	for _, e := range []sequence.End{sequence.Client, sequence.Server} {
		if why := c.unplayableEnd(e); why != "" {
			return why
		}
	}
	if lasts := longest(c.run.Rows(c.players)); c.clock == Real && lasts > realLimit {
		return fmt.Sprintf("something lasts %s, and on a real clock a run has %s", lasts, realLimit)
	}
	if c.role == None {
		return c.unplayableByLinux()
	}
	return ""
}

// longest is the longest time that a row says, but for those that follow the run's MSL.
func longest(rows []sequence.Row) time.Duration {
	var most time.Duration
	for i := range rows {
		switch b := rows[i].Body.(type) {
		case sequence.StateRow:
			most = max(most, b.After)
		case sequence.TimerRow:
			most = max(most, b.After)
		case sequence.Group:
			for _, list := range b.Lists {
				most = max(most, longest(list))
			}
		default:
		}
	}
	return most
}

// plays tells whether players that a run names are the combination's.
func (c *combination) plays(p sequence.Players) bool {
	for e, who := range p {
		if c.players[e] != who {
			return false
		}
	}
	return true
}

// unplayableEnd says what is missing to play an end.
func (c *combination) unplayableEnd(e sequence.End) string {
	who := c.players[e]
	switch _, _, ok := c.run.Program(e, who); {
	case c.run.CanPlay(e, who):
		return ""
	case who == sequence.Script:
		return fmt.Sprintf("there is no script for %s", e)
	case ok:
		return fmt.Sprintf("%s's program has steps that only Linux can do", e)
	default:
		return fmt.Sprintf("there is no program for %s", e)
	}
}

// program is what an end runs.
func (c *combination) program(e sequence.End) []sequence.Step {
	steps, _, _ := c.run.Program(e, c.players[e])
	return steps
}
