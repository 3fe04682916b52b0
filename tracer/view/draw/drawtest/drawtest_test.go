package drawtest

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"appliance/tracer/view/draw"
)

func picture(t *testing.T, paint func(*draw.Canvas)) *Picture {
	t.Helper()
	c := draw.New(200, 100, "a <title>")
	paint(c)
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	p, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestShapes(t *testing.T) {
	p := picture(t, func(c *draw.Canvas) {
		c.Open(draw.Attr{Class: "group", N: 7})
		c.Line(30, 20, 10, 40, draw.Attr{Class: "sent data"})
		c.Close()
		c.Polygon([]draw.Point{{X: 1, Y: 2}, {X: 9, Y: 4}, {X: 3, Y: 8}}, draw.Attr{Class: "ink"})
		c.Path("M5 6L7.5 8Q9 9 10 11", draw.Attr{Class: "axis"})
		c.Text(100, 50, "AB", 10, draw.Middle, draw.Attr{Class: "ink"})
		c.Text(190, 80, "AB", 10, draw.End, draw.Attr{Class: "ink", Title: "hint"})
	})
	if len(p.Shapes) != 5 || p.W != 200 || p.H != 100 {
		t.Fatalf("%+v", p)
	}
	line := p.Shapes[0]
	if line.X1 != 10 || line.X2 != 30 || line.Y1 != 20 || line.Y2 != 40 || line.N != 7 || !line.Has("group") || !line.Has("l-data") {
		t.Errorf("line: %+v", line)
	}
	if s := p.Shapes[1]; s.X1 != 1 || s.X2 != 9 || s.Y1 != 2 || s.Y2 != 8 {
		t.Errorf("polygon: %+v", s)
	}
	if s := p.Shapes[2]; s.X1 != 5 || s.X2 != 10 || s.Y1 != 6 || s.Y2 != 11 {
		t.Errorf("path: %+v", s)
	}
	texts := p.Texts()
	half := draw.TextWidth("AB", 10) / 2
	if a := texts[0]; math.Abs(a.X1-100+half) > 1e-9 || math.Abs(a.X2-100-half) > 1e-9 || a.Text != "AB" {
		t.Errorf("middle: %+v", a)
	}
	if b := texts[1]; math.Abs(b.X2-190) > 1e-9 || math.Abs(b.X1-190+2*half) > 1e-9 || b.Text != "AB" {
		t.Errorf("end: %+v", b)
	}
	if problems := p.Problems(nil); problems != nil {
		t.Errorf("%q", problems)
	}
}

func TestProblems(t *testing.T) {
	for name, paint := range map[string]func(*draw.Canvas){
		"is out of": func(c *draw.Canvas) { c.Text(195, 50, "long", 12, draw.Start, draw.Attr{}) },
		"rect":      func(c *draw.Canvas) { c.Rect(-5, 5, 2, 2, draw.Attr{}) },
		"lie on each other": func(c *draw.Canvas) {
			c.Text(10, 50, "one", 12, draw.Start, draw.Attr{})
			c.Text(20, 52, "two", 12, draw.Start, draw.Attr{})
		},
	} {
		problems := picture(t, paint).Problems(nil)
		if len(problems) != 1 || !strings.Contains(problems[0], name) {
			t.Errorf("%s: %q", name, problems)
		}
	}
}

func TestNoPicture(t *testing.T) {
	for _, svg := range []string{"", "<svg>", `<svg width="1" height="1" viewBox="0 0 2 2"/>`, `<svg width="1" height="1" viewBox="0 0 1 1"><a></b></svg>`} {
		if p, err := Parse([]byte(svg)); err == nil {
			t.Errorf("%q: %+v, and no error", svg, p)
		}
	}
}
