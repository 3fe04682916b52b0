package summary

import (
	"fmt"
	"io"
	"strings"

	"appliance/tracer/view/words"
)

// A cell is a column's text, and its SGR parameters where colour is on.
type cell struct{ text, style string }

// row is one of the table's; on a narrow terminal it takes several lines.
type row [numColumns]cell

// maxRows is how many rows are gathered before they are written.
const maxRows = 256

// grid writes rows with each column under its heading. A column is as wide as its widest
// cell so far: the rows are gathered by the hundred, and where those make a column wider
// than it was, the heading stands again above them.
type grid struct {
	w      io.Writer
	color  bool
	width  int // of a line, at most; 0: any
	head   row
	widths [numColumns]int
	first  [numColumns]bool // a line begins with this column
	begun  bool             // the heading is written
	rows   []row
	gaps   []int // before which of the rows an empty line stands
	err    error
}

// add gathers a row.
func (g *grid) add(r *row) {
	g.rows = append(g.rows, *r)
	if len(g.rows) >= maxRows {
		g.flush()
	}
}

// gap leaves an empty line before the next row.
func (g *grid) gap() { g.gaps = append(g.gaps, len(g.rows)) }

// flush writes what is gathered.
func (g *grid) flush() {
	grown := false
	for i := range g.rows {
		grown = g.fit(&g.rows[i]) || grown
	}
	if !g.begun || grown {
		g.fit(&g.head)
		g.fold()
		if g.begun {
			g.printf("\n")
		}
		g.begun = true
		g.write(&g.head)
	}
	gaps := g.gaps
	for i := range g.rows {
		if len(gaps) > 0 && gaps[0] == i {
			g.printf("\n")
			gaps = gaps[1:]
		}
		g.write(&g.rows[i])
	}
	g.rows, g.gaps = g.rows[:0], nil
}

// fit makes the columns wide enough for a row, and tells whether they were not.
func (g *grid) fit(r *row) (grown bool) {
	for i, c := range r {
		if n := words.Width(c.text); n > g.widths[i] {
			g.widths[i], grown = n, true
		}
	}
	return grown
}

// indent is where the lines of a row behind its first begin.
const indent = 2

// gap is how many columns of the terminal are free before a column: the arrow stands
// close to what it comes from.
func gap(col int) int {
	if col == colOther {
		return 1
	}
	return 2
}

// groups are the columns that begin what stays on one line if it can.
var groups = [...]int{colName, colStates, colBytesOut, colRTTMin, numColumns}

// fold says with which columns lines begin.
func (g *grid) fold() {
	g.first = [numColumns]bool{}
	at := -gap(0)
	for k, from := range groups[:len(groups)-1] {
		size := 0
		for i := from; i < groups[k+1]; i++ {
			size += gap(i) + g.widths[i]
		}
		for i := from; i < groups[k+1]; i++ {
			whole := i == from && at+size > g.width && indent+size-gap(i) <= g.width
			if g.width > 0 && i > 0 && (whole || at+gap(i)+g.widths[i] > g.width) {
				g.first[i] = true
				at = indent - gap(i)
			}
			at += gap(i) + g.widths[i]
		}
	}
}

// write writes one row.
func (g *grid) write(r *row) {
	var b strings.Builder
	blank := "" // not written yet: nothing stands at a line's end, nor a line of nothing
	spaces := 0
	for i, c := range r {
		switch {
		case g.first[i]:
			blank, spaces = "\n", indent
		case i > 0:
			spaces += gap(i)
		}
		pad := g.widths[i] - words.Width(c.text)
		if !leftmost[i] {
			spaces += pad
		}
		if c.text != "" {
			b.WriteString(blank)
			b.WriteString(strings.Repeat(" ", spaces))
			b.WriteString(g.painted(c))
			blank, spaces = "", 0
		}
		if leftmost[i] {
			spaces += pad
		}
	}
	g.printf("%s\n", b.String())
}

func (g *grid) painted(c cell) string {
	if !g.color || c.style == "" {
		return c.text
	}
	return "\x1b[" + c.style + "m" + c.text + "\x1b[0m"
}

// list writes what follows the table: parts with a separator between, on as many lines as
// it takes.
func (g *grid) list(name string, parts []string, sep string) {
	if len(parts) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString(name)
	at := words.Width(name)
	for i, p := range parts {
		if i < len(parts)-1 {
			p += sep
		}
		n := words.Width(strings.TrimRight(p, " "))
		if at += n; g.width > 0 && i > 0 && at > g.width {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent + n
		}
		b.WriteString(p)
		at += words.Width(p) - n
	}
	for _, line := range strings.Split(b.String(), "\n") {
		g.printf("%s\n", strings.TrimRight(line, " "))
	}
}

func (g *grid) printf(format string, args ...any) {
	if g.err == nil {
		_, g.err = fmt.Fprintf(g.w, format, args...)
	}
}
