// Package drawtest reads the SVGs of package draw back, for tests of what draws: that they
// are well formed, that all lies within the picture, and that no text lies on another.
package drawtest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"appliance/tracer/view/draw"
)

// Shape is one shape of a picture with its bounds.
type Shape struct {
	Tag            string // rect, line, text …
	Classes        []string
	N              uint64 // data-n, its own or that of the nearest group that has one
	X1, Y1, X2, Y2 float64
	Text           string
	Size           float64    // of a text
	runs           []draw.Run // of a text in several styles
	at             draw.Point // the place of a text
	turn           float64    // of a text, in degrees
	quad           draw.Quad  // where a text of [Picture.Texts] is
}

// Has tells whether the shape, or a group that it is in, has the class.
func (s *Shape) Has(class string) bool {
	for _, c := range s.Classes {
		if c == class {
			return true
		}
	}
	return false
}

// Picture is an SVG as read back.
type Picture struct {
	W, H   float64
	Shapes []Shape // but for the ground
}

// Parse reads an SVG of package draw. It errs where that is no well-formed XML, or not what
// a Canvas writes.
func Parse(svg []byte) (*Picture, error) {
	p := &parser{d: xml.NewDecoder(bytes.NewReader(svg))}
	p.d.Strict = true
	for {
		tok, err := p.d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the picture: %w", err)
		}
		if err := p.token(tok); err != nil {
			return nil, fmt.Errorf("read the picture: %w", err)
		}
	}
	if p.pic.W <= 0 || p.pic.H <= 0 {
		return nil, errors.New("read the picture: it has no size")
	}
	return &p.pic, nil
}

type parser struct {
	d     *xml.Decoder
	pic   Picture
	stack []frame
}

// frame is an element that is open.
type frame struct {
	tag     string
	classes []string
	n       uint64
	shape   int // in Shapes; -1: none
}

func (p *parser) token(tok xml.Token) error {
	switch tok := tok.(type) {
	case xml.StartElement:
		return p.start(tok)
	case xml.EndElement:
		p.stack = p.stack[:len(p.stack)-1]
	case xml.CharData:
		if n := len(p.stack); n > 0 && (p.stack[n-1].tag == "text" || p.stack[n-1].tag == "tspan") {
			s := &p.pic.Shapes[p.stack[n-1].shape]
			s.Text += string(tok)
			if p.stack[n-1].tag == "tspan" {
				s.runs[len(s.runs)-1].Text += string(tok)
			}
		}
	default:
	}
	return nil
}

func (p *parser) start(e xml.StartElement) error {
	a := attrs{}
	for _, at := range e.Attr {
		if _, twice := a[at.Name.Local]; twice {
			return fmt.Errorf("%s has %s twice", e.Name.Local, at.Name.Local)
		}
		a[at.Name.Local] = at.Value
	}
	f := frame{tag: e.Name.Local, shape: -1}
	if n := len(p.stack); n > 0 {
		f.classes, f.n = p.stack[n-1].classes, p.stack[n-1].n
	}
	f.classes = append(append([]string{}, f.classes...), strings.Fields(a["class"])...)
	if n, err := strconv.ParseUint(a["data-n"], 10, 64); err == nil {
		f.n = n
	}
	if f.tag == "svg" {
		p.pic.W, p.pic.H = a.number("width"), a.number("height")
		if want := "0 0 " + a["width"] + " " + a["height"]; a["viewBox"] != want {
			return fmt.Errorf("viewBox %q, want %q", a["viewBox"], want)
		}
	}
	if n := len(p.stack); f.tag == "tspan" && n > 0 && p.stack[n-1].tag == "text" {
		f.shape = p.stack[n-1].shape
		r := draw.Run{Class: draw.Class(a["class"])}
		r.Gap, r.Size = a.length("dx"), a.length("font-size")
		p.pic.Shapes[f.shape].runs = append(p.pic.Shapes[f.shape].runs, r)
	}
	if s, ok := shapeOf(f.tag, a); ok {
		s.Classes, s.N = f.classes, f.n
		f.shape = len(p.pic.Shapes)
		p.pic.Shapes = append(p.pic.Shapes, s)
	}
	p.stack = append(p.stack, f)
	return nil
}

type attrs map[string]string

func (a attrs) number(name string) float64 {
	f, err := strconv.ParseFloat(a[name], 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

// length is a number that need not be there: 0 without it.
func (a attrs) length(name string) float64 {
	if _, ok := a[name]; !ok {
		return 0
	}
	return a.number(name)
}

// turn are the degrees by which a text is turned around its place: NaN where it is turned
// around another.
func (a attrs) turn() float64 {
	if a["transform"] == "" {
		return 0
	}
	degrees, ok := strings.CutSuffix(strings.TrimPrefix(a["transform"], "rotate("), " "+a["x"]+" "+a["y"]+")")
	f, err := strconv.ParseFloat(degrees, 64)
	if err != nil || !ok {
		return math.NaN()
	}
	return f
}

func shapeOf(tag string, a attrs) (Shape, bool) {
	s := Shape{Tag: tag}
	switch tag {
	case "rect":
		if a["class"] == string(draw.Background) && a["rx"] == "" && a["x"] == "0" && a["y"] == "0" {
			return s, false
		}
		s.X1, s.Y1 = a.number("x"), a.number("y")
		s.X2, s.Y2 = s.X1+a.number("width"), s.Y1+a.number("height")
	case "circle":
		x, y, r := a.number("cx"), a.number("cy"), a.number("r")
		s.X1, s.Y1, s.X2, s.Y2 = x-r, y-r, x+r, y+r
	case "line":
		x1, y1, x2, y2 := a.number("x1"), a.number("y1"), a.number("x2"), a.number("y2")
		s.X1, s.Y1, s.X2, s.Y2 = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
	case "polyline", "polygon":
		s.X1, s.Y1, s.X2, s.Y2 = bounds(a["points"])
	case "path":
		s.X1, s.Y1, s.X2, s.Y2 = bounds(a["d"])
	case "text":
		s.Size = a.number("font-size")
		s.X1, s.Y1 = a.number("x"), a.number("y")
		s.at, s.turn = draw.Point{X: s.X1, Y: s.Y1}, a.turn()
		// How far it reaches is known once its text is: see [Picture.Texts].
		s.X2, s.Y2 = s.X1, s.Y1
		switch a["text-anchor"] {
		case "middle":
			s.X1, s.X2 = math.Inf(-1), s.X1
		case "end":
			s.X2 = math.Inf(-1)
		}
	default:
		return s, false
	}
	return s, true
}

// bounds are those of a list of points, or of a path of absolute M, L and Q.
func bounds(list string) (x1, y1, x2, y2 float64) {
	x1, y1, x2, y2 = math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	fields := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune("MLQCZ, ", r) })
	for i := 0; i+1 < len(fields); i += 2 {
		x, errX := strconv.ParseFloat(fields[i], 64)
		y, errY := strconv.ParseFloat(fields[i+1], 64)
		if errX != nil || errY != nil {
			return math.NaN(), math.NaN(), math.NaN(), math.NaN()
		}
		x1, y1, x2, y2 = min(x1, x), min(y1, y), max(x2, x), max(y2, y)
	}
	return x1, y1, x2, y2
}

// Texts are the picture's texts, with the room that they may take in any font.
func (p *Picture) Texts() []Shape {
	var list []Shape
	for _, s := range p.Shapes {
		if s.Tag != "text" {
			continue
		}
		width := draw.TextWidth(s.Text, s.Size)
		if s.Has("b") {
			width = draw.BoldWidth(s.Text, s.Size)
		}
		if len(s.runs) > 0 {
			width = draw.RunsWidth(s.runs, s.Size)
		}
		switch {
		case math.IsInf(s.X1, -1): // middle
			s.X1 = s.X2 - width/2
		case math.IsInf(s.X2, -1): // end
			s.X1 -= width
		}
		s.X2 = s.X1 + width
		s.quad = draw.Around(s.at, s.X1-s.at.X, -0.73*s.Size, s.X2-s.at.X, 0.2*s.Size, s.turn)
		s.X1, s.Y1, s.X2, s.Y2 = s.quad.Bounds()
		list = append(list, s)
	}
	return list
}

// Problems tells what is wrong with a picture: what reaches out of it, and which texts lie
// on each other. overlap, where it is not nil, says of two texts that they may.
func (p *Picture) Problems(overlap func(a, b *Shape) bool) []string {
	var list []string
	inside := func(s *Shape, slack float64) {
		if !(s.X1 >= -slack && s.Y1 >= -slack && s.X2 <= p.W+slack && s.Y2 <= p.H+slack) {
			list = append(list, fmt.Sprintf("%s %q (%v) is out of the picture: %.1f,%.1f … %.1f,%.1f of %.0f×%.0f",
				s.Tag, s.Text, s.Classes, s.X1, s.Y1, s.X2, s.Y2, p.W, p.H))
		}
	}
	texts := p.Texts()
	for i := range p.Shapes {
		if s := &p.Shapes[i]; s.Tag != "text" {
			inside(s, 0.5)
		}
	}
	for i := range texts {
		inside(&texts[i], 0.5)
		for k := range texts[:i] {
			a, b := &texts[i], &texts[k]
			if a.quad.Meets(b.quad) && (overlap == nil || !overlap(a, b)) {
				list = append(list, fmt.Sprintf("%q and %q lie on each other at %.1f,%.1f", a.Text, b.Text, a.X1, a.Y1))
			}
		}
	}
	return list
}
