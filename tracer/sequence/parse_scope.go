package sequence

import (
	"maps"

	"appliance/tracer"
	"appliance/tracer/strictyaml"
)

// scope is what has come before a row: labels that may have come, calls that have come, and
// states that the chains may be in.
type scope struct {
	labels map[string]arrival
	calls  map[callAt]bool
	states map[chain]stateSet
}

// arrival says of a label where it stands, and where the segment arrives.
type arrival struct {
	line    int
	from    At
	arrives bool
	tcp     bool
	certain bool // it comes in every way that leads here
	mixed   bool // it is another one in another alternative
}

type callAt struct {
	at       At
	call     string
	listener bool
}

type stateAt struct {
	at    At
	state tracer.State
}

// chain is whose states follow each other: a connection's, or the listener's, at one end.
type chain struct {
	at       At
	listener bool
}

func (c chain) String() string {
	if c.listener {
		return string(c.at.End) + "'s listener"
	}
	return c.at.String()
}

// stateSet are the states that a chain may be in; none means that it has not begun.
type stateSet uint16

const notBegun stateSet = 1 << 15

// setOf is the set of one state.
func setOf(s tracer.State) stateSet { return 1 << s }

// names lists the states, for people.
func (s stateSet) names() string {
	var names []string
	for state := tracer.Closed; state <= tracer.TimeWait; state++ {
		if s&setOf(state) != 0 {
			names = append(names, state.String())
		}
	}
	if s&notBegun != 0 {
		names = append(names, "not begun")
	}
	return strictyaml.List(names)
}

// clone returns a copy to change.
func (s scope) clone() scope {
	return scope{maps.Clone(s.labels), maps.Clone(s.calls), maps.Clone(s.states)}
}

// either returns what holds after one of two ways.
func (s scope) either(o scope) scope {
	for label, a := range s.labels {
		b, ok := o.labels[label]
		a.certain = a.certain && ok && b.certain
		a.mixed = a.mixed || ok && (b.mixed || a.from != b.from || a.arrives != b.arrives || a.tcp != b.tcp)
		s.labels[label] = a
	}
	for label, b := range o.labels {
		if _, ok := s.labels[label]; !ok {
			b.certain = false
			s.labels[label] = b
		}
	}
	maps.DeleteFunc(s.calls, func(c callAt, _ bool) bool { return !o.calls[c] })
	for c, set := range o.states {
		s.states[c] = s.of(c) | set
	}
	for c := range s.states {
		s.states[c] |= o.of(c)
	}
	return s
}

// of returns the states that a chain may be in.
func (s scope) of(c chain) stateSet {
	if set, ok := s.states[c]; ok {
		return set
	}
	return notBegun
}
