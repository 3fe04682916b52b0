package draw

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Piece is a shape or group that stands in no other, as SVG without a line break, and the
// heights that it spans.
type Piece struct {
	Top, End float64
	SVG      []byte
}

// WriteFrame writes the picture's svg element with an empty group, of class "pieces",
// where the shapes would be, on one line: for a page that puts in the [Canvas.Pieces] that
// are on the screen.
func (c *Canvas) WriteFrame(w io.Writer) error {
	frame := New(c.W, c.H, c.Title)
	frame.Open(Attr{Class: "pieces"})
	frame.Close()
	var b bytes.Buffer
	if _, err := frame.WriteInline(&b); err != nil {
		return err
	}
	if _, err := w.Write(oneLine(b.Bytes())); err != nil {
		return fmt.Errorf("write the picture's frame: %w", err)
	}
	return nil
}

// Pieces calls yield with each piece, in the order in which they lie on one another, until
// it returns false.
func (c *Canvas) Pieces(yield func(Piece) bool) {
	depth, begin := 0, 0
	p := Piece{Top: math.Inf(1), End: math.Inf(-1)}
	for at := 0; at < len(c.buf); {
		// No text and no attribute has these two: they are escaped there.
		open := bytes.IndexByte(c.buf[at:], '<')
		if open < 0 {
			return
		}
		open += at
		end := open + bytes.IndexByte(c.buf[open:], '>')
		tag := c.buf[open+1 : end]
		at = end + 1
		switch {
		case tag[0] == '/':
			depth--
		case tag[len(tag)-1] == '/':
			p.cover(tag)
		default:
			p.cover(tag)
			depth++
		}
		if depth > 0 {
			continue
		}
		p.SVG = oneLine(c.buf[begin:at])
		if math.IsInf(p.Top, 1) { // it shows nothing
			p.Top, p.End = 0, 0
		}
		if !yield(p) {
			return
		}
		begin = at
		p = Piece{Top: math.Inf(1), End: math.Inf(-1)}
	}
}

// oneLine joins the lines of an SVG; a line break means no more to it than a space.
func oneLine(svg []byte) []byte {
	return bytes.ReplaceAll(bytes.TrimSpace(svg), []byte("\n"), []byte(" "))
}

// cover lets the piece span a shape's heights, by its tag.
func (p *Piece) cover(tag []byte) {
	name, _, _ := bytes.Cut(tag, []byte(" "))
	switch string(name) {
	case "rect":
		y := attrOf(tag, "y")
		p.span(y, y+attrOf(tag, "height"))
	case "circle":
		y, r := attrOf(tag, "cy"), attrOf(tag, "r")
		p.span(y-r, y+r)
	case "line":
		p.span(attrOf(tag, "y1"), attrOf(tag, "y2"))
	case "text":
		y := attrOf(tag, "y")
		p.span(y-attrOf(tag, "font-size"), y+attrOf(tag, "font-size")/2)
	case "polyline", "polygon":
		for i, y := range numbersIn(attrText(tag, "points")) {
			if i%2 == 1 {
				p.span(y, y)
			}
		}
	case "path": // some of its numbers are heights: it spans no more than all of them
		for _, y := range numbersIn(attrText(tag, "d")) {
			p.span(y, y)
		}
	}
}

func (p *Piece) span(a, b float64) {
	p.Top, p.End = min(p.Top, a, b), max(p.End, a, b)
}

// attrText returns the text of a tag's attribute, nil where it has none.
func attrText(tag []byte, name string) []byte {
	_, rest, ok := bytes.Cut(tag, []byte(" "+name+`="`))
	if !ok {
		return nil
	}
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return value
}

// attrOf returns the number of a tag's attribute, 0 where it has none.
func attrOf(tag []byte, name string) float64 {
	f, err := strconv.ParseFloat(string(attrText(tag, name)), 64)
	if err != nil {
		return 0
	}
	return f
}

// numbersIn returns the numbers in a list of points or a path.
func numbersIn(text []byte) (list []float64) {
	for _, field := range bytes.FieldsFunc(text, func(r rune) bool { return r != '.' && r != '-' && (r < '0' || r > '9') }) {
		if f, err := strconv.ParseFloat(string(field), 64); err == nil {
			list = append(list, f)
		}
	}
	return list
}
