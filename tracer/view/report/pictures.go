package report

import (
	"bufio"
	"slices"
	"strconv"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/draw"
	"appliance/tracer/view/graph"
	"appliance/tracer/view/ladder"
	"appliance/tracer/view/states"
	"appliance/tracer/view/words"
)

// The pictures, in the order of their tabs.
const (
	tabLadder = "ladder"
	tabStates = "states"
	// And those of package graph, by their own names.
)

// tabNames are the names of the tabs.
func tabNames(l words.Lang) map[string]string {
	return map[string]string{
		tabLadder: l.T("Ladder"),
		tabStates: l.T("States"),

		string(graph.Sequence):   l.T("Sequence"),
		string(graph.Window):     l.T("Window"),
		string(graph.RTT):        "RTT",
		string(graph.Throughput): l.T("Throughput"),
	}
}

// draw makes the pictures of the first connections, and of all together.
func (b *book) draw(t *view.Trace, o Options) {
	limit := o.Pictures
	if limit == 0 {
		limit = DefaultPictures
	}
	shown := 0
	for i, s := range b.subjects {
		if s.pair == nil {
			b.states(i, t, states.Options{Lang: o.Lang})
			continue
		}
		if shown < limit {
			shown++
			b.pairPictures(i, t, *s.pair, o)
		}
	}
	if shown < b.several && limit > 0 {
		b.Notes = append(b.Notes, o.Lang.F("Pictures are of the first %[1]s of %[2]s connections. For those of another one make a report of it alone, with --conn and its id: the table has the ids.",
			grouped(uint64(shown)), grouped(uint64(b.several))))
	}
}

// pairPictures makes those of one connection.
func (b *book) pairPictures(row int, t *view.Trace, p view.Pair, o Options) {
	b.tall(row, tabLadder, ladder.New(t, p, ladder.Options{Lang: o.Lang}).Canvas(), ladder.HeadHigh)
	if p.A.ID == 0 || p.A.Listener || p.A.UDP {
		return // no states, and no bytes in sequence
	}
	b.states(row, t, states.Options{Lang: o.Lang, Conns: []uint32{p.A.ID}})
	for _, kind := range graph.Kinds() {
		b.graphs(row, t, p, graph.Options{Lang: o.Lang, Kinds: []graph.Kind{kind}})
	}
}

// states makes the state diagram, unless no state was changed.
func (b *book) states(row int, t *view.Trace, o states.Options) {
	d, err := states.New(t, o)
	if err != nil {
		return // what it says: there is nothing to draw
	}
	b.picture(row, tabStates, d.Canvas())
}

// graphs makes a graph of each way that data went, each as its sender saw it where that
// end is traced.
func (b *book) graphs(row int, t *view.Trace, p view.Pair, o graph.Options) {
	var ways []*draw.Canvas
	for _, way := range waysOf(t, p) {
		o.Dir = way.dir
		c, err := graph.Draw(t, way.conn, o)
		if err == nil { // else what it says: there is nothing to draw
			ways = append(ways, c)
		}
	}
	b.picture(row, string(o.Kinds[0]), ways...)
}

// way is a direction of data, and the end that is asked for it.
type way struct {
	conn *view.Conn
	dir  tracer.Direction
}

// waysOf returns the ways that data went; where none did, the opener's.
func waysOf(t *view.Trace, p view.Pair) []way {
	back := way{p.A, tracer.In}
	if p.B != nil {
		back = way{p.B, tracer.Out}
	}
	all := []way{{p.A, tracer.Out}, back}
	var ways []way
	for _, w := range all {
		if data(t, w.conn, w.dir) || data(t, p.Other(w.conn), opposite(w.dir)) {
			ways = append(ways, w)
		}
	}
	if len(ways) == 0 {
		return all[:1]
	}
	return ways
}

// data tells whether an end has segments with payload that go one way; nil has none.
func data(t *view.Trace, c *view.Conn, dir tracer.Direction) bool {
	return c != nil && slices.ContainsFunc(c.Events, func(i int) bool {
		g, ok := t.Events[i].Body.(*tracer.Segment)
		return ok && g.Dir == dir && g.Len > 0
	})
}

func opposite(dir tracer.Direction) tracer.Direction {
	if dir == tracer.Out {
		return tracer.In
	}
	return tracer.Out
}

// picture adds a tab to a row's, with what is drawn under one another; nothing where that
// is nothing.
func (b *book) picture(row int, tab string, parts ...*draw.Canvas) {
	if len(parts) == 0 {
		return
	}
	b.add(row, scriptPicture{Tab: tab}, func(w *bufio.Writer) {
		for _, c := range parts {
			_, _ = c.WriteInline(w) // bufio keeps the first error
		}
	})
}

// tall adds a tab whose picture is put into the page piece by piece, as it is scrolled; its
// head, so high, stays in sight.
func (b *book) tall(row int, tab string, c *draw.Canvas, head float64) {
	b.add(row, scriptPicture{Tab: tab, Tall: true, Head: head}, func(w *bufio.Writer) { writeTall(w, c) })
}

func (b *book) add(row int, p scriptPicture, fill func(w *bufio.Writer)) {
	p.ID = "pic-" + strconv.Itoa(row) + "-" + p.Tab
	set := b.script.Sets[row]
	set.Pics = append(set.Pics, p)
	b.script.Sets[row] = set
	b.pictures = append(b.pictures, picture{id: p.ID, fill: fill})
}

// writeTall writes a picture as the page takes a tall one: its frame, then a line a piece
// with the heights of its top and its end.
func writeTall(w *bufio.Writer, c *draw.Canvas) {
	_ = c.WriteFrame(w)
	for p := range c.Pieces {
		_, _ = w.WriteString("\n" + number(p.Top) + "\t" + number(p.End) + "\t")
		_, _ = w.Write(p.SVG)
	}
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
