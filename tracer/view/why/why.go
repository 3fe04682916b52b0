package why

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"appliance/tracer"
	"appliance/tracer/view"
)

// Options are what is looked at; the zero value is ready.
type Options struct {
	// Limit is how many effects of one event are told; 0 means 12, less than 0 all.
	Limit int
}

// maxDepth is how far effects are followed: no trace of ours has so many behind each other.
const maxDepth = 64

// Answer is why an event happened, and what came of it.
type Answer struct {
	// Chain are the causes, the first one first; the event itself is the last.
	Chain []Step
	// Effects are what the event caused, each with its own.
	Effects []*Effect
	// More is how many effects are left out.
	More int

	t *view.Trace
}

// Step is an event of the chain.
type Step struct {
	Event *tracer.Event
	Link  Link // to the step before; "" for the first
}

// Effect is an event that another caused.
type Effect struct {
	Step
	Effects []*Effect
	More    int // how many are left out
}

// Links are what caused what in a trace.
type Links struct {
	t       *view.Trace
	causes  []cause          // by place in the trace
	effects map[uint64][]int // places in the trace, by the cause's number
}

// New finds what caused what.
func New(t *view.Trace) *Links {
	l := &Links{t: t, causes: link(t), effects: map[uint64][]int{}}
	for i, c := range l.causes {
		if c.n != 0 {
			l.effects[c.n] = append(l.effects[c.n], i)
		}
	}
	return l
}

// Cause returns what caused the event of number n; ok is false where nothing did.
func (l *Links) Cause(n uint64) (cause uint64, link Link, ok bool) {
	i := l.t.Index(n)
	if i < 0 || l.causes[i].n == 0 {
		return 0, "", false
	}
	return l.causes[i].n, l.causes[i].link, true
}

// Explain tells why the event of number n happened. It errs where the trace has no such
// event.
func (l *Links) Explain(n uint64, o Options) (*Answer, error) {
	t, causes := l.t, l.causes
	i := t.Index(n)
	if i < 0 {
		return nil, missing(t, n)
	}
	if o.Limit == 0 {
		o.Limit = 12
	}
	a := &Answer{t: t}
	for at := i; ; {
		c := causes[at]
		a.Chain = append(a.Chain, Step{&t.Events[at], c.link})
		if c.n == 0 {
			break
		}
		at = t.Index(c.n)
	}
	slices.Reverse(a.Chain)
	a.Effects, a.More = l.follow(n, o, 0)
	return a, nil
}

// missing says that there is no event of that number, and which there are.
func missing(t *view.Trace, n uint64) error {
	if len(t.Events) == 0 {
		return fmt.Errorf("event %d: the trace has no events", n)
	}
	first, last := t.Events[0].N, t.Events[len(t.Events)-1].N
	for i := range t.Events {
		if l, ok := t.Events[i].Body.(*tracer.Lost); ok && n >= t.Events[i].N && n < t.Events[i].N+l.Missed {
			return fmt.Errorf("event %d was lost: the trace's writer could not keep up", n)
		}
	}
	return fmt.Errorf("event %d is not in the trace: it has %d to %d", n, first, last)
}

// follow gathers the effects of event n.
func (l *Links) follow(n uint64, o Options, depth int) (list []*Effect, more int) {
	places := l.effects[n]
	if depth >= maxDepth {
		return nil, len(places)
	}
	if o.Limit > 0 && len(places) > o.Limit {
		places, more = places[:o.Limit], len(places)-o.Limit
	}
	for _, i := range places {
		e := &Effect{Step: Step{&l.t.Events[i], l.causes[i].link}}
		e.Effects, e.More = l.follow(e.Event.N, o, depth+1)
		list = append(list, e)
	}
	return list, more
}

// jsonStep is a Step or an Effect in JSON: the event as the trace has it.
type jsonStep struct {
	Link    Link            `json:"link,omitempty"`
	Event   json.RawMessage `json:"event"`
	Effects []jsonStep      `json:"effects,omitempty"`
	More    int             `json:"more,omitempty"`
}

// WriteJSON writes the answer as one JSON object: {"n":…,"chain":[{"link":…,"event":{…}}],
// "effects":[{…,"effects":[…]}]}.
func (a *Answer) WriteJSON(w io.Writer) error {
	out := struct {
		N       uint64     `json:"n"`
		Chain   []jsonStep `json:"chain"`
		Effects []jsonStep `json:"effects"`
		More    int        `json:"more,omitempty"`
	}{N: a.Chain[len(a.Chain)-1].Event.N, Effects: jsonEffects(a.Effects), More: a.More}
	for _, s := range a.Chain {
		out.Chain = append(out.Chain, jsonStep{Link: s.Link, Event: tracer.AppendJSON(nil, s.Event)})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func jsonEffects(list []*Effect) []jsonStep {
	out := []jsonStep{}
	for _, e := range list {
		out = append(out, jsonStep{Link: e.Link, Event: tracer.AppendJSON(nil, e.Event), Effects: jsonEffects(e.Effects), More: e.More})
	}
	return out
}
