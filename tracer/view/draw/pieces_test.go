package draw

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPieces(t *testing.T) {
	c := New(100, 5000, "a <title>")
	c.Rect(1, 10, 5, 4990, Attr{Class: Axis})
	c.Open(Attr{Class: Sent, N: 7, Title: `"<y1="9999">`})
	c.Arrow(10, 100, 90, 120, Attr{Class: Sent})
	c.Text(50, 95, "SYN\n</g> y=\"4000\"", 10, Middle, Attr{})
	c.Close()
	c.Polyline([]Point{{900, 300}, {5, 310.5}}, Attr{Class: Bad, N: 8})
	c.Circle(4, 400, 3, Attr{Class: Mark})
	c.Path("M 1 500 L 2 520", Attr{Class: Gap})
	c.Open(Attr{Title: "nothing to see"})
	c.Close()
	var got [][2]float64
	var all []byte
	for p := range c.Pieces {
		got = append(got, [2]float64{p.Top, p.End})
		if bytes.ContainsRune(p.SVG, '\n') {
			t.Errorf("a piece of several lines: %q", p.SVG)
		}
		all = append(all, p.SVG...)
	}
	// The arrow's head is 8 long and 6.4 wide.
	want := [][2]float64{{10, 5000}, {85, 121.2}, {300, 310.5}, {397, 403}, {1, 520}, {0, 0}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("heights of the pieces (-want +got):\n%s", d)
	}
	// The pieces in their frame are the picture.
	var frame, picture bytes.Buffer
	if err := c.WriteFrame(&frame); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteInline(&picture); err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(frame.String(), `<g class="pieces"> </g>`)
	if !ok {
		t.Fatalf("no group for the pieces in %s", frame.String())
	}
	squeeze := func(s string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(s) }
	if d := cmp.Diff(squeeze(picture.String()), squeeze(before+string(all)+after)); d != "" {
		t.Errorf("the pieces are not the picture (-want +got):\n%s", d)
	}
}

func TestPiecesStop(t *testing.T) {
	c := New(10, 10, "")
	c.Rect(0, 1, 1, 1, Attr{})
	c.Rect(0, 2, 1, 1, Attr{})
	n := 0
	for range c.Pieces {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d pieces before the stop, want 1", n)
	}
}
