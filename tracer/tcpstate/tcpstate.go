package tcpstate

import (
	"slices"

	"appliance/tracer"
)

// Transition is one change of state that a connection may make.
type Transition struct {
	From, To tracer.State
	Kind     tracer.CauseKind // what sort of event causes it
	Source   string           // the document that has it: "RFC 9293", "RFC 4987"; "" for none
	Clause   string           // its clause: "3.10.7.4"; "" where Source is
	Sentence string           // what happens, in the RFC's terms
}

// Citation returns where the change is specified, as tracer.StateChange.RFC has it:
// the bare clause for RFC 9293 ("3.10.7.4"), with the document for another
// ("RFC 4987, 3.6"), "" for none.
func (t Transition) Citation() string {
	switch t.Source {
	case "", rfc9293:
		return t.Clause
	default:
		return t.Source + ", " + t.Clause
	}
}

type key struct {
	from, to tracer.State
	kind     tracer.CauseKind
}

var (
	byKey  = make(map[key]int, len(table))
	byPair = make(map[[2]tracer.State]bool, len(table))
)

func init() {
	for i, t := range table {
		byKey[key{t.From, t.To, t.Kind}] = i
		byPair[[2]tracer.State{t.From, t.To}] = true
	}
}

// Lookup returns the change from one state to another that an event of this kind
// causes. ok is false when there is none: the change is not legal, or that kind of
// event cannot cause it.
func Lookup(from, to tracer.State, kind tracer.CauseKind) (t Transition, ok bool) {
	i, ok := byKey[key{from, to, kind}]
	if !ok {
		return Transition{}, false
	}
	return table[i], true
}

// Clause returns the clause that has the change, as [Transition.Citation]; "" when
// there is none.
func Clause(from, to tracer.State, kind tracer.CauseKind) string {
	t, _ := Lookup(from, to, kind)
	return t.Citation()
}

// Legal tells whether any event may change from into to.
func Legal(from, to tracer.State) bool { return byPair[[2]tracer.State{from, to}] }

// Transitions returns every change, by From in the order of the states.
func Transitions() []Transition { return slices.Clone(table) }
