package scenario

import (
	"testing"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// TestFlight: what is on its way was sent, was not dropped there, and has not arrived.
func TestFlight(t *testing.T) {
	segment := func(stack string, dir tracer.Direction, dropped string) tracer.Event {
		return tracer.Event{Stack: stack, Body: &tracer.Segment{Dir: dir, Dropped: dropped}}
	}
	noted := func(stack string, dir tracer.Direction, note string) tracer.Event {
		return tracer.Event{Stack: stack, Body: &tracer.Segment{Dir: dir, Notes: []string{note}}}
	}
	datagram := func(stack string, dir tracer.Direction) tracer.Event {
		return tracer.Event{Stack: stack, Body: &tracer.Datagram{Dir: dir}}
	}
	const lost = "impairment"
	for _, c := range []struct {
		name   string
		events []tracer.Event
		want   bool
	}{
		{"nothing", nil, true},
		{"sent", []tracer.Event{segment("client", tracer.Out, "")}, false},
		{"arrived", []tracer.Event{segment("client", tracer.Out, ""), segment("server", tracer.In, "")}, true},
		{"lost where it was sent", []tracer.Event{segment("server", tracer.Out, lost)}, true},
		{"lost where it came", []tracer.Event{segment("server", tracer.Out, ""), segment("client", tracer.In, lost)}, true},
		{"the other way", []tracer.Event{segment("server", tracer.Out, ""), segment("server", tracer.In, "")}, false},
		{"one of two", []tracer.Event{noted("client", tracer.Out, "duplicated"), segment("server", tracer.In, "")}, false},
		{"both of two", []tracer.Event{
			noted("client", tracer.Out, "duplicated"), segment("server", tracer.In, ""), segment("server", tracer.In, ""),
		}, true},
		{"doubled where it came, and another", []tracer.Event{
			segment("server", tracer.Out, ""), noted("client", tracer.In, "duplicated"), noted("client", tracer.In, "duplicate"),
			segment("server", tracer.Out, ""),
		}, false},
		{"a datagram", []tracer.Event{datagram("client", tracer.Out)}, false},
		{"its arrival", []tracer.Event{datagram("client", tracer.Out), datagram("server", tracer.In)}, true},
		{"a call", []tracer.Event{{Stack: "client", Body: &tracer.Call{}}}, true},
	} {
		f := flight{}
		for i := range c.events {
			f.take(&c.events[i])
		}
		if f.landed() != c.want {
			t.Errorf("%s: %v", c.name, f.left())
		}
	}
}

// TestNewFlight: it matters on a real clock, and can be told where both ends are traced.
func TestNewFlight(t *testing.T) {
	both := playersOf(Self, Both)
	for _, c := range []struct {
		name    string
		clock   timekeeper
		players sequence.Players
		extra   []sequence.Frame
		want    bool
	}{
		{"real", newRealTime(), both, nil, true},
		{"virtual", newVirtualTime(), both, nil, false},
		{"script", newRealTime(), playersOf(Script, Client), nil, false},
		{"linux", newRealTime(), playersOf(Linux, Server), nil, false},
		{"a third", newRealTime(), both, []sequence.Frame{{}}, false},
	} {
		f := newFlight(&stage{clock: c.clock, players: c.players, run: &sequence.Run{Extra: c.extra}})
		sent := tracer.Event{Stack: "client", Body: &tracer.Segment{Dir: tracer.Out}}
		if f.take(&sent); f.landed() == c.want {
			t.Errorf("%s: counts %v", c.name, !c.want)
		}
	}
}
