package report

import (
	"slices"
	"strconv"
	"strings"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/ladder"
	"appliance/tracer/view/summary"
	"appliance/tracer/view/words"
)

// subject is what a row of the table is about: a connection with both its ends, or what was
// said without one; nil for all together.
type subject struct{ pair *view.Pair }

// none stands in a cell that has nothing to tell.
const none = "–"

// table makes a row a connection, and one for all where there are several.
func (b *book) table(t *view.Trace, o Options) error {
	lines := map[uint32]*summary.Conn{}
	s := summary.New(summary.Options{}, func(c *summary.Conn) error {
		lines[c.ID] = c
		return nil
	})
	for i := range t.Events {
		if err := s.Add(&t.Events[i]); err != nil {
			return err
		}
	}
	if _, err := s.Finish(); err != nil {
		return err
	}
	b.Columns = columnsIn(o.Lang)
	pairs := ladder.All(t)
	all := totals{}
	var rows []row
	for i := range pairs {
		e := entry{l: o.Lang, pair: pairs[i], a: line(lines, pairs[i].A), b: line(lines, pairs[i].B)}
		all.add(&e)
		if len(rows) < maxRows {
			b.subjects = append(b.subjects, subject{&pairs[i]})
			rows = append(rows, row{Conns: e.ids(), More: more(t, pairs[i]), Cells: e.cells()})
			b.script.Conns = append(b.script.Conns, scriptConn{len(b.script.Conns), e.name()})
		}
	}
	if len(pairs) > 1 {
		b.subjects = slices.Insert(b.subjects, 0, subject{})
		rows = slices.Insert(rows, 0, row{Cells: all.cells(o.Lang)})
		for i := range b.script.Conns {
			b.script.Conns[i].Row++
		}
	}
	for i := range rows {
		rows[i].Row = i
	}
	b.Rows, b.several = rows, len(pairs)
	if len(pairs) > maxRows {
		b.MoreRows = o.Lang.F("The first %[1]s of %[2]s connections. The timeline has the events of all; --conn makes a report of any one.",
			grouped(maxRows), grouped(uint64(len(pairs))))
	}
	b.Tiles = all.tiles(t, o.Lang)
	return nil
}

// line returns what the summary tells of an end, nil where it tells nothing.
func line(lines map[uint32]*summary.Conn, c *view.Conn) *summary.Conn {
	if c == nil || c.ID == 0 {
		return nil
	}
	return lines[c.ID]
}

// more are the numbers of the events that are part of a pair's story and of none of its
// connections: the SYN that the listener took, the accept that returned it.
func more(t *view.Trace, p view.Pair) string {
	var list []string
	for _, it := range t.Story(p) {
		e := &t.Events[it.Index]
		if e.Conn == 0 || e.Conn != p.A.ID && (p.B == nil || e.Conn != p.B.ID) {
			list = append(list, strconv.FormatUint(e.N, 10))
		}
	}
	return strings.Join(list, " ")
}

func columnsIn(l words.Lang) []column {
	return []column{
		{Name: l.T("connection")},
		{Name: l.T("opener → other end")},
		{Name: l.T("states"), Help: l.T("The states that each end came to, in their order.")},
		{Name: l.T("bytes → / ←"), Help: l.T("Payload without repeats: from the opener, and to it."), Number: true},
		{Name: l.T("segments → / ←"), Number: true},
		{Name: l.T("retransmitted"), Help: l.T("By the ends whose segments are traced."), Number: true},
		{Name: l.T("RTT: least / median / p99"), Help: l.T("From a segment to the acknowledgment that covers it, at the first end whose segments are traced."), Number: true},
		{Name: l.T("from"), Help: l.T("Since the trace started."), Number: true},
		{Name: l.T("lasted"), Number: true},
		{Name: l.T("end|of a connection")},
	}
}

// entry is a pair with what the summary tells of its ends; nil where it tells nothing.
type entry struct {
	l    words.Lang
	pair view.Pair
	a, b *summary.Conn
}

func (e *entry) ends() []*view.Conn {
	if e.pair.B == nil {
		return []*view.Conn{e.pair.A}
	}
	return []*view.Conn{e.pair.A, e.pair.B}
}

// ids are those of the ends, with a space between.
func (e *entry) ids() string {
	var list []string
	for _, c := range e.ends() {
		if c.ID != 0 {
			list = append(list, strconv.FormatUint(uint64(c.ID), 10))
		}
	}
	return strings.Join(slices.Compact(list), " ")
}

// name is "client.2 ↔ server.3".
func (e *entry) name() string {
	var list []string
	for _, c := range e.ends() {
		list = append(list, c.Name())
	}
	return strings.Join(list, " ↔ ")
}

// counted tells whether an end's segments were counted: not so those of a Linux peer,
// whose kernel tells its states alone.
func counted(c *summary.Conn) bool { return c != nil && c.SegmentsOut+c.SegmentsIn > 0 }

// sides are what went from the opener, and what to it, as the ends tell; ok is false where
// none does.
func (e *entry) sides(of func(c *summary.Conn) (out, in uint64)) (there, back uint64, ok bool) {
	opener, other := e.a, e.b
	if e.pair.A.Role() == tracer.Passive {
		opener, other = other, opener
	}
	// Each end counts best what it sent itself.
	if counted(other) {
		back, there = of(other)
	}
	if counted(opener) {
		out, in := of(opener)
		if there = out; !counted(other) {
			back = in
		}
	}
	return there, back, counted(opener) || counted(other)
}

func bytesOf(c *summary.Conn) (out, in uint64)    { return c.BytesOut, c.BytesIn }
func segmentsOf(c *summary.Conn) (out, in uint64) { return c.SegmentsOut, c.SegmentsIn }

func (e *entry) retransmits() (n uint64) {
	for _, c := range []*summary.Conn{e.a, e.b} {
		if c != nil {
			n += c.Retransmits
		}
	}
	return n
}

func (e *entry) cells() []cell {
	two := func(of func(c *summary.Conn) (out, in uint64)) string {
		there, back, ok := e.sides(of)
		if !ok {
			return none
		}
		return grouped(there) + " / " + grouped(back)
	}
	cells := []cell{{Text: e.name()}, {Text: addresses(e.pair), Class: "mono"}, e.states(), {Text: two(bytesOf), Class: "num"}, {Text: two(segmentsOf), Class: "num"}}
	if e.a == nil {
		for range 5 {
			cells = append(cells, cell{Text: none, Class: "num"})
		}
		return cells
	}
	again := cell{Text: none, Class: "num"}
	if counted(e.a) || counted(e.b) {
		again.Text = grouped(e.retransmits())
	}
	if e.retransmits() > 0 {
		again.Class = "num warn"
	}
	return append(cells, again, cell{Text: e.rtt(), Class: "num"},
		cell{Text: whole(lasted(e.a.Opened)), Class: "num"}, cell{Text: whole(lasted(e.a.Duration)), Class: "num"}, e.how())
}

// rtt are the round-trip times at the first end whose segments were counted.
func (e *entry) rtt() string {
	c := e.a
	if !counted(c) && e.b != nil {
		c = e.b
	}
	if c.RTT == nil {
		return none
	}
	about := ""
	if c.RTT.Approximate {
		about = "~"
	}
	return whole(lasted(c.RTT.Min)) + " / " + about + whole(lasted(c.RTT.Median)) + " / " + about + whole(lasted(c.RTT.P99))
}

// whole is a text that no line's end parts.
func whole(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") }

// states are the strips of the states that the ends came to.
func (e *entry) states() cell {
	c := cell{Class: "strips"}
	for _, x := range []*summary.Conn{e.a, e.b} {
		if x == nil {
			continue
		}
		var parts []part
		for _, name := range x.States {
			if s, err := tracer.ParseState(name); err == nil {
				parts = append(parts, part{Text: name, Class: strconv.Itoa(int(s))})
			}
		}
		c.Strips = append(c.Strips, parts)
	}
	return c
}

// how tells how the connection ended at its first end, by name at the other where only
// that one tells; and to a pointer how at both.
func (e *entry) how() cell {
	c := cell{Text: howOf(e.l, e.a), Class: howClass(e.a)}
	if e.b == nil {
		return c
	}
	other := e.b.Name() + ": " + howOf(e.l, e.b)
	c.Title = e.a.Name() + ": " + c.Text + "; " + other
	if ended(e.a) && e.a.How == "" && e.b.How != "" {
		c.Text, c.Class = other, howClass(e.b)
	}
	return c
}

// ended tells whether the connection is over. That of a Linux peer comes to CLOSED, and
// nothing tells how.
func ended(c *summary.Conn) bool { return !c.Open || c.State == tracer.Closed.String() }

func howClass(c *summary.Conn) string {
	if c.How == "" || c.How == tracer.HowFIN {
		return ""
	}
	return "bad"
}

func howOf(l words.Lang, c *summary.Conn) string {
	if !ended(c) {
		return l.F("open: %s", c.State)
	}
	return view.How(l, c.How)
}

// totals are those of all rows.
type totals struct {
	connections                                                  uint64
	bytesThere, bytesBack, segmentsThere, segmentsBack, repeated uint64
	several                                                      bool // both ends are traced: what one sent the other got
	counted                                                      bool // the segments of any connection were
}

func (s *totals) add(e *entry) {
	s.several = s.several || e.pair.B != nil
	if e.a == nil {
		return
	}
	s.connections++
	there, back, ok := e.sides(bytesOf)
	s.counted = s.counted || ok
	s.bytesThere, s.bytesBack = s.bytesThere+there, s.bytesBack+back
	there, back, _ = e.sides(segmentsOf)
	s.segmentsThere, s.segmentsBack = s.segmentsThere+there, s.segmentsBack+back
	s.repeated += e.retransmits()
}

func (s *totals) cells(l words.Lang) []cell {
	count := func(n uint64) string {
		if !s.counted {
			return none
		}
		return grouped(n)
	}
	two := func(there, back uint64) cell { return cell{Text: count(there) + " / " + count(back), Class: "num"} }
	return []cell{
		{Text: l.T("All together")},
		{Text: l.F("%s connections", grouped(s.connections))},
		{},
		two(s.bytesThere, s.bytesBack),
		two(s.segmentsThere, s.segmentsBack),
		{Text: count(s.repeated), Class: "num"},
		{},
		{},
		{},
		{},
	}
}

// tiles are the totals at the top; those of TCP only where there is any.
func (s *totals) tiles(t *view.Trace, l words.Lang) []tile {
	changes, datagrams := uint64(0), uint64(0)
	for i := range t.Events {
		switch b := t.Events[i].Body.(type) {
		case *tracer.StateChange:
			changes++
		case *tracer.Datagram:
			if b.Dir == tracer.Out || !s.several {
				datagrams++
			}
		default:
		}
	}
	var list []tile
	add := func(name string, n uint64) { list = append(list, tile{Name: name, Value: grouped(n)}) }
	if s.connections > 0 || datagrams == 0 {
		add(l.T("connections"), s.connections)
	}
	if datagrams > 0 {
		add(l.T("datagrams"), datagrams)
	}
	if s.connections > 0 {
		add(l.T("changes of state"), changes)
	}
	if s.counted {
		bytes, unit := scaled(s.bytesThere + s.bytesBack)
		add(l.T("segments"), s.segmentsThere+s.segmentsBack)
		list = append(list, tile{Name: l.T("payload"), Value: bytes, Unit: unit},
			tile{Name: l.T("retransmitted"), Value: grouped(s.repeated), Bad: s.repeated > 0})
	}
	add(l.T("events"), uint64(len(t.Events)))
	value, unit, _ := strings.Cut(lasted(t.End()), " ")
	return append(list, tile{Name: l.T("traced for"), Value: value, Unit: unit})
}

// grouped is a count with a comma between each three digits.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// scaled is a count of bytes in a unit that suits it.
func scaled(n uint64) (value, unit string) {
	if n < 10_000 {
		return grouped(n), "B"
	}
	f, unit := float64(n)/1000, "kB"
	for _, u := range []string{"MB", "GB", "TB"} {
		if f < 999.5 {
			break
		}
		f, unit = f/1000, u
	}
	if f >= 99.95 {
		return grouped(uint64(f + 0.5)), unit
	}
	return strconv.FormatFloat(f, 'f', 1, 64), unit
}
