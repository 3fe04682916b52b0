package scenario

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// between is a combination of two Linux hosts, with a Python program each.
func between(link string) *combination {
	linux := sequence.Players{sequence.Client: sequence.Linux, sequence.Server: sequence.Linux}
	python := []sequence.Step{{Do: sequence.Python, Text: "hello_client.py"}}
	return &combination{
		link: link, peer: Linux, role: None, family: 4, clock: Real, players: linux,
		sequence: &sequence.Sequence{Name: "s"},
		run: &sequence.Run{
			Players:  []sequence.Players{linux},
			Programs: map[string][]sequence.Step{"C@linux": python, "S@linux": python},
		},
	}
}

// TestUnplayableByLinux: what two Linux hosts cannot play, and why.
func TestUnplayableByLinux(t *testing.T) {
	rule := []sequence.LinkRule{{From: sequence.Client, Rule: "drop SYN"}}
	for _, c := range []struct {
		name, want string
		change     func(*combination)
	}{
		{name: "veth"},
		{name: "pipe", want: "no kernel", change: func(c *combination) { c.link = Pipe }},
		{name: "tap", want: "a TAP has one end for Linux", change: func(c *combination) { c.link = TAP }},
		{name: "rules", want: "has the link do", change: func(c *combination) { c.run.Link = rule }},
		{name: "forced", want: "has the link do", change: func(c *combination) {
			c.run.Forced = map[string][]sequence.LinkRule{"S@linux": rule}
		}},
		{name: "forced for others", change: func(c *combination) {
			c.run.Forced = map[string][]sequence.LinkRule{"S@stack": rule}
		}},
		{name: "extra", want: "extra script", change: func(c *combination) { c.run.Extra = []sequence.Frame{{}} }},
		{name: "Go", want: "S's program is not Python's", change: func(c *combination) {
			c.run.Programs["S@linux"] = []sequence.Step{{Do: sequence.Listen}}
		}},
		{name: "no program", want: "there is no program for C", change: func(c *combination) {
			delete(c.run.Programs, "C@linux")
		}},
		{name: "not named", want: "the run is not for", change: func(c *combination) {
			c.run.Players = []sequence.Players{{sequence.Client: sequence.Linux, sequence.Server: sequence.Stack}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			one := between(Veth)
			if c.change != nil {
				c.change(one)
			}
			if got := one.unplayable(); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestRoles: none is for runs that name two Linux ends, where all roles are asked for.
func TestRoles(t *testing.T) {
	c := between(Veth)
	for asked, want := range map[string]string{Both: "client server none", Client: "client", Server: "server"} {
		if got := strings.Join(c.roles(asked), " "); got != want {
			t.Errorf("%s: %q, want %q", asked, got, want)
		}
	}
	c.peer = Script
	if got := c.roles(Both); slices.Contains(got, None) {
		t.Errorf("against a script: %q", got)
	}
	c.peer = Self
	for asked, want := range map[string]string{Both: "both", Client: "client", Server: "server"} {
		if got := strings.Join(c.roles(asked), " "); got != want {
			t.Errorf("both ends ours, %s: %q, want %q", asked, got, want)
		}
	}
	c.peer, c.run.Players = Linux, nil
	if got := c.roles(Both); slices.Contains(got, None) {
		t.Errorf("a run for everybody: %q", got)
	}
}

// TestAllOver: a capture is whole when each connection is where segments can follow it to.
func TestAllOver(t *testing.T) {
	here, there := netip.MustParseAddrPort("192.168.12.1:40000"), netip.MustParseAddrPort("192.168.12.53:9000")
	change := func(stack string, conn uint32, to tracer.State) tracer.Event {
		return tracer.Event{Stack: stack, Conn: conn, Local: here, Remote: there, Body: &tracer.StateChange{To: to}}
	}
	listener := change("server", 2, tracer.Listen)
	listener.Remote = netip.AddrPort{}
	segment := tracer.Event{Stack: "client", Conn: 1, Local: here, Remote: there, Body: &tracer.Segment{}}
	for _, c := range []struct {
		name   string
		events []tracer.Event
		want   bool
	}{
		{"nothing", nil, false},
		{"segments only", []tracer.Event{segment}, false},
		{"a listener only", []tracer.Event{listener}, false},
		{"one end", []tracer.Event{change("client", 1, tracer.TimeWait), change("server", 3, tracer.LastAck)}, false},
		{"the other", []tracer.Event{change("client", 1, tracer.FinWait2), change("server", 3, tracer.Closed)}, false},
		{"both", []tracer.Event{listener, change("client", 1, tracer.TimeWait), segment, change("server", 3, tracer.Closed)}, true},
		{"again", []tracer.Event{change("client", 1, tracer.Closed), change("client", 4, tracer.SynSent)}, false},
	} {
		if got := allOver(c.events); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
