package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tcpstate"
)

// ratio is what WCAG 2.2 asks of text (1.4.3, level AA).
const ratio = 4.5

func TestTextIsReadable(t *testing.T) {
	ground := Palette[Background]
	for _, class := range []Class{Ink, Muted, Sent, Reply, Call, Timer, Repeat, Bad, Note} {
		c := Palette[class]
		if got := contrast(c.Light, ground.Light); got < ratio {
			t.Errorf("%s on light has a contrast of %.2f", class, got)
		}
		if got := contrast(c.Dark, ground.Dark); got < ratio {
			t.Errorf("%s on dark has a contrast of %.2f", class, got)
		}
	}
	for s, c := range StatePalette {
		for _, fill := range []string{c.Light, c.Dark} {
			if got := contrast(fill, textOn(fill)); got < ratio {
				t.Errorf("text on %v's %s has a contrast of %.2f", s, fill, got)
			}
		}
	}
}

func TestEveryStateHasItsColour(t *testing.T) {
	light, dark := map[string]tracer.State{}, map[string]tracer.State{}
	for s := tracer.Closed; s <= tracer.TimeWait; s++ {
		c, ok := StatePalette[s]
		if !ok {
			t.Errorf("%v has no colour", s)
		}
		if other, twice := light[c.Light]; twice {
			t.Errorf("%v and %v have one colour", s, other)
		}
		if other, twice := dark[c.Dark]; twice {
			t.Errorf("%v and %v have one colour on dark", s, other)
		}
		light[c.Light], dark[c.Dark] = s, s
	}
}

// blindness are matrices on linear RGB that show what those who lack a cone see (Viénot,
// Brettel and Mollon 1999).
var blindness = map[string][3][3]float64{
	"protanopia":   {{0.11238, 0.88762, 0}, {0.11238, 0.88762, 0}, {0.00401, -0.00401, 1}},
	"deuteranopia": {{0.29275, 0.70725, 0}, {0.29275, 0.70725, 0}, {-0.02234, 0.02234, 1}},
}

// lab is a colour in CIELAB, as seen through a matrix.
func lab(hex string, m [3][3]float64) [3]float64 {
	r, g, b := linear(hex)
	var v [3]float64
	for i := range v {
		v[i] = max(m[i][0]*r+m[i][1]*g+m[i][2]*b, 0)
	}
	x := (0.4124*v[0] + 0.3576*v[1] + 0.1805*v[2]) / 0.9505
	y := 0.2126*v[0] + 0.7152*v[1] + 0.0722*v[2]
	z := (0.0193*v[0] + 0.1192*v[1] + 0.9505*v[2]) / 1.089
	f := func(t float64) float64 {
		if t > 0.008856 {
			return math.Cbrt(t)
		}
		return 7.787*t + 16.0/116
	}
	return [3]float64{116*f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))}
}

// TestNeighboursDiffer: states between which RFC 9293 has a transition stand one above the
// other in a ladder; who is blind to red or green tells them apart too. CLOSED is no bar
// there.
func TestNeighboursDiffer(t *testing.T) {
	all := map[string][3][3]float64{"full sight": {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}
	for name, m := range blindness {
		all[name] = m
	}
	seen := 0
	for from := tracer.Listen; from <= tracer.TimeWait; from++ {
		for to := from + 1; to <= tracer.TimeWait; to++ {
			if !tcpstate.Legal(from, to) && !tcpstate.Legal(to, from) {
				continue
			}
			seen++
			for name, m := range all {
				for _, pick := range []func(Color) string{func(c Color) string { return c.Light }, func(c Color) string { return c.Dark }} {
					a, b := lab(pick(StatePalette[from]), m), lab(pick(StatePalette[to]), m)
					if d := math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2]); d < 20 {
						t.Errorf("%v (%s) and %v (%s) differ by %.0f with %s", from, pick(StatePalette[from]), to, pick(StatePalette[to]), d, name)
					}
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d pairs of neighbours", seen)
	}
}

func svg(c *Canvas) string {
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		panic(err)
	}
	return b.String()
}

// TestHostileText: whatever a text is, the picture is well-formed XML with just that text,
// and nothing that is not seen.
func TestHostileText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if rapid.Bool().Draw(t, "bytes") {
			text = string(rapid.SliceOf(rapid.Byte()).Draw(t, "raw"))
		}
		c := New(100, 100, text)
		c.Open(Attr{Class: "x", Title: text})
		c.Text(1, 1, text, 10, Middle, Attr{})
		c.Runs(1, 20, []Run{{Text: text, Class: Bold}}, 10, End, Attr{})
		c.Close()
		texts, groups := parts(t, svg(c))
		if groups != 1 {
			t.Fatalf("%d groups", groups)
		}
		for _, s := range texts {
			if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' }) {
				t.Fatalf("%q", s)
			}
		}
	})
}

// parts are the texts of a picture, and how many groups it has.
func parts(t *rapid.T, s string) (texts []string, groups int) {
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts, groups
		}
		if err != nil {
			t.Fatalf("%v: %s", err, s)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if slices.Contains([]string{"script", "image", "foreignObject", "a"}, tok.Name.Local) {
				t.Fatalf("a %s", tok.Name.Local)
			}
			if tok.Name.Local == "g" {
				groups++
			}
		case xml.CharData:
			texts = append(texts, string(tok))
		default:
		}
	}
}

// TestSelfContained: the picture names nothing outside of itself.
func TestSelfContained(t *testing.T) {
	c := New(10, 10, "x")
	c.Arrow(0, 0, 10, 10, Attr{Class: Sent})
	s := strings.Replace(svg(c), `xmlns="http://www.w3.org/2000/svg"`, "", 1)
	for _, bad := range []string{"http", "url(", "@import", "<script", "href", "NaN", "var("} {
		if strings.Contains(s, bad) {
			t.Errorf("the picture has %q", bad)
		}
	}
	for _, want := range []string{"prefers-color-scheme:dark", `class="l-sent"`, "<polygon"} {
		if !strings.Contains(s, want) {
			t.Errorf("the picture has no %q", want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", -0.01: "0", 1.25: "1.3", 2: "2", -3.04: "-3", 1e6: "1000000", math.Inf(1): "0", math.NaN(): "0",
	} {
		if got := number(f); got != want {
			t.Errorf("number(%v) = %s, want %s", f, got, want)
		}
	}
}

// TestFit: what fits stays, what is cut fits and begins the same.
func TestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.RuneFrom([]rune("abcMW 汉字…i."))).Draw(t, "s")
		width := rapid.Float64Range(0, 300).Draw(t, "width")
		if bold := FitBold(s, 12, width); BoldWidth(bold, 12) > width+1e-9 {
			t.Fatalf("%q in %.1f, bold: %q, %.1f wide", s, width, bold, BoldWidth(bold, 12))
		}
		got := Fit(s, 12, width)
		switch {
		case TextWidth(s, 12) <= width:
			if got != s {
				t.Fatalf("%q was cut to %q", s, got)
			}
		case got == "":
			if TextWidth("…", 12) <= width {
				t.Fatal("nothing is left")
			}
		default:
			head, found := strings.CutSuffix(got, "…")
			if !found || !strings.HasPrefix(s, head) || TextWidth(got, 12) > width+1e-9 {
				t.Fatalf("%q in %.1f: %q, %.1f wide", s, width, got, TextWidth(got, 12))
			}
		}
	})
}
