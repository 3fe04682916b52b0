package states

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
	"appliance/tracer/view"
	"appliance/tracer/view/draw/drawtest"
	"appliance/tracer/view/words"
)

// walks draws a trace of some connections that each go any way through the machine.
func walks(t *rapid.T) (trace *view.Trace, changes int) {
	var events []tracer.Event
	n, now := uint64(0), time.Duration(0)
	for id := range uint32(rapid.IntRange(1, 5).Draw(t, "connections")) {
		state := rapid.SampledFrom([]tracer.State{tracer.Closed, tracer.Listen}).Draw(t, "begin")
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			var ways []tcpstate.Transition
			for _, tr := range tcpstate.Transitions() {
				if tr.From == state {
					ways = append(ways, tr)
				}
			}
			way := rapid.SampledFrom(ways).Draw(t, "way")
			n++
			now += time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "dwell"))
			what := rapid.SampledFrom([]string{"", "RST", "close", "a \"quoted\" <cause>: #1; %%\n\x1b[2J漢"}).Draw(t, "what")
			events = append(events, tracer.Event{
				N: n, T: now, Stack: "a", Conn: id + 1,
				Local: netip.MustParseAddrPort("[fd00::1]:65535"), Remote: netip.MustParseAddrPort("[2001:db8:ffff:ffff:ffff:ffff:ffff:fffe]:65535"),
				Body: &tracer.StateChange{From: state, To: way.To, Cause: tracer.Cause{Kind: way.Kind, N: n, What: what}, RFC: way.Citation()},
			})
			state = way.To
		}
	}
	return view.New(tracer.Header{}, events), int(n)
}

// TestAnyWay: whatever way connections take, every change is counted once, the views are
// whole, and no state is reached that none of them was in.
func TestAnyWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trace, changes := walks(t)
		o := Options{
			ASCII: rapid.Bool().Draw(t, "ascii"),
			Lang:  rapid.SampledFrom([]words.Lang{words.English, words.Chinese}).Draw(t, "lang"),
		}
		d, err := New(trace, o)
		if err != nil {
			t.Fatal(err)
		}
		counted := 0
		for _, n := range d.Taken {
			counted += n
		}
		for _, o := range d.Others {
			counted += o.Count
			if !o.Legal {
				t.Errorf("%+v is in the table", o)
			}
		}
		want := 0
		for i := range trace.Events {
			if slices.ContainsFunc(d.Paths, func(p Path) bool { return p.Conn.ID == trace.Events[i].Conn }) {
				want++
			}
		}
		// Of one connection and listeners beside it, the connection is drawn.
		if counted != want || d.Many && want != changes {
			t.Errorf("%d changes counted, want %d of %d", counted, want, changes)
		}
		o.ASCII = o.ASCII && o.Lang != words.Chinese
		d.opts = o
		checkReached(t, trace, d)
		checkViews(t, d)
	})
}

func checkReached(t *rapid.T, trace *view.Trace, d *Diagram) {
	in := map[tracer.State]bool{}
	for i := range trace.Events {
		b, ok := trace.Events[i].Body.(*tracer.StateChange)
		if ok && slices.ContainsFunc(d.Paths, func(p Path) bool { return p.Conn.ID == trace.Events[i].Conn }) {
			in[b.From], in[b.To] = true, true
		}
	}
	for _, s := range allStates {
		if d.States[s].Reached != in[s] {
			t.Errorf("%v: reached %v", s, d.States[s].Reached)
		}
	}
	states, transitions := d.Coverage()
	never, untaken := d.Missed()
	if states+len(never) != len(allStates) || transitions+len(untaken) != len(figure) {
		t.Errorf("%d states and %d missed, %d transitions and %d missed", states, len(never), transitions, len(untaken))
	}
}

func checkViews(t *rapid.T, d *Diagram) {
	for _, line := range bytes.Split([]byte(d.drawing().String()), []byte("\n")) {
		if words.Width(string(line)) > gridW {
			t.Errorf("the drawing has %d columns", words.Width(string(line)))
		}
	}
	var text, mermaid, svg bytes.Buffer
	if err := d.Text(&text); err != nil {
		t.Error(err)
	}
	for _, c := range text.Bytes() {
		if c < ' ' && c != '\n' || d.opts.ASCII && c > '~' {
			t.Fatalf("the text has byte %#x:\n%s", c, text.String())
		}
	}
	if err := d.Mermaid(&mermaid); err != nil {
		t.Error(err)
	}
	for _, line := range bytes.Split(mermaid.Bytes(), []byte("\n")) {
		if !mermaidLine.Match(line) {
			t.Errorf("Mermaid: %q", line)
		}
	}
	if err := d.SVG(&svg); err != nil {
		t.Error(err)
	}
	p, err := drawtest.Parse(svg.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range p.Problems(nil) {
		t.Error(problem)
	}
}
