package states

import (
	"fmt"
	"testing"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
)

// TestFigure holds figure 5's transitions to the table of RFC 9293's machine.
func TestFigure(t *testing.T) {
	if len(figure) != 21 || len(allStates) != 11 {
		t.Fatalf("%d transitions, %d states", len(figure), len(allStates))
	}
	seen := map[[2]tracer.State]bool{}
	for i, a := range Figure() {
		pair := [2]tracer.State{a.From, a.To}
		if seen[pair] {
			t.Errorf("%v → %v: twice", a.From, a.To)
		}
		seen[pair] = true
		tr, ok := tcpstate.Lookup(a.From, a.To, a.Kind)
		if !ok || tr.Source != "RFC 9293" {
			t.Errorf("%v → %v by %s is not RFC 9293's: %+v", a.From, a.To, a.Kind, tr)
		}
		if a.Event == "" {
			t.Errorf("%v → %v has no event", a.From, a.To)
		}
		if got := arrowOf(a.From, a.To, a.Kind, a.Event == "rcv RST"); got != i {
			t.Errorf("%v → %v by %s takes arrow %d, want %d", a.From, a.To, a.Kind, got, i)
		}
	}
	Figure()[0].Event = "x"
	if figure[0].Event != "passive OPEN" {
		t.Error("Figure gave away the table")
	}
}

// TestBesideTheFigure: what has the ends of an arrow but another cause did not take it.
func TestBesideTheFigure(t *testing.T) {
	for _, c := range []struct {
		from, to tracer.State
		kind     tracer.CauseKind
		reset    bool
		on       bool
	}{
		{tracer.SynSent, tracer.Closed, tracer.CauseCall, false, true},
		{tracer.SynSent, tracer.Closed, tracer.CauseSegment, true, false}, // refused
		{tracer.SynSent, tracer.Closed, tracer.CauseTimer, false, false},
		{tracer.LastAck, tracer.Closed, tracer.CauseSegment, false, true},
		{tracer.LastAck, tracer.Closed, tracer.CauseSegment, true, false},
		{tracer.TimeWait, tracer.Closed, tracer.CauseTimer, false, true},
		{tracer.TimeWait, tracer.Closed, tracer.CauseSegment, false, false}, // RFC 6191
		{tracer.Listen, tracer.Closed, tracer.CauseStack, false, false},
		{tracer.Established, tracer.FinWait1, tracer.CauseSegment, false, true}, // the CLOSE had waited
		{tracer.CloseWait, tracer.LastAck, tracer.CauseTimer, false, true},
		{tracer.SynReceived, tracer.Listen, tracer.CauseSegment, true, true},
		{tracer.SynReceived, tracer.Listen, tracer.CauseSegment, false, false},
		{tracer.Listen, tracer.Established, tracer.CauseSegment, false, false}, // a cookie
		{tracer.SynReceived, tracer.CloseWait, tracer.CauseSegment, false, false},
		{tracer.Established, tracer.CloseWait, "", false, true}, // nobody knows why
	} {
		if got := arrowOf(c.from, c.to, c.kind, c.reset) >= 0; got != c.on {
			t.Errorf("%v → %v by %s, reset %v: on the figure %v", c.from, c.to, c.kind, c.reset, got)
		}
	}
}

// cells are the cells that a route goes through.
func (r *route) cells() []cell {
	list := []cell{r.way[0]}
	for i := 1; i < len(r.way); i++ {
		for at, to := r.way[i-1], r.way[i]; at != to; {
			at.x, at.y = at.x+sign(to.x-at.x), at.y+sign(to.y-at.y)
			list = append(list, at)
		}
	}
	return list
}

// TestLayout holds that nothing in the diagram lies on anything else: boxes, lines, labels
// with the widest badges.
func TestLayout(t *testing.T) {
	if len(routes) != len(figure) {
		t.Fatalf("%d ways for %d arrows", len(routes), len(figure))
	}
	owner := map[cell]string{}
	claim := func(c cell, who string) {
		if c.x < 0 || c.x >= gridW || c.y < 0 || c.y >= gridH {
			t.Errorf("%s is out of the grid at %v", who, c)
		}
		if other := owner[c]; other != "" && other != who {
			t.Errorf("%s and %s are both at %v", who, other, c)
		}
		owner[c] = who
	}
	for i := range boxes {
		b := &boxes[i]
		for x := range boxW {
			for y := range b.h {
				claim(cell{b.x + x, b.y + y}, fmt.Sprintf("box %d %v", i, b.state))
			}
		}
	}
	for i, a := range figure {
		r := routeOf(i)
		who := fmt.Sprintf("%v → %v", a.From, a.To)
		cells := r.cells()
		for _, c := range cells {
			claim(c, who)
		}
		first, last := cells[0], cells[len(cells)-1]
		if !beside(first, a.From) || !beside(last, a.To) {
			t.Errorf("%s goes from %v to %v, which is beside no box of its states", who, first, last)
		}
		if dx, dy := r.end(); !inBox(cell{last.x + dx, last.y + dy}, a.To) {
			t.Errorf("%s does not point into its box", who)
		}
	}
	for i, a := range figure {
		claimLabel(routeOf(i), a, claim)
	}
}

// claimLabel claims the cells of a label's words, with a cell to either side.
func claimLabel(r *route, a Arrow, claim func(cell, string)) {
	g := &grid{}
	above, below := r.words(a)
	g.label(&r.label, above, below, "[10](11)", light)
	own := map[cell]bool{}
	for _, c := range r.cells() {
		own[c] = true
	}
	for y := range g.cells {
		for x, c := range g.cells[y] {
			if c != 0 && !own[cell{x, y}] {
				claim(cell{x, y}, "label of "+a.From.String()+" → "+a.To.String())
			}
		}
	}
}

func inBox(c cell, s tracer.State) bool {
	for _, b := range boxes {
		if b.state == s && c.x >= b.x && c.x < b.x+boxW && c.y >= b.y && c.y < b.y+b.h {
			return true
		}
	}
	return false
}

func beside(c cell, s tracer.State) bool {
	for _, d := range []cell{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
		if inBox(cell{c.x + d.x, c.y + d.y}, s) {
			return true
		}
	}
	return false
}
