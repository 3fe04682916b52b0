package draw

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Canvas is a picture that grows shape by shape; later ones lie on top. Lengths are in the
// SVG's user units (CSS pixels), x to the right and y down.
type Canvas struct {
	W, H  float64
	Title string // for those who do not see the picture; it is not drawn
	buf   []byte
	open  int
	rules []Rule
}

// New returns an empty Canvas; its fields may be changed until it is written.
func New(w, h float64, title string) *Canvas { return &Canvas{W: w, H: h, Title: title} }

// Attr are a shape's attributes; the zero value is ready.
type Attr struct {
	Class Class  // one or several, with spaces between
	N     uint64 // the event that it shows: data-n
	Conn  uint32 // the connection: data-conn
	Title string // what a pointer over it shows
	Width float64
	Dash  string // of a line: "4 3"
	Round float64
	// Turn is by how many degrees a text is turned around its place, clockwise. One that is
	// needs a ground behind it: a [Piece] has its height from that.
	Turn float64
}

// Point is a place on a Canvas.
type Point struct{ X, Y float64 }

// Anchor tells which part of a text its place is.
type Anchor string

// The anchors.
const (
	Start  Anchor = ""
	Middle Anchor = "middle"
	End    Anchor = "end"
)

// Rules adds to the picture's style sheet.
func (c *Canvas) Rules(r ...Rule) { c.rules = append(c.rules, r...) }

// Open begins a group: what is drawn until Close belongs to it, with its attributes.
func (c *Canvas) Open(a Attr) {
	c.open++
	c.tag("g", a, false)
	c.buf = append(c.buf, '>')
	c.hint(a)
	c.buf = append(c.buf, '\n')
}

// Close ends the group that was begun last.
func (c *Canvas) Close() {
	if c.open == 0 {
		panic("draw: Close without Open")
	}
	c.open--
	c.buf = append(c.buf, "</g>\n"...)
}

// Rect draws a filled rectangle, its corners rounded by Attr.Round.
func (c *Canvas) Rect(x, y, w, h float64, a Attr) {
	c.tag("rect", a, false)
	c.numbers("x y width height", x, y, max(w, 0), max(h, 0))
	if a.Round > 0 {
		c.numbers("rx", a.Round)
	}
	c.finish("rect", a)
}

// Circle draws a filled circle.
func (c *Canvas) Circle(x, y, r float64, a Attr) {
	c.tag("circle", a, false)
	c.numbers("cx cy r", x, y, r)
	c.finish("circle", a)
}

// Line draws a line.
func (c *Canvas) Line(x1, y1, x2, y2 float64, a Attr) {
	c.tag("line", a, true)
	c.numbers("x1 y1 x2 y2", x1, y1, x2, y2)
	c.finish("line", a)
}

// Polyline draws a line through points.
func (c *Canvas) Polyline(points []Point, a Attr) {
	c.tag("polyline", a, true)
	c.points(points)
	c.finish("polyline", a)
}

// Polygon draws a filled shape with those corners.
func (c *Canvas) Polygon(points []Point, a Attr) {
	c.tag("polygon", a, false)
	c.points(points)
	c.finish("polygon", a)
}

// Path draws an outline, in SVG's path language.
func (c *Canvas) Path(d string, a Attr) {
	a.Class = "o " + a.Class
	c.tag("path", a, true)
	c.attr("d", d)
	c.finish("path", a)
}

// The size of an arrow's head.
const (
	headLong = 8.0
	headWide = 3.2
)

// Arrow draws a line with a head at its end.
func (c *Canvas) Arrow(x1, y1, x2, y2 float64, a Attr) {
	dx, dy := x2-x1, y2-y1
	long := math.Hypot(dx, dy)
	if long < headLong {
		c.Line(x1, y1, x2, y2, a)
		return
	}
	dx, dy = dx/long, dy/long
	bx, by := x2-dx*headLong, y2-dy*headLong
	c.Line(x1, y1, bx, by, a)
	c.Polygon(
		[]Point{{x2, y2}, {bx - dy*headWide, by + dx*headWide}, {bx + dy*headWide, by - dx*headWide}},
		Attr{Class: a.Class},
	)
}

// Text writes a line of text whose baseline is at y.
func (c *Canvas) Text(x, y float64, s string, size float64, anchor Anchor, a Attr) {
	if s == "" {
		return
	}
	c.textTag(x, y, size, anchor, a)
	c.hint(a)
	c.escape(s)
	c.buf = append(c.buf, "</text>\n"...)
}

// textTag begins a text.
func (c *Canvas) textTag(x, y, size float64, anchor Anchor, a Attr) {
	c.tag("text", a, false)
	c.numbers("x y font-size", x, y, size)
	if anchor != Start {
		c.attr("text-anchor", string(anchor))
	}
	if a.Turn != 0 {
		c.attr("transform", "rotate("+number(a.Turn)+" "+number(x)+" "+number(y)+")")
	}
	c.buf = append(c.buf, '>')
}

// Run is a part of a line of text.
type Run struct {
	Text  string
	Class Class
	Size  float64 // 0: that of the line
	Gap   float64 // before it
}

// Runs writes a line of text in several styles, one behind the other as wide as they turn
// out to be. [RunsWidth] is how wide they can become.
func (c *Canvas) Runs(x, y float64, runs []Run, size float64, anchor Anchor, a Attr) {
	c.textTag(x, y, size, anchor, a)
	c.hint(a)
	for _, r := range runs {
		c.tag("tspan", Attr{Class: r.Class}, false)
		if r.Gap != 0 {
			c.numbers("dx", r.Gap)
		}
		if r.Size != 0 {
			c.numbers("font-size", r.Size)
		}
		c.buf = append(c.buf, '>')
		c.escape(r.Text)
		c.buf = append(c.buf, "</tspan>"...)
	}
	c.buf = append(c.buf, "</text>\n"...)
}

// RunsWidth is [TextWidth] of a line that [Canvas.Runs] writes.
func RunsWidth(runs []Run, size float64) float64 {
	total := 0.0
	for _, r := range runs {
		s := size
		if r.Size != 0 {
			s = r.Size
		}
		w := TextWidth(r.Text, s)
		if slices.Contains(strings.Fields(string(r.Class)), string(Bold)) {
			w = BoldWidth(r.Text, s)
		}
		total += r.Gap + w
	}
	return total
}

// Place puts another picture into this one, its left upper corner at x and y.
func (c *Canvas) Place(x, y float64, other *Canvas) {
	if other.open != 0 {
		panic("draw: a group was not closed")
	}
	c.buf = append(c.buf, "<g"...)
	c.attr("transform", "translate("+number(x)+" "+number(y)+")")
	c.buf = append(c.buf, ">\n"...)
	c.buf = append(c.buf, other.buf...)
	c.buf = append(c.buf, "</g>\n"...)
	c.rules = append(c.rules, other.rules...)
}

// WriteTo writes the picture as an SVG file of its own.
func (c *Canvas) WriteTo(w io.Writer) (int64, error) { return c.write(w, true) }

// WriteInline writes the picture's svg element without the style sheet, for a page that has
// [CSS] itself.
func (c *Canvas) WriteInline(w io.Writer) (int64, error) { return c.write(w, false) }

func (c *Canvas) write(w io.Writer, alone bool) (int64, error) {
	if c.open != 0 {
		panic("draw: a group was not closed")
	}
	shapes := c.buf
	c.buf = nil
	c.buf = append(c.buf, `<svg xmlns="http://www.w3.org/2000/svg" class="apl" role="img"`...)
	c.numbers("width height", c.W, c.H)
	c.attr("viewBox", "0 0 "+number(c.W)+" "+number(c.H))
	c.buf = append(c.buf, ">\n<title>"...)
	c.escape(c.Title)
	c.buf = append(c.buf, "</title>\n"...)
	if alone {
		c.buf = append(c.buf, "<style>\n"+CSS(c.rules...)+"</style>\n"...)
	}
	c.Rect(0, 0, c.W, c.H, Attr{Class: Background})
	head := c.buf
	c.buf = shapes
	var total int64
	for _, part := range [][]byte{head, shapes, []byte("</svg>\n")} {
		n, err := w.Write(part)
		total += int64(n)
		if err != nil {
			return total, fmt.Errorf("write the picture: %w", err)
		}
	}
	return total, nil
}

// tag begins an element; a line's colour is its stroke.
func (c *Canvas) tag(name string, a Attr, line bool) {
	c.buf = append(c.buf, '<')
	c.buf = append(c.buf, name...)
	if a.Class != "" {
		class := string(a.Class)
		if line {
			words := strings.Fields(class)
			for i, w := range words {
				if w != "o" {
					words[i] = "l-" + w
				}
			}
			class = strings.Join(words, " ")
		}
		c.attr("class", class)
	}
	if a.N != 0 {
		c.attr("data-n", strconv.FormatUint(a.N, 10))
	}
	if a.Conn != 0 {
		c.attr("data-conn", strconv.FormatUint(uint64(a.Conn), 10))
	}
	if a.Width > 0 {
		c.numbers("stroke-width", a.Width)
	}
	if a.Dash != "" {
		c.attr("stroke-dasharray", a.Dash)
	}
}

func (c *Canvas) finish(name string, a Attr) {
	if a.Title == "" {
		c.buf = append(c.buf, "/>\n"...)
		return
	}
	c.buf = append(c.buf, '>')
	c.hint(a)
	c.buf = append(c.buf, "</"+name+">\n"...)
}

// hint writes what a pointer over the shape shows.
func (c *Canvas) hint(a Attr) {
	if a.Title != "" {
		c.buf = append(c.buf, "<title>"...)
		c.escape(a.Title)
		c.buf = append(c.buf, "</title>"...)
	}
}

func (c *Canvas) attr(name, value string) {
	c.buf = append(c.buf, ' ')
	c.buf = append(c.buf, name...)
	c.buf = append(c.buf, `="`...)
	c.escape(value)
	c.buf = append(c.buf, '"')
}

// numbers writes attributes that are lengths: their names, with spaces between, and values.
func (c *Canvas) numbers(names string, values ...float64) {
	i := 0
	for name := range strings.FieldsSeq(names) {
		c.attr(name, number(values[i]))
		i++
	}
}

func (c *Canvas) points(points []Point) {
	var b strings.Builder
	for i, p := range points {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(number(p.X) + "," + number(p.Y))
	}
	c.attr("points", b.String())
}

// number is a length with at most one decimal.
func number(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "0"
	}
	f = math.Round(f*10) / 10
	if f == 0 {
		return "0" // never -0
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// escape appends text as XML; what is no visible character becomes U+FFFD.
func (c *Canvas) escape(s string) {
	for _, r := range s {
		switch {
		case r == '<':
			c.buf = append(c.buf, "&lt;"...)
		case r == '>':
			c.buf = append(c.buf, "&gt;"...)
		case r == '&':
			c.buf = append(c.buf, "&amp;"...)
		case r == '"':
			c.buf = append(c.buf, "&quot;"...)
		case r == '\n', unicode.IsPrint(r):
			c.buf = utf8.AppendRune(c.buf, r)
		default:
			c.buf = append(c.buf, "\uFFFD"...)
		}
	}
}
